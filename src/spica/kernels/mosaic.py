"""The pointing of a whole mosaic: all detectors in one plane, each by itself, and those that contradict the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spica.kernels.finding import Attempt, Climb, Judge, Rung, accepted, best_of, climb
from spica.kernels.pointing import Alignment, Complex, Matched, Reference, transferred
from spica.kernels.tangent import tangent_project
from spica.kernels.wcs import TangentWcs, pixel_to_sky

Float64 = npt.NDArray[np.float64]

_LOCAL = 3.5
"""Decimal logarithm of the alignments of one detector that agree with the exposure's within the coarse radius."""
_OWN = 8
"""Matches from which a detector's own alignment is better than the focal plane's."""
_ALONE = 4
"""Detectors, those with most stars first, that climb the ladder alone where the exposure as a whole finds nothing."""


@dataclass(frozen=True, eq=False)
class Chip:
    """One detector: its stars, brightest first, and what its header says of them.

    Attributes
    ----------
    number, nx, ny : of the detector.
    x, y, flux : (n,) of its stars.
    wcs : the solution to begin with.
    ra, dec : (n,) places of the stars by that solution [degree].
    """

    number: int
    nx: int
    ny: int
    x: Float64
    y: Float64
    flux: Float64
    wcs: TangentWcs
    ra: Float64
    dec: Float64

    def grid(self) -> tuple[Float64, Float64]:
        """Pixels all over the detector."""
        x, y = np.meshgrid(np.linspace(0.0, self.nx - 1.0, 7), np.linspace(0.0, self.ny - 1.0, 7))
        return x.ravel(), y.ravel()


@dataclass(frozen=True, eq=False)
class Field:
    """Stars of one or more detectors in the tangent plane of their headers, brightest first."""

    centre: tuple[float, float]
    places: Complex


@dataclass(frozen=True)
class Placed:
    """What is known of a detector in the end."""

    how: str
    alignment: Alignment | None
    centre: tuple[float, float]
    matched: Matched | None
    rung: str
    reason: str = ""


def _middle(ra: Float64, dec: Float64) -> tuple[float, float]:
    """The mean direction [degree]."""
    a, d = np.radians(ra), np.radians(dec)
    x, y, z = (float(np.mean(part)) for part in (np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)))
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def plane_of(ra: Float64, dec: Float64, centre: tuple[float, float]) -> Complex:
    """Places in the tangent plane about a centre [degree]."""
    xi, eta = tangent_project(ra, dec, *centre)
    return np.asarray(xi + 1j * eta)


def field_of(chips: Sequence[Chip]) -> Field:
    """All stars of some detectors in one plane; the centre is that of the detectors."""
    corners = [pixel_to_sky(chip.wcs, *chip.grid()) for chip in chips]
    centre = _middle(np.concatenate([ra for ra, _ in corners]), np.concatenate([dec for _, dec in corners]))
    places = plane_of(np.concatenate([c.ra for c in chips]), np.concatenate([c.dec for c in chips]), centre)
    flux = np.concatenate([chip.flux for chip in chips])
    # Detectors take turns: one with many false stars must not push the others aside.
    rank = np.concatenate([np.arange(chip.flux.size) for chip in chips])
    order = np.lexsort((places.real, -flux, rank)) if len(chips) > 1 else np.arange(flux.size)
    there = np.isfinite(places[order])
    return Field(centre, places[order][there])


def by_one(
    chips: Sequence[Chip], field: Field, stars: Reference, rungs: tuple[Rung, ...], so_far: tuple[Judge, Climb]
) -> Climb:
    """The exposure's alignment from that of one detector which finds its own, where the others agree with it."""
    judge, end = so_far
    for chip in sorted(chips, key=lambda one: -one.x.size)[:_ALONE]:
        own = field_of([chip])
        alone = climb(own.places, stars, own.centre, rungs, judge)
        if alone.found is None:
            continue
        places = plane_of(chip.ra, chip.dec, own.centre)
        # The others by themselves: together with the leader's own matches they would always seem to agree.
        rest = field_of([one for one in chips if one is not chip])
        beside = transferred(alone.found.alignment, own.centre, rest.centre, places)
        agreed = best_of(rest.places, stars, beside, _LOCAL, judge)
        start = transferred(alone.found.alignment, own.centre, field.centre, places)
        found = best_of(field.places, stars, start, _LOCAL, judge)
        if agreed is not None and accepted(agreed, judge) and found is not None and accepted(found, judge):
            return Climb(found, f"{alone.rung}, by detector {chip.number}", (*end.attempts, *alone.attempts))
        return replace(end, attempts=(*end.attempts, *alone.attempts))
    return end


def each_alone(chips: Sequence[Chip], stars: Reference, rungs: tuple[Rung, ...], judge: Judge) -> dict[int, Placed]:
    """Every detector by itself, the rung that helped the last one first."""
    placed: dict[int, Placed] = {}
    order, fruitless = rungs, 0
    for chip in sorted(chips, key=lambda one: -one.x.size):
        own = field_of([chip])
        # After some that found nothing on any rung the others are not worth as much.
        end = climb(own.places, stars, own.centre, order if fruitless < _ALONE else order[:2], judge)
        if end.found is None:
            fruitless += 1
            placed[chip.number] = Placed("lost", None, own.centre, None, "", best_words(end.attempts))
            continue
        first = [rung for rung in rungs if rung.name == end.rung]
        order = (*first, *(rung for rung in rungs if rung.name != end.rung))
        placed[chip.number] = Placed("alone", end.found.alignment, own.centre, end.found, end.rung)
    return placed


def settle(
    chip: Chip, field: Field, whole: Alignment, end: Climb, how: tuple[Reference, Judge, tuple[Rung, ...]]
) -> Placed:
    """One detector's own alignment beside the exposure's; on a rung of its own where its stars contradict."""
    stars, judge, rungs = how
    own = field_of([chip])
    start = transferred(whole, field.centre, own.centre, plane_of(*pixel_to_sky(chip.wcs, *chip.grid()), field.centre))
    found = best_of(own.places, stars, start, _LOCAL, judge)
    if found is not None and accepted(found, judge):
        best = found.alignment if found.stars.size >= _OWN else start
        return Placed("own", best, own.centre, found, end.rung)
    matches = 0 if found is None else found.stars.size
    expected = _expected(own, start, stars, end)
    if expected < 10.0 or matches > 0.4 * expected:
        return Placed("plane", start, own.centre, found, end.rung, f"{matches} matches of about {expected:.0f}")
    alone = climb(own.places, stars, own.centre, [rung for rung in rungs if rung.name in _FEW], judge)
    if alone.found is not None:
        return Placed("alone", alone.found.alignment, own.centre, alone.found, alone.rung)
    reason = f"{matches} matches where about {expected:.0f} were expected, and none alone: {best_words(alone.attempts)}"
    return Placed("lost", None, own.centre, found, "", reason)


_FEW = ("header", "deep", "turned", "wide")
"""Rungs for a detector that contradicts the others."""


def _expected(own: Field, start: Alignment, stars: Reference, end: Climb) -> float:
    """Matches that a detector should have: as many of its possible ones as the exposure has."""
    extent = float(np.abs(own.places).max())
    which = stars.near(start.ra, start.dec, extent * (abs(start.along) + abs(start.across)), 2 * own.places.size)
    low, high = (f(np.stack([own.places.real, own.places.imag]), axis=1) for f in (np.min, np.max))
    share = float(np.prod(high - low)) / (np.pi * extent**2)
    possible = min(float(own.places.size), which.size * share)
    return possible * end.share


def best_words(attempts: Sequence[Attempt]) -> str:
    """What the best of some attempts came to."""
    tried = [one for one in attempts if one.candidates]
    if not tried:
        return "no reference stars within reach"
    best = min(tried, key=lambda one: one.log_false)
    return f"at best {best.matches} matches ({best.chance:.1f} by chance) on rung '{best.rung}'"
