"""Laws of a bent focal plane: what is smooth over it is found, what single headers say of themselves is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels.bending import bending, curvature, local
from spica.kernels.pointing import Complex
from spica.kernels.tangent import tangent_deproject

CENTRE = (210.0, -30.0)
NOISE = 0.02 / 3600.0


def plane(seed: int, cubic: float) -> tuple[Complex, Complex, np.ndarray]:
    """Stars of 12 detectors in the headers' plane, where they are in the true one [degree], and their detector."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(12), 20)
    middle = 0.25 * ((group % 4) - 1.5) + 0.4j * ((group // 4) - 1.0)
    z = middle + rng.uniform(-0.1, 0.1, group.size) + 1j * rng.uniform(-0.18, 0.18, group.size)
    noise = rng.normal(0.0, NOISE, (2, group.size))
    return z, z + cubic * z * np.abs(z) ** 2 + noise[0] + 1j * noise[1], group


@pytest.mark.parametrize(("cubic", "degree"), [(0.0, 1), (0.01, 3)])
def test_the_degree_is_told_by_the_data(cubic: float, degree: int) -> None:
    z, true, group = plane(1, cubic)
    ra, dec = tangent_deproject(true.real, true.imag, *CENTRE)
    found = bending(z, ra, dec, group, CENTRE)
    assert found is not None
    assert found.degree == degree
    assert found.error < 2.0 * NOISE
    edge = np.array([0.45 + 0.5j, -0.45 - 0.5j])
    bent = edge + cubic * edge * np.abs(edge) ** 2
    wanted = tangent_deproject(bent.real, bent.imag, *CENTRE)
    got = found.apply(edge)
    assert np.abs(got[1] - wanted[1]).max() < 3.0 * NOISE
    assert np.abs(got[0] - wanted[0]).max() * np.cos(np.radians(30.0)) < 3.0 * NOISE


def test_one_wrong_detector_does_not_bend_the_others() -> None:
    z, true, group = plane(2, 0.01)
    true[group == 5] += 5.0 / 3600.0
    found = bending(z, *tangent_deproject(true.real, true.imag, *CENTRE), group, CENTRE)
    assert found is not None
    _, dec = found.apply(z[group == 6])
    wanted = tangent_deproject(true.real, true.imag, *CENTRE)
    assert np.median(np.abs(dec - wanted[1][group == 6])) < 3.0 * NOISE


def test_curvature_is_found_though_each_header_has_an_error_of_its_own() -> None:
    z, true, group = plane(3, 0.05)
    rng = np.random.default_rng(4)
    for number in range(12):
        # Linear headers: shift, turn and scale wrong by as much as would hide the bending.
        mine = group == number
        error = rng.normal(0.0, 3e-4, 4) @ np.array([1.0, 1j, 0.0, 0.0])
        true[mine] = (1.0 + error) * true[mine] + rng.normal(0.0, 2.0 / 3600.0)
    found = curvature(z, true, group)
    assert found is not None
    assert found.degree == 3
    mine = group == 3
    rest = true[mine] - found.apply(z[mine])
    linear = np.stack([np.ones(mine.sum()), z[mine], np.conj(z[mine])], axis=1)
    left = rest - linear @ np.linalg.lstsq(linear, rest, rcond=None)[0]
    bent = true[mine] - linear @ np.linalg.lstsq(linear, true[mine], rcond=None)[0]
    assert np.abs(bent).max() > 10.0 * NOISE
    assert np.sqrt(np.mean(np.abs(left) ** 2)) < 2.0 * NOISE


def test_a_plane_that_is_flat_is_left_flat() -> None:
    z, true, group = plane(5, 0.0)
    assert curvature(z, true, group) is None


def test_few_detectors_tell_nothing() -> None:
    z, true, group = plane(6, 0.05)
    few = group < 2
    assert bending(z[few], true[few].real + 210.0, true[few].imag, group[few], CENTRE) is None
    assert curvature(z[few], true[few], group[few]) is None


def test_a_linear_map_is_its_own_nearest_one() -> None:
    z = plane(7, 0.0)[0]
    nominal = tangent_deproject(z.real, z.imag, *CENTRE)
    there = 1.01 * np.exp(0.3j) * z
    true = tangent_deproject(there.real, there.imag, 211.0, -31.0)
    found = local(nominal, true, CENTRE, mirrored=False)
    assert found.along == pytest.approx(1.01 * np.exp(0.3j), rel=1e-6)
    assert abs(found.across) < 1e-6
    assert (found.ra, found.dec) == pytest.approx((211.0, -31.0), abs=1e-7)
