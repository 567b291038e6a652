"""Motions of stars: against astropy, there and back, and errors that are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import CartesianRepresentation, Distance, SkyCoord, get_body_barycentric
from astropy.time import Time

from spica.kernels.propagation import KM_PER_S, MAS, Motions, earth, propagate, seen_from, triad


def stars(n: int, seed: int = 1, *, errors: float = 1.0) -> Motions:
    """Stars all over the sky, poles among them, with correlated errors."""
    rng = np.random.default_rng(seed)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    dec[:4] = (89.9999, -89.9999, 0.0, 45.0)
    parallax = rng.uniform(1.0, 100.0, n)
    velocity = rng.uniform(-100.0, 100.0, n)
    scales = np.array([0.1, 0.1, 0.1, 0.2, 0.2, 0.01]) * errors
    mixed = rng.normal(size=(n, 6, 6)) * 0.3 + np.eye(6)
    factor = scales[:, None] * mixed
    return Motions(
        ra=rng.uniform(0, 360, n),
        dec=dec,
        parallax=parallax,
        pmra=rng.normal(0, 300.0, n),
        pmdec=rng.normal(0, 300.0, n),
        pmr=velocity * parallax / KM_PER_S,
        covariance=factor @ factor.transpose(0, 2, 1),
    )


def apart(one: Motions, two: Motions) -> np.ndarray:
    """Angles [microarcsecond]."""
    a, b = triad(one.ra, one.dec)[2], triad(two.ra, two.dec)[2]
    return np.asarray(np.linalg.norm(a - b, axis=1) / MAS * 1000)


@pytest.mark.parametrize("years", [-25.0, 0.0, 10.0])
def test_positions_are_those_of_astropy(years: float) -> None:
    given = stars(50)
    start = Time(2016.0, format="jyear", scale="tdb")
    theirs = SkyCoord(
        ra=given.ra * u.deg,
        dec=given.dec * u.deg,
        distance=Distance(parallax=given.parallax * u.mas),
        pm_ra_cosdec=given.pmra * u.mas / u.yr,
        pm_dec=given.pmdec * u.mas / u.yr,
        radial_velocity=given.pmr / given.parallax * KM_PER_S * u.km / u.s,
        obstime=start,
    ).apply_space_motion(new_obstime=Time(2016.0 + years, format="jyear", scale="tdb"))
    ours = propagate(given, years)
    x, y, z = theirs.cartesian.xyz / theirs.cartesian.norm()
    there = np.stack([np.asarray(each) for each in (x, y, z)], axis=1)
    angle = np.linalg.norm(triad(ours.ra, ours.dec)[2] - there, axis=1) / MAS * 1000
    # erfa keeps light-time, which is of the order of the motion times v/c squared.
    assert angle.max() < 1.0
    far = np.abs(given.dec) < 89
    assert np.allclose(ours.pmra[far], theirs.pm_ra_cosdec.to_value(u.mas / u.yr)[far], atol=2e-4, rtol=0)
    assert np.allclose(ours.pmdec[far], theirs.pm_dec.to_value(u.mas / u.yr)[far], atol=2e-4, rtol=0)


def test_there_and_back_is_here() -> None:
    given = stars(200)
    back = propagate(propagate(given, 30.0), -30.0)
    assert apart(given, back).max() < 1e-3
    for name in ("parallax", "pmra", "pmdec", "pmr"):
        assert np.allclose(getattr(back, name), getattr(given, name), rtol=1e-9, atol=1e-9)
    assert np.allclose(back.covariance, given.covariance, rtol=1e-7, atol=1e-12)


def test_no_time_changes_nothing_and_steps_add_up() -> None:
    given = stars(100)
    same = propagate(given, 0.0)
    assert apart(given, same).max() < 1e-3
    assert np.allclose(same.covariance, given.covariance)
    steps, once = propagate(propagate(given, 7.0), 5.0), propagate(given, 12.0)
    assert apart(steps, once).max() < 1e-3
    assert np.allclose(steps.covariance, once.covariance, rtol=1e-7, atol=1e-12)


def test_the_covariance_is_the_derivative() -> None:
    """Each parameter moved by a small step, its triad carried along as the convention says."""
    given = stars(40)
    years = np.linspace(-30, 30, 40)
    moved = propagate(given, years)
    east, north, _ = triad(moved.ra, moved.dec)
    p, q, r = triad(given.ra, given.dec)
    step = 1e-3
    for column, name in enumerate(("east", "north", "parallax", "pmra", "pmdec", "pmr")):
        values = {key: np.array(getattr(given, key)) for key in ("ra", "dec", "parallax", "pmra", "pmdec", "pmr")}
        if column < 2:
            # Along a great circle; the components of the motion are turned with the meridian, so that its vector is not.
            towards = (p, q)[column]
            vector = r + towards * step * MAS
            motion = p * given.pmra[:, None] + q * given.pmdec[:, None]
            motion = motion - r * np.einsum("ij,ij->i", motion, towards)[:, None] * step * MAS
            values["ra"] = np.degrees(np.arctan2(vector[:, 1], vector[:, 0])) % 360
            values["dec"] = np.degrees(np.arctan2(vector[:, 2], np.hypot(vector[:, 0], vector[:, 1])))
            new_p, new_q, _ = triad(values["ra"], values["dec"])
            values["pmra"], values["pmdec"] = (np.einsum("ij,ij->i", motion, each) for each in (new_p, new_q))
        else:
            values[name] += step
        shifted = propagate(Motions(**values, covariance=given.covariance), years)
        change = (triad(shifted.ra, shifted.dec)[2] - triad(moved.ra, moved.dec)[2]) / MAS / step
        unit = np.zeros((40, 6, 6))
        unit[:, column, column] = 1.0
        told = propagate(Motions(**{k: getattr(given, k) for k in values}, covariance=unit), years).covariance
        for row, axis in enumerate((east, north)):
            derivative = np.einsum("ij,ij->i", change, axis)
            assert np.allclose(derivative**2, told[:, row, row], rtol=1e-3, atol=1e-4)
        assert np.allclose(((shifted.parallax - moved.parallax) / step) ** 2, told[:, 2, 2], rtol=1e-3, atol=1e-7)


def test_pulls_have_width_one() -> None:
    n = 4000
    truth = stars(n, 3)
    rng = np.random.default_rng(5)
    factor = np.linalg.cholesky(truth.covariance)
    noise = np.einsum("nij,nj->ni", factor, rng.normal(size=(n, 6)))
    p, q, r = triad(truth.ra, truth.dec)
    vector = r + (p * noise[:, :1] + q * noise[:, 1:2]) * MAS
    measured = Motions(
        np.degrees(np.arctan2(vector[:, 1], vector[:, 0])) % 360,
        np.degrees(np.arctan2(vector[:, 2], np.hypot(vector[:, 0], vector[:, 1]))),
        truth.parallax + noise[:, 2],
        truth.pmra + noise[:, 3],
        truth.pmdec + noise[:, 4],
        truth.pmr + noise[:, 5],
        truth.covariance,
    )
    observer = np.array([0.3, -0.9, 0.2])
    seen = [seen_from(propagate(each, 12.5), observer) for each in (measured, truth)]
    (ra, dec, covariance), (true_ra, true_dec, _) = seen
    east, north, there = triad(true_ra, true_dec)
    offset = (triad(ra, dec)[2] - there) / MAS
    shift = np.stack([np.einsum("ij,ij->i", offset, each) for each in (east, north)], axis=1)
    for axis in (0, 1):
        pull = shift[:, axis] / np.sqrt(covariance[:, axis, axis])
        assert abs(np.std(pull) - 1) < 4 / np.sqrt(2 * n)
        assert abs(np.mean(pull)) < 4 / np.sqrt(n)
    chi2 = np.einsum("ni,nij,nj->n", shift, np.linalg.inv(covariance), shift)
    assert abs(np.mean(chi2) - 2) < 4 * 2 / np.sqrt(n)


def test_parallax_is_that_of_astropy() -> None:
    given = stars(50)
    time = Time(57500.0, format="mjd", scale="tdb")
    with_distance = SkyCoord(
        ra=given.ra * u.deg, dec=given.dec * u.deg, distance=Distance(parallax=given.parallax * u.mas)
    )
    there: CartesianRepresentation = with_distance.cartesian - get_body_barycentric("earth", time, ephemeris="builtin")
    vector = np.stack([np.asarray(each / there.norm()) for each in there.xyz], axis=1)
    ra, dec, _ = seen_from(given, earth(time.mjd))
    assert np.linalg.norm(triad(ra, dec)[2] - vector, axis=1).max() / MAS * 1000 < 1.0
