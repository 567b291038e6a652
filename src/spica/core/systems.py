"""Photometric systems: what a catalogue's magnitudes say about the band that a camera sees.

A camera's band and a catalogue's bands are rarely the same. Published relations lead from one to the other: a polynomial in a
colour, good for a range of colours, with a scatter. They stand in tables (`spica.files.reference.systems`), each with its
source; what is chosen for a camera and a catalogue travels to tasks as `Systems`. Every magnitude that comes out says on
which scale it is, and `Magnitudes.statement` says in words where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from spica.core.columns import Catalogue
from spica.core.settings import Settings

Floats = npt.NDArray[np.float64]
Scale = Literal["AB", "Vega", "unknown"]

SPELT: Mapping[str, str] = dict.fromkeys("ugriz", "sdss") | dict.fromkeys("UBVRI", "johnson-cousins")
"""The system that a band is taken to be of where the camera's table does not say it, by the spelling of its name."""
COLOURS = (
    ("g", "i"),
    ("g", "r"),
    ("r", "i"),
    ("i", "z"),
    ("B", "V"),
    ("V", "I"),
    ("BP", "RP"),
    ("BT", "VT"),
    ("J", "H"),
)
"""Pairs of bands whose difference is taken for a star's colour where a system names none: the first that is there."""


class Relation(Settings):
    """A published relation: a band of another system from a band and a colour of this one."""

    to: str = Field(description="the other system")
    band: str = Field(description="band of the other system")
    base: str = Field(description="band of this system that is corrected")
    colour: tuple[str, str] = Field(description="bands of this system whose difference the polynomial is in")
    terms: tuple[float, ...] = Field(min_length=1, description="coefficients, constant first")
    form: Literal["band - base", "base - band"] = Field(description="what the polynomial gives, as published")
    valid: tuple[float, float] = Field(description="colours that it holds for")
    scatter: float = Field(ge=0, description="of single stars about it, mag")
    scale: Literal["AB", "Vega"] = Field(description="of the band that comes out")
    source: str = Field(description="where it is published")

    def added(self, colour: Floats) -> Floats:
        """What is added to the base band [mag]; NaN for colours that the relation does not hold for."""
        values = np.polynomial.polynomial.polyval(colour, self.terms)
        signed = values if self.form == "band - base" else -values
        return np.where((colour >= self.valid[0]) & (colour <= self.valid[1]), signed, np.nan)

    def slope(self, colour: Floats) -> Floats:
        """Derivative of what is added, by the colour."""
        values = np.polynomial.polynomial.polyval(colour, np.polynomial.polynomial.polyder(np.array(self.terms)))
        return np.asarray(values if self.form == "band - base" else -values, np.float64)


class Colour(Settings):
    """A colour of stars."""

    bands: tuple[str, str]
    pivot: float = Field(description="colour of the star that zero points are told for")


class SystemTable(Settings):
    """A photometric system, as it stands in its file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    scale: Literal["AB", "Vega"] = Field(description="of its magnitudes as they are published, which relations are in")
    catalogues: tuple[str, ...] = Field(default=(), description="column mappings of catalogues whose bands are its own")
    ab: dict[str, float] = Field(default_factory=dict, description="AB minus Vega magnitude by band")
    ab_source: str = ""
    colours: tuple[Colour, ...] = Field(default=(), description="the preferred first")
    relations: tuple[Relation, ...] = ()

    @model_validator(mode="after")
    def _sourced(self) -> SystemTable:
        if self.ab and not self.ab_source:
            raise ValueError("ab_source: say where the offsets are published")
        for relation in self.relations:
            if relation.valid[0] >= relation.valid[1]:
                raise ValueError(f"relation to {relation.to} {relation.band}: no colour lies within {relation.valid}")
        return self


@dataclass(frozen=True)
class Systems:
    """What is known of a catalogue's magnitudes and of a camera's bands.

    Attributes
    ----------
    catalogue : system of the catalogue; '' where none is known.
    scale : of the system's magnitudes as published.
    scales : scale of each band as the catalogue has it.
    bands : band of the camera to its system; one that the camera's table does not name is not there.
    relations : from the catalogue's system to those of the camera's bands.
    ab : system to the AB minus Vega magnitudes of its bands.
    colours : colours of the catalogue's system, the preferred first.
    """

    catalogue: str = ""
    scale: Scale = "unknown"
    scales: Mapping[str, Scale] = field(default_factory=dict)
    bands: Mapping[str, str] = field(default_factory=dict)
    relations: tuple[Relation, ...] = ()
    ab: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    colours: tuple[Colour, ...] = ()


@dataclass(frozen=True)
class Magnitudes:
    """Magnitudes of reference stars in a camera's band.

    Attributes
    ----------
    mag, error : (n,), NaN where not known; the error without the scatter of the relation.
    scatter : of single stars about the relation [mag], 0 where none was needed.
    colour : (n,) minus the pivot; NaN where not known.
    colour_of : the two bands, ('', '') where there is no colour.
    pivot : colour that 0 stands for.
    scale : 'AB', 'Vega' or 'unknown'.
    statement : what was used, in words.
    """

    mag: Floats
    error: Floats
    scatter: float
    colour: Floats
    colour_of: tuple[str, str]
    pivot: float
    scale: Scale
    statement: str


def magnitudes_in(
    systems: Systems, band: str, reference: Catalogue, *, column: str = "", colour: tuple[str, str] | None = None
) -> Magnitudes | None:
    """Magnitudes of reference stars in a band of the camera; None where the catalogue tells nothing about it.

    Of the ways that lead there the first is taken: the column that is named; the band itself, where the catalogue is of
    its system; the published relation of least scatter; a band of the same name in another system.

    Parameters
    ----------
    column : of the catalogue, instead of what the table says.
    colour : two columns of the catalogue whose difference is the colour, instead of that of the system.
    """
    there = {name[4:] for name in reference.columns if name.startswith("mag_") and not name.endswith("_err")}
    there = {name for name in there if np.any(np.isfinite(reference[f"mag_{name}"]))}
    target = systems.bands.get(band) or SPELT.get(band, "")
    relation = None
    if not column and not (systems.catalogue == target and band in there):
        relation = _relation(systems, target, band, there) or _relation(systems, SPELT.get(band, ""), band, there)
    hue = _colour(systems, reference, there, colour or (relation.colour if relation else None))
    if relation is None:
        return _as_it_is(systems, reference, column or f"mag_{band}", hue, target if not column else "")
    blue, red = (_native(systems, reference, name) for name in relation.colour)
    base, own = _native(systems, reference, relation.base), blue - red
    slope = relation.slope(own)
    errors = {name: _column(reference, f"mag_{name}_err") for name in {relation.base, *relation.colour}}
    weights = {relation.base: np.ones(own.size)}
    for name, sign in zip(relation.colour, (1.0, -1.0), strict=True):
        weights[name] = weights.get(name, np.zeros(own.size)) + sign * slope
    variance = sum(((weights[name] * errors[name]) ** 2 for name in sorted(weights)), np.zeros(own.size))
    statement = (
        f"{relation.band} of {relation.to} from {relation.base} and {relation.colour[0]} - {relation.colour[1]} of "
        f"{systems.catalogue} ({relation.source}; {relation.valid[0]:g} to {relation.valid[1]:g}, scatter {relation.scatter:g})"
    )
    made = Magnitudes(
        *(base + relation.added(own), np.sqrt(variance), relation.scatter, *hue),
        *(relation.scale, statement),
    )
    return _on_ab(made, systems.ab.get(relation.to, {}).get(relation.band))


def _as_it_is(
    systems: Systems, reference: Catalogue, name: str, hue: tuple[Floats, tuple[str, str], float], target: str
) -> Magnitudes | None:
    """A column of the catalogue on its own scale, or on AB where that is known; None where it holds nothing."""
    if name not in reference.columns or not np.any(np.isfinite(reference[name])):
        return None
    band, of = name.removeprefix("mag_"), systems.catalogue
    statement = f"{band} of {of or 'the catalogue'} as it is"
    if target and of and of != target:
        statement += f", in place of {band} of {target}"
    mag, error = _column(reference, name), _column(reference, f"{name}_err")
    made = Magnitudes(mag, error, 0.0, *hue, systems.scales.get(band, "unknown"), statement)
    return _on_ab(made, systems.ab.get(of, {}).get(band))


def _relation(systems: Systems, target: str, band: str, there: set[str]) -> Relation | None:
    """The relation of least scatter that leads to the band from what is there; None where none does."""
    known = [
        each
        for each in systems.relations
        if (each.to, each.band) == (target, band) and {each.base, *each.colour} <= there
    ]
    return min(known, key=lambda each: each.scatter) if known else None


def _colour(
    systems: Systems, reference: Catalogue, there: set[str], wanted: tuple[str, str] | None
) -> tuple[Floats, tuple[str, str], float]:
    known = {each.bands: each.pivot for each in systems.colours}
    pairs = [*known.items(), *((pair, np.nan) for pair in COLOURS)]
    if wanted is not None:
        # By hand whole columns may be named, in a relation bands.
        plain = (wanted[0].removeprefix("mag_"), wanted[1].removeprefix("mag_"))
        pairs = [(plain, known.get(plain, np.nan))]
    for names, pivot in pairs:
        if set(names) <= there:
            value = _native(systems, reference, names[0]) - _native(systems, reference, names[1])
            # No star is preferred by a table of one's own: that of the middle of what is there, to a tenth.
            middle = round(float(np.nanmedian(value)), 1) if np.any(np.isfinite(value)) else 0.0
            middle = pivot if np.isfinite(pivot) else middle
            return value - middle, names, middle
    return np.full(len(reference), np.nan), ("", ""), 0.0


def _native(systems: Systems, reference: Catalogue, band: str) -> Floats:
    """Magnitudes of a band on the scale that its system is published on."""
    mag = _column(reference, f"mag_{band}")
    offset = systems.ab.get(systems.catalogue, {}).get(band)
    given = systems.scales.get(band, "unknown")
    if offset is None or given == systems.scale or "unknown" in {given, systems.scale}:
        return mag
    return mag + (offset if systems.scale == "AB" else -offset)


def _on_ab(given: Magnitudes, offset: float | None) -> Magnitudes:
    if given.scale != "Vega" or offset is None:
        return given
    return Magnitudes(
        *(given.mag + offset, given.error, given.scatter, given.colour, given.colour_of, given.pivot),
        *("AB", f"{given.statement}, {offset:+g} from Vega to AB"),
    )


def _column(reference: Catalogue, name: str) -> Floats:
    if name not in reference.columns:
        return np.full(len(reference), np.nan)
    return np.asarray(reference[name], np.float64)
