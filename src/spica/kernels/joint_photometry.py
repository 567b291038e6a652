"""One least-squares solution for the zero points of many images, from sources that are seen again and from known ones.

The magnitude of source s in exposure e on sensor d is (Padmanabhan et al. 2008, ApJ 674, 1217: "ubercal")

    M_s = m + Z_e + F_d(x, y) + z_n - k_n · (airmass - 1) + c · colour

with m = -2.5 log10(flux per second): a zero point of the exposure, a polynomial over the sensor (degree 0: its own zero
point; higher: what the flat field got wrong), and, for exposures of a night that is taken for photometric, the night's zero
point and extinction, from which an exposure departs by no more than `grey` as long as it is not found to be clouded. The
magnitudes M_s are eliminated (`spica.kernels.reduced`); reference stars tie them to the scale of their catalogue.
"""

from dataclasses import dataclass, replace

import numpy as np

from spica.kernels.associate import Numbering
from spica.kernels.compiled import Bools, Float64, Int64
from spica.kernels.focal_model import pixel_basis
from spica.kernels.joint_departure import image_scatter, stretched, zero_errors
from spica.kernels.leave_out import Members, Values, factors, group_means, pulls, raised_floor, robust_scale
from spica.kernels.nights import on_their_night, photometric_nights
from spica.kernels.reduced import Normal, Rows, Solved, block, solve

_NORMAL = 0.674490
"""Median of the absolute value of a normal variable."""
_SMALL = 1e-5
"""Steps smaller than this do not matter [mag]."""
_STEADY = 0.05
_CHUNK = 1 << 14
_OPEN = 10.0
"""What is not known of a zero point before [mag]."""


@dataclass(frozen=True)
class Frames:
    """What the images are like.

    Attributes
    ----------
    exposure, sensor : (m,) int64
    size : (m, 2) [pixel]
    context : (sensors,) int64
        Sensors of one context share a camera, run and filter: zero points of the sensors of each add up to 0.
    night : (exposures,) int64
        Number of the night and filter whose zero point and extinction hold; -1 for none.
    airmass : (exposures,) float64
    loose : (exposures,) int64
        Number of the island of exposures that nothing but its night ties, -1 where standards do; None: all have standards.
    """

    exposure: Int64
    sensor: Int64
    size: Float64
    context: Int64
    night: Int64
    airmass: Float64
    loose: Int64 | None = None


@dataclass(frozen=True)
class Fluxes:
    """Detections, ordered by group: pixels, magnitudes (zero point 0) and their errors [mag], colours (0: not known)."""

    group: Numbering
    image: Numbering
    x: Values
    y: Values
    mag: Values
    sigma: Values
    colour: Values


@dataclass(frozen=True)
class Standards:
    """Reference stars, ordered by group: magnitudes and errors."""

    group: Int64
    mag: Float64
    sigma: Float64


@dataclass(frozen=True)
class PhotometryOptions:
    """How to solve.

    Attributes
    ----------
    degree : of the polynomial over a sensor.
    clip, iterations : as for positions.
    grey : rms departure of a photometric exposure from its night [mag]; `clouded` standard deviations of it are a cloud.
    flat_prior : size of the terms over a sensor before anything is measured [mag].
    colour : whether a colour term of each context is fitted.
    fit_floor : whether errors that are too small are enlarged.
    """

    degree: int = 0
    clip: float = 4.5
    iterations: int = 24
    grey: float = 0.002
    clouded: float = 4.0
    flat_prior: float = 0.3
    colour: bool = False
    fit_floor: bool = True


@dataclass(frozen=True)
class PhotometryFit:
    """A solution.

    Attributes
    ----------
    zero : (exposures,) [mag], the whole zero point, with night and extinction at the exposure's airmass.
    zero_err : (exposures,) its standard error.
    sensors, sensors_err : (sensors, terms) [mag], of Legendre polynomials over the image, and standard errors.
    night_zero, night_extinction : (nights,) [mag], [mag per airmass].
    colour : (contexts,) colour terms [mag per mag].
    clouded : (exposures,) found to depart from their night.
    seen, known : factors, 0 or 1, of detections and reference stars; `seen_pull`, `known_pull` as for positions.
    residual, known_residual : member minus its group's mean [mag].
    floor, known_floor : error that was missing [mag].
    image_err, image_scatter : see `spica.kernels.joint_departure` [mag]: (m,) the error of each image's zero point, in which is
        how far images depart from exposure and detector together.
    """

    zero: Float64
    zero_err: Float64
    sensors: Float64
    sensors_err: Float64
    night_zero: Float64
    night_extinction: Float64
    colour: Float64
    clouded: Bools
    seen: Float64
    known: Float64
    seen_pull: Float64
    known_pull: Float64
    residual: Float64
    known_residual: Float64
    floor: float
    known_floor: float
    chi2: float
    freedom: float
    converged: bool
    solved: Solved
    image_err: Float64
    image_scatter: float


@dataclass(frozen=True)
class _Weights:
    """Of all members: factors, pulls, floors."""

    seen: Float64
    known: Float64
    seen_pull: Float64
    known_pull: Float64
    floor: float = 0.0
    known_floor: float = 0.0
    scales: tuple[float, float] = (1.0, 1.0)


class _Columns:
    """Where each parameter stands: sensors, then nights (zero point, extinction), then colour terms."""

    def __init__(self, frames: Frames, options: PhotometryOptions) -> None:
        self.terms = (options.degree + 1) * (options.degree + 2) // 2
        self.sensors = frames.context.size * self.terms
        self.nights = max(int(frames.night.max(initial=-1)) + 1, 0)
        self.contexts = int(frames.context.max(initial=-1)) + 1
        self.colour = self.sensors + 2 * self.nights
        self.shared = self.colour + self.contexts
        parts = [block(frames.sensor * self.terms, self.terms)]
        if self.nights:
            night = np.maximum(frames.night[frames.exposure], 0)
            parts.append(block(self.sensors + 2 * night, 2))
        if options.colour:
            parts.append(self.colour + frames.context[frames.sensor][:, None])
        self.at = np.concatenate(parts, axis=1)


def adjust_photometry(
    frames: Frames, fluxes: Fluxes, standards: Standards, options: PhotometryOptions
) -> PhotometryFit:
    """Solve for all zero points at once; groups with one member alone do no harm.

    Raises
    ------
    numpy.linalg.LinAlgError, RuntimeError
        The measurements do not fix the terms, not even with the priors.
    """
    columns = _Columns(frames, options)
    weights = _Weights(
        *(np.ones(fluxes.group.size), np.ones(standards.group.size)),
        *(np.zeros(fluxes.group.size), np.zeros(standards.group.size)),
    )
    shared, own = np.zeros(columns.shared), np.zeros(frames.airmass.size)
    clouded: Bools = np.ones(own.size, bool)
    stage, taken, converged = "all", 0, False
    while taken < options.iterations and not converged:
        taken += 1
        before = weights
        values = _predicted(frames, fluxes, columns, (shared, own), options)
        weights, steady = _judged(fluxes, standards, values, (weights, stage, options))
        normal = _summed(frames, fluxes, standards, (columns, weights, values, options))
        _hold(normal, frames, columns, (shared, own, clouded), options)
        solved = solve(normal)
        shared, own = shared + solved.shared, own + solved.own
        if stage == "clip":
            same = np.array_equal(before.seen, weights.seen) and np.array_equal(before.known, weights.known)
            converged = same and float(np.max(np.abs(solved.own), initial=0.0)) < _SMALL
            continue
        if columns.nights:
            nights = shared[columns.sensors : columns.colour].reshape(-1, 2)
            width = options.clouded * options.grey
            voting = frames.night if frames.loose is None else np.where(frames.loose < 0, frames.night, -1)
            nights[:], own, clouded = photometric_nights(voting, frames.airmass, nights, own, width)
            if frames.loose is not None:
                own, clouded = on_their_night(frames.loose, frames.night, own, clouded, width)
        stage = "clip" if taken > 2 and (steady or taken > options.iterations // 2) else "robust"
    return _finished(frames, fluxes, standards, (columns, weights, shared, own, clouded, solved, converged, options))


def _derivatives(frames: Frames, fluxes: Fluxes, rows: slice, columns: _Columns, options: PhotometryOptions) -> Float64:
    image = fluxes.image[rows]
    parts = [pixel_basis(fluxes.x[rows], fluxes.y[rows], frames.size[image], options.degree)]
    if columns.nights:
        exposure = frames.exposure[image]
        there = (frames.night[exposure] >= 0).astype(np.float64)
        parts.append(np.stack([there, -there * (frames.airmass[exposure] - 1.0)], axis=1))
    if options.colour:
        parts.append(fluxes.colour[rows, None])
    return np.concatenate(parts, axis=1)


def _predicted(
    frames: Frames, fluxes: Fluxes, columns: _Columns, now: tuple[Float64, Float64], options: PhotometryOptions
) -> Float64:
    """Magnitudes with the present terms."""
    shared, own = now
    out = fluxes.mag + own[frames.exposure[fluxes.image]]
    for begin in range(0, out.size, _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        derivative = _derivatives(frames, fluxes, rows, columns, options)
        out[rows] += np.einsum("nk,nk->n", derivative, shared[columns.at[fluxes.image[rows]]])
    return out


def _count(fluxes: Fluxes, standards: Standards) -> int:
    return int(max(fluxes.group.max(initial=-1), standards.group.max(initial=-1))) + 1


def _members(
    fluxes: Fluxes, standards: Standards, values: Float64, weights: _Weights
) -> tuple[Members, Members, Float64, Float64]:
    variance = fluxes.sigma**2 + weights.floor**2
    other = standards.sigma**2 + weights.known_floor**2
    detections = Members(fluxes.group, weights.seen / variance, values)
    return detections, Members(standards.group, weights.known / other, standards.mag), variance, other


def _judged(
    fluxes: Fluxes, standards: Standards, values: Float64, how: tuple[_Weights, str, PhotometryOptions]
) -> tuple[_Weights, bool]:
    """Pulls, factors and floors after the present terms; and whether the floors and the scales are settled."""
    weights, stage, options = how
    detections, stars, variance, other = _members(fluxes, standards, values, weights)
    judged = pulls(_count(fluxes, standards), ((detections, variance), (stars, other)))
    (seen, spread), (known, other_spread) = judged
    settled = True
    if options.fit_floor and stage == "robust":
        rows, ties = np.flatnonzero((weights.seen > 0) & (seen > 0)), np.flatnonzero((weights.known > 0) & (known > 0))
        gain = variance[rows] / spread[rows]
        floor, one = raised_floor(seen[rows], spread[rows], gain, weights.floor, _NORMAL)
        unit = np.ones(ties.size)
        known_floor, two = raised_floor(known[ties], other_spread[ties], unit, weights.known_floor, _NORMAL)
        weights = replace(weights, floor=floor, known_floor=known_floor)
        settled = one and two
    scales = [
        robust_scale(pull[factor > 0], _NORMAL) for pull, factor in ((seen, weights.seen), (known, weights.known))
    ]
    settled &= all(abs(now / old - 1.0) < _STEADY for now, old in zip(scales, weights.scales, strict=True))
    fresh = replace(
        weights,
        seen=factors(seen, scales[0], stage, options.clip, weights.seen),
        known=factors(known, scales[1], stage, options.clip, weights.known),
        seen_pull=seen,
        known_pull=known,
        scales=(scales[0], scales[1]),
    )
    return fresh, settled


def _summed(
    frames: Frames,
    fluxes: Fluxes,
    standards: Standards,
    how: tuple[_Columns, _Weights, Float64, PhotometryOptions],
) -> Normal:
    columns, weights, values, options = how
    normal = Normal.empty(columns.shared, frames.airmass.size, np.float64)
    detections, stars, _, _ = _members(fluxes, standards, values, weights)
    count = _count(fluxes, standards)
    total, mean = group_means(count, (detections, stars))
    first = np.searchsorted(fluxes.group, np.arange(count + 1))
    begin = 0
    while begin < count:
        end = max(int(np.searchsorted(first, first[begin] + _CHUNK, "right")) - 1, begin + 1)
        rows = slice(int(first[begin]), int(first[end]))
        if rows.stop > rows.start:
            derivative = _derivatives(frames, fluxes, rows, columns, options)
            part = Rows(
                *(fluxes.group[rows] - begin, detections.weight[rows], values[rows], fluxes.image[rows]),
                *(columns.at, frames.exposure[:, None], derivative, np.ones((derivative.shape[0], 1))),
            )
            normal.add(part, np.where(total[begin:end] > 0.0, total[begin:end], 1.0), mean[begin:end])
        begin = end
    return normal


def _hold(
    normal: Normal,
    frames: Frames,
    columns: _Columns,
    now: tuple[Float64, Float64, Bools],
    options: PhotometryOptions,
) -> None:
    """Priors, on the terms themselves; and what exposures and sensors could both take up is left to the exposures."""
    shared, own, clouded = now
    wide = np.full(columns.shared, 1.0 / _OPEN**2)
    wide[: columns.sensors] = 1.0 / options.flat_prior**2
    narrow = np.where(clouded, 1.0 / _OPEN**2, 1.0 / options.grey**2)
    normal.hold(wide, narrow)
    normal.bs -= wide * shared
    normal.be -= narrow * own
    level = float(np.mean(np.diag(normal.ss)[: columns.sensors])) or 1.0
    for context in range(columns.contexts):
        direction = np.zeros(columns.shared)
        direction[np.flatnonzero(frames.context == context) * columns.terms] = 1.0
        normal.bind(direction, level)


def _finished(
    frames: Frames,
    fluxes: Fluxes,
    standards: Standards,
    how: tuple[_Columns, _Weights, Float64, Float64, Bools, Solved, bool, PhotometryOptions],
) -> PhotometryFit:
    columns, weights, shared, own, clouded, solved, converged, options = how
    values = _predicted(frames, fluxes, columns, (shared, own), options)
    detections, stars, variance, other = _members(fluxes, standards, values, weights)
    total, mean = group_means(_count(fluxes, standards), (detections, stars))
    seen, known = pulls(_count(fluxes, standards), ((detections, variance), (stars, other)))
    residual, known_residual = (each.value - mean[each.group] for each in (detections, stars))
    zeros, extinctions = shared[columns.sensors : columns.colour].reshape(-1, 2).T
    zero, errors = own.copy(), np.empty(own.size)
    at, derivative = _of_night(frames, columns)
    for number in range(own.size):
        zero[number] += float(derivative[number] @ shared[at[number]])
        errors[number] = solved.variance(at[number], derivative[number][None], np.array([number]), np.ones((1, 1)))[0]
    lost = (
        np.unique(frames.exposure[fluxes.image]).size + np.unique(frames.sensor[fluxes.image]).size - columns.contexts
    )
    scatter = image_scatter(fluxes.image, residual, detections.weight, total[fluxes.group], lost)
    constants = frames.sensor * columns.terms
    nights = at[frames.exposure], derivative[frames.exposure]
    counts = [np.count_nonzero(each.weight) for each in (detections, stars)]
    chi2 = float(detections.weight @ residual**2 + stars.weight @ known_residual**2)
    freedom = float(sum(counts) - np.count_nonzero(total) - own.size - columns.shared + columns.contexts)
    stretch = stretched(chi2 / max(freedom, 1.0), known[0], weights.known / known[1])
    return PhotometryFit(
        *(zero, np.sqrt(np.maximum(errors, 0.0)), shared[: columns.sensors].reshape(-1, columns.terms)),
        np.sqrt(np.maximum(np.diag(solved.inverse)[: columns.sensors], 0.0)).reshape(-1, columns.terms),
        *(zeros, extinctions, shared[columns.colour :]),
        clouded & (frames.night >= 0),
        *(weights.seen, weights.known),
        *(seen[0], known[0], residual, known_residual),
        *(weights.floor, weights.known_floor),
        *(chi2, freedom),
        *(converged, solved),
        np.hypot(stretch * zero_errors(solved, frames.exposure, constants, nights), scatter),
        scatter,
    )


def _of_night(frames: Frames, columns: _Columns) -> tuple[Int64, Float64]:
    """Where each exposure's night has its zero point and extinction, and their derivatives, (exposures, 2); 0 without a night."""
    if columns.nights == 0:
        return np.zeros((frames.night.size, 0), np.int64), np.zeros((frames.night.size, 0))
    there = (frames.night >= 0).astype(np.float64)
    at = columns.sensors + 2 * np.maximum(frames.night, 0)[:, None] + np.arange(2)
    return at, np.stack([there, there * (1.0 - frames.airmass)], axis=1)
