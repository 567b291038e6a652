from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spica.core.faults import SetupFault
from spica.core.records import FrameType, Grain, Metric, Unit
from spica.core.select import evaluate
from spica.core.where import parse
from spica.registry import metrics
from spica.registry.store import Registry
from tests.registry.samples import detector_unit, exposure, ingest


@pytest.fixture
def sky(registry: Registry) -> Registry:
    """Twelve exposures of four detectors with metrics, some of them absent."""
    shots = [
        exposure(
            n,
            band="gri"[n % 3],
            night=f"2026-11-2{n % 4}",
            airmass=None if n == 5 else 1.0 + n / 10,
            object="it's 100%" if n % 2 else "M_31",
        )
        for n in range(1, 13)
    ]
    registry.add_many([ingest(each) for each in shots])
    given = [
        Metric(Unit(Grain.EXPOSURE, (each.name,)), "cloud", each.sequence / 12.0)
        for each in shots
        if each.sequence != 7
    ]
    given += [
        # Spread evenly over 0.6–2.0, in no order.
        Metric(detector_unit(each, number), "seeing", 0.6 + (each.sequence * 29 + number * 13) % 48 / 34, "arcsec")
        for each in shots
        for number in range(4)
        if (each.sequence, number) != (3, 2)
    ]
    given.append(Metric(detector_unit(shots[3], 1), "seeing", math.nan, "arcsec"))
    registry.add_metrics(given)
    return registry


SELECTIONS = [
    "band = 'r'",
    "band != 'r'",
    "band in ('g', 'i') and night >= '2026-11-21'",
    "not band in ('g', 'i')",
    "airmass > 1.5",
    "not airmass > 1.5",
    "airmass != 1.3",
    "airmass is null",
    "airmass is not null",
    "mjd between 61364.002 and 61364.005",
    "seeing < 1.2",
    "not seeing < 1.2",
    "seeing != 1.0",
    "seeing is null",
    "seeing is not null and cloud > 0.5",
    "cloud is null or seeing between 0.8 and 1.0",
    "detector in (0, 3) and (cloud <= 0.25 or seeing > 1.8)",
    "detector > 1.5",
    "sequence = 3.0",
    "object like '%100!%%'",
    "object like '%''s 100%'",
    "object like 'm_31'",
    "object like 'M_31'",
    "nx = 64 and ny >= 64 and exposure like '%0000_'",
    "detector = 170141183460469231731687303715884105728",
]


@pytest.mark.parametrize("selection", SELECTIONS)
def test_sql_selects_what_core_selects(sky: Registry, selection: str) -> None:
    rows = list(sky.detector_rows())
    shots = {each.name: each for each in sky.exposures()}
    own = {
        row: {m.name: m.value for m in sky.metrics_of(detector_unit(shots[row.exposure], row.detector))} for row in rows
    }
    of_shot = {name: {m.name: m.value for m in sky.metrics_of(Unit(Grain.EXPOSURE, (name,)))} for name in shots}
    none_is_nan: Callable[[float | None], float] = lambda value: math.nan if value is None else value  # noqa: E731
    columns = {
        "seeing": np.array([own[row].get("seeing", math.nan) for row in rows]),
        "cloud": np.array([of_shot[row.exposure].get("cloud", math.nan) for row in rows]),
        "airmass": np.array([none_is_nan(shots[row.exposure].airmass) for row in rows]),
        **{
            name: np.array([getattr(row, name) for row in rows])
            for name in ("exposure", "detector", "band", "night", "mjd", "nx", "ny")
        },
        **{name: np.array([getattr(shots[row.exposure], name) for row in rows]) for name in ("object", "sequence")},
    }
    expected = {
        (row.exposure, row.detector)
        for row, taken in zip(rows, evaluate(parse(selection), columns, len(rows)), strict=True)
        if taken
    }
    assert {(row.exposure, row.detector) for row in sky.detector_rows(selection)} == expected
    assert {each.name for each in sky.exposures(selection)} == {name for name, _ in expected}


def test_frame_types_and_order(sky: Registry) -> None:
    sky.add(ingest(exposure(99, frame_type=FrameType.BIAS, band="", ra=None)))
    assert len(list(sky.detector_rows(frame_types=[FrameType.BIAS]))) == 4
    assert len(list(sky.detector_rows("band = 'r'", [FrameType.BIAS, FrameType.OBJECT]))) == 16
    rows = list(sky.detector_rows())
    assert rows == sorted(rows, key=lambda row: (row.exposure, row.detector))
    assert [each.sequence for each in sky.exposures(limit=2, order="sequence")] == [1, 2]


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        ("seing > 1", "seeing"),
        ("bnd = 'r'", "band"),
        ("night = 2026", "text"),
        ("airmass > '1'", "number"),
        ("airmass like '1%'", "like"),
        ("band = null", "is null"),
        ("seeing in (1, 'x')", "number"),
    ],
)
def test_selections_that_make_no_sense(sky: Registry, selection: str, says: str) -> None:
    with pytest.raises(SetupFault, match=says) as caught:
        list(sky.detector_rows(selection))
    assert caught.value.code == "where.invalid"


def test_search(sky: Registry) -> None:
    found = sky.search("band = 'g'", ["night", "seeing", "cloud"], "-seeing", 5)
    assert len(found) == 5
    assert list(found[0]) == ["exposure", "detector", "night", "seeing", "cloud"]
    values = [row["seeing"] for row in found]
    assert values == sorted(values, reverse=True)
    everything = sky.search("", ["seeing"], "seeing")
    assert len(everything) == 48
    assert [row["seeing"] for row in everything[-2:]] == [None, None]
    with pytest.raises(SetupFault, match="seeing"):
        sky.search("", ["seing"])


@pytest.mark.parametrize(
    "selection", ["", "seeing > 0.7", "seeing > 0.7 and cloud > 0.1", "not band = 'r'", "airmass > 1.2"]
)
@pytest.mark.parametrize("sort", ["seeing", "-seeing"])
def test_a_walk_along_the_index_finds_the_same(
    sky: Registry, monkeypatch: pytest.MonkeyPatch, selection: str, sort: str
) -> None:
    walked: list[bool] = []
    walk = metrics._walked

    def watched(*given: Any) -> Any:
        found = walk(*given)
        walked.append(found is not None)
        return found

    monkeypatch.setattr(metrics, "_walked", watched)
    asked = [(selection, columns, sort, limit) for columns in (["seeing", "band"], ["cloud"]) for limit in (1, 7, 200)]
    quick = [sky.search(*each) for each in asked]
    # A short list is walked to; one that is longer than all there is cannot be.
    assert walked[0] is walked[3] is True
    assert walked[2] is walked[5] is False
    monkeypatch.setattr(metrics, "_walked", lambda *_: None)
    assert [sky.search(*each) for each in asked] == quick


def test_a_walk_that_would_be_long_is_not_taken(sky: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = metrics._walked
    walked: list[Any] = []
    monkeypatch.setattr(metrics, "_walked", lambda *given: walked.append(walk(*given)))
    for selection in ("seeing > 1.9 and cloud > 0.9", "band = 'r'", "seeing < 0"):
        sky.search(selection, ["seeing"], "seeing", 5)
    assert walked == [None, None, None]


def test_the_last_value_holds_and_nan_is_kept(sky: Registry) -> None:
    unit = detector_unit(exposure(1), 0)
    sky.add_metrics([Metric(unit, "seeing", 3.0, "arcsec"), Metric(unit, "seeing", 4.0, "pixel", "twice")])
    (seeing,) = sky.metrics_of(unit)
    assert seeing == Metric(unit, "seeing", 4.0, "pixel", "twice")
    sky.add_metrics([Metric(unit, "seeing", math.nan), Metric(unit, "depth", math.inf)])
    depth, seeing = sky.metrics_of(unit)
    assert math.isnan(seeing.value)
    assert depth.value == math.inf
    assert sky.metric_names() == {"cloud": ("exposure",), "depth": ("detector",), "seeing": ("detector",)}


def test_selection_by_grade(sky: Registry) -> None:
    shots = sky.exposures()
    for each, grade in zip(shots, "ABCA", strict=False):
        sky.grade(Unit(Grain.EXPOSURE, (each.name,)), grade, who="me")
    sky.grade(Unit(Grain.EXPOSURE, (shots[0].name,)), "D", "clouds", "me")
    assert {each.name for each in sky.exposures("grade = 'A'")} == {shots[3].name}
    assert len(sky.exposures("grade is null")) == 8
    assert len(sky.exposures("grade != 'A'")) == 11
    notes = sky.notes_of(Unit(Grain.EXPOSURE, (shots[0].name,)))
    assert [(note.kind, note.text) for note in notes] == [("grade", "A"), ("grade", "D"), ("comment", "clouds")]


def test_a_metric_of_both_grains_and_many_units(registry: Registry) -> None:
    """A detector is found by its own value or by its exposure's; above 20 000 values the search is led otherwise."""
    one, two = exposure(1), exposure(2)
    registry.add_many([ingest(one), ingest(two)])
    registry.add_metrics(
        [Metric(Unit(Grain.EXPOSURE, (one.name,)), "depth", 5.0), Metric(detector_unit(two, 2), "depth", 6.0)]
    )
    narrow = [(row.exposure, row.detector) for row in registry.detector_rows("depth > 4")]
    assert narrow == [(one.name, 0), (one.name, 1), (one.name, 2), (one.name, 3), (two.name, 2)]
    registry.add_metrics([Metric(Unit(Grain.TILE, (str(n),)), "depth", 9.0) for n in range(3)])
    registry.add_metrics([Metric(detector_unit(exposure(50 + n // 250), n % 250), "depth", 7.0) for n in range(20_100)])
    for selection in ("depth > 4", "depth > 4 and depth < 100", "nx = 64 and depth > 4"):
        assert [(row.exposure, row.detector) for row in registry.detector_rows(selection)] == narrow
    assert registry.exposures("depth > 5.5") == [two]


def test_selection_by_slices(registry: Registry) -> None:
    # The word in another value's text is not the value.
    told: list[dict[str, Any]] = [{}, {"slices": 4}, {"note": 'a "slices":9, b', "slices": 12}, {"note": '"slices":4'}]
    registry.add_many([ingest(exposure(number, extra=extra)) for number, extra in enumerate(told)])
    everyone = [each.name for each in registry.exposures()]

    def chosen(selection: str) -> list[int]:
        return [everyone.index(each.name) for each in registry.exposures(selection)]

    assert chosen("slices = 1") == [0, 3]
    assert chosen("slices > 1") == [1, 2]
    assert chosen("slices = 12 and detector = 1") == [2]
    assert chosen("slices in (4, 12)") == [1, 2]
    assert chosen("slices is null") == []
