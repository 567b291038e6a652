"""Zero points against reference magnitudes: truth, errors, outliers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spica.kernels.zero_point import Pairs, fit_zero_points

TRUE = np.array([26.0, 26.05, 25.9])


def drawn(seed: int = 1, stars: int = 150, scatter: float = 0.015, colour: float = 0.0, flat: float = 0.0) -> Pairs:
    rng = np.random.default_rng(seed)
    detector = np.repeat(np.arange(3), stars)
    count = detector.size
    x, y = rng.uniform(0, 999, (2, count))
    mag, hue = rng.uniform(15, 20, count), rng.normal(0, 0.4, count)
    sigma, known_sigma = rng.uniform(0.002, 0.02, count), np.full(count, 0.01)
    # The first spatial term of the basis runs along y.
    measured = mag - TRUE[detector] - colour * hue - flat * (2 * y / 999 - 1)
    known = mag + np.hypot(known_sigma, scatter) * rng.normal(size=count)
    size = np.full((3, 2), 1000.0)
    return Pairs(detector, x, y, size, measured + sigma * rng.normal(size=count), sigma, known, known_sigma, hue)


def test_truth_within_errors_of_unit_width() -> None:
    pulls, scatters = [], []
    for seed in range(30):
        found = fit_zero_points(drawn(seed))
        pulls.append((found.zero - TRUE) / found.error)
        scatters.append(found.scatter)
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.2)
    assert np.mean(scatters) == pytest.approx(0.015, abs=0.0015)


def test_colour_and_spatial_terms() -> None:
    found = fit_zero_points(drawn(colour=0.06, flat=0.03), colour=True, degree=1)
    assert found.colour == pytest.approx(0.06, abs=5 * found.colour_error)
    assert np.abs(found.flat).max() == pytest.approx(0.03, abs=0.005)
    assert found.zero == pytest.approx(TRUE, abs=0.006)


def test_a_third_of_wrong_matches_does_not_move_it() -> None:
    pairs = drawn()
    wrong = np.random.default_rng(2).uniform(size=pairs.mag.size) < 0.33
    found = fit_zero_points(replace(pairs, known=pairs.known + np.where(wrong, 0.8, 0.0)))
    assert found.zero == pytest.approx(TRUE, abs=0.01)
    assert not found.used[wrong].any()


def test_a_slope_that_is_not_one_is_seen() -> None:
    pairs = drawn()
    assert fit_zero_points(pairs).slope == pytest.approx(1.0, abs=0.005)
    bent = replace(pairs, mag=pairs.mag * 0.9)
    found = fit_zero_points(bent)
    assert abs(found.slope - 1.0) > 0.02


def test_fainter_by_a_factor_is_a_lower_zero_point() -> None:
    one = fit_zero_points(drawn())
    two = fit_zero_points(replace(drawn(), mag=drawn().mag + 0.5))
    assert two.zero == pytest.approx(one.zero - 0.5, abs=1e-6)
    assert two.error == pytest.approx(one.error, abs=1e-6)


def test_a_detector_without_stars_has_no_zero_point() -> None:
    pairs = drawn()
    rows = pairs.detector != 1
    few = Pairs(*(value if name == "size" else value[rows] for name, value in vars(pairs).items()))
    found = fit_zero_points(few)
    assert np.isnan(found.zero).tolist() == [False, True, False]
    assert found.count[1] == 0
