"""The first step of a joint solution: an exposure laid over the reference, from a header that is wrong by seconds of arc.

The field is divided into blocks. In each, the offsets of all pairs of a detection and a reference star within the search
radius are counted in cells of an arc second: true pairs heap up where the block's offset is, by chance they spread. A
polynomial through the blocks' offsets takes up shift, rotation and distortion; then the pairs that it makes near are fitted
themselves.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from spica.kernels.compiled import Bools, Float64, Int64

Complex = npt.NDArray[np.complex128]

_ARCSEC = 1.0 / 3600.0
_CELL = 1.0
_LEAST_VOTES = 4
_REFINED = ((3.0, 4.0), (1.5, 3.5))
"""Rounds of pairing: radius [arcsec], and how many standard deviations count."""
_FOR_DEGREE = (1, 6, 25, 60)
"""Pairs at least for a polynomial of each degree."""


@dataclass(frozen=True)
class Laid:
    """What has to be added to places in an exposure's plane.

    Attributes
    ----------
    coefficients : complex [degree], of a polynomial of degree `degree` in the two coordinates over `radius`; zeros where nothing was found.
    matched : pairs that it was fitted to.
    scatter : of them, rms per coordinate [arcsec].
    rung : 0 by itself, 1 from where a neighbour was off its header, 2 in a wider circle.
    """

    coefficients: Complex
    degree: int
    radius: float
    matched: int
    scatter: float
    rung: int = 0

    def move(self, places: Complex) -> Complex:
        """Places [degree] with the correction."""
        flat = places.ravel()
        return np.asarray((flat + _monomials(flat, self.radius, self.degree) @ self.coefficients).reshape(places.shape))


def _monomials(places: Complex, radius: float, degree: int) -> Float64:
    u, v = places.real / radius, places.imag / radius
    return np.stack([u ** (total - b) * v**b for total in range(degree + 1) for b in range(total + 1)], axis=1)


def lay_over(places: Complex, block: Int64, reference: Complex, search: float, degree: int = 3) -> Laid:
    """Find what brings detections onto the reference stars.

    Parameters
    ----------
    places, reference : complex [degree]
        ξ + iη about the exposure's pointing of detections and reference stars; the bright ones do.
    block : (n,) int64
        Which part of the field each detection is in, from 0.
    search : float [arcsec]
        How far places may be wrong.
    degree : int
        Of the polynomial at most; fewer pairs get a lower one.
    """
    radius = float(np.max(np.abs(places), initial=0.0)) or 1.0
    nothing = Laid(np.zeros(1, complex), 0, radius, 0, np.inf)
    if places.size == 0 or reference.size == 0:
        return nothing
    centre, offset, votes = _vote(places, block, reference, search)
    if centre.size == 0:
        return nothing
    laid = _through_blocks(centre, offset, votes, radius, degree)
    for near, clip in _REFINED:
        here, there = _pairs(laid.move(places), reference, min(near, search))
        if here.size < _LEAST_VOTES:
            return nothing
        laid = _fit(places[here], reference[there] - places[here], radius, degree, clip)
    return laid


def _vote(places: Complex, block: Int64, reference: Complex, search: float) -> tuple[Complex, Complex, Float64]:
    """Blocks' middles, their offsets [degree], and how many pairs agree; blocks without a clear heap are left out."""
    tree, other = cKDTree(_points(places)), cKDTree(_points(reference))
    pairs = tree.sparse_distance_matrix(other, search * _ARCSEC, output_type="ndarray")
    here, there = pairs["i"], pairs["j"]
    away = (reference[there] - places[here]) / _ARCSEC
    side = int(2 * np.ceil(search / _CELL)) + 3
    column, row = (np.floor(value / _CELL).astype(np.int64) + side // 2 for value in (away.real, away.imag))
    blocks = int(block.max()) + 1
    flat = (block[here] * side + row) * side + column
    heap = np.bincount(flat, minlength=blocks * side * side).reshape(blocks, side, side)
    tall = np.zeros_like(heap)
    for shift in ((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
        tall += np.roll(heap, shift, (1, 2))
    flat = tall.reshape(blocks, -1)
    best = flat.argmax(axis=1)
    votes = flat[np.arange(blocks), best].astype(np.float64)
    chance = heap.sum(axis=(1, 2)) * 9.0 / (np.pi * (search / _CELL) ** 2)
    clear = votes >= np.maximum(_LEAST_VOTES, chance + 5.0 * np.sqrt(chance) + 1.0)
    peak = ((best % side) - side // 2 + 0.5 + 1j * ((best // side) - side // 2 + 0.5)) * _CELL
    near = (np.abs(away - peak[block[here]]) < 2.0 * _CELL) & clear[block[here]]
    count = np.maximum(np.bincount(block[here][near], minlength=blocks), 1)
    offset, middle = (
        (np.bincount(block[here][near], value.real, blocks) + 1j * np.bincount(block[here][near], value.imag, blocks))
        / count
        for value in (away[near] * _ARCSEC, places[here][near])
    )
    return middle[clear], offset[clear], votes[clear]


def _points(places: Complex) -> Float64:
    return np.stack([places.real, places.imag], axis=1)


def _through_blocks(centre: Complex, offset: Complex, votes: Float64, radius: float, degree: int) -> Laid:
    """A polynomial through the blocks' offsets, those left out that lie far from the others'."""
    order = np.argsort(offset.real, kind="stable"), np.argsort(offset.imag, kind="stable")
    middle = [
        values[rank][np.searchsorted(np.cumsum(votes[rank]), 0.5 * votes.sum())]
        for rank, values in zip(order, (offset.real, offset.imag), strict=True)
    ]
    keep = np.abs(offset - complex(*middle)) < 12.0 * _ARCSEC
    top = 0
    # A block's offset is the mean of many pairs: few more blocks than coefficients do.
    while top < degree and keep.sum() >= 1.3 * (top + 2) * (top + 3) / 2.0:
        top += 1
    return _fit(centre[keep], offset[keep], radius, top, 4.0, np.sqrt(votes[keep]))


def _pairs(places: Complex, reference: Complex, radius: float) -> tuple[Int64, Int64]:
    """Each other's nearest within a radius [arcsec]."""
    tree, other = cKDTree(_points(places)), cKDTree(_points(reference))
    distance, there = other.query(_points(places), distance_upper_bound=radius * _ARCSEC)
    here = np.flatnonzero(np.isfinite(distance))
    _, back = tree.query(_points(reference[there[here]]))
    mutual = back == here
    return here[mutual], there[here][mutual].astype(np.int64)


def _fit(
    places: Complex, offset: Complex, radius: float, degree: int, clip: float, weight: Float64 | None = None
) -> Laid:
    """Least squares with rejection, of the highest degree that the number allows."""
    top = max(k for k in range(degree + 1) if k == 0 or places.size >= _FOR_DEGREE[k] or weight is not None)
    basis = _monomials(places, radius, top)
    keep: Bools = np.ones(places.size, bool)
    heavy = np.ones(places.size) if weight is None else weight
    coefficients = np.zeros(basis.shape[1], complex)
    spread = np.inf
    for _ in range(4):
        if keep.sum() < basis.shape[1]:
            break
        scaled = heavy[keep, None]
        coefficients = np.linalg.lstsq(basis[keep] * scaled, offset[keep] * scaled[:, 0], rcond=None)[0]
        away = np.abs(offset - basis @ coefficients)
        spread = float(np.median(away[keep])) / np.sqrt(2.0 * np.log(2.0))
        keep = away < max(clip * spread, 0.05 * _ARCSEC)
    return Laid(coefficients, top, radius, int(keep.sum()), spread / _ARCSEC)
