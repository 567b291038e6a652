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
Float32 = npt.NDArray[np.float32]
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
_BITS = 22
"""Of the hash by which votes are counted."""
_FEW = 50_000
"""Votes that are sorted at once."""
_MANY = 20
"""Buckets of the hash that are looked into, for each cell that is wanted."""


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
    # In cells, from a corner that no offset goes beyond.
    edge = (limits.reach + 2.0 * slack) / cell + 2.0
    which, there = found["i"], (reference[found["j"]] / cell + edge * (1.0 + 1.0j)).astype(np.complex64)
    columns, rows = np.ascontiguousarray(there.real), np.ascontiguousarray(there.imag)
    side = int(2.0 * edge) + 2
    best: list[Candidate] = []
    for turn in turns:
        here = (turn * stars / cell).astype(np.complex64)
        keys = (rows - here.imag[which]).astype(np.int64) * side
        keys += (columns - here.real[which]).astype(np.int32)
        for corner, votes in _fullest(keys, side):
            y, x = divmod(corner, side)
            offset = complex(x + 1 - edge, y + 1 - edge) * cell
            best.append(Candidate(complex(turn), offset, False, votes))
    best.sort(key=lambda one: -one.votes)
    return _apart(best, cell, radius, keep)


def _fullest(keys: Int64, side: int) -> list[tuple[int, int]]:
    """First cells of the boxes of 2 x 2 cells that hold most votes, and how many: no peak is cut by an edge.

    Where there are many more cells than votes they share counters by a hash: then a few votes may be counted too many.
    """
    bits = max(int(keys.size), 1 << 15).bit_length()
    wide = side * side > 1 << (bits + 1)
    places = _hashed(keys, bits) if wide else keys
    votes = np.bincount(places, minlength=1 << bits if wide else side * side)
    least = _least(votes, _MANY * _CELLS if wide else _CELLS)
    occupied = np.unique(keys[np.flatnonzero((votes >= least)[places])]) if wide else np.flatnonzero(votes >= least)
    if not occupied.size:
        return []
    top = occupied[np.argsort(-votes[_hashed(occupied, bits) if wide else occupied], kind="stable")[: _MANY * _CELLS]]
    corners = np.unique(top[:, None] - np.array([0, 1, side, side + 1]))
    corners = corners[(corners >= 0) & (corners + side + 1 < side * side)]
    totals = np.zeros(corners.size, np.int64)
    for step in (0, 1, side, side + 1):
        totals += votes[_hashed(corners + step, bits) if wide else corners + step]
    order = np.argsort(-totals, kind="stable")[:_BOXES]
    return [(int(corners[k]), int(totals[k])) for k in order]


def _least(votes: Int64, wanted: int) -> int:
    """The greatest number, 1 at least, that as many as are wanted reach."""
    many = np.cumsum(np.bincount(votes)[::-1])[::-1]
    return max(int(np.flatnonzero(many >= min(wanted, int(many[min(1, many.size - 1)])))[-1]), 1)


def _hashed(keys: Int64, bits: int) -> Int64:
    """Numbers below 2**bits, well mixed."""
    mixed = keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed >>= np.uint64(64 - bits)
    return mixed.view(np.int64)


def _crowded(keys: Int64, wanted: int) -> tuple[Int64, Int64]:
    """Cells among which the `wanted` fullest are, in order, and the votes in each.

    Votes are counted by a hash first, and only those in full buckets sorted: of millions a few thousands.
    """
    if keys.size > _FEW:
        buckets = _hashed(keys, _BITS)
        counts = np.bincount(buckets, minlength=1 << _BITS)
        # Enough buckets, so that true peaks are not lost among chance collisions.
        keys = keys[(counts >= _least(counts, _MANY * wanted))[buckets]]
    return np.unique(keys, return_counts=True)


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
    bins = np.array([radius, radius, 1.0, 1.0]) / (3.0 * error)
    elected = _elect((turn.real, turn.imag, offset.real, offset.imag), bins, keep)
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
    inverse = 1.0 / steps
    begin, kept = 0, 0
    while begin < steps.size and kept < _MOST:
        before = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, before + _CHUNK, side="right")), begin + 1)
        part = slice(begin, end)
        which = np.repeat(np.arange(begin, end), counts[part])
        there = np.arange(which.size) + np.repeat(first[part] - (ends[part] - counts[part] - before), counts[part])
        turn = arrows[there] * inverse[which]
        offset = centres[there] - turn * middles[which]
        keep = offset.real**2 + offset.imag**2 <= limits.reach**2
        if limits.angle < np.pi:
            keep &= np.abs(np.angle(turn)) <= limits.angle
        kept += int(keep.sum())
        yield turn[keep], offset[keep]
        begin = end


def _elect(values: tuple[Float32, ...], bins: Float64, keep: int) -> list[Int64]:
    """Indices of the votes in the fullest cells, neighbours included, of four `values`; `bins` are cells per unit."""
    if not values[0].size:
        return []
    lows = [np.floor(float(each.min()) * scale) - 2.0 for each, scale in zip(values, bins, strict=True)]
    sizes = [int(float(each.max()) * scale - low) + 4 for each, scale, low in zip(values, bins, lows, strict=True)]
    strides = np.array([sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1])
    keys = np.zeros(values[0].size, np.int64)
    for each, scale, low, stride in zip(values, bins, lows, strides, strict=True):
        keys += stride * (each * np.float32(scale) - np.float32(low)).astype(np.int64)
    full, counts = _crowded(keys, _PEAKS)
    top = full[np.argsort(-counts, kind="stable")[:_PEAKS]]
    around = np.array([(a, b, c, d) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) for d in (-1, 0, 1)])
    wanted = top[:, None] + around @ strides
    # Votes in one of the wanted cells, sorted by cell.
    asked = np.unique(wanted)
    marked = np.zeros(1 << _BITS, bool)
    marked[_hashed(asked, _BITS)] = True
    near = np.flatnonzero(marked[_hashed(keys, _BITS)])
    near = near[np.argsort(keys[near], kind="stable")]
    starts = np.searchsorted(keys[near], wanted)
    ends = np.searchsorted(keys[near], wanted, side="right")
    totals = (ends - starts).sum(axis=1)
    chosen: list[Int64] = []
    taken: set[int] = set()
    for place in np.argsort(-totals, kind="stable"):
        if int(top[place]) in taken:
            continue
        taken.update(int(key) for key in wanted[place])
        chosen.append(np.concatenate([near[i:j] for i, j in zip(starts[place], ends[place], strict=True)]))
        if len(chosen) == keep:
            break
    return chosen
