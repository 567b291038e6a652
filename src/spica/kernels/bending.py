"""How a focal plane bends: polynomials from the headers' plane to the true one, over all detectors together.

A dozen stars on one detector fix no more than its shift, turn and scale; a thousand on all of them tell how the optics bend
the plane, also where a detector has too few stars of its own. Two things are asked: where the plane lies (`bending`), and how
it curves within detectors whose headers are linear each by itself (`curvature`: a smooth plane curves alike in neighbours).
Degrees are the least that foretell detectors which were left out.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.pointing import Alignment, Complex, fitted
from spica.kernels.tangent import tangent_deproject, tangent_project

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_DEGREES = 5
_BETTER = 0.9
"""A higher degree is taken where detectors that were left out lie nearer by this factor."""
_ROUNDS = 5
_CLIP = 4.0
_FOR_LINEAR = 8
"""Matches of a detector from which it tells how the plane curves."""
_TO_CURVE = 4
"""Detectors that are needed for that."""


class Bent(NamedTuple):
    """A polynomial from the plane about the headers' centre to the tangent plane about a true one.

    centre : of the true plane [degree]; unit : of the headers' plane [degree]; terms : of x**i y**j, i + j <= degree;
    error : median distance of stars on detectors that were left out [degree].
    """

    centre: tuple[float, float]
    unit: float
    degree: int
    terms: Complex
    error: float

    def apply(self, places: Complex) -> tuple[Float64, Float64]:
        """Right ascension and declination [degree] of places in the headers' plane [degree]."""
        there = _design(places / self.unit, self.degree) @ self.terms
        ra, dec = tangent_deproject(there.real, there.imag, *self.centre)
        return np.asarray(ra), np.asarray(dec)


class Curved(NamedTuple):
    """What bends within detectors: terms x**i y**j, 2 <= i + j <= degree, of the headers' plane over `unit` [degree]."""

    unit: float
    degree: int
    terms: Complex

    def apply(self, places: Complex) -> Complex:
        """What has to be added to places of the headers' plane, but for a linear map of each detector's own [degree]."""
        return np.asarray(_design(places / self.unit, self.degree)[:, 3:] @ self.terms)


def curvature(places: Complex, true: Complex, group: Int64) -> Curved | None:
    """How the plane curves within detectors, each of which has a linear map of its own; None where that foretells nothing.

    Parameters
    ----------
    places, true : (n,) stars in the headers' plane, and their reference stars in a true plane of the same orientation [degree].
    group : (n,) which detector each is on.
    """
    numbers = [number for number in np.unique(group) if (group == number).sum() >= _FOR_LINEAR]
    unit = float(np.abs(places).max())
    parts: list[tuple[Float64, Complex]] = []
    for number in numbers:
        mine = group == number
        design = _design(places[mine] / unit, _DEGREES)
        # What a linear map of this detector's own takes up is taken out of both sides.
        base = np.linalg.qr(design[:, :3])[0]
        parts.append((design[:, 3:] - base @ (base.T @ design[:, 3:]), true[mine] - base @ (base.T @ true[mine])))
    if len(parts) < _TO_CURVE:
        return None
    best, chosen = _unfolded([np.abs(rest) for _, rest in parts]), 0
    for degree in range(2, _DEGREES + 1):
        count = (degree + 1) * (degree + 2) // 2 - 3
        away = []
        for out in range(len(parts)):
            others = [part for k, part in enumerate(parts) if k != out]
            terms = _robust(np.concatenate([d[:, :count] for d, _ in others]), np.concatenate([r for _, r in others]))[
                0
            ]
            away.append(np.abs(parts[out][0][:, :count] @ terms - parts[out][1]))
        error = _unfolded(away)
        if error < _BETTER * best:
            best, chosen = error, degree
    if not chosen:
        return None
    count = (chosen + 1) * (chosen + 2) // 2 - 3
    return Curved(
        unit,
        chosen,
        _robust(np.concatenate([d[:, :count] for d, _ in parts]), np.concatenate([r for _, r in parts]))[0],
    )


def _unfolded(away: list[Float64]) -> float:
    """Root mean square over detectors of their median distances: those at the edge matter most."""
    return float(np.sqrt(np.mean([float(np.median(each)) ** 2 for each in away])))


def _design(places: Complex, degree: int) -> Float64:
    x, y = places.real, places.imag
    return np.stack([x ** (n - k) * y**k for n in range(degree + 1) for k in range(n + 1)], axis=1)


def bending(places: Complex, ra: Float64, dec: Float64, group: Int64, centre: tuple[float, float]) -> Bent | None:
    """The polynomial through matches, of the degree that foretells best; None where two detectors are too few.

    Parameters
    ----------
    places : (n,) of the stars in the plane about the headers' centre [degree].
    ra, dec : (n,) of their reference stars [degree].
    group : (n,) which detector each is on.
    centre : of the true plane, nearly [degree].
    """
    numbers = np.unique(group)
    if numbers.size < 3:
        return None
    xi, eta = tangent_project(ra, dec, *centre)
    true = np.asarray(xi + 1j * eta)
    unit = float(np.abs(places).max())
    best: tuple[float, int] | None = None
    for degree in range(1, _DEGREES + 1):
        design = _design(places / unit, degree)
        if 3 * design.shape[1] > places.size:
            break
        error = _foretold(design, true, group, numbers)
        if best is None or error < _BETTER * best[0]:
            best = error, degree
    if best is None:
        return None
    terms, _ = _robust(_design(places / unit, best[1]), true)
    return Bent(centre, unit, best[1], terms, best[0])


def _foretold(design: Float64, true: Complex, group: Int64, numbers: Int64) -> float:
    """How far stars lie from where the other detectors alone put them."""
    _, keep = _robust(design, true)
    away = []
    for number in numbers:
        mine = group == number
        terms = np.linalg.lstsq(design[keep & ~mine], true[keep & ~mine], rcond=None)[0]
        away.append(np.abs(design[mine] @ terms - true[mine]))
    return _unfolded(away)


def _robust(design: Float64, true: Complex) -> tuple[Complex, npt.NDArray[np.bool_]]:
    keep = np.ones(true.size, bool)
    for _ in range(_ROUNDS):
        terms = np.linalg.lstsq(design[keep], true[keep], rcond=None)[0]
        off = np.abs(design @ terms - true)
        new = off <= _CLIP * float(np.median(off[keep])) + 1e-12
        if np.array_equal(new, keep) or new.sum() < 2 * design.shape[1]:
            break
        keep = new
    return np.asarray(terms, np.complex128), keep


def local(
    nominal: tuple[Float64, Float64], true: tuple[Float64, Float64], centre: tuple[float, float], *, mirrored: bool
) -> Alignment:
    """The linear map nearest to what sends nominal to true places, in the plane about a centre.

    Parameters
    ----------
    nominal, true : right ascensions and declinations [degree] of three points at least, not on one line.
    centre : of the nominal plane [degree].
    mirrored : which of the two parities is the greater part.
    """
    xi, eta = tangent_project(*nominal, *centre)
    places = np.asarray(xi + 1j * eta)
    state = Alignment(float(true[0][0]), float(true[1][0]), 1.0 + 0j, 0j)
    for _ in range(6):
        x, y = tangent_project(*true, state.ra, state.dec)
        fit = fitted(places, np.asarray(x + 1j * y), mirrored=mirrored, stretched=True)
        state = Alignment(state.ra, state.dec, fit[0], fit[1]).moved(fit[2])
    return state


def transferred(one: Alignment, old: tuple[float, float], new: tuple[float, float], places: Complex) -> Alignment:
    """An alignment of the plane about one centre, as that of the plane about another.

    Parameters
    ----------
    one : the alignment.
    old, new : the centres of the headers' planes [degree].
    places : (n,) where in the old plane both have to agree; three points at least, not on one line.
    """
    nominal = tangent_deproject(places.real, places.imag, *old)
    there = one.apply(places)
    true = tangent_deproject(there.real, there.imag, one.ra, one.dec)
    return local(nominal, true, new, mirrored=one.mirrored)
