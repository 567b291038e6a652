"""Skies matched in overlaps: wide light stays, levels come back to their noise, nothing else changes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spica.core.faults import DataFault
from spica.tasks.stack.matching import agree, together
from tests.tasks.test_stack import SCALE, _cards, _input, _run, _tile

SIZE, NOISE = 448, 2.0
MOVES = ((0, 0), (64, -40), (-52, 70), (30, 58), (-70, -66))
SKIES = (100.0, 107.0, 95.0, 111.0, 100.5)
Array = npt.NDArray[np.float64]


def _halo(dx: float = 0.0, dy: float = 0.0) -> Array:
    """Light much wider than a cell of a sky mesh, as an exposure sees it whose middle is moved by so much."""
    v, u = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2.0
    return np.asarray(30.0 * np.exp(-((u - dx) ** 2 + (v - dy) ** 2) / (2.0 * 90.0**2)))


def _mesh(pixels: Array) -> dict[str, Any]:
    """What a mesh of 64 pixels makes of it: the halo is in it."""
    return {"level": pixels.reshape(SIZE // 64, 64, SIZE // 64, 64).mean(axis=(1, 3)).tolist(), "rms": NOISE}


def _exposures(slope: float = 0.0, *, halo: bool = True) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    random = np.random.default_rng(5)
    given, skies = [], {}
    for n, ((dx, dy), sky) in enumerate(zip(MOVES, SKIES, strict=True)):
        along = np.linspace(-1.0, 1.0, SIZE)
        lean = slope * (n - 2) * (along[None, :] - 0.5 * along[:, None])
        pixels = sky + lean + (_halo(dx, dy) if halo else 0.0) + random.normal(0.0, NOISE, (SIZE, SIZE))
        given.append(_input(f"e{n}/1", pixels, _cards(dx, dy, size=SIZE), variance=NOISE**2))
        skies[f"e{n}/1"] = _mesh(pixels)
    return given, skies


def _smooth(planes: dict[str, Any], light: Array) -> Array:
    """What the stack lacks of the light, in boxes of 32 pixels, but for one level."""
    off = planes["science"] - light
    boxes = off.reshape(SIZE // 32, 32, SIZE // 32, 32).mean(axis=(1, 3))
    return np.asarray(boxes - np.median(boxes))


def test_wide_light_stays_and_skies_agree() -> None:
    given, skies = _exposures()
    lost, _ = _run(given, _tile(SIZE), skies)
    kept, made = _run(given, _tile(SIZE), skies, background="matched")
    assert np.ptp(lost["science"][::32, ::32]) < 10.0
    # The noise of a box of one exposure, and of what ties it to the others.
    assert np.abs(_smooth(kept, _halo())).max() < 5.0 * NOISE / 32.0
    told = made["stack_quality"]
    assert told["stack_match_tied"].value == 5.0
    assert 0.6 < told["stack_match_scatter"].value < 1.4
    middle = np.mean([sky - np.median(skies[f"e{n}/1"]["level"]) for n, sky in enumerate(SKIES)])
    assert np.median(kept["science"] - _halo()) == pytest.approx(middle, abs=0.05)
    assert made["stack"].header["BACKMETH"] == "matched"


def test_a_slope_is_matched_where_that_is_asked_for() -> None:
    given, skies = _exposures(slope=3.0)
    planes = {order: _run(given, _tile(SIZE), skies, background="matched", match_order=order)[0] for order in (0, 1)}
    seen = {order: float(np.std(_smooth(each, _halo()))) for order, each in planes.items()}
    assert seen[0] > 0.5
    assert np.abs(_smooth(planes[1], _halo())).max() < 8.0 * NOISE / 32.0


def test_scaled_exposures_are_matched_on_the_stacks_scale() -> None:
    given, skies = _exposures()
    fainter = given[1]["science"].value
    for name, factor in (("science", 0.5), ("variance", 0.25)):
        fainter.planes[name] = fainter.planes[name] * np.float32(factor)
    given[1]["light"].value["zero"] = 30.0 + 2.5 * np.log10(0.5)
    skies["e1/1"] = {"level": (0.5 * np.array(skies["e1/1"]["level"])).tolist(), "rms": 0.5 * NOISE}
    planes, _ = _run(given, _tile(SIZE), skies, background="matched")
    assert np.abs(_smooth(planes, _halo())).max() < 5.0 * NOISE / 32.0


def test_the_order_of_exposures_is_nothing_and_what_nothing_overlaps_keeps_its_level() -> None:
    given, skies = _exposures()
    one, _ = _run(given, _tile(SIZE), skies, background="matched")
    other, _ = _run(given[::-1], _tile(SIZE), skies, background="matched")
    assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)
    alone, made = _run(given[:1], _tile(SIZE), skies, background="matched")
    level = np.float32(np.median(skies["e0/1"]["level"]))
    assert np.array_equal(alone["science"], given[0]["science"].value.planes["science"] - level)
    assert made["stack_quality"]["stack_match_tied"].value == 0.0


def test_without_meshes_the_skies_themselves_are_matched() -> None:
    given, _ = _exposures(halo=False)
    planes, _ = _run(given, _tile(SIZE), background="matched")
    assert np.abs(_smooth(planes, np.zeros((SIZE, SIZE)))).max() < 5.0 * NOISE / 32.0
    assert np.median(planes["science"]) == pytest.approx(np.mean(SKIES), abs=0.05)


def test_light_that_one_exposure_alone_has_does_not_bend_it() -> None:
    """A trail's wide wing: cells are left out, and the other levels stay as they were."""
    given, skies = _exposures()
    plain, _ = _run(given, _tile(SIZE), skies, background="matched")
    pixels = given[2]["science"].value.planes["science"]
    pixels[100:180, :] += 60.0
    struck, _ = _run(given, _tile(SIZE), skies, background="matched")
    far = np.s_[300:, :]
    assert abs(float(np.mean(struck["science"][far] - plain["science"][far]))) < 0.1


def test_an_input_that_cannot_be_read_is_named() -> None:
    given, skies = _exposures()
    given[3]["science"].value.broken = 300
    with pytest.raises(DataFault, match="e3/1 cannot be read") as told:
        _run(given, _tile(SIZE), skies, background="matched")
    assert told.value.code == "stack.input"


def test_wide_pixels_are_matched_too() -> None:
    given, skies = _exposures(halo=False)
    wide = np.random.default_rng(9).normal(250.0, NOISE, (224, 224))
    given.append(_input("f/1", wide, _cards(0, 0, size=224, scale=2 * SCALE), variance=NOISE**2))
    skies["f/1"] = {"level": [[240.0]], "rms": NOISE}
    planes, _ = _run(given, _tile(SIZE), skies, background="matched")
    assert np.abs(_smooth(planes, np.zeros((SIZE, SIZE)))).max() < 8.0 * NOISE / 32.0


def _covered(number: int, side: int, half: float, noise: float) -> list[tuple[Any, Array, Array]]:
    """Cells of a square of `side` that inputs cover, each with a level of its own."""
    rng = np.random.default_rng(4)
    row, column = np.divmod(np.arange(side**2), side)
    made = []
    for _ in range(number):
        x, y = rng.uniform(0, side, 2)
        cells = np.flatnonzero((np.abs(column - x) < half) & (np.abs(row - y) < half)).astype(np.int32)
        weight = np.full(cells.size, rng.uniform(0.5, 2.0) / noise**2)
        made.append((cells, rng.normal(0.0, 10.0) + rng.normal(0.0, noise, cells.size), weight))
    return made


@pytest.mark.parametrize("count", [1, 3])
def test_corrections_are_those_of_plain_least_squares(count: int) -> None:
    """Beside one large problem in which the true level of each cell is unknown too."""
    side, number = 20, 9
    given = _covered(number, side, 6.0, 0.1)
    row, column = np.divmod(np.arange(side**2), side)
    terms = np.stack([np.ones(side**2), column / 10.0 - 1.0, row / 10.0 - 1.0], axis=-1)[:, :count]
    found, scatter = agree(together(given), number, terms)
    design, level = [], []
    for n, (cells, levels, weight) in enumerate(given):
        for cell, one, two in zip(cells, levels, np.sqrt(weight), strict=True):
            line = np.zeros(number * count + side**2)
            line[n * count : (n + 1) * count], line[number * count + cell] = two * terms[cell], two
            design.append(line)
            level.append(two * one)
    exact = np.linalg.lstsq(np.array(design), np.array(level))[0][: number * count].reshape(number, count)
    assert 0.7 < scatter < 1.2
    # What all have in common, no overlap tells.
    assert found - found.mean(axis=0) == pytest.approx(exact - exact.mean(axis=0), abs=1e-5)
    assert np.abs(found.mean(axis=0)).max() < 1e-3


def test_memory_is_that_of_the_cells_that_inputs_cover() -> None:
    number, side = 150, 200
    given = _covered(number, side, 8.0, 0.1)
    tracemalloc.start()
    agree(together(given), number, np.ones((side**2, 1)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * number * side**2 * 8, "less than a number for each input and cell of the tile"
