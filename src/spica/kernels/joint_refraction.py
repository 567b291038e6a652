"""Refraction within a joint solution: what is left of it beyond a linear map of each exposure, and what colours add.

Over a wide field the sky is lifted unevenly, and blue stars more than red ones. Both patterns are known but for their size:
one amplitude for each astrometric context (its band), fitted with its error by turns with the solution.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spica.kernels.compiled import Float64, Int64
from spica.kernels.focal_model import Complex, Mosaic, field_basis, frames, place, to_sky
from spica.kernels.joint_astrometry import Fit, Known, Options, Seen, adjust, turns
from spica.kernels.leave_out import Values
from spica.kernels.refraction import STEEPEST, lifted, upwards

_ROUNDS = 3


@dataclass(frozen=True)
class Air:
    """What is known of the air above each exposure, and of the stars.

    Attributes
    ----------
    zenith : (exposures, 3) unit vectors.
    refractivity : (contexts,) n - 1 at the band's wavelength.
    colour : (n,) of each detection less a typical one [mag]; 0 where not known. None: colours are not fitted.
    prior : how far the amplitude of the whole may be from 1.
    """

    zenith: Float64
    refractivity: Float64
    colour: Values | None
    prior: float = 0.1


@dataclass(frozen=True)
class Refraction:
    """What was found, by context.

    Attributes
    ----------
    amplitude, amplitude_err : of refraction over what the formulae say.
    chromatic, chromatic_err : [mas/mag] at tan z = 1; 0 where colours are not known.
    lift : the pattern that `amplitude` is of.
    """

    amplitude: Float64
    amplitude_err: Float64
    chromatic: Float64
    chromatic_err: Float64
    lift: "Lift"

    def shift(self, image: int) -> Callable[[Complex], Complex]:
        """Displacements [mas] over an image, for a star of the typical colour."""
        mosaic = self.lift.mosaic
        exposure, context = int(mosaic.exposure[image]), int(mosaic.context[mosaic.sensor[image]])

        def at(plane: Complex) -> Complex:
            same = np.full(plane.size, exposure), np.full(plane.size, context)
            return np.asarray(self.amplitude[context] * self.lift.at(*same, plane))

        return at


@dataclass(frozen=True)
class Lift:
    """What refraction by the formulae does in each exposure beyond a map of the exposure's own degree.

    `coefficients` (exposures, field terms) are of that map.
    """

    mosaic: Mosaic
    air: Air
    coefficients: Complex

    def at(self, exposure: Int64, context: Int64, plane: Complex) -> Complex:
        """Displacement [mas] along the axes of the planes of exposures, at places of these [degree]."""
        basis, _ = field_basis(plane / self.mosaic.radius, self.mosaic.field_degree)
        whole = lift(self.mosaic, self.air, exposure, context, plane)[0]
        return np.asarray(whole - np.einsum("nl,nl->n", basis, self.coefficients[exposure]))


def lift(mosaic: Mosaic, air: Air, exposure: Int64, context: Int64, plane: Complex) -> tuple[Complex, Complex, Complex]:
    """Refraction [mas] and tan z at places of the planes of exposures, towards the zenith along the planes' axes.

    The third is how these axes are turned to those at the place itself.
    """
    direction, _ = to_sky(mosaic, exposure, plane)
    distance, up = upwards(direction, air.zenith[exposure])
    distance = np.minimum(distance, np.radians(STEEPEST))
    east, north = frames(direction)
    turn = turns(mosaic, exposure, east, north)
    towards = (np.einsum("nk,nk->n", up, east) + 1j * np.einsum("nk,nk->n", up, north)) / turn
    size = np.empty(distance.size)
    for each in np.unique(air.refractivity):
        mine = air.refractivity[context] == each
        size[mine] = lifted(float(each), distance[mine])
    return size * towards, np.tan(distance) * towards, turn


def refracted(
    mosaic: Mosaic, seen: Seen, known: Known, fit: Fit, air: Air, options: Options
) -> tuple[Fit, Seen, Refraction]:
    """The solution with refraction taken off the detections."""
    before = np.zeros(seen.group.size, np.complex64) if seen.moved is None else seen.moved
    whole, tint, pattern = _patterns(mosaic, seen, fit, air)
    context = mosaic.context[mosaic.sensor[seen.image]]
    count = air.refractivity.size
    size = {"whole": np.ones(count), "tint": np.zeros(count)}
    error = {name: np.zeros(count) for name in size}
    now, best = seen, fit
    for turn in range(_ROUNDS + 1):
        moved = before + size["whole"][context] * whole
        if tint is not None:
            moved += size["tint"][context] * tint
        now = replace(seen, moved=moved.astype(np.complex64))
        best = adjust(mosaic, best.terms, now, known, options)
        if turn == _ROUNDS:
            break
        for name, each, prior, middle in (("whole", whole, air.prior, 1.0), ("tint", tint, np.inf, 0.0)):
            if each is not None:
                step, error[name] = _amplitude(best, now, context, each, (size[name] - middle, prior, count))
                size[name] = size[name] + step
    return best, now, Refraction(size["whole"], error["whole"], size["tint"], error["tint"], pattern)


def _patterns(mosaic: Mosaic, seen: Seen, fit: Fit, air: Air) -> tuple[Complex, Complex | None, Lift]:
    """Displacements of detections [mas], east + i north: by the formulae less each exposure's own map; per mas/mag of colour."""
    exposure = mosaic.exposure[seen.image]
    context = mosaic.context[mosaic.sensor[seen.image]]
    whole, tint = np.zeros((2, seen.group.size), complex)
    coefficients = np.zeros((mosaic.ra.size, mosaic.field_terms), complex)
    order = np.argsort(exposure, kind="stable")
    for number, rows in enumerate(np.split(order, np.cumsum(np.bincount(exposure, minlength=mosaic.ra.size))[:-1])):
        if rows.size < 2 * mosaic.field_terms:
            continue
        plane = place(mosaic, fit.terms, seen.image[rows], seen.x[rows], seen.y[rows]).plane
        size, steep, turn = lift(mosaic, air, exposure[rows], context[rows], plane)
        basis, _ = field_basis(plane / mosaic.radius, mosaic.field_degree)
        coefficients[number] = np.linalg.lstsq(basis, size, rcond=None)[0]
        whole[rows] = turn * (size - basis @ coefficients[number])
        if air.colour is not None:
            tint[rows] = turn * steep * air.colour[rows]
    return whole, None if air.colour is None else tint, Lift(mosaic, air, coefficients)


def _amplitude(
    fit: Fit, seen: Seen, context: Int64, pattern: Complex, known: tuple[Float64, float, int]
) -> tuple[Float64, Float64]:
    """How much of a pattern is left in the residuals of each context, and its standard error."""
    off, prior, count = known
    groups = fit.centre.shape[0]
    # A source's mean has the pattern of its members by their shares.
    mean = np.bincount(seen.group, fit.share * pattern.real, groups) + 1j * np.bincount(
        seen.group, fit.share * pattern.imag, groups
    )
    left = pattern - mean[seen.group]
    weight = fit.state.seen / (seen.sigma.astype(np.float64) ** 2 + fit.state.floor[context] ** 2)
    power = np.bincount(context, weight * np.abs(left) ** 2, count) + prior**-2.0
    found = np.bincount(context, weight * (fit.residual * left.conj()).real, count) - off * prior**-2.0
    safe = np.where(power > 0.0, power, 1.0)
    return np.where(power > 0.0, found / safe, 0.0), np.where(power > 0.0, safe**-0.5, np.inf)
