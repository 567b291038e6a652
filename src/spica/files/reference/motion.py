"""Rows of reference catalogues brought to the time of an exposure: what is not known is taken from a stated prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.reference import declaration
from spica.kernels.propagation import KM_PER_S, Motions, earth, propagate, seen_from

Float64 = npt.NDArray[np.float64]

_ORDER = ("ra", "dec", "parallax", "pmra", "pmdec")
TDB_TAI = 32.184 / 86400.0
"""Days; TDB is TT to two milliseconds."""


@dataclass(frozen=True)
class Prior:
    """Standard deviations, about zero, of what a catalogue does not tell; also of values whose error it does not tell.

    Attributes
    ----------
    motion : of each component of the proper motion [mas/yr]: 95 % of Gaia's stars of 18th magnitude move less than
        twice that.
    parallax : [mas].
    radial_velocity : [km/s].
    """

    motion: float = 10.0
    parallax: float = 1.0
    radial_velocity: float = 40.0


def motions_of(rows: Catalogue, prior: Prior | None = None) -> Motions:
    """The six parameters of each row; missing ones are 0 with the prior's error."""
    prior = prior or Prior()
    n = len(rows)
    scale = {"parallax": prior.parallax, "pmra": prior.motion, "pmdec": prior.motion}
    values, errors = {}, {}
    for name in _ORDER:
        value, error = _column(rows, name, n), _column(rows, f"{name}_err", n)
        if name in scale:
            error = np.where(np.isnan(value) | np.isnan(error), scale[name], error)
            value = np.nan_to_num(value)
        values[name], errors[name] = value, error
    covariance = np.zeros((n, 6, 6))
    for i, one in enumerate(_ORDER):
        covariance[:, i, i] = errors[one] ** 2
        for j, two in enumerate(_ORDER[i + 1 :], start=i + 1):
            shared = np.nan_to_num(_column(rows, f"{one}_{two}_corr", n)) * errors[one] * errors[two]
            covariance[:, i, j] = covariance[:, j, i] = shared
    velocity, spread = _column(rows, "radial_velocity", n), _column(rows, "radial_velocity_err", n)
    spread = np.where(np.isnan(velocity) | np.isnan(spread), prior.radial_velocity, spread)
    velocity = np.nan_to_num(velocity)
    # pmr = v ϖ / A: its error is that of the velocity and that of the parallax (Michalik et al. 2014, A&A 571, A85).
    covariance[:, 5, :5] = covariance[:, 2, :5] * (velocity / KM_PER_S)[:, None]
    covariance[:, :5, 5] = covariance[:, 5, :5]
    squares = covariance[:, 2, 2] * (velocity**2 + spread**2) + (values["parallax"] * spread) ** 2
    covariance[:, 5, 5] = squares / KM_PER_S**2
    pmr = velocity * values["parallax"] / KM_PER_S
    return Motions(pmr=pmr, covariance=covariance, **values)


def moved(rows: Catalogue, mjd: float, prior: Prior | None = None) -> Catalogue:
    """Rows as they are seen from the Earth at a time.

    Each row is brought from its own `epoch` by its proper motion (and radial velocity), then shifted by its annual
    parallax; the observer stands in the middle of the Earth, which is right to 4e-5 of the parallax. Direction only:
    light is neither bent nor aberrated.

    Parameters
    ----------
    rows : with ra, dec, epoch, and whatever else the catalogue tells of errors and motions.
    mjd : MJD TAI.
    prior : of what is missing.

    Returns
    -------
    Catalogue
        The same rows with ra, dec, ra_err, dec_err, ra_dec_corr and epoch of that time; of the motions those that were
        known are carried along, the others stay missing.
    """
    stars = motions_of(rows, prior)
    # A position whose error nobody knows leaves the errors of its motion as they are.
    told = np.isfinite(stars.covariance[:, 0, 0] + stars.covariance[:, 1, 1])
    stars = replace(stars, covariance=np.nan_to_num(stars.covariance))
    year = 2000.0 + (mjd + TDB_TAI - 51544.5) / 365.25
    then = propagate(stars, year - rows["epoch"])
    ra, dec, covariance = seen_from(then, earth(mjd + TDB_TAI))
    errors = np.where(told[:, None], np.sqrt(np.einsum("nii->ni", covariance)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = covariance[:, 0, 1] / (errors[:, 0] * errors[:, 1])
    made: dict[str, Float64] = {
        "ra": ra,
        "dec": dec,
        "epoch": np.full(len(rows), year),
        "ra_err": errors[:, 0],
        "dec_err": errors[:, 1],
        "ra_dec_corr": correlation,
    }
    full = np.sqrt(np.einsum("nii->ni", then.covariance))
    for number, name in ((2, "parallax"), (3, "pmra"), (4, "pmdec")):
        if name in rows.columns:
            known = np.isfinite(rows[name])
            made[name] = np.where(known, getattr(then, name), np.nan)
            if f"{name}_err" in rows.columns:
                made[f"{name}_err"] = np.where(known, full[:, number], np.nan)
    # Correlations of the motions at the old epoch are not those of the new one, and are left out.
    kept = {name: values for name, values in rows.columns.items() if not name.endswith("_corr")}
    columns = kept | {name: values.astype(declaration(name).dtype) for name, values in made.items()}
    declared = {name: declaration(name) if name in made else rows.declaration(name) for name in columns}
    return Catalogue(columns, rows.header, declared)


def _column(rows: Catalogue, name: str, n: int) -> Float64:
    return rows[name].astype(np.float64) if name in rows.columns else np.full(n, np.nan)
