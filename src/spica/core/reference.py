"""A row of a reference catalogue: its columns declared once, its flags, and what is known of a catalogue as a whole.

Positions are ICRS at the row's own epoch; what is not known is NaN, never 0. Magnitudes stand in one pair of columns for
each band, ``mag_<band>`` and ``mag_<band>_err``; the system of a band (AB, Vega) is a fact about the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from spica.core.columns import Column
from spica.core.hats import Partition

_CORRELATED = ("ra", "dec", "parallax", "pmra", "pmdec")
_WORDS = {"ra": "right ascension", "dec": "declination", "pmra": "pmra", "pmdec": "pmdec", "parallax": "parallax"}

REFERENCE_COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("source_id", "i8", "", "meta.id;meta.main", "identifier in the catalogue"),
        Column("ra", "f8", "deg", "pos.eq.ra;meta.main", "ICRS right ascension at the epoch"),
        Column("dec", "f8", "deg", "pos.eq.dec;meta.main", "ICRS declination at the epoch"),
        Column("epoch", "f8", "yr", "time.epoch", "epoch of the position, Julian year TDB"),
        Column("ra_err", "f4", "mas", "stat.error;pos.eq.ra", "standard error of right ascension times cos dec"),
        Column("dec_err", "f4", "mas", "stat.error;pos.eq.dec", "standard error of declination"),
        Column("pmra", "f8", "mas/yr", "pos.pm;pos.eq.ra", "proper motion in right ascension times cos dec"),
        Column("pmdec", "f8", "mas/yr", "pos.pm;pos.eq.dec", "proper motion in declination"),
        Column("pmra_err", "f4", "mas/yr", "stat.error;pos.pm;pos.eq.ra", "standard error of pmra"),
        Column("pmdec_err", "f4", "mas/yr", "stat.error;pos.pm;pos.eq.dec", "standard error of pmdec"),
        Column("parallax", "f8", "mas", "pos.parallax.trig", "parallax"),
        Column("parallax_err", "f4", "mas", "stat.error;pos.parallax.trig", "standard error of parallax"),
        Column("radial_velocity", "f4", "km/s", "spect.dopplerVeloc.opt", "barycentric radial velocity"),
        Column("radial_velocity_err", "f4", "km/s", "stat.error;spect.dopplerVeloc.opt", "its standard error"),
        *(
            Column(f"{one}_{two}_corr", "f4", "", "stat.correlation", f"correlation of {_WORDS[one]} and {_WORDS[two]}")
            for number, one in enumerate(_CORRELATED)
            for two in _CORRELATED[number + 1 :]
        ),
        Column("flags", "i4", "", "meta.code", "spica.core.reference.ReferenceFlag"),
    )
}
"""All columns but the magnitudes; `ra`, `dec`, `epoch`, `source_id` and `flags` are always there."""

ALWAYS = ("source_id", "ra", "dec", "epoch", "flags")
BAND_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
SYSTEMS = ("AB", "Vega", "unknown")
_MAGNITUDE = re.compile(r"mag_([A-Za-z][A-Za-z0-9]*?)(_err)?")


class ReferenceFlag:
    """Bits of the column `flags`; a bit that a catalogue does not tell is 0."""

    VARIABLE = 1
    """Known to vary in brightness."""
    DUPLICATED = 2
    """The catalogue holds, or held, the source twice."""
    EXTENDED = 4
    """No point source."""
    POOR_POSITION = 8
    """The catalogue doubts the position: a bad fit, an excess of noise, a blend."""
    POOR_PHOTOMETRY = 16
    """The catalogue doubts the magnitudes."""

    NAMES: Mapping[str, int] = {
        "variable": VARIABLE,
        "duplicated": DUPLICATED,
        "extended": EXTENDED,
        "poor_position": POOR_POSITION,
        "poor_photometry": POOR_PHOTOMETRY,
    }


def declaration(name: str) -> Column:
    """The declaration of a column of reference catalogues; KeyError where there is none of that name."""
    if name in REFERENCE_COLUMNS:
        return REFERENCE_COLUMNS[name]
    found = _MAGNITUDE.fullmatch(name)
    if found is None:
        raise KeyError(name)
    band, error = found[1], found[2]
    if error:
        return Column(name, "f4", "mag", "stat.error;phot.mag", f"standard error of mag_{band}")
    return Column(name, "f4", "mag", "phot.mag", f"magnitude in {band}")


@dataclass(frozen=True)
class ReferenceSource:
    """A file that a catalogue was made from: its name, size [byte], checksum, and the rows that were read of it."""

    name: str
    size: int
    checksum: str
    rows: int


@dataclass(frozen=True)
class ReferenceInfo:
    """What is known of a reference catalogue as a whole.

    Attributes
    ----------
    name, title : as people call it, and what it is.
    mapping : name of the column mapping that it was read with.
    checksum : of all rows in their order, 40 hexadecimal digits: what a job key holds.
    rows : how many there are.
    columns : their names, in order.
    bands : band to the system of its magnitudes.
    epochs : first and last epoch of a position, Julian years.
    largest_motion : greatest known proper motion [mas/yr].
    area, order : square degrees that have rows, counted in HEALPix cells of this order.
    partitions : in the order of the sky.
    sources : what it was made from.
    rejected : reason to the number of rows left out.
    warnings : what is doubtful about it, in words.
    """

    name: str
    title: str
    mapping: str
    checksum: str
    rows: int
    columns: tuple[str, ...]
    bands: Mapping[str, str]
    epochs: tuple[float, float]
    largest_motion: float
    area: float
    order: int
    partitions: tuple[Partition, ...]
    sources: tuple[ReferenceSource, ...]
    rejected: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
