"""A series without any sky solution: how its frames lie, how bright its stars are, and what cannot be laid anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue, Flag
from spica.core.faults import DataFault
from spica.core.keys import exposure_id
from spica.core.records import Exposure, FrameType, Grain, Unit
from spica.core.settings import NoSettings
from spica.core.task import Member
from spica.pipelines.catalogue import load
from spica.tasks.register import RegisterSettings, register
from spica.tasks.registered import registered

NOISE, EXTENT = 0.05, 1000.0
WAYS = {
    "one": (1.0 + 0j, 0j, False, 0.0),
    "shifted": (1.0 + 0j, 60.0 - 35.0j, False, 0.3),
    "turned": (1.01 * np.exp(2.0j), 900.0 + 150.0j, False, -0.2),
    "mirrored": (np.exp(-0.5j), 100.0 + 900.0j, True, 1.0),
}
"""How the sky lies on each frame (z → turn z + offset, mirrored first), and how much fainter it is [mag]."""
Frame = tuple[Catalogue, np.ndarray]


def sky(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    places = rng.uniform(-900.0, 1900.0, 2500) + 1j * rng.uniform(-900.0, 1900.0, 2500)
    return places, 10.0 ** rng.uniform(3.0, 5.0, 2500)


def frame(way: str, seed: int, of: tuple[np.ndarray, np.ndarray] | None = None, most: int = 10**6) -> Frame:
    """A frame's catalogue in a random order, and the star of the sky that each row is."""
    turn, offset, mirrored, fainter = WAYS[way]
    places, light = of or sky()
    rng = np.random.default_rng(seed)
    there = turn * (np.conj(places) if mirrored else places) + offset
    seen = (there.real > 0) & (there.real < EXTENT) & (there.imag > 0) & (there.imag < EXTENT)
    seen &= rng.random(places.size) > 0.1
    rows = rng.permutation(np.flatnonzero(seen))[:most]
    error = np.sqrt(light[rows] * 10.0 ** (-0.4 * fainter))
    flux = light[rows] * 10.0 ** (-0.4 * fainter) + rng.normal(0.0, error)
    noise = rng.normal(0.0, NOISE, (2, rows.size))
    columns = {
        "source_id": 10_000 * seed + np.arange(rows.size), "x": there.real[rows] + noise[0], "y": there.imag[rows] + noise[1],
        "flux_auto": flux, "flux_auto_err": error, "flags": np.zeros(rows.size, np.int64),
    }  # fmt: skip
    return Catalogue(columns), rows


def exposure(number: int) -> Exposure:
    name = f"demo-{number}"
    return Exposure(exposure_id("demo", name), name, "demo", FrameType.OBJECT, "2026-11-20", 61364.0 + number, 30.0)


def run(frames: list[Frame], **settings: Any) -> dict[str, Any]:
    members = tuple(Member(str(Unit(Grain.DETECTOR, (f"demo-{n}", "1"))), each) for n, (each, _) in enumerate(frames))
    return dict(register(RegisterSettings(**settings), tuple(exposure(n) for n in range(len(frames))), members))


def series() -> list[Frame]:
    return [frame(way, seed) for seed, way in enumerate(WAYS, 1)]


def test_each_frame_lies_as_it_was_drawn_and_its_light_follows() -> None:
    frames = series()
    made = run(frames)
    rows = made["registration"]
    assert made["unregistered"]["frames"] == {}
    [first] = np.flatnonzero(rows["is_reference"])
    assert len(frames[first][0]) == max(len(each) for each, _ in frames)
    corners = np.array([0.0, EXTENT, 1j * EXTENT, (1 + 1j) * EXTENT])
    ways = list(WAYS.values())

    def to_sky(places: np.ndarray, way: tuple[complex, complex, bool, float]) -> np.ndarray:
        back = (places - way[1]) / way[0]
        return np.asarray(np.conj(back) if way[2] else back)

    for n, way in enumerate(ways):
        there = to_sky(corners, way)
        turn, offset, mirrored, _ = ways[first]
        wanted = turn * (np.conj(there) if mirrored else there) + offset
        place = np.conj(corners) if rows["mirrored"][n] else corners
        found = (rows["turn_x"][n] + 1j * rows["turn_y"][n]) * place + rows["offset_x"][n] + 1j * rows["offset_y"][n]
        assert np.abs(found - wanted).max() < 0.1
        assert rows["mirrored"][n] == (way[2] is not mirrored)
        assert rows["scale"][n] == pytest.approx(abs(turn) / abs(way[0]), abs=1e-4)
        assert rows["fainter"][n] == pytest.approx(way[3] - ways[first][3], abs=0.004)
        if n != first:
            assert rows["rms"][n] == pytest.approx(np.sqrt(1.0 + (abs(turn) / abs(way[0])) ** 2) * NOISE, rel=0.2)
            assert rows["odds"][n] > 20
    curves = made["light_curves"]
    star_of = {int(number): row for each, rows in frames for number, row in zip(each["source_id"], rows, strict=True)}
    same = [star_of[int(a)] == star_of[int(b)] for a, b in zip(curves["star"], curves["source_id"], strict=True)]
    assert np.mean(same) > 0.995
    light = sky()[1][[star_of[int(each)] for each in curves["star"]]] * 10.0 ** (-0.4 * ways[first][3])
    pulls = (curves["flux"] - light) / curves["flux_err"]
    assert np.std(pulls[np.abs(pulls) < 5]) == pytest.approx(1.0, abs=0.1)
    assert made["registering"]["registered"].value == 4


def test_order_and_labels_of_rows_do_not_matter() -> None:
    frames = series()
    turned = [(Catalogue({n: v[::-1] for n, v in each.columns.items()}), rows[::-1]) for each, rows in frames]
    one, other = run(frames), run(turned)
    for name in one["registration"].columns:
        np.testing.assert_allclose(one["registration"][name], other["registration"][name], rtol=1e-9, atol=1e-9)


def test_what_cannot_be_laid_is_told_by_name_and_the_others_are_as_without_it() -> None:
    frames = series()
    alien, poor = frame("one", 9, sky(5), most=150), frame("one", 10, most=3)
    spoilt = Catalogue({**frames[1][0].columns, "flags": np.full(len(frames[1][0]), Flag.SATURATED)})
    few = {"most_stars": 150}
    whole, more = run(frames, **few), run([*frames, alien, poor, (spoilt, frames[1][1])], **few)
    codes = {name: each["code"] for name, each in more["unregistered"]["frames"].items()}
    assert codes == {
        "demo-4/1": "register.no-match", "demo-5/1": "register.no-stars", "demo-6/1": "register.no-stars",
    }  # fmt: skip
    assert more["registering"]["register_refused"].value == 3
    for name in whole["registration"].columns:
        np.testing.assert_array_equal(whole["registration"][name], more["registration"][name])
    for number, code in ((4, "register.no-match"), (5, "register.no-stars"), (7, "register.unseen")):
        unit = Unit(Grain.DETECTOR, (f"demo-{number}", "1"))
        with pytest.raises(DataFault) as fault:
            registered(NoSettings(), unit, exposure(number), more["registration"], more["unregistered"])
        assert fault.value.code == code
    placed = registered(
        NoSettings(), Unit(Grain.DETECTOR, ("demo-2", "1")), exposure(2), more["registration"], more["unregistered"]
    )["placed"]
    assert placed["register_scale"].value == pytest.approx(float(whole["registration"]["scale"][2]))


def test_a_reference_on_which_little_lies_is_given_up() -> None:
    """The frame with the most stars is of another field."""
    made = run([frame("one", 8, sky(5)), frame("one", 1, most=200), frame("one", 2, most=200)], most_stars=60)
    assert made["unregistered"]["frames"].keys() == {"demo-0/1"}
    assert made["unregistered"]["references"] == {"1": "demo-1"}


def test_a_series_of_nothing_is_a_named_fault() -> None:
    with pytest.raises(DataFault) as fault:
        run([frame("one", 1, most=2), frame("one", 2, most=0)])
    assert fault.value.code == "register.no-stars"
    with pytest.raises(DataFault) as fault:
        run([frame("one", 1), frame("one", 2, sky(7))], most_stars=60)
    assert fault.value.code == "register.alone"
    lone = run([frame("one", 1)])
    assert lone["registration"]["is_reference"].tolist() == [1]


def test_detectors_have_references_of_their_own_and_psf_fits_are_preferred() -> None:
    frames = series()
    exposures = tuple(exposure(n) for n in range(2))
    sources, fits = [], []
    for n in range(2):
        for detector in (1, 2):
            unit = str(Unit(Grain.DETECTOR, (f"demo-{n}", str(detector))))
            table = frames[(n + detector) % 2][0]
            sources.append(Member(unit, Catalogue({**table.columns, "x": table["x"] + 0.4})))
            psf = {
                "x_psf": table["x"],
                "y_psf": table["y"],
                "flux_psf": table["flux_auto"],
                "flux_psf_err": table["flux_auto_err"],
            }
            fits.append(Member(unit, Catalogue(psf | {"flags_psf": table["flags"]})))
    made = register(RegisterSettings(), exposures, tuple(sources), tuple(fits))
    rows = made["registration"]
    assert rows["detector"].tolist() == [1, 1, 2, 2]
    assert rows["is_reference"].sum() == 2
    assert made["unregistered"]["references"].keys() == {"1", "2"}
    assert made["light_curves"].header["PSFFLUX"] is True
    shift = rows["offset_x"][rows["is_reference"] == 0]
    assert shift[0] == pytest.approx(shift[1])
    assert abs(shift[0]) == pytest.approx(60.0, abs=0.05)
    fewer = register(RegisterSettings(), exposures, tuple(sources), tuple(fits[:3]))
    assert len(fewer["registration"]) == 3


def test_the_shipped_pipeline_registers_by_field_and_band() -> None:
    step = load("series").step("register")
    assert step.group == ("field", "band")
