"""Options of stacks: factors of fluxes from headers and tables, cards of the inputs by rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from spica.core.faults import DataFault
from spica.core.task import Member
from spica.tasks.stack import StackSettings
from spica.tasks.stack.keywords import Source, propagated, understood
from tests.tasks.test_stack import _cards, _input, _run, _tile

FLAT = np.full((60, 60), 50.0)


def _given(name: str, own: dict[str, Any] | None = None, told: dict[str, Any] | None = None, **more: Any) -> Any:
    made = _input(f"detector:{name}", FLAT, _cards(size=60), **more)
    made["science"].value.header |= own or {}
    made["science"].value.told = told or {}
    return made


def test_a_factor_multiplies_the_pixels() -> None:
    """Of a card of the product, of the delivered header, of a table: value by f, variance by f²; as the zero point says it."""
    tile = _tile(60)
    by_zero, _ = _run([_given("a/1", zero=28.0, seconds=20.0)], tile)
    factor = 10 ** (0.4 * 2.0) / 20.0
    own = [_given("a/1", {"FLXSCALE": factor}, {"FLXSCALE": 9.0}, seconds=20.0)]
    delivered = [_given("a/1", told={"MYSCALE": factor}, seconds=20.0)]
    for given in (own, delivered):
        del given[0]["light"]
    for given, how in (
        (own, {"flux": "keyword"}),
        (delivered, {"flux": "keyword", "flux_keyword": "MYSCALE"}),
        (delivered, {"flux": "table", "flux_table": {"a": 7.0, "a/1": factor}}),
        (delivered, {"flux": "table", "flux_table": {"a": factor}}),
    ):
        planes, made = _run(given, tile, **how)
        header = made["stack"].header
        for name in planes:
            assert np.array_equal(planes[name], by_zero[name], equal_nan=True), name
        assert header["MAGSYS"] == "unknown"
        told = "table" if how["flux"] == "table" else f"keyword {how.get('flux_keyword', 'FLXSCALE')}"
        assert header["FLUXFROM"] == told


def test_the_illumination_is_part_of_the_zero_point_alone() -> None:
    made = _given("a/1", {"FLXSCALE": 1.0})
    made["light"] = Member("detector:a/1", dict(made["light"].value) | {"flat": [0.0, 0.1, 0.1]})
    planes, _ = _run([made], _tile(60), flux="keyword")
    assert np.array_equal(planes["science"], FLAT)


@pytest.mark.parametrize(
    ("own", "how", "what"),
    [
        ({}, {"flux": "keyword"}, "no factor of its flux under FLXSCALE in its header"),
        ({"FLXSCALE": "high"}, {"flux": "keyword"}, "'high', which is no factor"),
        ({"FLXSCALE": -1.0}, {"flux": "keyword"}, "-1.0, which is no factor"),
        ({"FLXSCALE": True}, {"flux": "keyword"}, "True, which is no factor"),
        ({"FLXSCALE": 1.0}, {"flux": "table", "flux_table": {"good": 1.0}}, "under bad/1 or bad in flux_table"),
    ],
)
def test_an_input_without_factor_is_named_or_left_out(own: dict[str, Any], how: dict[str, Any], what: str) -> None:
    given = [_given("good/1", {"FLXSCALE": 1.0}), _given("bad/1", own)]
    with pytest.raises(DataFault, match=what) as caught:
        _run(given, _tile(60), **how)
    assert caught.value.code == "stack.no-flux-scale"
    assert caught.value.evidence["unit"] == "detector:bad/1"
    _, made = _run(given, _tile(60), lost="leave out", **how)
    assert made["stack"].header["LEFT01"] == "detector:bad/1 stack.no-flux-scale"


@pytest.mark.parametrize(
    "given",
    [
        {"flux": "table"},
        {"flux_table": {"a": 1.0}},
        {"flux": "table", "flux_table": {"a": -1.0}},
        {"propagate": ["AIRMASS:median"]},
        {"propagate": ["airmass"]},
        {"propagate": ["CRVAL1"]},
        {"propagate": ["NCOMBINE:sum"]},
        {"propagate": ["MAGZERO:mean"]},
        {"propagate": ["SPICAKEY"]},
        {"propagate": ["NAXIS1"]},
        {"propagate": ["EXPTIME:mean"]},
        {"propagate": ["OBJECT", "OBJECT:list"]},
        {"propagate": ["LEFT01=OBJECT"]},
    ],
)
def test_settings_without_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StackSettings(**given)


def _sources(*rows: tuple[str, float, dict[str, Any]]) -> list[Source]:
    return [Source(name, mjd, cards.get) for name, mjd, cards in rows]


def _propagate(wishes: list[str], sources: list[Source]) -> dict[str, Any]:
    cards, _ = propagated(understood(wishes), sources)
    assert propagated(understood(wishes), sources[::-1])[0] == cards
    return cards


def test_each_rule_gives_what_it_says() -> None:
    sources = _sources(
        ("b", 3.0, {"AIRMASS": 1.5, "OBJECT": "M 31", "T": 10, "WHO": "Ann", "GAIN": 2.0}),
        ("a", 5.0, {"AIRMASS": 1.1, "OBJECT": "M 31", "T": 20, "WHO": "Bob", "GAIN": 1.0}),
        ("a", 5.0, {"AIRMASS": 1.1, "OBJECT": "M 31", "T": 20, "WHO": "Bob", "GAIN": 2.0}),
    )
    wishes = ["OBJECT", "AIRMASS:mean", "WORST=AIRMASS:max", "BEST=AIRMASS:min", "T:sum", "FIRSTWHO=WHO:first"]
    cards = _propagate([*wishes, "WHOS=WHO:list", "GAIN:mean", "EXPTIME:sum"], sources)
    assert cards["OBJECT"] == "M 31"
    assert cards["AIRMASS"] == pytest.approx(1.3, rel=1e-15)
    assert (cards["WORST"], cards["BEST"], cards["T"]) == (1.5, 1.1, 30.0)
    assert (cards["FIRSTWHO"], cards["WHOS"]) == ("Ann", "Ann, Bob")
    # The detectors of an exposure are one: (2 + 1.5) / 2.
    assert cards["GAIN"] == 1.75
    assert cards["PROP02"] == "AIRMASS:mean of 2 of 2 exposures"
    assert cards["PROP03"] == "WORST=AIRMASS:max of 2 of 2 exposures"
    # It is the stack's own.
    assert "EXPTIME" not in cards
    assert "PROP09" not in cards


def test_what_cannot_be_said_is_left_out_and_told() -> None:
    sources = _sources(("a", 1.0, {"X": 1.0, "WHO": "Ann", "B": True}), ("b", 2.0, {"X": 1, "FOCUS": 4.0, "B": True}))
    wishes = understood(["X", "WHO", "FOCUS:mean", "SHUT=B:sum", "WHO2=WHO:mean", "GONE:list", "B"])
    cards, lost = propagated(wishes, sources)
    assert cards == {
        "FOCUS": 4.0,
        "B": True,
        # A whole number and one with a point differ.
        "PROP01": "X:copy of 2 of 2 exposures, left out: they differ",
        "PROP02": "WHO:copy of 1 of 2 exposures, left out: they differ",
        "PROP03": "FOCUS:mean of 1 of 2 exposures",
        "PROP04": "SHUT=B:sum of 2 of 2 exposures, left out: not all are numbers",
        "PROP05": "WHO2=WHO:mean of 1 of 2 exposures, left out: not all are numbers",
        "PROP06": "GONE:list of 0 of 2 exposures, left out: none has it",
        "PROP07": "B:copy of 2 of 2 exposures",
    }
    assert lost == 5


def test_cards_of_the_inputs_go_into_the_stacks_header() -> None:
    given = [_given(f"e{n}/1", {"AIRMASS": 1.0 + n}, {"OBJECT": "M 31", "ESO OBS ID": n}) for n in range(3)]
    plain, without = _run(given, _tile(60))
    planes, made = _run(given, _tile(60), propagate=("OBJECT", "AIRMASS:mean", "OBSIDS=ESO OBS ID:list"))
    header = made["stack"].header
    assert (header["OBJECT"], header["AIRMASS"], header["OBSIDS"]) == ("M 31", 2.0, "0, 1, 2")
    assert made["stack_quality"]["stack_cards_left_out"].value == 0.0
    # Nothing else changes.
    assert {key: value for key, value in header.items() if key in without["stack"].header} == without["stack"].header
    assert np.array_equal(plain["science"], planes["science"], equal_nan=True)


def test_exposures_that_were_homogenised_tell_how_wide_stars_are_and_what_noise_lost() -> None:
    changed = {"HOMOFWHM": 1.1, "HOMOBETA": 3.0, "HOMONOIS": 0.2, "HOMOKEPT": 0}
    plain, _ = _run([_given("a/1"), _given("b/1")], _tile(60))
    two = [_given("a/1", changed), _given("b/1", changed | {"HOMONOIS": 0.4}, variance=8.0)]
    planes, made = _run(two, _tile(60))
    header = made["stack"].header
    assert np.array_equal(planes["science"], plain["science"])
    assert (header["HOMOFWHM"], header["HOMOBETA"], header["HOMOKEPT"]) == (1.1, 3.0, 0)
    # The second has half of the first one's weight.
    assert header["HOMONOIS"] == pytest.approx(np.sqrt((2 * 0.2**2 + 0.4**2) / 3), abs=1e-5)
    assert header["NOISECOR"] == pytest.approx(1.1234 / header["HOMONOIS"], rel=2e-3)
    mixed = [_given("a/1", changed), _given("b/1", {"HOMOFWHM": 1.3, "HOMONOIS": 1.0, "HOMOKEPT": 1}), _given("c/1")]
    header = _run(mixed, _tile(60))[1]["stack"].header
    assert (header["HOMOFWHM"], header["HOMOKEPT"]) == (1.1, 2)
    apart = [_given("a/1", changed), _given("b/1", changed | {"HOMOFWHM": 1.2})]
    header = _run(apart, _tile(60))[1]["stack"].header
    assert "HOMOFWHM" not in header
    assert header["HOMOBETA"] == 3.0
    assert "HOMONOIS" not in _run([_given("a/1")], _tile(60))[1]["stack"].header
