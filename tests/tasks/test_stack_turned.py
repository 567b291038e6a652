"""Stacks of detectors that lie on the sky every way: turned by a quarter, a half, mirrored; as cameras have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spica.kernels.wcs import tangent_wcs
from spica.kernels.wcs_cards import to_cards
from tests.tasks.test_stack import SCALE, _input, _run, _tile

SIZE = 200
NORTH_UP = SCALE * np.array([[-1.0, 0.0], [0.0, 1.0]])
PLANES = ("science", "variance", "mask", "number", "time", "epoch")
Array = npt.NDArray[Any]


def _laid(pixels: Array, way: str, dx: float, dy: float, turn: float) -> tuple[Array, dict[str, Any]]:
    """The same detector read out another way: its pixels in another order, with the solution that belongs to them."""
    c, s = np.cos(turn), np.sin(turn)
    cd = SCALE * np.array([[-c, s], [s, c]])
    x, y = (SIZE - 1) / 2 + dx, (SIZE - 1) / 2 + dy
    for step in way:
        if step == "t":  # rows and columns exchanged
            pixels, cd, (x, y) = pixels.T, cd[:, ::-1], (y, x)
        elif step == "x":
            pixels, cd, x = pixels[:, ::-1], cd * [-1.0, 1.0], SIZE - 1 - x
        elif step == "y":
            pixels, cd, y = pixels[::-1], cd * [1.0, -1.0], SIZE - 1 - y
    return np.ascontiguousarray(pixels), dict(to_cards(tangent_wcs((10.0, 20.0), [x, y], cd)))


def _given(ways: list[str], turn: float = 0.004) -> list[dict[str, Any]]:
    made = []
    for n, way in enumerate(ways):
        rng = np.random.default_rng(n)
        pixels = rng.normal(100.0, 2.0, (SIZE, SIZE))
        pixels[40 + 7 * n, 60] = np.nan
        marks = np.zeros((SIZE, SIZE), np.int32)
        marks[90:93, 20 * n : 20 * n + 2] = 1
        there, cards = _laid(pixels, way, 1.7 * n, 2.3 * n - 3.0, turn * (n - 1))
        made.append(_input(f"e{n}/1", there, cards, mask=_laid(marks, way, 0, 0, 0)[0]))
    return made


def _reads(given: list[dict[str, Any]]) -> list[int]:
    """The most often that any row of each input is read."""
    found = []
    for each in given:
        seen = np.zeros(SIZE, int)
        for y0, y1 in each["science"].value.reads:
            seen[y0:y1] += 1
        found.append(int(seen.max()))
    return found


@pytest.mark.parametrize("way", ["x", "y", "xy", "t", "tx", "ty", "txy"])
@pytest.mark.parametrize("method", ["mean", "clipped"])
def test_however_a_detector_is_read_out_its_stack_is_the_same_and_its_rows_are_read_once(way: str, method: str) -> None:
    plain, _ = _run(_given([""] * 4), _tile(), method=method)
    given = _given([way] * 4)
    planes, _ = _run(given, _tile(), method=method)
    assert _reads(given) == [1] * 4
    for name in PLANES:
        if name == "science" and "t" in way:
            # Summed along what were the columns: noise differs by as much as the rows slope.
            assert np.nanstd(planes[name] - plain[name]) < 0.01
            assert np.array_equal(np.isnan(planes[name]), np.isnan(plain[name]))
        elif name == "mask" and "t" in way:
            # So does the weight that a lost pixel takes: whether much or little is told.
            assert (planes[name] == plain[name]).mean() > 0.999
        elif name == "variance":
            assert np.allclose(planes[name], plain[name], rtol=2e-3)
        else:
            assert np.allclose(planes[name], plain[name], rtol=3e-6, atol=1e-6, equal_nan=True), name


def test_a_few_that_lie_across_are_stacked_with_the_others() -> None:
    plain, _ = _run(_given([""] * 5), _tile(), method="median")
    for ways in (["", "t", "x", "ty", ""], ["t", "", "tx", "x", "t"]):
        planes, _ = _run(_given(ways), _tile(), method="median")
        assert np.nanstd(planes["science"] - plain["science"]) < 0.01
        assert np.array_equal(planes["number"], plain["number"])
        assert (planes["mask"] == plain["mask"]).mean() > 0.999


@pytest.mark.parametrize("way", ["", "t"])
def test_a_tile_that_is_wider_than_high(way: str) -> None:
    tile = _tile()
    wide = type(tile)(tile.nx, 90, tile.cards)
    planes, _ = _run(_given([way] * 3), wide)
    whole, _ = _run(_given([way] * 3), tile)
    for name in PLANES:
        assert np.array_equal(planes[name], whole[name][:90], equal_nan=True), name
