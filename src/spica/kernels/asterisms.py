"""Candidates for the alignment of two star lists in one plane: votes of single stars, and of pairs of stars.

Places are complex numbers ξ + iη in one unit, brightest stars first. A candidate is the similarity z → a z + b, or a z̄ + b
where it is mirrored. Every pair of a star and a reference star votes for an offset, every pair of pairs for offset, angle
and scale (a Hough transform); what most vote for is tried first. Two stars suffice for a vote, so that lists of which a
tenth is real still agree on a cell: triangles and quadrilaterals (Groth 1986, AJ 91, 1244; Valdes et al. 1995, PASP 107,
1119; Lang et al. 2010, AJ 139, 1782) would need three or four real stars at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Complex = npt.NDArray[np.complex128]
Complex64 = npt.NDArray[np.complex64]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_CHUNK = 1_000_000
"""Pairs of pairs that are held at once."""
_MOST = 12_000_000
"""Votes that are kept of one election."""
_CELLS = 40
"""Cells of the ballot of single stars whose neighbours are counted too."""
_BOXES = 5
"""Boxes that are kept of one angle and scale."""
_PEAKS = 400
"""Cells of the ballot whose neighbours are counted too."""


class Candidate(NamedTuple):
    """A similarity worth trying: z → turn z + offset (turn z̄ + offset where mirrored), and its votes."""

    turn: complex
    offset: complex
    mirrored: bool
    votes: int


class Limits(NamedTuple):
    """What a similarity may be: |offset| (in the plane's unit), |angle| [radian] about none, and the range of scale."""

    reach: float
    angle: float
    scale: tuple[float, float]


def _points(places: Complex | Complex64) -> Float64:
    return np.stack([places.real, places.imag], axis=1)


def offset_votes(stars: Complex, reference: Complex, limits: Limits, cell: float, keep: int) -> list[Candidate]:
    """The offsets for which most pairs of a star and a reference star vote, for angles and scales step by step.

    Parameters
    ----------
    stars, reference : (n,), (k,) places; the origin is the centre of the field.
    limits : offset, angle and scale that are possible.
    cell : width of a cell of the ballot; angle and scale go in steps that move the farthest star by one cell.
    keep : how many candidates come back, most votes first.
    """
    if not stars.size or not reference.size:
        return []
    radius = float(np.abs(stars).max())
    turns = _grid(limits, min(1.0, cell / max(radius, cell)))
    slack = radius * float(np.abs(turns - 1.0).max())
    found = cKDTree(_points(stars)).sparse_distance_matrix(
        cKDTree(_points(reference)), limits.reach + slack, output_type="ndarray"
    )
    ones, others = stars[found["i"]], reference[found["j"]]
    best: list[Candidate] = []
    for turn in turns:
        for offset, votes in _fullest(others - turn * ones, limits.reach, cell):
            best.append(Candidate(complex(turn), offset, False, votes))
    best.sort(key=lambda one: -one.votes)
    return _apart(best, cell, radius, keep)


def _fullest(offsets: Complex, reach: float, cell: float) -> list[tuple[complex, int]]:
    """Middles of the boxes of 2 x 2 cells that hold most of the offsets, and how many; no peak is cut by an edge."""
    side = int(np.ceil(2.0 * reach / cell)) + 2
    column = np.floor((offsets.real + reach) / cell).astype(np.int64)
    row = np.floor((offsets.imag + reach) / cell).astype(np.int64)
    inside = (column >= 0) & (column < side - 1) & (row >= 0) & (row < side - 1)
    keys = row[inside] * side + column[inside]
    if side * side < 4 * keys.size:
        votes = np.bincount(keys, minlength=side * side)
        occupied = np.flatnonzero(votes)
        votes = votes[occupied]
    else:
        occupied, votes = np.unique(keys, return_counts=True)
    if not occupied.size:
        return []
    top = occupied[np.argsort(-votes, kind="stable")[:_CELLS]]
    corners = np.unique(top[:, None] - np.array([0, 1, side, side + 1]))
    totals = np.zeros(corners.size, np.int64)
    for step in (0, 1, side, side + 1):
        at = np.minimum(np.searchsorted(occupied, corners + step), occupied.size - 1)
        totals += np.where(occupied[at] == corners + step, votes[at], 0)
    found = []
    for k in np.argsort(-totals, kind="stable")[:_BOXES]:
        y, x = divmod(int(corners[k]), side)
        found.append((complex((x + 1) * cell - reach, (y + 1) * cell - reach), int(totals[k])))
    return found


def _grid(limits: Limits, step: float) -> Complex:
    """Factors of scale and angle, the middle first, in steps."""
    angles = _steps(-limits.angle, limits.angle, step)
    scales = np.exp(_steps(np.log(limits.scale[0]), np.log(limits.scale[1]), step))
    return np.asarray((scales[:, None] * np.exp(1j * angles)[None, :]).ravel())


def _steps(low: float, high: float, step: float) -> Float64:
    count = int(np.ceil((high - low) / step - 1e-9))
    return np.linspace(low, high, count + 1) if count > 0 else np.array([0.5 * (low + high)])


def _apart(best: list[Candidate], cell: float, radius: float, keep: int) -> list[Candidate]:
    """The first `keep` candidates that are no neighbours of better ones."""
    chosen: list[Candidate] = []
    for one in best:
        if all(
            abs(one.offset - other.offset) > 1.5 * cell or abs(one.turn - other.turn) * radius > 1.5 * cell
            for other in chosen
        ):
            chosen.append(one)
            if len(chosen) == keep:
                break
    return chosen


def pair_votes(
    stars: Complex, reference: Complex, limits: Limits, error: float, keep: int, *, mirrored: bool = False
) -> list[Candidate]:
    """The similarities for which most pairs of pairs of stars vote.

    Parameters
    ----------
    stars, reference : (n,), (k,) places; the origin is the centre of the field.
    limits : offset, angle and scale that are possible.
    error : of one star's place against the reference, in the plane's unit.
    keep : how many candidates come back, most votes first.
    mirrored : the stars are mirrored first.
    """
    if stars.size < 2 or reference.size < 2:
        return []
    radius = float(np.abs(stars).max())
    # Votes need no more digits than float32 has, and are twice as quick so.
    places = (np.conj(stars) if mirrored else stars).astype(np.complex64)
    low, high = np.triu_indices(places.size, 1)
    steps = places[high] - places[low]
    # Short pairs tell little of angle and scale.
    good = np.abs(steps) > max(0.3 * radius, 4.0 * error)
    steps, middles = steps[good], 0.5 * (places[low] + places[high])[good]
    if not steps.size:
        return []
    votes = list(_votes(steps, middles, reference.astype(np.complex64), limits))
    if not votes:
        return []
    turn, offset = (np.concatenate(parts)[:_MOST] for parts in zip(*votes, strict=True))
    # A pair of length radius tells angle and scale to 1.4 error / radius, the offset of its middle to 0.7 error.
    bins = np.array([3.0 * error / radius, 3.0 * error / radius, 3.0 * error, 3.0 * error])
    elected = _elect(np.stack([np.angle(turn), np.log(np.abs(turn)), offset.real, offset.imag]), bins, keep)
    return [
        Candidate(complex(np.median(turn[w].real), np.median(turn[w].imag)), _middle(offset[w]), mirrored, w.size)
        for w in elected
    ]


def _middle(values: Complex64) -> complex:
    return complex(np.median(values.real), np.median(values.imag))


def _votes(
    steps: Complex64, middles: Complex64, reference: Complex64, limits: Limits
) -> Iterator[tuple[Complex64, Complex64]]:
    """Turn and offset of every pair of pairs within the limits, in portions."""
    longest, shortest = np.abs(steps).max() * limits.scale[1], np.abs(steps).min() * limits.scale[0]
    couples = cKDTree(_points(reference)).query_pairs(longest, output_type="ndarray")
    arrows = reference[couples[:, 1]] - reference[couples[:, 0]]
    centres = 0.5 * (reference[couples[:, 1]] + reference[couples[:, 0]])
    enough = np.abs(arrows) >= shortest
    arrows, centres = arrows[enough], centres[enough]
    arrows, centres = np.concatenate([arrows, -arrows]), np.concatenate([centres, centres])
    order = np.argsort(np.abs(arrows), kind="stable")
    arrows, centres = arrows[order], centres[order]
    lengths = np.abs(arrows)
    first = np.searchsorted(lengths, np.abs(steps) * limits.scale[0])
    counts = np.searchsorted(lengths, np.abs(steps) * limits.scale[1], side="right") - first
    ends = np.cumsum(counts)
    begin, kept = 0, 0
    while begin < steps.size and kept < _MOST:
        before = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, before + _CHUNK, side="right")), begin + 1)
        part = slice(begin, end)
        which = np.repeat(np.arange(begin, end), counts[part])
        there = np.arange(which.size) + np.repeat(first[part] - (ends[part] - counts[part] - before), counts[part])
        turn = arrows[there] / steps[which]
        offset = centres[there] - turn * middles[which]
        keep = np.abs(offset) <= limits.reach
        if limits.angle < np.pi:
            keep &= np.abs(np.angle(turn)) <= limits.angle
        kept += int(keep.sum())
        yield turn[keep], offset[keep]
        begin = end


def _elect(values: Float64, bins: Float64, keep: int) -> list[Int64]:
    """Indices of the votes in the fullest cells, neighbours included, of `values` ``(4, n)`` in cells of widths `bins`."""
    if not values.shape[1]:
        return []
    cells = np.floor(values / bins[:, None]).astype(np.int64)
    cells -= cells.min(axis=1)[:, None] - 1
    sizes = cells.max(axis=1) + 2
    strides = np.array([sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1])
    keys = strides @ cells
    order = np.argsort(keys, kind="stable")
    unique, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    top = np.argsort(-counts, kind="stable")[:_PEAKS]
    around = np.array([(a, b, c, d) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) for d in (-1, 0, 1)])
    wanted = unique[top][:, None] + around @ strides
    at = np.minimum(np.searchsorted(unique, wanted), unique.size - 1)
    there = unique[at] == wanted
    totals = np.where(there, counts[at], 0).sum(axis=1)
    chosen: list[Int64] = []
    taken: set[int] = set()
    for place in np.argsort(-totals, kind="stable"):
        if int(unique[top[place]]) in taken:
            continue
        taken.update(int(key) for key in wanted[place])
        chosen.append(np.concatenate([order[starts[k] : starts[k] + counts[k]] for k in at[place][there[place]]]))
        if len(chosen) == keep:
            break
    return chosen
