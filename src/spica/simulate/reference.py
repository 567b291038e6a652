"""A reference catalogue such as surveys publish: errors, proper motions, limits, and places where nothing is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.simulate.random import stream
from spica.simulate.settings import SimulationSettings
from spica.simulate.sky import EPOCH, KINDS, Sky
from spica.simulate.tables import write_table

Float64 = npt.NDArray[np.float64]
_LOST = 0.04
"""Fraction of stars that the reference lacks anywhere."""
_NO_MOTION = 0.12
"""Fraction without proper motion (and parallax-like second-epoch quality)."""


def save_reference(path: Path, settings: SimulationSettings, sky: Sky) -> Path:
    """Write the reference catalogue of a sky.

    Stars to the limit of the settings and compact galaxies a magnitude brighter. Positions at J2016.0 with errors that
    grow with magnitude; magnitudes with errors of 0.005 mag and more; proper motions with errors, missing for some (as
    NaN); some stars missing anywhere, all missing in a few round holes (as around bright stars) and one strip.
    """
    rng = stream(settings.seed, "reference")
    first = next(iter(sky.mags))
    mag = sky.mags[first]
    galaxy = sky.kind == KINDS.index("galaxy")
    known = (sky.kind == KINDS.index("star")) & (mag < settings.reference_limit)
    known |= galaxy & (mag < settings.reference_limit - 1.0) & (sky.size < 0.5)
    known &= rng.random(len(sky)) > _LOST
    known &= ~_hidden(rng, sky.ra, sky.dec)
    rows = np.flatnonzero(known)
    n = rows.size
    error = (
        settings.reference_error * 10.0 ** (0.2 * np.maximum(mag[rows] - 17.0, 0.0)) * np.where(galaxy[rows], 3.0, 1.0)
    )
    motion_error = 0.1 * error / max(settings.reference_error, 1e-9) if settings.reference_error else np.zeros(n)
    without = (rng.random(n) < _NO_MOTION) | galaxy[rows]
    columns: dict[str, Any] = {
        "id": np.arange(1, n + 1),
        "ra": sky.ra[rows] + error * rng.normal(size=n) / 3.6e6 / np.cos(np.radians(sky.dec[rows])),
        "dec": sky.dec[rows] + error * rng.normal(size=n) / 3.6e6,
        "ra_err": error,
        "dec_err": error,
        "epoch": np.full(n, EPOCH),
        "pm_ra": np.where(without, np.nan, sky.pm_ra[rows] + motion_error * rng.normal(size=n)),
        "pm_dec": np.where(without, np.nan, sky.pm_dec[rows] + motion_error * rng.normal(size=n)),
        "pm_err": np.where(without, np.nan, motion_error),
    }
    for band, values in sky.mags.items():
        spread = 0.005 + 0.01 * 10.0 ** (0.3 * (values[rows] - settings.reference_limit + 1.0))
        columns[f"mag_{band}"] = values[rows] + spread * rng.normal(size=n)
        columns[f"mag_{band}_err"] = spread
    columns["source"] = sky.id[rows]
    units = dict.fromkeys(("ra_err", "dec_err"), "mas") | dict.fromkeys(("ra", "dec"), "deg")
    units |= dict.fromkeys(("pm_ra", "pm_dec", "pm_err"), "mas/yr") | {"epoch": "d"}
    units |= {name: "mag" for name in columns if name.startswith("mag_")}
    write_table(path, columns, units, "reference catalogue; `source` is the id in the truth, for tests only")
    return path


def _hidden(rng: np.random.Generator, ra: Float64, dec: Float64) -> npt.NDArray[np.bool_]:
    """Places that the reference does not cover: three holes of a twentieth of the field and a strip at one edge."""
    if ra.size == 0:
        return np.zeros(0, dtype=bool)
    scale = np.cos(np.radians(float(np.median(dec))))
    # Right ascensions about their own middle, so that a field at 0 h is one piece.
    east = (np.mod(ra - ra[0] + 180.0, 360.0) - 180.0) * scale
    width = float(np.ptp(dec)) or 1.0
    hidden = dec > float(np.max(dec)) - 0.04 * width
    for _ in range(3):
        centre = int(rng.integers(0, ra.size))
        hidden |= np.hypot(east - east[centre], dec - dec[centre]) < 0.05 * width
    return hidden
