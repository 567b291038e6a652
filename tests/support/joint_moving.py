"""A drawn field whose stars move: exposures over years see them in different places."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.reference import declaration
from spica.kernels.propagation import Motions, earth, seen_from, triad
from spica.kernels.wcs import sky_to_pixel
from tests.support.joint_field import Detections, Field
from tests.support.joint_task import inputs


class Moved(NamedTuple):
    """The task's inputs, and what stars do: motions (stars, 2) [mas/yr], parallax [mas], which are fast."""

    given: dict[str, Any]
    field: Field
    motion: npt.NDArray[np.float64]
    parallax: npt.NDArray[np.float64]
    fast: npt.NDArray[np.bool_]


def moved(field: Field, years: float, common: float = 20.0, seed: int = 4) -> Moved:
    """The field seen over so many years; stars move by `common` [mas/yr] rms per coordinate about a drift like it, one in thirty by 0.4 to 1.2 arcsec.

    Positions of the field are those in the middle of the time, seen from the Earth then.
    """
    rng = np.random.default_rng(seed)
    count = field.ra.size
    motion = common * rng.normal(size=(count, 2)) + np.array([0.6, -0.9]) * common
    fast = rng.uniform(size=count) < 1.0 / 30.0
    turn, size = rng.uniform(0.0, 2.0 * np.pi, fast.sum()), rng.uniform(400.0, 1200.0, fast.sum())
    motion[fast] = size[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    parallax = np.where(fast, rng.uniform(10.0, 80.0, count), rng.uniform(0.0, 2.0, count))
    number = len(field.header)
    mjd = 61000.0 + 365.25 * years * np.linspace(0.0, 1.0, number) + 30.0 * rng.uniform(size=number)
    middle = float(mjd.mean())
    east, north, out = triad(field.ra, field.dec)
    seen: list[tuple[Detections, ...]] = []
    for when, solutions, lists in zip(mjd, field.truth, field.detections, strict=True):
        shift = earth(when) - earth(middle)
        away = motion * (when - middle) / 365.25
        away -= parallax[:, None] * np.stack([east @ shift, north @ shift], axis=1)
        place = out + np.pi / 6.48e8 * (away[:, :1] * east + away[:, 1:] * north)
        ra = np.degrees(np.arctan2(place[:, 1], place[:, 0])) % 360.0
        dec = np.degrees(np.arctan2(place[:, 2], np.hypot(place[:, 0], place[:, 1])))
        made = []
        for wcs, each in zip(solutions, lists, strict=True):
            there, here = (sky_to_pixel(wcs, a[each.star], d[each.star]) for a, d in ((ra, dec), (field.ra, field.dec)))
            made.append(replace(each, x=each.x + there[0] - here[0], y=each.y + there[1] - here[1]))
        seen.append(tuple(made))
    given = inputs(replace(field, detections=tuple(seen)))
    records = [replace(record, mjd=float(when)) for record, when in zip(given["exposures"], mjd, strict=True)]
    stars = dict(given["reference"].columns)
    known = field.reference
    stars |= {"pmra": motion[known, 0], "pmdec": motion[known, 1], "parallax": parallax[known]}
    stars["epoch"] = np.full(known.size, 2000.0 + (middle - 51544.5) / 365.25)
    reference = Catalogue(stars, extra={name: declaration(name) for name in stars})
    return Moved(given | {"exposures": tuple(records), "reference": reference}, field, motion, parallax, fast)


def independent(made: Moved, star: int, mjd: float) -> tuple[float, float]:
    """Where a star is seen by the full model of stellar motion, from what is told of it: right ascension, declination."""
    middle = float(np.mean([record.mjd for record in made.given["exposures"]]))
    field = made.field
    one = np.array([star])
    zero = np.zeros(1)
    # Barycentric at the middle: what is seen then, less the parallax.
    first = Motions(field.ra[one], field.dec[one], -made.parallax[one], zero, zero, zero, np.zeros((1, 6, 6)))
    ra, dec, _ = seen_from(first, earth(middle))
    from spica.kernels.propagation import propagate

    motions = Motions(ra, dec, made.parallax[one], made.motion[one, 0], made.motion[one, 1], zero, np.zeros((1, 6, 6)))
    ra, dec, _ = seen_from(propagate(motions, (mjd - middle) / 365.25), earth(mjd))
    return float(ra[0]), float(dec[0])
