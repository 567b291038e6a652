"""Tangent planes."""

import numpy as np
import pytest

from spica.kernels.tangent import tangent_deproject, tangent_project
from tests.kernels.sky import separation


@pytest.mark.parametrize("dec0", [-90.0, -30.0, 0.0, 89.99, 90.0])
def test_projection_and_its_inverse_at_any_latitude(dec0: float) -> None:
    rng = np.random.default_rng(32)
    xi, eta = rng.uniform(-2, 2, (2, 50))
    ra, dec = tangent_deproject(xi, eta, 0.01, dec0)
    assert np.all((ra >= 0) & (ra < 360))
    np.testing.assert_allclose(tangent_project(ra, dec, 0.01, dec0), (xi, eta), rtol=0, atol=1e-12)
    # The distance from the tangent point is atan(rho).
    rho = np.degrees(np.arctan(np.radians(np.hypot(xi, eta))))
    np.testing.assert_allclose(separation(ra, dec, 0.01, dec0), rho, rtol=1e-12)
