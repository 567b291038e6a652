"""One least-squares solution for the positions in many images: distortions, pointings, and the sources' own places.

Sources that are seen several times constrain the images against each other, those of the reference catalogue tie them to
the sky; each by its error. The model is that of `spica.kernels.focal_model`, the elimination of the sources' places that of
`spica.kernels.reduced`. Gauss-Newton steps with robust weights: all count alike at first, then by Tukey's biweight with the
scale of each exposure, at last those within `clip` standard deviations and no others. Residuals are judged against the mean
of the group's other members (deletion residuals), so that a precise wrong one cannot hide.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from spica.kernels.associate import Numbering
from spica.kernels.compiled import Float64, Int64
from spica.kernels.focal_model import Complex, Mosaic, Placed, Terms, frames, place, to_sky
from spica.kernels.focal_prior import weights_of
from spica.kernels.focal_start import node_pixels
from spica.kernels.leave_out import Members, Values, factors, group_means, pulls, raised_floor, robust_scale
from spica.kernels.reduced import Normal, Rows, Solved, solve

MAS = 3.6e6
"""Milliarcseconds per degree."""
_RADIAN = np.degrees(1.0) * MAS
_SMALL = 0.02
"""Steps smaller than this do not matter [mas]."""
_STEADY = 0.05
_CHUNK = 1 << 14
_SINGLE = np.float32
_RAYLEIGH = np.sqrt(2.0 * np.log(2.0))
"""Median length of a two-dimensional normal vector of unit variance per coordinate."""


@dataclass(frozen=True)
class Seen:
    """Detections, ordered by group; every group has two members at least, the reference counted.

    Attributes
    ----------
    group : (n,) from 0 without gaps.
    image : (n,) index into the mosaic's images.
    x, y : (n,) [pixel]
    sigma : (n,) standard error per coordinate [mas].
    moved : (n,) complex [mas], east + i north: how far the source was from its place of the common time; None for nothing.
    """

    group: Numbering
    image: Numbering
    x: Float64
    y: Float64
    sigma: Values
    moved: Values | None = None


@dataclass(frozen=True)
class Known:
    """Reference stars, ordered by group, one in a group at most: unit vectors (r, 3) and errors per coordinate [mas]."""

    group: Numbering
    direction: Float64
    sigma: Float64


@dataclass(frozen=True)
class Options:
    """How to solve.

    Attributes
    ----------
    clip : farther members do not count [standard deviations].
    iterations : steps at most, 5 at least.
    pointing_prior, distortion_prior : how far terms may be from where they start [mas], of exposures; of detectors by degree
        of the term, the last for all higher ones; `held` are narrower ones (sensors, terms): `spica.kernels.focal_prior`.
    fit_floor : whether errors of detections that are too small are enlarged by a term of each context, and those of the
        reference by one, until the brightest scatter as they say.
    """

    clip: float = 4.5
    iterations: int = 15
    pointing_prior: float = 1e4
    distortion_prior: tuple[float, ...] = (6e4,)
    fit_floor: bool = True
    held: Float64 | None = None


@dataclass(frozen=True)
class State:
    """Of every detection and reference star: weight's factor, deletion residual over its error, error floor [mas].

    There is one for each detection: float32 will do.
    """

    seen: Values
    known: Values
    seen_pull: Values
    known_pull: Values
    floor: Float64
    known_floor: float


@dataclass(frozen=True)
class Fit:
    """A solution.

    Attributes
    ----------
    terms, solved : the coefficients, and their covariances.
    state : factors (0 or 1) and pulls of all members.
    residual, known_residual : (n,), (r,) complex64 [mas], east + i north: member minus its group's mean.
    share : (n,) what part of its group's weight each detection has.
    centre : (groups, 3) unit vectors to the groups' means.
    chi2, freedom : over all that count.
    steps : how many were taken; `converged` tells whether the last moved anything by less than 0.02 mas.
    """

    terms: Terms
    solved: Solved
    state: State
    residual: Values
    known_residual: Values
    share: Values
    centre: Float64
    chi2: float
    freedom: float
    steps: int
    converged: bool


@dataclass(frozen=True)
class _Part:
    """A run of groups: their detections and reference stars."""

    seen: slice
    known: slice
    groups: slice

    @property
    def count(self) -> int:
        """How many groups."""
        return int(self.groups.stop - self.groups.start)


@dataclass(frozen=True)
class _Looked:
    """A part at the present terms: `z`, `known_z` [mas] in the frame (centre, east, north) of each group."""

    placed: Placed
    z: Complex
    known_z: Complex
    turn: Complex
    centre: Float64
    east: Float64
    north: Float64


def _parts(seen: Seen, known: Known) -> Iterator[_Part]:
    groups = int(seen.group[-1]) + 1 if seen.group.size else 0
    first = np.searchsorted(seen.group, np.arange(groups + 1))
    begin = 0
    while begin < groups:
        end = max(int(np.searchsorted(first, first[begin] + _CHUNK, "right")) - 1, begin + 1)
        ties = np.searchsorted(known.group, [begin, end])
        yield _Part(slice(int(first[begin]), int(first[end])), slice(int(ties[0]), int(ties[1])), slice(begin, end))
        begin = end


def _look(mosaic: Mosaic, terms: Terms, seen: Seen, known: Known, part: _Part) -> _Looked:
    image = seen.image[part.seen]
    placed = place(mosaic, terms, image, seen.x[part.seen], seen.y[part.seen])
    exposure = mosaic.exposure[image]
    direction, depth = to_sky(mosaic, exposure, placed.plane)
    group = seen.group[part.seen] - part.groups.start
    count = part.groups.stop - part.groups.start
    centre = np.stack([np.bincount(group, direction[:, k], count) for k in range(3)], axis=1)
    directions: Float64 = centre / np.linalg.norm(centre, axis=1)[:, None]
    east, north = frames(directions)
    there = known.group[part.known] - part.groups.start
    z, known_z = (
        _RADIAN * (np.einsum("nk,nk->n", away, east[member]) + 1j * np.einsum("nk,nk->n", away, north[member]))
        for member, away in (
            (group, direction - directions[group]),
            (there, known.direction[part.known] - directions[there]),
        )
    )
    if seen.moved is not None:
        z = z - seen.moved[part.seen]
    return _Looked(
        placed, z, known_z, turns(mosaic, exposure, east[group], north[group]) / depth, directions, east, north
    )


def turns(mosaic: Mosaic, exposure: Int64, east: Float64, north: Float64) -> Complex:
    """How a step in an exposure's plane is turned in the frame of the group: the meridians converge."""
    level, up = frames(to_sky(mosaic, np.arange(mosaic.ra.size), np.zeros(mosaic.ra.size, complex))[0])
    level, up = level[exposure], up[exposure]
    along = np.einsum("nk,nk->n", east, level) + np.einsum("nk,nk->n", north, up)
    across = np.einsum("nk,nk->n", north, level) - np.einsum("nk,nk->n", east, up)
    return np.asarray(0.5 * (along + 1j * across))


class _Weighing:
    """Factors and pulls of all members as they develop."""

    def __init__(self, mosaic: Mosaic, seen: Seen, known: Known, start: State | None) -> None:
        self.exposure = mosaic.exposure.astype(np.int32)[seen.image]
        self.context = mosaic.context.astype(np.int32)[mosaic.sensor][seen.image]
        self.group, self.known_group = seen.group, known.group
        self.sigma, self.known_sigma = seen.sigma, known.sigma
        self.state = start or State(
            *(np.ones(seen.group.size, _SINGLE), np.ones(known.group.size, _SINGLE)),
            *(np.zeros(seen.group.size, _SINGLE), np.zeros(known.group.size, _SINGLE)),
            *(np.zeros(int(mosaic.context.max(initial=0)) + 1), 0.0),
        )
        self.seen_spread, self.known_spread = (np.ones(each.group.size, _SINGLE) for each in (seen, known))
        self.scale = np.ones(mosaic.ra.size)
        self.known_scale = 1.0

    def variances(self, part: _Part) -> tuple[Float64, Float64]:
        """Variances of the members of a part per coordinate [mas²]."""
        floor = self.state.floor[self.context[part.seen]]
        return self.sigma[part.seen] ** 2 + floor**2, self.known_sigma[part.known] ** 2 + self.state.known_floor**2

    def members(self, part: _Part, looked: _Looked, state: State) -> tuple[Members, Members, tuple[Float64, Float64]]:
        """Detections and reference stars of a part with their weights, and their variances."""
        first = part.groups.start
        variance = self.variances(part)
        detections = Members(self.group[part.seen] - first, state.seen[part.seen] / variance[0], looked.z)
        stars = Members(self.known_group[part.known] - first, state.known[part.known] / variance[1], looked.known_z)
        return detections, stars, variance

    def judge(self, part: _Part, looked: _Looked, state: State) -> None:
        """Renew the pulls of a part, with weights by the factors of `state`."""
        detections, stars, variance = self.members(part, looked, state)
        seen, known = pulls(part.count, ((detections, variance[0]), (stars, variance[1])))
        self.state.seen_pull[part.seen], self.seen_spread[part.seen] = seen
        self.state.known_pull[part.known], self.known_spread[part.known] = known

    def measure(self) -> bool:
        """Scales of the exposures' pulls, from the median, 1 at least; answers whether they are settled."""
        old = np.append(self.scale, self.known_scale)
        used = self.state.seen > 0.0
        order = np.argsort(self.exposure, kind="stable")
        bounds = np.searchsorted(self.exposure[order], np.arange(self.scale.size + 1))
        for number in range(self.scale.size):
            rows = order[bounds[number] : bounds[number + 1]]
            self.scale[number] = robust_scale(self.state.seen_pull[rows][used[rows]], _RAYLEIGH)
        self.known_scale = robust_scale(self.state.known_pull[self.state.known > 0.0], _RAYLEIGH)
        return bool(np.all(np.abs(np.append(self.scale, self.known_scale) / old - 1.0) < _STEADY))

    def raise_floors(self) -> bool:
        """Enlarge the errors of the most precise of each context, and of the reference, to their scatter.

        Answers whether they are settled.
        """
        state, floor, settled = self.state, self.state.floor.copy(), True
        for number in range(floor.size):
            rows = np.flatnonzero((self.context == number) & (state.seen > 0.0) & (state.seen_pull > 0.0))
            spread = self.seen_spread[rows]
            gain = (self.sigma[rows] ** 2 + floor[number] ** 2) / spread
            floor[number], same = raised_floor(state.seen_pull[rows], spread, gain, float(floor[number]), _RAYLEIGH)
            settled &= same
        rows = np.flatnonzero((state.known > 0.0) & (state.known_pull > 0.0))
        spread = self.known_spread[rows]
        known, same = raised_floor(
            *(state.known_pull[rows], spread, np.ones(rows.size), state.known_floor), normal=_RAYLEIGH
        )
        self.state = replace(state, floor=floor, known_floor=known)
        return settled and same


def adjust(mosaic: Mosaic, terms: Terms, seen: Seen, known: Known, options: Options, warm: State | None = None) -> Fit:
    """Solve for all terms at once.

    Parameters
    ----------
    terms : to start from; detections of one source have to lie nearer together than its group is wide.
    warm : factors and floors of a former solution of the same detections, to begin with.

    Raises
    ------
    numpy.linalg.LinAlgError, RuntimeError
        The measurements do not fix the terms, not even with the priors.
    """
    weighing = _Weighing(mosaic, seen, known, warm)
    start = terms
    stage, taken, converged = "robust" if warm else "all", 0, False
    while taken < options.iterations and not converged:
        taken += 1
        before = weighing.state
        solved = solve(_equations(mosaic, terms, seen, known, (weighing, stage, options, start)))
        terms, moved = _stepped(mosaic, terms, solved)
        steady = weighing.measure()
        if stage == "clip":
            now = weighing.state
            same = np.array_equal(before.seen, now.seen) and np.array_equal(before.known, now.known)
            converged = moved < _SMALL and same
            continue
        stage = "robust"
        # The first two steps judge by places before the first step.
        if warm or taken > 2:
            settled = weighing.raise_floors() if options.fit_floor else True
            stage = "clip" if (settled and steady) or taken > options.iterations // 2 else "robust"
    return _finished(mosaic, terms, seen, known, (weighing, solved, taken, converged))


def _equations(
    mosaic: Mosaic, terms: Terms, seen: Seen, known: Known, how: tuple[_Weighing, str, Options, Terms]
) -> Normal:
    """Sum the equations at the present terms; factors and pulls are renewed in passing."""
    weighing, stage, options, start = how
    normal = Normal.empty(terms.detectors.size, terms.exposures.size, np.complex128)
    old = weighing.state
    fresh = [np.empty_like(each) for each in (old.seen, old.known, old.seen_pull, old.known_pull)]
    weighing.state = State(fresh[0], fresh[1], fresh[2], fresh[3], old.floor, old.known_floor)
    for part in _parts(seen, known):
        looked = _look(mosaic, terms, seen, known, part)
        weighing.judge(part, looked, old)
        scale, now = weighing.scale[weighing.exposure[part.seen]], weighing.state
        now.seen[part.seen] = factors(now.seen_pull[part.seen], scale, stage, options.clip, old.seen[part.seen])
        now.known[part.known] = factors(
            *(now.known_pull[part.known], weighing.known_scale, stage, options.clip), old.known[part.known]
        )
        detections, stars, _ = weighing.members(part, looked, weighing.state)
        total, mean = group_means(part.count, (detections, stars))
        image = seen.image[part.seen]
        rows = Rows(
            *(*detections, image),
            *(mosaic.shared_at, mosaic.own_at),
            (MAS * looked.turn * looked.placed.slope)[:, None] * looked.placed.basis,
            (MAS * looked.turn)[:, None] * looked.placed.field,
        )
        normal.add(rows, np.where(total > 0.0, total, 1.0), mean)
    _hold(mosaic, normal, terms, start, options)
    _fix_gauge(mosaic, terms, normal)
    return normal


def _hold(mosaic: Mosaic, normal: Normal, terms: Terms, start: Terms, options: Options) -> None:
    """What is known of the terms before anything is measured."""
    shared = weights_of(mosaic, options.distortion_prior, options.held)
    own = np.full(terms.exposures.size, (MAS / options.pointing_prior) ** 2)
    normal.hold(shared, own)
    normal.bs -= shared * (terms.detectors - start.detectors).ravel()
    normal.be -= own * (terms.exposures - start.exposures).ravel()


def _fix_gauge(mosaic: Mosaic, terms: Terms, normal: Normal) -> None:
    """What exposures and detectors could both take up is left to the exposures: it has to vanish over the detectors."""
    level = float(np.mean(np.abs(np.diag(normal.ss)))) or 1.0
    for context in np.unique(mosaic.context):
        sensors = np.flatnonzero(mosaic.context == context)
        held = np.zeros((mosaic.field_terms, mosaic.context.size, mosaic.terms), np.complex128)
        for sensor in sensors:
            images = np.flatnonzero(mosaic.sensor == sensor)[:1]
            if images.size == 0:
                continue
            x, y = node_pixels(tuple(mosaic.size[images[0]]))
            placed = place(mosaic, terms, np.full(x.size, images[0]), x, y)
            held[:, sensor] = placed.field.conj().T @ placed.basis
        for direction in held.reshape(mosaic.field_terms, -1):
            normal.bind(direction, level / max(float(np.mean(np.abs(direction) ** 2)), 1e-30))


def _stepped(mosaic: Mosaic, terms: Terms, solved: Solved) -> tuple[Terms, float]:
    """The terms after a step, and how far it moved the corners of the images at most [mas]."""
    fresh = Terms(
        terms.detectors + solved.shared.reshape(terms.detectors.shape),
        terms.exposures + solved.own.reshape(terms.exposures.shape),
    )
    corner = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    image = np.repeat(np.arange(mosaic.exposure.size), 4)
    x, y = (np.tile(values, mosaic.exposure.size) * (mosaic.size[image, k] - 1.0) for k, values in enumerate(corner))
    moved = place(mosaic, fresh, image, x, y).plane - place(mosaic, terms, image, x, y).plane
    return fresh, float(np.max(np.abs(moved), initial=0.0)) * MAS


def _finished(mosaic: Mosaic, terms: Terms, seen: Seen, known: Known, how: tuple[_Weighing, Solved, int, bool]) -> Fit:
    weighing, solved, taken, converged = how
    state = weighing.state
    residual, known_residual = np.empty(seen.group.size, np.complex64), np.empty(known.group.size, np.complex64)
    groups = int(seen.group[-1]) + 1 if seen.group.size else 0
    share, centre = np.empty(seen.group.size, _SINGLE), np.empty((groups, 3))
    chi2, freedom = 0.0, -2.0 * (terms.exposures.size + terms.detectors.size)
    freedom += 2.0 * mosaic.field_terms * np.unique(mosaic.context).size
    for part in _parts(seen, known):
        looked = _look(mosaic, terms, seen, known, part)
        weighing.judge(part, looked, state)
        detections, stars, _ = weighing.members(part, looked, state)
        total, mean = group_means(part.count, (detections, stars))
        for member, target, rows in ((detections, residual, part.seen), (stars, known_residual, part.known)):
            away = member.value - mean[member.group]
            target[rows] = away
            chi2 += float(member.weight @ np.abs(away) ** 2)
            freedom += 2.0 * np.count_nonzero(member.weight)
        freedom -= 2.0 * np.count_nonzero(total)
        share[part.seen] = detections.weight / np.where(total > 0.0, total, 1.0)[detections.group]
        shift = (mean.real[:, None] * looked.east + mean.imag[:, None] * looked.north) / _RADIAN
        centre[part.groups] = looked.centre + shift
    return Fit(terms, solved, state, residual, known_residual, share, centre, chi2, freedom, taken, converged)
