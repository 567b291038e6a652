"""Crosstalk: what the simulator's electronics add is taken off again, whatever the order of reading."""

import numpy as np
import pytest

from spica.kernels.crosstalk import add_fraction, crosstalk_inverse, mark_touched
from spica.kernels.detrend import Box, Readout
from spica.kernels.noise import add_crosstalk_into

NY, NX = 12, 20
MATRIX = [[0.0, 3e-3, 1e-3], [2e-3, 0.0, -4e-3], [1e-4, 5e-3, 0.0]]
BOXES = [Box(1, 1 + NY, x, x + NX) for x in (2, 30, 60)]


def test_the_inverse_undoes_the_matrix() -> None:
    inverse = crosstalk_inverse(MATRIX)
    unit = np.eye(3)
    np.testing.assert_allclose((unit + inverse) @ (unit + np.array(MATRIX)), unit, atol=2e-7)
    assert not np.any(crosstalk_inverse(np.zeros((3, 3))))


def test_what_the_electronics_add_is_taken_off() -> None:
    rng = np.random.default_rng(1)
    clean = rng.uniform(1000.0, 50_000.0, (NY + 2, 90)).astype(np.float32)
    read = clean.copy()
    for v, victim in enumerate(BOXES):
        for s, source in enumerate(BOXES):
            add_crosstalk_into(read, victim, clean, source, 900.0, MATRIX[v][s])
    out = read.copy()
    inverse = crosstalk_inverse(MATRIX)
    for v, s in zip(*np.nonzero(inverse), strict=True):
        add_fraction(
            out, read, BOXES[v], read, BOXES[s], levels=np.full(NY, 900.0), fraction=inverse[v, s], saturation=1e9
        )
    np.testing.assert_allclose(out, clean, rtol=1e-6, atol=0.02)
    assert np.max(np.abs(read - clean)) > 50


def test_saturated_pixels_stay_and_undefined_sources_add_nothing() -> None:
    own = np.full((NY + 2, 90), 2000.0, np.float32)
    own[3, 4] = 65_535.0
    own[5, 32] = np.nan
    out = own.copy()
    add_fraction(out, own, BOXES[0], own, BOXES[1], levels=np.full(NY, 1000.0), fraction=-0.01, saturation=65_000.0)
    assert out[3, 4] == 65_535.0
    assert out[5, 4] == 2000.0
    assert out[6, 6] == pytest.approx(1990.0)


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
def test_the_pixels_read_together_are_marked(flips: tuple[bool, bool]) -> None:
    def amplifier(place: Box, flip_x: bool, flip_y: bool) -> Readout:  # noqa: FBT001
        return Readout(Box(0, NY, 0, NX), place, flip_x, flip_y, 1.0, 1.0, 1e5)

    source = amplifier(Box(0, NY, 0, NX), *flips)
    victim = amplifier(Box(0, NY, NX, 2 * NX), flip_x=True, flip_y=False)
    mask = np.zeros((NY, 2 * NX), np.int32)
    y, x = 3, 5
    mask[y, x] = 2
    assert mark_touched(mask, victim, source, np.array([y]), 2, 1024) == 1
    row, column = NY - 1 - y if flips[1] else y, NX - 1 - x if flips[0] else x
    assert np.argwhere(mask == 1024).tolist() == [[row, NX + NX - 1 - column]]
