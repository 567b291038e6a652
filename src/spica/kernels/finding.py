"""The ladder of finding: from a small error of the header to a lost pointing, each rung tried and told.

A rung says which alignments are possible and how candidates for them are elected (`spica.kernels.asterisms`); each
candidate is refined and judged (`spica.kernels.pointing`). The first rung whose best alignment is beyond chance ends the
climb; one that is not is never taken, however good it looks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.asterisms import Candidate, Complex, Limits, offset_votes, pair_votes
from spica.kernels.pointing import Alignment, Matched, Reference, Search, filled, refined

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


class Rung(NamedTuple):
    """One rung of the ladder.

    Attributes
    ----------
    name : as it is recorded.
    limits : what is possible: offset [degree], angle [radian], scale.
    mirrored : parities that are possible.
    pairs : pairs of stars vote, not single ones.
    stars : how many, the brightest, vote.
    opposite : the header's declination has the wrong sign.
    coarse : width of a cell of the ballot of single stars, in errors.
    depth : reference stars for each voter in the field, at most.
    """

    name: str
    limits: Limits
    mirrored: tuple[bool, ...] = (False,)
    pairs: bool = False
    stars: int = 60
    opposite: bool = False
    coarse: float = 3.0
    depth: float = 1.5


class Attempt(NamedTuple):
    """What came of a rung: candidates tried, reference stars within reach, the best one's matches and odds."""

    rung: str
    candidates: int
    reference: int
    matches: int
    chance: float
    log_false: float


@dataclass(frozen=True)
class Climb:
    """The end of a climb: the alignment, None where nothing is beyond chance, and what was tried."""

    found: Matched | None
    rung: str
    attempts: tuple[Attempt, ...]

    @property
    def share(self) -> float:
        """Matches that were found, of those that were possible."""
        return 0.0 if self.found is None else min(1.0, self.found.stars.size / max(self.found.possible, 1.0))


class Judge(NamedTuple):
    """When an alignment is true.

    error : of one place [degree]; confidence : -log10 of the greatest false-alarm probability; matches : at least.
    """

    error: float
    confidence: float
    matches: int


def climb(
    stars: Complex, reference: Reference, centre: tuple[float, float], rungs: Iterable[Rung], judge: Judge
) -> Climb:
    """Try rung after rung until an alignment is beyond chance.

    Parameters
    ----------
    stars : (n,) places [degree] in the tangent plane of the header about `centre`, brightest first.
    reference : reference stars.
    centre : right ascension and declination [degree].
    rungs : in order.
    judge : what is asked of an alignment.
    """
    attempts: list[Attempt] = []
    known: dict[object, tuple[Matched | None, Attempt]] = {}
    for rung in rungs:
        asked = _asked(stars, reference, centre, rung, judge)
        # Where stars are few, or reference stars, all of them took part on an earlier rung already.
        same = (asked.rung._replace(name="", depth=0.0), asked.which.size)
        if same not in known:
            known[same] = _try(stars, reference, asked, judge)
        best, attempt = known[same]
        attempts.append(attempt._replace(rung=rung.name))
        if best is not None and accepted(best, judge):
            return Climb(best, rung.name, tuple(attempts))
    return Climb(None, "", tuple(attempts))


def accepted(one: Matched, judge: Judge) -> bool:
    """Whether an alignment is beyond chance, and no caricature of a sky."""
    return one.stars.size >= judge.matches and one.log_false <= -judge.confidence and one.alignment.stretch < 0.05


class _Asked(NamedTuple):
    """A rung on its ground: limits about the middle scale, meridians' convergence included; reference stars in reach."""

    rung: Rung
    ra: float
    dec: float
    scale: float
    extent: float
    which: Int64


def _asked(stars: Complex, reference: Reference, centre: tuple[float, float], rung: Rung, judge: Judge) -> _Asked:
    scale = float(np.sqrt(rung.limits.scale[0] * rung.limits.scale[1]))
    extent = scale * max(float(np.abs(stars).max()), judge.error)
    ra, dec = centre[0], -centre[1] if rung.opposite else centre[1]
    voters = min(rung.stars, stars.size)
    # North turns on the way to the true centre: by as much as meridians converge.
    turn = np.radians(rung.limits.reach) * np.tan(np.radians(min(abs(dec), 89.0)))
    limits = rung.limits._replace(
        angle=min(rung.limits.angle + min(turn, _TURNING), np.pi),
        scale=(rung.limits.scale[0] / scale, rung.limits.scale[1] / scale),
    )
    most = _number(scale * stars, rung.depth * voters, extent + limits.reach)
    which = reference.near(ra, dec, extent + limits.reach, most)
    return _Asked(rung._replace(limits=limits, stars=voters), ra, dec, scale, extent, which)


def _try(stars: Complex, reference: Reference, asked: _Asked, judge: Judge) -> tuple[Matched | None, Attempt]:
    rung, scale = asked.rung, asked.scale
    attempt = Attempt(rung.name, 0, asked.which.size, 0, 0.0, 0.0)
    if asked.which.size < judge.matches:
        return None, attempt
    sky = reference.plane(asked.which, asked.ra, asked.dec)
    candidates = _candidates(scale * stars[: rung.stars], sky, rung, judge.error)
    trials = _trials(rung, asked.extent, judge.error)
    best: Matched | None = None
    for one in candidates:
        factor = scale * one.turn
        start = Alignment(asked.ra, asked.dec, 0j if one.mirrored else factor, factor if one.mirrored else 0j)
        found = best_of(stars, reference, start.moved(one.offset), trials, judge)
        if found is not None and (best is None or found.log_false < best.log_false):
            best = found
            attempt = attempt._replace(matches=found.stars.size, chance=found.chance, log_false=found.log_false)
            if accepted(found, judge) and found.log_false < -3.0 * judge.confidence:
                break
    return best, attempt._replace(candidates=len(candidates))


def _candidates(voters: Complex, sky: Complex, rung: Rung, error: float) -> list[Candidate]:
    if not rung.pairs:
        return offset_votes(voters, sky, rung.limits, rung.coarse * error, 12)
    found = [
        one for mirrored in rung.mirrored for one in pair_votes(voters, sky, rung.limits, error, 8, mirrored=mirrored)
    ]
    return sorted(found, key=lambda one: -one.votes)


def best_of(stars: Complex, reference: Reference, start: Alignment, trials: float, judge: Judge) -> Matched | None:
    """The start refined with narrow and with wide radii: sharp places, and smeared ones or an uncorrected distortion."""
    found = [
        refined(stars, reference, start, Search(coarse * judge.error, fine * judge.error, number, 2.0), trials + 0.6)
        for coarse, fine, number in _SEARCHES
        if number == _SEARCHES[0][2] or stars.size > _SEARCHES[0][2] or coarse > _SEARCHES[0][0]
    ]
    there = [one for one in found if one is not None]
    return min(there, key=lambda one: one.log_false) if there else None


def _number(stars: Complex, wanted: float, reach: float) -> int:
    """How many reference stars lie within reach, where so many are wanted in the field."""
    density = wanted / (filled(stars) * np.pi * float(np.abs(stars).max()) ** 2)
    return int(max(density * np.pi * reach**2, 30))


def _trials(rung: Rung, extent: float, error: float) -> float:
    """Decimal logarithm of the number of alignments within the limits that differ by more than the error."""
    places = np.pi * (rung.limits.reach / error) ** 2
    angles = 2.0 * rung.limits.angle * extent / error
    scales = np.log(rung.limits.scale[1] / rung.limits.scale[0]) * extent / error
    return float(sum(np.log10(max(one, 1.0)) for one in (places, angles, scales, float(len(rung.mirrored)))))


SCALES = tuple(float(np.exp(0.2 * k)) for k in (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6, -7, 7, -8, 8))
"""Middles of the windows in which a wholly unknown scale is looked for."""
_SEARCHES = ((6.0, 1.5, 60), (6.0, 1.5, 3000), (12.0, 5.0, 400))
"""Radii, coarse and fine, in errors, and numbers of stars with which a candidate is refined."""


WIDE = 0.5
"""Offset [degree] up to which every rung goes; beyond it there are fewer."""
_TURNING = float(np.radians(12.0))
"""Greatest convergence of meridians that is followed."""
BINNINGS = (2.0, 0.5, 3.0, 1.0 / 3.0, 4.0, 0.25)
"""Factors of scale of a header that knows nothing of the binning, or of another one."""


def ladder(search: float, reach: float) -> tuple[Rung, ...]:
    """The rungs in their order; `search` is the offset that is expected, `reach` the largest [degree]."""
    wide = min(reach, WIDE)
    turn, few, both = float(np.pi), float(np.radians(1.0)), (False, True)
    near = (0.99, 1.01)
    rungs = [
        Rung("header", Limits(search, few, near), stars=300),
        Rung("deep", Limits(search, few, near), stars=1000),
        Rung("faint", Limits(search, few, near), stars=1000, depth=12.0),
        Rung("pairs", Limits(search, 3.0 * few, (0.97, 1.03)), pairs=True, stars=60),
        Rung("turned", Limits(search, turn, (0.98, 1.02)), both, pairs=True, stars=40),
        Rung("wide", Limits(wide, few, near), stars=60, coarse=6.0),
        Rung("opposite declination", Limits(search, few, near), stars=300, opposite=True),
        Rung("wide, turned", Limits(wide, turn, (0.97, 1.03)), both, pairs=True, stars=25),
        *(
            Rung(f"binned by {factor:.3g}", Limits(wide, 0.5 * few, (0.997 * factor, 1.003 * factor)), coarse=8.0)
            for factor in BINNINGS
        ),
        Rung("deep, turned", Limits(search, turn, (0.98, 1.02)), both, pairs=True, stars=100),
        Rung("wide, deep", Limits(wide, 0.5 * few, (0.995, 1.005)), stars=400, coarse=4.0),
        *(
            Rung(f"scale {middle:.2f}", Limits(0.5 * wide, turn, (0.9 * middle, 1.1 * middle)), both, True, 16)
            for middle in SCALES
        ),
    ]
    if reach > wide:
        at = [rung.name for rung in rungs].index("deep, turned")
        rungs.insert(at, Rung("far", Limits(reach, 0.5 * few, (0.997, 1.003)), stars=40, coarse=6.0))
        rungs.append(Rung("far, turned", Limits(reach, turn, (0.98, 1.02)), both, pairs=True, stars=20))
    return tuple(rungs)
