"""Zero points against the truth, and their laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spica.kernels.joint_photometry import (
    Fluxes,
    Frames,
    PhotometryFit,
    PhotometryOptions,
    Standards,
    adjust_photometry,
)

EXPOSURES, SENSORS, STARS = 12, 3, 900
Made = tuple[Fluxes, Standards]


def frames(**changes: np.ndarray) -> Frames:
    exposure, sensor = np.repeat(np.arange(EXPOSURES), SENSORS), np.tile(np.arange(SENSORS), EXPOSURES)
    size, context = np.full((EXPOSURES * SENSORS, 2), 1000.0), np.zeros(SENSORS, int)
    plain = Frames(exposure, sensor, size, context, np.full(EXPOSURES, -1), np.ones(EXPOSURES))
    return replace(plain, **changes)


def drawn(where: Frames, zero: np.ndarray, seed: int = 1, flat: float = 0.0, colour: float = 0.0) -> Made:
    """Detections and standards of stars that wander over the mosaic; sensors differ by 0.02 mag."""
    rng = np.random.default_rng(seed)
    star = np.repeat(np.arange(STARS), EXPOSURES)
    exposure = np.tile(np.arange(EXPOSURES), STARS)
    seen = rng.uniform(size=star.size) < 0.7
    star, exposure = star[seen], exposure[seen]
    sensor = rng.integers(0, SENSORS, star.size)
    image = exposure * SENSORS + sensor
    x, y = rng.uniform(0, 999, (2, star.size))
    mag, hue = rng.uniform(15, 20, STARS), rng.uniform(-0.5, 0.5, STARS)
    sigma = rng.uniform(0.003, 0.03, star.size)
    own = np.array([0.02, 0.0, -0.02])
    bow = flat * (1.5 * (2 * x / 999 - 1) ** 2 - 0.5)
    measured = mag[star] - zero[exposure] - own[sensor] - bow - colour * hue[star] + sigma * rng.normal(size=star.size)
    tied = np.arange(0, STARS, 4)
    standards = Standards(tied, mag[tied] + 0.02 * rng.normal(size=tied.size), np.full(tied.size, 0.02))
    shade = np.where(star % 4 == 0, hue[star], 0.0)
    return Fluxes(star, image, x, y, measured, sigma, shade), standards


def fitted(where: Frames, made: Made, degree: int = 0, *, colour: bool = False) -> PhotometryFit:
    return adjust_photometry(where, made[0], made[1], PhotometryOptions(degree, colour=colour))


def test_zero_points_are_recovered_within_their_errors() -> None:
    pulls = []
    for seed in range(6):
        zero = 25.0 - np.abs(np.random.default_rng(seed).normal(0, 0.3, EXPOSURES))
        fit = fitted(frames(), drawn(frames(), zero, seed))
        assert fit.converged
        assert fit.chi2 / fit.freedom == pytest.approx(1.0, abs=0.05)
        pulls.append((fit.zero - zero) / fit.zero_err)
        between = fit.zero - zero
        assert np.std(between) < 0.0015
    assert 0.6 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_sensors_have_their_own_zero_points() -> None:
    zero = np.full(EXPOSURES, 25.0)
    fit = fitted(frames(), drawn(frames(), zero))
    assert fit.sensors[:, 0] == pytest.approx([0.02, 0.0, -0.02], abs=0.002)


def test_the_same_brightness_added_to_all_moves_nothing_but_the_zero_points() -> None:
    zero = np.full(EXPOSURES, 25.0)
    fluxes, standards = drawn(frames(), zero)
    one = fitted(frames(), (fluxes, standards))
    two = fitted(frames(), (replace(fluxes, mag=fluxes.mag + 0.7), standards))
    assert two.zero == pytest.approx(one.zero - 0.7, abs=1e-5)
    assert two.residual == pytest.approx(one.residual, abs=1e-5)


def test_the_flat_field_s_fault_is_found() -> None:
    fit = fitted(frames(), drawn(frames(), np.full(EXPOSURES, 25.0), flat=0.03), degree=2)
    terms = np.sort(np.abs(fit.sensors[1, 1:]))
    assert terms[-1] == pytest.approx(0.03, abs=0.003)
    assert terms[-2] < 0.004


def test_a_colour_term_is_found() -> None:
    fit = fitted(frames(), drawn(frames(), np.full(EXPOSURES, 25.0), colour=0.05), colour=True)
    assert fit.colour[0] == pytest.approx(0.05, abs=0.005)


def test_wrong_matches_and_variable_stars_do_not_move_it() -> None:
    zero = np.full(EXPOSURES, 25.0)
    fluxes, standards = drawn(frames(), zero)
    rng = np.random.default_rng(4)
    bad = fluxes.mag + np.where(rng.uniform(size=fluxes.mag.size) < 0.15, -0.8, 0.0)
    worse = standards.mag + np.where(rng.uniform(size=standards.mag.size) < 0.2, 0.5, 0.0)
    fit = fitted(frames(), (replace(fluxes, mag=bad), replace(standards, mag=worse)))
    assert np.abs(fit.zero - zero).max() < 0.006
    assert np.mean(fit.seen[bad < fluxes.mag]) < 0.05


def test_photometric_nights_anchor_clouded_exposures() -> None:
    airmass = np.linspace(1.0, 2.0, EXPOSURES)
    where = frames(night=np.zeros(EXPOSURES, int), airmass=airmass)
    cloud = np.zeros(EXPOSURES)
    cloud[[3, 7]] = 0.25, 0.6
    zero = 25.0 - 0.12 * (airmass - 1.0) - cloud
    fit = fitted(where, drawn(where, zero))
    assert np.flatnonzero(fit.clouded).tolist() == [3, 7]
    assert fit.night_extinction[0] == pytest.approx(0.12, abs=0.005)
    assert fit.zero == pytest.approx(zero, abs=0.005)
    assert np.std(fit.zero - zero) < 0.0015


def test_without_a_reference_zero_points_are_relative_and_say_so() -> None:
    zero = 25.0 - np.linspace(0, 0.5, EXPOSURES)
    fluxes, _ = drawn(frames(), zero)
    nothing = Standards(np.empty(0, int), np.empty(0), np.empty(0))
    fit = fitted(frames(), (fluxes, nothing))
    away = fit.zero - zero
    assert np.std(away) < 0.0015
    assert (fit.zero_err > 1.0).all()


def test_errors_that_are_too_small_are_found_out() -> None:
    fluxes, standards = drawn(frames(), np.full(EXPOSURES, 25.0))
    lying = replace(fluxes, sigma=np.full(fluxes.sigma.size, 0.004))
    fit = fitted(frames(), (lying, standards))
    assert fit.floor > 0.008


@pytest.mark.parametrize(
    ("exposures", "departure"),
    [(4, 0.05), *(pytest.param(*each, marks=pytest.mark.slow) for each in [(1, 0.0), (4, 0.0), (8, 0.02)])],
)
def test_errors_of_detectors_are_honest_however_few_exposures_there_are(exposures: int, departure: float) -> None:
    """Small dithers: every star stays on its detector, and what images depart by is in all of an image's stars."""
    off, wide = [], []
    for seed in range(8):
        rng = np.random.default_rng(100 + seed)
        star = np.repeat(np.arange(70 * SENSORS), exposures)
        exposure, sensor = np.tile(np.arange(exposures), 70 * SENSORS), star % SENSORS
        image = exposure * SENSORS + sensor
        true = 25.0 + 0.05 * rng.normal(size=exposures * SENSORS)
        true = true.reshape(exposures, SENSORS).mean(1).repeat(SENSORS) + np.tile([0.03, 0.0, -0.03], exposures)
        away = departure * rng.normal(size=true.size)
        mag, sigma = rng.uniform(15, 20, 70 * SENSORS), rng.uniform(0.005, 0.03, star.size)
        measured = mag[star] - true[image] + away[image] + sigma * rng.normal(size=star.size)
        x, y = rng.uniform(0, 999, (2, star.size))
        tied = np.arange(0, 70 * SENSORS, 2)
        standards = Standards(tied, mag[tied] + 0.02 * rng.normal(size=tied.size), np.full(tied.size, 0.02))
        where = Frames(
            *(np.repeat(np.arange(exposures), SENSORS), np.tile(np.arange(SENSORS), exposures)),
            *(np.full((true.size, 2), 1000.0), np.zeros(SENSORS, int)),
            *(np.full(exposures, -1), np.ones(exposures)),
        )
        fit = fitted(where, (Fluxes(star, image, x, y, measured, sigma, np.zeros(star.size)), standards))
        zero = fit.zero[where.exposure] + fit.sensors[where.sensor, 0]
        off.append((zero - true + away) / fit.image_err)
        wide.append(fit.image_scatter)
    assert 0.45 < np.sqrt(np.mean(np.square(off))) < 1.25
    assert np.median(wide) == pytest.approx(departure, abs=max(0.4 * departure, 1e-3))
