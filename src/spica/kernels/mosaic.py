"""The pointing of a whole mosaic: all detectors in one plane, each by itself, and those that contradict the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.bending import Bent, Curved, bending, curvature, local, transferred
from spica.kernels.finding import Attempt, Climb, Judge, Rung, accepted, best_of, climb
from spica.kernels.pointing import Alignment, Complex, Matched, Reference
from spica.kernels.tangent import tangent_deproject, tangent_project
from spica.kernels.wcs import TangentWcs, pixel_to_sky

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_LOCAL = 3.5
"""Decimal logarithm of the alignments of one detector that agree with the exposure's within the coarse radius."""
_OWN = 8
"""Matches from which a detector's own alignment is better than the focal plane's."""
_ALONE = 4
"""Detectors, those with most stars first, that climb the ladder alone where the exposure as a whole finds nothing."""


@dataclass(frozen=True, eq=False)
class Bend:
    """How a detector's header has to be bent, shift, turn and scale apart.

    Attributes
    ----------
    centre : of the headers' plane [degree].
    curved : of the focal plane.
    linear : (3,) what the detector's own linear map takes up: of 1, z and z̄.
    whole : the exposure's alignment, from the headers' plane to the true one.
    """

    centre: tuple[float, float]
    curved: Curved
    linear: Complex
    whole: Alignment

    def apply(self, ra: Float64, dec: Float64) -> tuple[Float64, Float64]:
        """Places by the header [degree], bent."""
        z = plane_of(ra, dec, self.centre)
        by = self.curved.apply(z) - (self.linear[0] + self.linear[1] * z + self.linear[2] * np.conj(z))
        along, across = self.whole.along, self.whole.across
        z = z + (np.conj(along) * by - across * np.conj(by)) / (abs(along) ** 2 - abs(across) ** 2)
        there = tangent_deproject(z.real, z.imag, *self.centre)
        return np.asarray(there[0]), np.asarray(there[1])


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
    bend: "Bend | None" = None

    def sky(self, x: Float64, y: Float64) -> tuple[Float64, Float64]:
        """Where the header, bent as the focal plane is, puts pixels [degree]."""
        nominal = pixel_to_sky(self.wcs, x, y)
        return nominal if self.bend is None else self.bend.apply(*nominal)

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
    corners = [chip.sky(*chip.grid()) for chip in chips]
    centre = _middle(np.concatenate([ra for ra, _ in corners]), np.concatenate([dec for _, dec in corners]))
    places = plane_of(np.concatenate([c.ra for c in chips]), np.concatenate([c.dec for c in chips]), centre)
    flux = np.concatenate([chip.flux for chip in chips])
    # Detectors take turns: one with many false stars must not push the others aside.
    rank = np.concatenate([np.arange(chip.flux.size) for chip in chips])
    order = np.lexsort((places.real, -flux, rank)) if len(chips) > 1 else np.arange(flux.size)
    there = np.isfinite(places[order])
    return Field(centre, places[order][there])


class Search(NamedTuple):
    """What detectors are looked for with; `alone` remembers how each that climbed by itself ended."""

    stars: Reference
    judge: Judge
    rungs: tuple[Rung, ...]
    alone: dict[int, Climb]

    def climbed(self, chip: Chip, own: Field, rungs: Sequence[Rung]) -> Climb:
        """The end of a detector's own climb."""
        if chip.number not in self.alone:
            self.alone[chip.number] = climb(own.places, self.stars, own.centre, rungs, self.judge)
        return self.alone[chip.number]


def by_one(chips: Sequence[Chip], field: Field, how: Search, end: Climb) -> Climb:
    """The exposure's alignment from that of one detector which finds its own, where the others agree with it."""
    for chip in sorted(chips, key=lambda one: -one.x.size)[:_ALONE]:
        own = field_of([chip])
        alone = how.climbed(chip, own, how.rungs)
        if alone.found is None:
            continue
        places = plane_of(chip.ra, chip.dec, own.centre)
        # The others by themselves: together with the leader's own matches they would always seem to agree.
        rest = field_of([one for one in chips if one is not chip])
        beside = transferred(alone.found.alignment, own.centre, rest.centre, places)
        agreed = best_of(rest.places, how.stars, beside, _LOCAL, how.judge)
        start = transferred(alone.found.alignment, own.centre, field.centre, places)
        found = best_of(field.places, how.stars, start, _LOCAL, how.judge)
        if agreed is not None and accepted(agreed, how.judge) and found is not None and accepted(found, how.judge):
            return Climb(found, f"{alone.rung}, by detector {chip.number}", (*end.attempts, *alone.attempts))
        return replace(end, attempts=(*end.attempts, *alone.attempts))
    return end


def each_alone(chips: Sequence[Chip], how: Search) -> dict[int, Placed]:
    """Every detector by itself, the rung that helped the last one first."""
    placed: dict[int, Placed] = {}
    order, fruitless = how.rungs, 0
    for chip in sorted(chips, key=lambda one: -one.x.size):
        own = field_of([chip])
        # After some that found nothing on any rung the others are not worth as much.
        end = how.climbed(chip, own, order if fruitless < _ALONE else order[:2])
        if end.found is None:
            fruitless += 1
            placed[chip.number] = Placed("lost", None, own.centre, None, "", best_words(end.attempts))
            continue
        first = [rung for rung in how.rungs if rung.name == end.rung]
        order = (*first, *(rung for rung in how.rungs if rung.name != end.rung))
        placed[chip.number] = Placed("alone", end.found.alignment, own.centre, end.found, end.rung)
    return placed


class _Own(NamedTuple):
    """A detector in its own plane, where the exposure's alignment puts it, and what its stars say to that."""

    field: Field
    start: Alignment
    found: Matched | None
    sure: bool


def settled(
    chips: list[Chip], field: Field, whole: Alignment, end: Climb, how: Search
) -> tuple[list[Chip], dict[int, Placed]]:
    """Each detector's alignment: by its own stars, by the focal plane that the others tell, or on a rung of its own.

    Returns
    -------
    The detectors, their headers bent where all of them together tell how; and what is known of each by its number.
    """
    owns = {chip.number: _beside(chip, _start(chip, field, whole, None), how) for chip in chips}
    curved = _curved(whole, _agreed(chips, field, owns, how.stars))
    if curved is not None:
        chips = [_curve(chip, field, curved, whole) for chip in chips]
        owns = {chip.number: _beside(chip, _start(chip, field, whole, None), how) for chip in chips}
    bent = _bent(whole, _agreed(chips, field, owns, how.stars))
    if bent is not None:
        for chip in chips:
            own = owns[chip.number]
            if not own.sure or own.found is None or own.found.stars.size < _OWN:
                owns[chip.number] = _beside(chip, _start(chip, field, whole, bent), how)
    placed = {chip.number: _settle(chip, owns[chip.number], end, how) for chip in chips}
    by_own = sum(one.how == "own" for one in placed.values())
    against = sum(one.how in ("alone", "lost") for one in placed.values())
    if against > by_own:
        # Most of those with stars contradict the exposure: one with few may not be put where it says.
        words = f"few stars of its own, and {against} of {len(chips)} detectors contradict the others"
        placed |= {
            number: replace(one, how="lost", alignment=None, reason=f"{words}; {one.reason}")
            for number, one in placed.items()
            if one.how == "plane"
        }
    return chips, placed


def _start(chip: Chip, field: Field, whole: Alignment, bent: Bent | None) -> Alignment:
    """Where the exposure's alignment, or its bent plane, puts a detector."""
    nominal = chip.sky(*chip.grid())
    places = plane_of(*nominal, field.centre)
    own = _middle(*nominal)
    if bent is None:
        return transferred(whole, field.centre, own, places)
    return local(nominal, bent.apply(places), own, mirrored=whole.mirrored)


def _beside(chip: Chip, start: Alignment, how: Search) -> _Own:
    own = field_of([chip])
    found = best_of(own.places, how.stars, start, _LOCAL, how.judge)
    return _Own(own, start, found, found is not None and accepted(found, how.judge))


class _Agreed(NamedTuple):
    """Matches of all detectors that agree with the exposure's alignment."""

    places: Complex
    ra: Float64
    dec: Float64
    group: Int64


def _agreed(chips: Sequence[Chip], field: Field, owns: Mapping[int, _Own], stars: Reference) -> _Agreed | None:
    sure = [(chip, own.field, own.found) for chip in chips if (own := owns[chip.number]).sure and own.found is not None]
    if not sure:
        return None
    places, which, group = [], [], []
    for chip, there, found in sure:
        mine = there.places[found.stars]
        places.append(plane_of(*tangent_deproject(mine.real, mine.imag, *there.centre), field.centre))
        which.append(found.reference)
        group.append(np.full(mine.size, chip.number))
    stars_of = np.concatenate(which)
    return _Agreed(np.concatenate(places), stars.ra[stars_of], stars.dec[stars_of], np.concatenate(group))


def _bent(whole: Alignment, all_: _Agreed | None) -> Bent | None:
    return None if all_ is None else bending(*all_, (whole.ra, whole.dec))


def _curved(whole: Alignment, all_: _Agreed | None) -> Curved | None:
    if all_ is None:
        return None
    true = plane_of(all_.ra, all_.dec, (whole.ra, whole.dec))
    return curvature(all_.places, true, all_.group)


def _curve(chip: Chip, field: Field, curved: Curved, whole: Alignment) -> Chip:
    """The detector with its header bent."""
    z = plane_of(*pixel_to_sky(chip.wcs, *chip.grid()), field.centre)
    linear = np.linalg.lstsq(np.stack([np.ones_like(z), z, np.conj(z)], axis=1), curved.apply(z), rcond=None)[0]
    bend = Bend(field.centre, curved, np.asarray(linear), whole)
    ra, dec = bend.apply(chip.ra, chip.dec)
    return replace(chip, ra=ra, dec=dec, bend=bend)


def _settle(chip: Chip, own: _Own, end: Climb, how: Search) -> Placed:
    """One detector's alignment beside the exposure's; on a rung of its own where its stars contradict."""
    place, start, found, sure = own
    if sure and found is not None:
        best = found.alignment if found.stars.size >= _OWN else start
        return Placed("own", best, place.centre, found, end.rung)
    matches = 0 if found is None else found.stars.size
    expected = _expected(place, start, how.stars, end)
    if expected < 10.0 or matches > 0.4 * expected:
        return Placed("plane", start, place.centre, found, end.rung, f"{matches} matches of about {expected:.0f}")
    alone = how.climbed(chip, place, [rung for rung in how.rungs if rung.name in _FEW])
    if alone.found is not None:
        return Placed("alone", alone.found.alignment, place.centre, alone.found, alone.rung)
    reason = f"{matches} matches where about {expected:.0f} were expected, and none alone: {best_words(alone.attempts)}"
    return Placed("lost", None, place.centre, found, "", reason)


_FEW = ("header", "deep", "turned", "wide", "wide, turned")
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
