"""Zero points of a month with clouds against the truth: fields seen again and again, nights of which some are clear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure, at_most, figure
from benchmarks.measure import costing
from spica.kernels.joint_photometry import Fluxes, Frames, PhotometryOptions, Standards, adjust_photometry

_NIGHTS, _EXPOSURES, _SENSORS = 24, 30, 4
_TILES = 40
"""Places along a stripe; an exposure covers two, so that neighbours overlap by half."""
_STARS = 60
"""In a place and sensor."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class _Month(NamedTuple):
    """Truth and what is seen: exposures' true zero points, whether a cloud was there, lists."""

    frames: Frames
    fluxes: Fluxes
    standards: Standards
    zero: Floats
    clouded: npt.NDArray[np.bool_]


def figures() -> Iterator[Figure]:
    """Errors of the zero points, who was found to be clouded, cost."""
    month = _draw(np.random.default_rng(7))
    with costing() as cost:
        fit = adjust_photometry(month.frames, month.fluxes, month.standards, PhotometryOptions())
    away = fit.zero - month.zero
    tied = fit.zero_err < 0.05
    label = f"month of {month.zero.size} exposures, {month.fluxes.mag.size} magnitudes"
    yield figure(f"{label}, solving", cost.cpu, "CPU s")
    yield figure(f"{label}, part of the exposures that overlap ties", float(tied.mean()), "")
    yield figure(f"{label}, zero points against truth, rms", 1e3 * float(np.std(away[tied])), "mmag", at_most(2))
    yield figure(f"{label}, mean against the reference's scale", 1e3 * float(np.mean(away[tied])), "mmag")
    for name, rows in (("under clouds", month.clouded), ("under a clear sky", ~month.clouded)):
        yield figure(f"{label}, {name}", 1e3 * float(np.std(away[rows & tied])), "mmag", at_most(2))
    pull = (away - np.mean(away[tied]))[tied] / fit.zero_err[tied]
    yield figure(f"{label}, width of pulls", float(np.sqrt(np.mean(pull**2))), "")
    yield figure(f"{label}, clouds that were not seen", float(np.mean(~fit.clouded[month.clouded])), "")
    yield figure(f"{label}, clear exposures taken for clouded", float(np.mean(fit.clouded[~month.clouded])), "")


def _draw(rng: np.random.Generator) -> _Month:
    """A third of the nights has clouds in every other exposure, a few nights nothing else."""
    count = _NIGHTS * _EXPOSURES
    night = np.repeat(np.arange(_NIGHTS), _EXPOSURES)
    airmass = 1.0 + 0.8 * rng.uniform(size=count)
    clear = 25.0 + 0.05 * rng.normal(size=_NIGHTS) - 0.02
    extinction = 0.1 + 0.02 * rng.normal(size=_NIGHTS)
    share = np.where(np.arange(_NIGHTS) % 3 == 0, 0.5, np.where(np.arange(_NIGHTS) % 7 == 1, 1.0, 0.0))
    clouded = rng.uniform(size=count) < share[night]
    zero = (
        clear[night] - extinction[night] * (airmass - 1.0) - np.where(clouded, 0.03 + rng.exponential(0.3, count), 0.0)
    )
    zero = zero + 0.001 * rng.normal(size=count)
    frames = Frames(
        np.repeat(np.arange(count), _SENSORS),
        np.tile(np.arange(_SENSORS), count),
        np.full((count * _SENSORS, 2), 2000.0),
        np.zeros(_SENSORS, np.int64),
        *(night, airmass),
    )
    own = 0.02 * rng.normal(size=_SENSORS)
    fluxes, standards = _lists(rng, zero, own - own.mean())
    return _Month(frames, fluxes, standards, zero, clouded)


def _lists(rng: np.random.Generator, zero: Floats, own: Floats) -> tuple[Fluxes, Standards]:
    """Magnitudes of each exposure's stars with photon noise and a floor of 5 mmag; one in fifty is wrong or variable."""
    each = _STARS * _SENSORS
    mag = rng.uniform(15.0, 19.0, _TILES * each)
    tile = rng.integers(0, _TILES - 1, zero.size)
    star = ((tile[:, None] + np.arange(2))[:, :, None] * each + np.arange(each)).reshape(zero.size, -1)
    exposure = np.repeat(np.arange(zero.size), star.shape[1])
    flat = star.ravel()
    seen = rng.uniform(size=flat.size) < 0.25
    flat, exposure = flat[seen], exposure[seen]
    sensor = rng.integers(0, _SENSORS, flat.size)
    sigma = np.hypot(0.005, 0.01 * 10.0 ** (0.2 * (mag[flat] - 18.0) - 0.2 * (zero[exposure] - 25.0)))
    noise = sigma * rng.normal(size=flat.size)
    noise[rng.uniform(size=flat.size) < 0.02] -= 0.4
    measured = mag[flat] - zero[exposure] - own[sensor] + noise
    order = np.argsort(flat, kind="stable")
    places = rng.uniform(0.0, 1999.0, (2, flat.size))
    fluxes = Fluxes(flat, exposure * _SENSORS + sensor, places[0], places[1], measured, sigma, np.zeros(flat.size))
    fluxes = Fluxes(*(getattr(fluxes, name)[order] for name in ("group", "image", "x", "y", "mag", "sigma", "colour")))
    known = np.arange(0, mag.size, 5)
    error = np.full(known.size, 0.02)
    return fluxes, Standards(known, mag[known] + error * rng.normal(size=known.size), error)


if __name__ == "__main__":
    for each in figures():
        print(each)
