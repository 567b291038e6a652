"""Seams: gains that are a little off are found from the sky, and nothing is done where nothing can be known."""

import numpy as np
import pytest

from spica.kernels.detrend import Box, Planes, empty_planes
from spica.kernels.seams import seam_factors, seam_step

NY, NX = 200, 240
PLACES = [Box(0, 100, 0, 120), Box(100, 200, 0, 120), Box(0, 100, 120, 240), Box(100, 200, 120, 240)]
GAINS = np.array([1.0, 1.025, 0.99, 1.004])


def sky(gains: np.ndarray, level: float = 1900.0, seed: int = 1) -> Planes:
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:NY, :NX]
    planes = empty_planes((NY, NX), 0)
    planes.science[:] = level * (1 + 1e-4 * u - 2e-4 * v) + rng.normal(0, 40.0, (NY, NX))
    for x, y in rng.integers(10, 190, (40, 2)):
        planes.science[y - 4 : y + 5, x - 4 : x + 5] += 3000.0
    for place, gain in zip(PLACES, gains, strict=True):
        planes.science[place.y0 : place.y1, place.x0 : place.x1] *= np.float32(gain)
    return planes


def test_gains_are_found_from_the_sky() -> None:
    factors = seam_factors(sky(GAINS), PLACES, 1)
    found = factors * GAINS
    assert np.max(np.abs(found / found.mean() - 1)) < 0.004
    assert np.mean(np.log(factors)) == pytest.approx(0.0, abs=1e-9)


def test_equal_gains_stay_within_the_error() -> None:
    planes = sky(np.ones(4))
    assert np.max(np.abs(seam_factors(planes, PLACES, 1) - 1)) < 0.004
    step, error = seam_step(planes, PLACES[0], PLACES[2], 1)
    assert 0 < error < 0.004
    assert abs(step) < 4 * error


def test_the_step_changes_its_sign_with_the_order() -> None:
    planes = sky(GAINS)
    there, _ = seam_step(planes, PLACES[0], PLACES[1], 1)
    assert there == pytest.approx(0.025, abs=0.006)
    assert seam_step(planes, PLACES[1], PLACES[0], 1)[0] == pytest.approx(-there)


def test_nothing_is_done_where_nothing_can_be_known() -> None:
    apart = [Box(0, 100, 0, 100), Box(0, 100, 110, 240)]
    np.testing.assert_allclose(seam_factors(sky(GAINS), apart, 1), 1.0)
    np.testing.assert_allclose(seam_factors(sky(GAINS, level=-5.0), PLACES[:1] + PLACES[3:], 1), 1.0)
    lost = sky(GAINS)
    lost.mask[:, 110:130] = 1
    assert seam_step(lost, PLACES[0], PLACES[2], 1) == (0.0, np.inf)
    broken = sky(np.array([1.0, 1.0, 0.5, 0.5]))
    np.testing.assert_allclose(seam_factors(broken, [PLACES[0], PLACES[2]], 1), 1.0)
