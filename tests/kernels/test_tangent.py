"""Tangent planes and great circles."""

import numpy as np
import pytest
from astropy.coordinates import angular_separation

from spica.kernels.tangent import great_circle, tangent_deproject, tangent_project


@pytest.mark.parametrize("dec0", [-90.0, -30.0, 0.0, 89.99, 90.0])
def test_projection_and_its_inverse_at_any_latitude(dec0: float) -> None:
    rng = np.random.default_rng(32)
    xi, eta = rng.uniform(-2, 2, (2, 50))
    ra, dec = tangent_deproject(xi, eta, 0.01, dec0)
    assert np.all((ra >= 0) & (ra < 360))
    np.testing.assert_allclose(tangent_project(ra, dec, 0.01, dec0), (xi, eta), rtol=0, atol=1e-12)
    # The distance from the tangent point is atan(rho).
    rho = np.degrees(np.arctan(np.radians(np.hypot(xi, eta))))
    np.testing.assert_allclose(great_circle(ra, dec, 0.01, dec0), rho, rtol=1e-12)


def test_great_circles_are_those_of_astropy() -> None:
    rng = np.random.default_rng(33)
    ra, dec = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    near = (ra + 1e-7, dec + 1e-7)
    for other in (near, (ra[::-1], dec[::-1]), ((ra + 180) % 360, -dec)):
        peer = np.degrees(angular_separation(*(np.radians(value) for value in (ra, dec, *other))))
        np.testing.assert_allclose(great_circle(ra, dec, *other), peer, rtol=1e-9, atol=1e-12)
