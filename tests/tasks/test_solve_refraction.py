"""Refraction in a joint solution: against erfa's, and taken off a simulated sky with its colours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import erfa
import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.reference import declaration
from spica.kernels.associate import unit_vectors
from spica.kernels.focal_model import frames
from spica.kernels.refraction import index, lifted, upwards, zenith_of
from spica.kernels.wcs import pixel_to_sky, sky_to_pixel
from spica.kernels.wcs_rows import from_columns
from spica.tasks.solve.settings import SolveSettings
from tests.support.joint_field import Field, draw, true_positions
from tests.support.joint_lists import SMALL
from tests.support.joint_task import inputs, solved

PLAN = replace(SMALL, scale=2.5, stars=600.0, error=10.0, floor=0.002, corner=1.0, step=40.0)
"""Detectors of half a degree by 50 minutes, side by side."""
MJD = 61000.0 + 0.015 * np.arange(5.0)
SITE = {"latitude": -30.2, "height": 2200.0, "wavelengths": {"r": 623.0}}
STRENGTH, TINT = 0.96, 15.0
"""Of the refraction by the formulae; mas per magnitude of colour at tan z = 1."""


@pytest.mark.parametrize("wavelength", [400.0, 620.0, 900.0])
def test_refraction_is_that_of_erfa(wavelength: float) -> None:
    pressure = 1013.25 * np.exp(-2200.0 / 8150.0)
    # 8 mm Hg of vapour are as much as the air can hold at 7.9 degrees.
    a, b = erfa.refco(pressure, 7.9, 1.0, wavelength / 1e3)
    zenith = np.radians([10.0, 45.0, 65.0])
    theirs = 3.6e6 * np.degrees(a * np.tan(zenith) + b * np.tan(zenith) ** 3)
    ours = lifted(index(wavelength, 2200.0, 7.9, 8.0), zenith, 7.9)
    assert np.allclose(ours, theirs, rtol=3e-3)


def test_the_zenith_is_where_the_site_is() -> None:
    """A star of the site's latitude and sidereal time stands there; six hours on it is on the horizon or so."""
    now = zenith_of(np.array([61000.0]), 20.0, 30.0)
    later = zenith_of(np.array([61000.0 + 0.99727 / 4.0]), 20.0, 30.0)
    distance, up = upwards(now, later)
    assert np.degrees(distance[0]) == pytest.approx(np.degrees(np.arccos(np.sin(np.radians(30.0)) ** 2)), abs=0.01)
    assert np.dot(up[0], now[0]) == pytest.approx(0.0, abs=1e-12)
    assert np.dot(up[0], later[0]) > 0.0


def sites(field: Field) -> dict[str, Any]:
    """The field is between 50 and 68 degrees from the zenith."""
    sidereal = zenith_of(MJD[:1], 0.0, 0.0)[0]
    turn = field.plan.centre[0] + 40.0 - np.degrees(np.arctan2(sidereal[1], sidereal[0]))
    return SITE | {"longitude": float((turn + 180.0) % 360.0 - 180.0)}


def refracted(field: Field, colour: np.ndarray) -> tuple[dict[str, Any], list[Any]]:
    """The task's inputs with refraction, less the mean of each exposure; and the displacement of the sky by exposure."""
    site = sites(field)
    zenith = zenith_of(MJD + 5.0 / 86400.0, site["longitude"], site["latitude"])
    force = index(623.0, site["height"])

    def shift(number: int, ra: np.ndarray, dec: np.ndarray, hue: np.ndarray) -> np.ndarray:
        direction = unit_vectors(ra, dec)
        distance, up = upwards(direction, np.tile(zenith[number], (ra.size, 1)))
        size = STRENGTH * lifted(force, distance) + TINT * hue * np.tan(distance)
        east, north = frames(direction)
        return np.asarray(size * (np.einsum("nk,nk->n", up, east) + 1j * np.einsum("nk,nk->n", up, north)))

    seen, middles = [], []
    for number, (solutions, lists) in enumerate(zip(field.truth, field.detections, strict=True)):
        middles.append(
            shift(number, np.array([field.plan.centre[0]]), np.array([field.plan.centre[1]]), np.zeros(1))[0]
        )
        made = []
        for wcs, each in zip(solutions, lists, strict=True):
            ra, dec = field.ra[each.star], field.dec[each.star]
            away = (shift(number, ra, dec, colour[each.star]) - middles[-1]) / 3.6e6
            there = sky_to_pixel(wcs, ra + away.real / np.cos(np.radians(dec)), dec + away.imag)
            here = sky_to_pixel(wcs, ra, dec)
            made.append(replace(each, x=each.x + there[0] - here[0], y=each.y + there[1] - here[1]))
        seen.append(tuple(made))
    given = inputs(replace(field, detections=tuple(seen)))
    records = [replace(record, mjd=float(when)) for record, when in zip(given["exposures"], MJD, strict=True)]
    stars = dict(given["reference"].columns)
    stars |= {"mag_g": stars["mag_r"] + colour[field.reference].astype(np.float32)}
    reference = Catalogue(stars, extra={name: declaration(name) for name in stars})
    return given | {"exposures": tuple(records), "reference": reference, "site": site}, [
        lambda ra, dec, n=n: shift(n, ra, dec, np.zeros(ra.size)) - middles[n] for n in range(len(MJD))
    ]


def error(field: Field, shifts: list[Any], told: dict[str, Any]) -> float:
    out = []
    solution = told["solution"]
    for row in range(len(solution)):
        exposure, chip = int(solution["exposure_id"][row]) - 100, int(solution["detector"][row])
        x, y, ra, dec = true_positions(field.truth[exposure][chip], field.plan, 7)
        there = pixel_to_sky(from_columns(solution.columns, row), x, y)
        away = 3.6e6 * ((there[0] - ra) * np.cos(np.radians(dec)) + 1j * (there[1] - dec))
        out.append(away + shifts[exposure](ra, dec))
    return float(np.sqrt(0.5 * np.mean(np.abs(out) ** 2)))


@pytest.mark.slow
def test_refraction_and_its_colours_are_taken_off() -> None:
    field = draw(PLAN)
    colour = np.random.default_rng(9).normal(0.6, 0.5, field.ra.size)
    colour -= np.median(colour[field.reference])
    given, shifts = refracted(field, colour)
    plain = solved(SolveSettings(search=30.0, colour=("mag_g", "mag_r")), **given)
    better = solved(SolveSettings(search=30.0, colour=("mag_g", "mag_r"), refraction=True), **given)
    found = {name: each.value for name, each in better["solving"].items() if name.startswith("refraction")}
    assert abs(found["refraction_amplitude"] - STRENGTH) < 3.0 * found["refraction_amplitude_error"] + 0.005
    assert found["refraction_amplitude_error"] < 0.08
    assert abs(found["refraction_colour"] - TINT) < 3.0 * found["refraction_colour_error"]
    assert found["refraction_colour_error"] < 1.5
    assert error(field, shifts, better) < 0.85 * error(field, shifts, plain)
    assert better["solving"]["astrometry_chi2"].value < plain["solving"]["astrometry_chi2"].value
    assert better["solution"]["expressed"].max() < 1.0
