"""Mixtures of Gaussians against the profiles that they stand for."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma, gammaincinv

from spica.simulate.profiles import (
    moffat,
    moffat_enclosed,
    sersic,
    sersic_enclosed,
)


@pytest.mark.parametrize("beta", [2.5, 3.0, 3.5, 4.0])
def test_moffat_light_in_rings(beta: float) -> None:
    mixture, radius = moffat(beta), np.geomspace(0.05, 10, 60)
    ours = ((1 - np.exp(-0.5 * radius[:, None] ** 2 / mixture.variance)) * mixture.flux).sum(axis=1)
    np.testing.assert_allclose(ours, moffat_enclosed(radius, beta), atol=1.5e-3)
    assert mixture.flux.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("index", [1.0, 2.0, 4.0])
def test_sersic_light_in_rings(index: float) -> None:
    mixture, radius = sersic(index), np.geomspace(0.05, 20, 60)
    ours = ((1 - np.exp(-0.5 * radius[:, None] ** 2 / mixture.variance)) * mixture.flux).sum(axis=1)
    np.testing.assert_allclose(ours, sersic_enclosed(radius, index), atol=2.5e-3)
    assert np.interp(0.5, ours, radius) == pytest.approx(1.0, rel=5e-3)
    assert np.all(np.diff(mixture.variance) > 0)


@pytest.mark.parametrize("index", [1.0, 2.5])
def test_second_moment_is_the_integral(index: float) -> None:
    step = 1e-5

    def density(r: float) -> float:
        low, high = sersic_enclosed(np.array([r - step, r + step]), index)
        return float(high - low) / (2 * step)

    moment, _ = quad(lambda r: r * r * density(r), 2 * step, 60, limit=400)
    b = gammaincinv(2 * index, 0.5)
    assert moment == pytest.approx(gamma(4 * index) / gamma(2 * index) / b ** (2 * index), rel=2e-3)
