"""A turbulent air over each exposure: the residual field takes it off where it is, and does nothing where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spica.kernels.joint_turbulence import field_of, von_karman
from spica.kernels.wcs import pixel_to_sky, sky_to_pixel
from spica.kernels.wcs_rows import from_columns
from spica.tasks.solve.settings import SolveSettings
from tests.support.joint_field import Field, draw, true_positions
from tests.support.joint_lists import SMALL
from tests.support.joint_task import inputs, solved

PLAN = replace(SMALL, nx=1400, floor=0.01, error=5.0, faint=20.5, limit=20.5)
Complex = npt.NDArray[np.complex128]


class Air:
    """Random displacements [mas] over the field, of so many plane waves with von Kármán's spectrum; the truth."""

    def __init__(self, seed: int, rms: float, length: float) -> None:
        rng = np.random.default_rng(seed)
        # Of a spectrum (k² + 1/L²)^(-11/6) in two dimensions: the radius by inversion, the angle at random.
        u = rng.uniform(size=400)
        k = np.sqrt((1.0 - u) ** (-1.2) - 1.0) / length
        angle, self.phase = rng.uniform(0.0, 2.0 * np.pi, (2, 400))
        self.k = 2.0 * np.pi * np.minimum(k, 30.0 / length) * np.exp(1j * angle)
        self.size = rms * np.sqrt(2.0 / 400) * np.array([1.0, 1j])[rng.integers(0, 2, 400)] * np.sqrt(2.0)

    def at(self, ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]) -> Complex:
        place = (ra - 150.0) * np.cos(np.radians(dec)) + 1j * (dec - 2.2)
        waves = np.cos((self.k[:, None].conj() * place[None, :]).real + self.phase[:, None])
        return np.asarray(self.size @ waves)


def blown(field: Field, airs: list[Air]) -> Field:
    """The detections of a field with the displacements of each exposure."""
    seen = []
    for solutions, lists, air in zip(field.truth, field.detections, airs, strict=True):
        made = []
        for wcs, each in zip(solutions, lists, strict=True):
            ra, dec = field.ra[each.star], field.dec[each.star]
            away = air.at(ra, dec) / 3.6e6
            there = sky_to_pixel(wcs, ra + away.real / np.cos(np.radians(dec)), dec + away.imag)
            here = sky_to_pixel(wcs, ra, dec)
            made.append(replace(each, x=each.x + there[0] - here[0], y=each.y + there[1] - here[1]))
        seen.append(tuple(made))
    return replace(field, detections=tuple(seen))


def error(field: Field, airs: list[Air] | None, told: dict[str, Any]) -> float:
    """Of the solution against where pixels truly look through the air, rms per coordinate [mas]."""
    out = []
    solution = told["solution"]
    for row in range(len(solution)):
        exposure, chip = int(solution["exposure_id"][row]) - 100, int(solution["detector"][row])
        x, y, ra, dec = true_positions(field.truth[exposure][chip], field.plan, 9)
        there = pixel_to_sky(from_columns(solution.columns, row), x, y)
        away = 3.6e6 * ((there[0] - ra) * np.cos(np.radians(dec)) + 1j * (there[1] - dec))
        # What is seen at a pixel was displaced on its way: the star is where the pixel looks, less that.
        out.append(away if airs is None else away + airs[exposure].at(ra, dec))
    return float(np.sqrt(0.5 * np.mean(np.abs(out) ** 2)))


@pytest.mark.slow
def test_turbulence_is_taken_off_and_nothing_is_lost_without() -> None:
    field = draw(PLAN)
    airs = [Air(number, 20.0, 0.15) for number in range(PLAN.exposures)]
    windy = inputs(blown(field, airs))
    plain, better = (solved(SolveSettings(residual_field=on), **windy) for on in (False, True))
    assert (better["solution"]["field_sigma"] > 5.0).all()
    assert (better["solution"]["field_gain"] > 1.1).all()
    assert error(field, airs, better) < 0.7 * error(field, airs, plain)
    assert better["solving"]["astrometry_internal"].value < 0.8 * plain["solving"]["astrometry_internal"].value
    calm = inputs(field)
    plain, same = (solved(SolveSettings(residual_field=on), **calm) for on in (False, True))
    assert error(field, None, same) < 1.03 * error(field, None, plain)
    assert same["solving"]["astrometry_fields"].value <= 1


@pytest.mark.parametrize("length", [0.03, 0.1])
def test_amplitude_and_length_come_back(length: float) -> None:
    """From draws of the process itself."""
    rng = np.random.default_rng(3)
    sigma, place = [], rng.uniform(0.0, 0.3, (500, 2)) @ np.array([1.0, 1j])
    cover = 15.0**2 * von_karman(np.abs(place[:, None] - place) / length)
    root = np.linalg.cholesky(cover + 1e-6 * np.eye(500))
    for _ in range(4):
        value = root @ (rng.normal(size=500) + 1j * rng.normal(size=500))
        noise = 6.0 * (rng.normal(size=500) + 1j * rng.normal(size=500))
        made = field_of(np.asarray(place, np.complex128), np.asarray(value + noise, np.complex128), np.full(500, 36.0))
        assert made is not None
        sigma.append(made.sigma)
        ideal = cover @ np.linalg.solve(cover + 36.0 * np.eye(500), value + noise)
        assert np.std(made.at(place) - value) < 1.06 * np.std(ideal - value)
    assert 9.0 < np.mean(sigma) < 22.0


def test_noise_is_no_field() -> None:
    rng = np.random.default_rng(5)
    place = rng.uniform(0.0, 0.3, (400, 2)) @ np.array([1.0, 1j])
    found = 0
    for _ in range(12):
        value = 10.0 * (rng.normal(size=400) + 1j * rng.normal(size=400))
        found += (
            field_of(np.asarray(place, np.complex128), np.asarray(value, np.complex128), np.full(400, 100.0))
            is not None
        )
    assert found <= 1
