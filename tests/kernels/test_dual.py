"""The detection image of several bands: sky is sky, one band is itself, light adds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, norm

from spica.kernels.dual import chi, filtered, light_gain, rounded


def test_chance_is_as_rare_as_it_says_whatever_the_number_of_bands() -> None:
    rng = np.random.default_rng(1)
    for bands in (1, 2, 4):
        noise = [rng.normal(size=(1500, 1500)).astype(np.float32) for _ in range(bands)]
        made = chi(noise, [np.ones((1500, 1500), np.bool_)] * bands)
        assert np.median(made) == pytest.approx(0.0, abs=0.01)
        # As many above the threshold of 5 as a Gaussian has; at what it says for 3 sigma nothing is promised.
        limit = np.sqrt(chi2.isf(norm.sf(3.5), bands))
        middle, five = np.sqrt(chi2.median(bands)), np.sqrt(chi2.isf(norm.sf(5.0), bands))
        expected = norm.sf(3.5) * made.size
        assert np.count_nonzero(made > (limit - middle) * 5 / (five - middle)) == pytest.approx(
            expected, abs=4 * np.sqrt(expected)
        )


def test_bands_that_saw_nothing_do_not_count_and_light_is_linear() -> None:
    one, seen = np.full((4, 4), 50.0, np.float32), np.ones((4, 4), np.bool_)
    none = np.zeros((4, 4), np.bool_)
    alone = chi([one], [seen])
    np.testing.assert_allclose(chi([one, one], [seen, none]), alone, rtol=1e-6)
    assert np.all(chi([one], [none]) == 0)
    twice = chi([2 * one], [seen])
    assert float((twice[0, 0] - alone[0, 0]) / alone[0, 0]) == pytest.approx(1.0, abs=0.02)


def test_the_filter_has_the_signal_to_noise_of_a_point() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 3.0, (400, 400)).astype(np.float32)
    good = np.ones(noise.shape, np.bool_)
    signal = filtered(noise, np.full(noise.shape, 9.0, np.float32), good, 4.0)
    assert np.std(signal) == pytest.approx(1.0, abs=0.03)
    sigma = 4.0 / 2.3548
    v, u = np.indices((41, 41)) - 20
    point = (1000.0 * np.exp(-0.5 * (u**2 + v**2) / sigma**2) / (2 * np.pi * sigma**2)).astype(np.float32)
    expected = 1000.0 / (3.0 * np.sqrt(4 * np.pi * sigma**2))
    assert filtered(point, np.full(point.shape, 9.0, np.float32), good[:41, :41], 4.0)[20, 20] == pytest.approx(
        expected, rel=0.01
    )
    assert filtered(point, np.full(point.shape, 9.0, np.float32), ~good[:41, :41], 4.0).max() == 0


def test_gain_is_the_slope_of_variance_by_light() -> None:
    light = np.zeros((100, 100), np.float32)
    light[40:60, 40:60] = 4000.0
    assert light_gain(light, 100.0 + np.float32(0.25) * light) == pytest.approx(0.25)
    assert light_gain(0 * light, 100.0 + light) == 0.0
    assert light_gain(light, np.zeros_like(light)) == 0.0
    radii = rounded(np.array([0.1, 3.0, 3.01, np.nan, 500.0]), 1.0, 60.0)
    assert radii[0] == pytest.approx(1.0)
    assert 3.0 <= radii[1] < 3.16
    assert radii[3] == pytest.approx(1.0)
    assert radii[4] < 64
