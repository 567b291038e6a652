"""A pointing that no header tells: asterisms of the brightest stars, looked up by their shape in indexes of the sky.

The shape of four stars (of three where an index is of triangles) does not change with place, scale and rotation; those seen
are looked up among those of the whole sky (Lang et al. 2010, AJ 139, 1782). Each pair that is alike is a hypothesis of where
the field is; it is tested by where it puts the other bright stars, and what stands out is refined and judged as any other
alignment (`spica.kernels.pointing`), its asterism's own stars not counted and the hypotheses all counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.finding import Judge, accepted, best_of
from spica.kernels.indexes import Index
from spica.kernels.pointing import Alignment, Matched, Reference, log_tail

Bools = npt.NDArray[np.bool_]
Complex = npt.NDArray[np.complex128]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

WINDOWS = (
    *((0, end, fresh) for end, fresh in ((8, 0), (12, 8), (17, 12), (24, 17), (34, 24), (48, 34))),
    *((first, first + 48, first + 24) for first in range(24, 192, 24)),
)
"""Ranks of the stars of which asterisms are made: first, end, and from where one of them at least is. The brightest first, more and
more; then down the list, since the brightest may all be false, or saturated, or those of another detector."""
_ASTERISMS = 100_000
"""That are looked up of an index at one depth, at most: those of the brightest stars first."""
_PORTION = 4_000
"""Asterisms that are looked up at once."""
_HYPOTHESES = 1_500_000
"""That are tested altogether, at most."""
_TESTS = ((8, 1), (24, 3))
"""Rounds of a hypothesis's test: stars nearest to the asterism that are looked for, and how many of them have to be there."""
_TRIED = 12
"""Hypotheses of an index and depth that are refined, the best first."""
_TOLERANCE = (0.002, 0.01)
"""Least and greatest distance of codes that are alike."""
_LOCAL = 3.5
"""Decimal logarithm of the alignments that refinement may choose among about a hypothesis."""
_WIDEST = 40.0
"""Degrees from the middle of a field to its farthest star, at most."""
_FEWEST = 4
"""Stars that a field has to have."""
_SHORTEST = 12.0
"""Errors of a place that the sides of an asterism are long at least."""
_LONE = 0.7
"""Decimal logarithm of 5: a hypothesis whose matches by chance are rarer than one of so many is refined."""
_FARTHEST = 10.0
"""Errors within which a star is looked for, at most."""
_MARGIN = 1.2
"""Of the field's radius, within which stars of the index are taken."""
_DEG = float(np.degrees(1.0))


class Looked(NamedTuple):
    """What was looked up in an index: asterisms seen, hypotheses from them, those refined, the best one's matches and odds."""

    name: str
    depth: int
    asterisms: int
    hypotheses: int
    refined: int
    matches: int
    log_false: float


@dataclass(frozen=True)
class Sighted:
    """The end of a search: the alignment, None where nothing is beyond chance; the index that told; what was tried."""

    found: Matched | None
    index: str
    looked: tuple[Looked, ...]

    @property
    def hypotheses(self) -> int:
        """That were tested."""
        return sum(one.hypotheses for one in self.looked)


class _Limits(NamedTuple):
    """Scale that is possible, least error [degree], hypotheses that were tested and that may be."""

    scale: tuple[float, float]
    floor: float
    spent: int
    most: int


class _Seen(NamedTuple):
    """Asterisms of the field: numbers of their stars (A, B, the others), whether mirrored, their codes and tolerances."""

    stars: Int64
    mirrored: Bools
    codes: Float64
    tolerance: Float64


@dataclass(frozen=True, eq=False)
class _Guess:
    """Hypotheses: a plane about the middle of each asterism in the index.

    stars : (n, order) of the asterisms in the field; mirrored; middle, east, north : (n, 3) direction about which each plane
    is, and its axes; turn, shift : z → turn z + shift there [radian]; ends : (n, 2) where A and B of the index lie in it.
    """

    stars: Int64
    mirrored: Bools
    middle: Float64
    east: Float64
    north: Float64
    turn: Complex
    shift: Complex
    ends: Complex

    def take(self, which: Int64 | Bools) -> "_Guess":
        return _Guess(**{part.name: getattr(self, part.name)[which] for part in fields(self)})

    def places(self, stars: Complex) -> Complex:
        """Of (hypotheses, stars) in the planes [radian]."""
        z = np.where(self.mirrored[:, None], np.conj(stars), stars)
        return np.asarray(self.turn[:, None] * z + self.shift[:, None])

    def directions(self, places: Complex) -> Float64:
        """(hypotheses, stars, 3) unit vectors."""
        found = (
            self.middle[:, None, :]
            + places.real[..., None] * self.east[:, None, :]
            + places.imag[..., None] * self.north[:, None, :]
        )
        return np.asarray(found / np.linalg.norm(found, axis=-1, keepdims=True))


def sight(
    stars: Complex,
    indexes: Sequence[Index],
    scale: tuple[float, float],
    judge: Judge,
    *,
    floor: float = 0.0,
    most: int = _HYPOTHESES,
) -> Sighted:
    """Find where on the sky a field of stars is.

    Parameters
    ----------
    stars : (n,) places z = ξ + iη about the field's centre [degree, by a nominal scale], brightest first.
    indexes : to look in.
    scale : least and greatest true scale, in nominal ones.
    judge : what is asked of an alignment; its error is that of a place, in the places' unit.
    floor : least error of a place against the sky [degree].
    most : hypotheses that are tested, at most.
    """
    looked: list[Looked] = []
    if stars.size < _FEWEST:
        return Sighted(None, "", ())
    # Nothing wider is seen by a plane.
    scale = (scale[0], min(scale[1], _WIDEST / max(float(np.abs(stars).max()), judge.error)))
    # Four stars tell more than three: far fewer hypotheses. Then what is nearest in size to the field.
    extent = float(np.max(np.abs(stars), initial=judge.error)) * float(np.sqrt(scale[0] * scale[1]))
    order = sorted(indexes, key=lambda one: (-one.order, abs(np.log(one.largest / extent)), one.name))
    for window in WINDOWS:
        if window[2] >= stars.size:
            break
        for index in order:
            spent = sum(one.hypotheses for one in looked)
            if spent >= most:
                return Sighted(None, "", tuple(looked))
            best, told = _look(stars, index, window, _Limits(scale, floor, spent, most), judge)
            if told.asterisms:
                looked.append(told)
            if best is not None and accepted(best, judge):
                return Sighted(best, index.name, tuple(looked))
    return Sighted(None, "", tuple(looked))


def _look(
    stars: Complex,
    index: Index,
    window: tuple[int, int, int],
    limits: "_Limits",
    judge: Judge,
) -> tuple[Matched | None, Looked]:
    """One index with asterisms of stars of some ranks, those of an earlier window left out."""
    best: Matched | None = None
    told = Looked(index.name, window[1], 0, 0, 0, 0, 0.0)
    for seen in _asterisms(stars, index, window, limits.scale, judge.error):
        guess = _alike(stars, seen, index, limits.scale)
        errors = np.maximum(judge.error * np.abs(guess.turn) * _DEG, limits.floor)
        told = told._replace(asterisms=told.asterisms + len(seen.stars), hypotheses=told.hypotheses + guess.turn.size)
        trials = float(np.log10(limits.spent + told.hypotheses + 1.0)) + _LOCAL
        for number in _promising(stars, guess, index, errors, window):
            told = told._replace(refined=told.refined + 1)
            one = judge._replace(error=float(errors[number]))
            found = _refined(stars, guess.take(np.array([number])), index, trials, one)
            if found is not None and (best is None or found.log_false < best.log_false):
                best = found
                told = told._replace(matches=found.stars.size, log_false=found.log_false)
        if (best is not None and accepted(best, judge)) or limits.spent + told.hypotheses >= limits.most:
            break
    return best, told


def _asterisms(
    stars: Complex, index: Index, window: tuple[int, int, int], scale: tuple[float, float], error: float
) -> Iterator[_Seen]:
    """Asterisms of stars of some ranks, at least one of them fresh, in portions; both parities."""
    begin, end, fresh = window
    places = stars[begin:end]
    one, two = np.triu_indices(places.size, 1)
    size = np.abs(places[two] - places[one])
    fits = (size >= max(index.smallest / scale[1], _SHORTEST * error)) & (size <= index.largest / scale[0])
    one, two = one[fits], two[fits]
    if not one.size:
        return
    where = (places[None, :] - places[one][:, None]) / (places[two] - places[one])[:, None]
    inside = np.abs(where - 0.5) < 0.5
    inside[np.arange(one.size), one] = inside[np.arange(one.size), two] = False
    groups = _groups(inside, index.order - 2)
    pair, rest = groups[:, 0], groups[:, 1:]
    members = np.column_stack([one[pair], two[pair], rest])
    new = members.max(axis=1) >= fresh - begin
    pair, rest, members = pair[new], rest[new], members[new]
    # Brightest first, were there too many: by the faintest of the stars, then all of them.
    first = np.lexsort((members.sum(axis=1), members.max(axis=1)))[:_ASTERISMS]
    for portion in range(0, first.size, _PORTION):
        part = first[portion : portion + _PORTION]
        w = where[pair[part][:, None], rest[part]]
        length = np.abs(places[members[part, 1]] - places[members[part, 0]])
        tolerance = np.clip(2.0 * np.sqrt(index.order - 2.0) * error / length, *_TOLERANCE)
        both = [_coded(members[part] + begin, w, tolerance, mirrored=mirrored) for mirrored in (False, True)]
        yield _Seen(*(np.concatenate(each) for each in zip(*both, strict=True)))


def _groups(inside: Bools, number: int) -> Int64:
    """(n, 1 + number) pairs with each choice of so many stars inside their circle, those in rising order."""
    found = np.arange(len(inside))[:, None]
    for step in range(number):
        free = inside[found[:, 0]]
        if step:
            free = free & (np.arange(inside.shape[1])[None, :] > found[:, -1:])
        row, star = np.nonzero(free)
        found = np.column_stack([found[row], star])
    return found


def _coded(members: Int64, where: Complex, tolerance: Float64, *, mirrored: bool) -> _Seen:
    """Codes in the order of an index, and the stars in that order."""
    code = (1.0 + 1.0j) * (where if mirrored else np.conj(where))
    turned = code.real.mean(axis=1) > 0.5
    code = np.where(turned[:, None], 1.0 + 1.0j - code, code)
    ends = np.where(turned[:, None], members[:, 1::-1], members[:, :2])
    order = np.argsort(code.real, axis=1, kind="stable")
    code = np.take_along_axis(code, order, axis=1)
    others = np.take_along_axis(members[:, 2:], order, axis=1)
    plain = np.stack([code.real, code.imag], axis=-1).reshape(len(code), -1)
    return _Seen(np.column_stack([ends, others]), np.full(len(code), mirrored), plain, tolerance)


def _alike(stars: Complex, seen: _Seen, index: Index, scale: tuple[float, float]) -> _Guess:
    """The hypotheses that an index has for asterisms, of scales that are possible."""
    which, asterism = index.alike(seen.codes, seen.tolerance)
    members, mirrored = seen.stars[which], seen.mirrored[which]
    sky = index.directions(index.members(asterism).ravel()).reshape(len(members), index.order, 3)
    middle = sky[:, 0] + sky[:, 1]
    middle /= np.linalg.norm(middle, axis=1)[:, None]
    # At a pole any direction is east.
    east = np.column_stack([-middle[:, 1], middle[:, 0], np.zeros(len(middle))])
    east[np.linalg.norm(east, axis=1) == 0.0] = (0.0, 1.0, 0.0)
    east /= np.linalg.norm(east, axis=1)[:, None]
    north = np.cross(middle, east)
    depth = np.einsum("nsk,nk->ns", sky, middle)
    there = (np.einsum("nsk,nk->ns", sky, east) + 1j * np.einsum("nsk,nk->ns", sky, north)) / depth
    here = np.where(mirrored[:, None], np.conj(stars[members]), stars[members])
    # The similarity through all stars of the asterism, by least squares.
    z, w = here - here.mean(axis=1, keepdims=True), there - there.mean(axis=1, keepdims=True)
    turn = np.sum(np.conj(z) * w, axis=1) / np.sum(np.abs(z) ** 2, axis=1)
    shift = there.mean(axis=1) - turn * here.mean(axis=1)
    true = np.degrees(np.abs(turn))
    guess = _Guess(members, mirrored, middle, east, north, turn, shift, there[:, :2])
    return guess.take((true >= scale[0]) & (true <= scale[1]))


def _promising(stars: Complex, guess: _Guess, index: Index, errors: Float64, window: tuple[int, int, int]) -> Int64:
    """The hypotheses that put other stars of such ranks onto stars of the index, the best first."""
    left, odds = np.arange(guess.turn.size), np.zeros(guess.turn.size)
    ranks = np.arange(window[0], min(max(window[1], window[0] + 2 * _TESTS[-1][0]), stars.size))
    # Those beside the asterism: what the header does not tell of the distortion is least there.
    away = np.abs(stars[ranks][None, :] - stars[guess.stars].mean(axis=1)[:, None])
    away[np.any(guess.stars[:, :, None] == ranks[None, None, :], axis=1)] = np.inf
    nearest = ranks[np.argsort(away, axis=1, kind="stable")[:, : max(ranks.size - index.order, 1)]]
    for number, least in _TESTS:
        matched, chance = _matched(stars, nearest[left, :number], guess.take(left), index, errors[left])
        keep = matched >= min(least, max(ranks.size - index.order - 1, 1))
        odds = np.array([log_tail(int(m), float(c)) for m, c in zip(matched[keep], chance[keep], strict=True)])
        left = left[keep]
    left, odds = left[odds < -_LONE], odds[odds < -_LONE]
    return np.asarray(left[np.argsort(odds, kind="stable")][:_TRIED])


def _matched(stars: Complex, which: Int64, guess: _Guess, index: Index, errors: Float64) -> tuple[Int64, Float64]:
    """How many of some stars (hypotheses, number) have one of the index near, and how many would by chance."""
    places = guess.places(stars[which])
    # An asterism leads the more astray the farther from it: by its size, the distance between its ends' images.
    ends = guess.ends
    away = np.abs(places - ends.mean(axis=1, keepdims=True)) / np.abs(ends[:, 1] - ends[:, 0])[:, None]
    radius = errors[:, None] * np.minimum(2.0 + 2.0 * away, _FARTHEST)
    there, _ = index.near(guess.directions(places).reshape(-1, 3), radius.ravel())
    hit = np.zeros(which.size, bool)
    hit[there] = True
    chance = index.density * np.pi * np.sum(radius**2, axis=1)
    return hit.reshape(which.shape).sum(axis=1), chance


def stars_about(index: Index, ra: float, dec: float, radius: float) -> Reference:
    """The stars of an index within a radius [degree] of a place, brightest first."""
    a, d = np.radians(ra), np.radians(dec)
    direction = np.array([[np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)]])
    _, found = index.near(direction, np.array([radius]))
    found = found[np.argsort(index.brightness(found), kind="stable")]
    x, y, z = index.directions(found).T
    return Reference(np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y))))


def _refined(stars: Complex, guess: _Guess, index: Index, trials: float, judge: Judge) -> Matched | None:
    """One hypothesis refined by all stars, its odds without those of its asterism."""
    (x, y, z), turn, shift = guess.middle[0], complex(guess.turn[0]), complex(guess.shift[0])
    along, across = (0j, turn) if guess.mirrored[0] else (turn, 0j)
    plane = Alignment(float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arcsin(z))), along * _DEG, across * _DEG)
    start = plane.moved(shift * _DEG)
    reach = start.scale * float(np.abs(stars).max()) * _MARGIN + 40.0 * judge.error
    found = best_of(stars, stars_about(index, start.ra, start.dec, reach), start, trials, judge)
    if found is None:
        return None
    given = int(np.isin(found.stars, guess.stars[0]).sum())
    log_false = log_tail(found.stars.size - given, found.chance) + trials + 0.6
    return found._replace(log_false=log_false)
