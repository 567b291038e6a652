"""Positions and motions of stars from one epoch to another, with their covariance.

The standard model of stellar motion: uniform motion along a straight line, light-time ignored (The Hipparcos and Tycho
Catalogues, ESA SP-1200, vol. 1, section 1.5.5; Gaia DR3 documentation, section 4.1.7; Butkevich & Lindegren 2014, A&A
570, A62). Vectors replace spherical trigonometry, so the poles are places like any other. As there, the frame in which
east and north are counted is carried along with the star: the second-order turn of the meridian with a star's error
is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import erfa
import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

MAS = np.pi / (180.0 * 3.6e6)
"""Radian per milliarcsecond."""
KM_PER_S = 4.740470446
"""One au per Julian year in km/s."""


@dataclass(frozen=True)
class Motions:
    """Six parameters of each star and their covariance.

    Attributes
    ----------
    ra, dec : ``(n,)`` [degree].
    parallax : ``(n,)`` [mas].
    pmra, pmdec : ``(n,)`` [mas/yr], pmra times cos dec.
    pmr : ``(n,)`` [mas/yr], radial proper motion: radial velocity times parallax over 4.740 km/s yr.
    covariance : ``(n, 6, 6)`` of east, north, parallax, pmra, pmdec, pmr in mas and mas/yr.
    """

    ra: Float64
    dec: Float64
    parallax: Float64
    pmra: Float64
    pmdec: Float64
    pmr: Float64
    covariance: Float64


def triad(ra: Float64, dec: Float64) -> tuple[Float64, Float64, Float64]:
    """Unit vectors ``(n, 3)`` to the east, to the north, and to the star [degree]."""
    a, d = np.radians(ra), np.radians(dec)
    zero = np.zeros_like(a)
    p = np.stack((-np.sin(a), np.cos(a), zero), axis=-1)
    q = np.stack((-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)), axis=-1)
    r = np.stack((np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)), axis=-1)
    return p, q, r


def propagate(stars: Motions, years: npt.ArrayLike) -> Motions:
    """The same stars `years` [Julian years, ``(n,)`` or one for all] later."""
    t = np.broadcast_to(np.asarray(years, dtype=np.float64), stars.ra.shape)
    p, q, r = triad(stars.ra, stars.dec)
    ma, md, mr = stars.pmra * MAS, stars.pmdec * MAS, stars.pmr * MAS
    motion = p * ma[:, None] + q * md[:, None]
    square = ma**2 + md**2
    f = 1.0 / np.sqrt(1.0 + 2.0 * mr * t + (square + mr**2) * t**2)
    along = 1.0 + mr * t
    there = (r * along[:, None] + motion * t[:, None]) * f[:, None]
    speed = (motion * along[:, None] - r * (square * t)[:, None]) * (f**3)[:, None]
    ra = np.degrees(np.arctan2(there[:, 1], there[:, 0])) % 360.0
    dec = np.degrees(np.arctan2(there[:, 2], np.hypot(there[:, 0], there[:, 1])))
    east, north, _ = triad(ra, dec)
    made = _jacobian((p, q, r), (east, north), (ma, md, mr), stars.parallax, t)
    return Motions(
        ra,
        dec,
        stars.parallax * f,
        _dot(east, speed) / MAS,
        _dot(north, speed) / MAS,
        (mr + (square + mr**2) * t) * f**2 / MAS,
        made @ stars.covariance @ made.transpose(0, 2, 1),
    )


def _dot(one: Float64, two: Float64) -> Float64:
    return np.asarray(np.einsum("ij,ij->i", one, two))


def _jacobian(
    old: tuple[Float64, Float64, Float64],
    new: tuple[Float64, Float64],
    motion: tuple[Float64, Float64, Float64],
    parallax: Float64,
    t: Float64,
) -> Float64:
    """Derivatives ``(n, 6, 6)`` of the parameters at the new epoch by those at the old one.

    Rows and columns: east, north, parallax, pmra, pmdec, pmr, all in one angular unit (per year).
    """
    p, q, r = old
    ma, md, mr = motion
    square = ma**2 + md**2
    along = 1.0 + mr * t
    f = 1.0 / np.sqrt(1.0 + 2.0 * mr * t + (square + mr**2) * t**2)
    mu = p * ma[:, None] + q * md[:, None]
    speed = (mu * along[:, None] - r * (square * t)[:, None]) * (f**3)[:, None]
    zero, one = np.zeros_like(t), np.ones_like(t)
    made = np.zeros((t.size, 6, 6))
    # Of each old parameter: the change of the direction, of the proper motion (its part that stays perpendicular to the
    # star is carried along), of its square, and of the radial motion.
    changes = (
        (p, -r * ma[:, None], zero, zero),
        (q, -r * md[:, None], zero, zero),
        None,
        (None, p, 2.0 * ma, zero),
        (None, q, 2.0 * md, zero),
        (None, None, zero, one),
    )
    radial = (mr + (square + mr**2) * t) * f**2
    for column, change in enumerate(changes):
        if change is None:
            made[:, 2, 2] = f
            continue
        dr, dmu, dsquare, dmr = change
        dr = np.zeros_like(r) if dr is None else dr
        dmu = np.zeros_like(r) if dmu is None else dmu
        shrinking = -(f**2) * (t * dmr + t**2 * (0.5 * dsquare + mr * dmr))  # df / f
        du = (dr * along[:, None] + r * (t * dmr)[:, None] + dmu * t[:, None]) * f[:, None]
        dv = (
            dmu * along[:, None] + mu * (t * dmr)[:, None] - dr * (square * t)[:, None] - r * (dsquare * t)[:, None]
        ) * (f**3)[:, None] + 3.0 * speed * shrinking[:, None]
        made[:, 0, column], made[:, 1, column] = _dot(new[0], du), _dot(new[1], du)
        made[:, 2, column] = parallax * MAS * f * shrinking
        made[:, 3, column], made[:, 4, column] = _dot(new[0], dv), _dot(new[1], dv)
        made[:, 5, column] = f**2 * (dmr + t * (dsquare + 2.0 * mr * dmr)) + 2.0 * radial * shrinking
    return made


def seen_from(stars: Motions, observer: Float64) -> tuple[Float64, Float64, Float64]:
    """Directions from an observer, with the parallax: right ascension, declination [degree], covariance ``(n, 2, 2)`` [mas²].

    Parameters
    ----------
    stars : at the time of observation.
    observer : ``(3,)`` or ``(n, 3)`` barycentric position of the observer [au, ICRS].
    """
    p, q, r = triad(stars.ra, stars.dec)
    shift = np.broadcast_to(np.asarray(observer, dtype=np.float64), r.shape)
    seen = r - shift * (stars.parallax * MAS)[:, None]
    ra = np.degrees(np.arctan2(seen[:, 1], seen[:, 0])) % 360.0
    dec = np.degrees(np.arctan2(seen[:, 2], np.hypot(seen[:, 0], seen[:, 1])))
    made = np.zeros((r.shape[0], 2, 6))
    made[:, 0, 0] = made[:, 1, 1] = 1.0
    made[:, 0, 2], made[:, 1, 2] = -_dot(p, shift), -_dot(q, shift)
    return ra, dec, made @ stars.covariance @ made.transpose(0, 2, 1)


def earth(mjd_tdb: npt.ArrayLike) -> Float64:
    """Barycentric position of the Earth ``(…, 3)`` [au, ICRS], to 5e-8 au between 1900 and 2100 (erfa's epv00)."""
    return np.asarray(erfa.epv00(2400000.5, np.asarray(mjd_tdb, dtype=np.float64))[1]["p"])
