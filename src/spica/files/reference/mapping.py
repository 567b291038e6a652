"""Column mappings: how the columns of a published catalogue become ours, as TOML, shipped or of a user."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from astropy import units
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from spica.core.faults import DataFault, SetupFault
from spica.core.reference import BAND_NAME, REFERENCE_COLUMNS, ReferenceFlag
from spica.core.settings import Settings

TIMES = ("yr", "mjd", "jd")
"""Units of an epoch: Julian year, modified Julian date, Julian date."""
CORRELATED = {
    f"{one}_{two}_corr": (f"{one}_err", f"{two}_err")
    for one in ("ra", "dec", "parallax", "pmra", "pmdec")
    for two in ("ra", "dec", "parallax", "pmra", "pmdec")
    if f"{one}_{two}_corr" in REFERENCE_COLUMNS
}
"""Correlations, and the errors of the two that are correlated."""


def _listed(given: Any) -> Any:
    return (given,) if isinstance(given, (str, int, float)) else given


def _spelt(given: Any) -> Any:
    return {"from": given} if isinstance(given, (str, list, tuple)) else given


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Value(Settings):
    """Where one of our columns comes from."""

    model_config = Settings.model_config | {"populate_by_name": True}

    source: Names = Field(default=(), alias="from", description="names in the file; the first that is there is taken")
    unit: str = Field(default="", description="of the file's column; ours where left out")
    value: float | None = Field(default=None, description="the same for all rows, instead of a column")
    missing: Annotated[tuple[float, ...], BeforeValidator(_listed)] = Field(
        default=(), description="numbers that stand for a missing value"
    )
    unless: str = Field(default="", description="a column of truth values: where true, the value is missing")
    covariance: bool = Field(default=False, description="of a correlation: the column holds the covariance instead")
    combine: tuple[int, ...] = Field(default=(), description="of the identifier: all columns, times these, added")


class Band(Settings):
    """Where the magnitudes of a band come from: a magnitude or a flux. ``{band}`` in names stands for any band."""

    mag: str = ""
    error: str = Field(default="", description="standard error of the magnitude")
    flux: str = ""
    flux_error: str = Field(default="", description="standard error of the flux")
    snr: str = Field(default="", description="flux over its error")
    unit: str = Field(default="nJy", description="of the flux")
    system: Literal["AB", "Vega", "unknown"]
    missing: Annotated[tuple[float, ...], BeforeValidator(_listed)] = ()

    @model_validator(mode="after")
    def _one(self) -> Band:
        if bool(self.mag) == bool(self.flux):
            raise ValueError("name either mag or flux")
        return self


class FlagTest(Settings):
    """When a bit of our flags is set: the column is true, equals a text or number, lies above or below, has a bit."""

    model_config = Settings.model_config | {"populate_by_name": True}

    source: str = Field(alias="from")
    equals: str | float | None = None
    above: float | None = None
    below: float | None = None
    bits: int | None = None


Spelt = Annotated[Value, BeforeValidator(_spelt)]


class ColumnMapping(Settings):
    """A column mapping, as it stands in its file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    recognise: tuple[str, ...] = Field(min_length=1, description="columns that a file of this kind has, all of them")
    columns: dict[str, Spelt]
    bands: dict[str, Band] = Field(default_factory=dict)
    flags: dict[str, FlagTest] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> ColumnMapping:
        for name, value in self.columns.items():
            if name not in REFERENCE_COLUMNS or name == "flags":
                near = difflib.get_close_matches(name, list(REFERENCE_COLUMNS), n=1)
                raise ValueError(f"there is no column {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
            if (value.value is None) == (not value.source):
                raise ValueError(f"column {name!r}: name either from or value")
            _check_unit(name, value)
        for needed in ("ra", "dec"):
            if needed not in self.columns:
                raise ValueError(f"column {needed!r} is not mapped")
        for band in self.bands:
            if band != "*" and not BAND_NAME.fullmatch(band):
                raise ValueError(f"{band!r} is no name of a band: letters and digits")
        for flag in self.flags:
            if flag not in ReferenceFlag.NAMES:
                raise ValueError(f"there is no flag {flag!r}; there are {', '.join(ReferenceFlag.NAMES)}")
        return self


def _check_unit(name: str, value: Value) -> None:
    """ValueError where the unit of a file's column is none of ours."""
    if name == "epoch":
        if value.unit and value.unit not in TIMES:
            raise ValueError(f"an epoch is given in one of {', '.join(TIMES)}, not {value.unit!r}")
    elif value.covariance:
        if name not in CORRELATED:
            raise ValueError(f"{name!r} is no correlation")
        factor(value.unit or covariance_unit(name), covariance_unit(name))
    elif value.unit:
        factor(value.unit, REFERENCE_COLUMNS[name].unit)


def covariance_unit(name: str) -> str:
    """Unit of the covariance that belongs to a correlation, with the errors in our units."""
    one, two = (units.Unit(REFERENCE_COLUMNS[each].unit) for each in CORRELATED[name])
    return str((one * two).to_string())


def factor(unit: str, ours: str) -> float:
    """What a value in `unit` is to be multiplied with to be in ours; ValueError where they do not fit."""
    try:
        return float(units.Unit(unit).to(units.Unit(ours)))
    except (units.UnitConversionError, TypeError) as error:
        raise ValueError(f"unit {unit!r} cannot be converted to {ours or 'a pure number'!r}") from error


def read(path: Path) -> ColumnMapping:
    """A mapping from a TOML file.

    Raises
    ------
    SetupFault
        ``refcat.mapping`` with the place at fault.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        return ColumnMapping.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SetupFault("refcat.mapping", f"{path}: {place or 'mapping'}: {first['msg']}", path=str(path)) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupFault("refcat.mapping", f"{path}: {error}", path=str(path)) from error


def shipped() -> tuple[ColumnMapping, ...]:
    """The mappings that come with spica, by name."""
    with resources.as_file(resources.files("spica.files.reference") / "mappings") as folder:
        return tuple(read(path) for path in sorted(folder.glob("*.toml")))


def choose(path: Path, names: Iterable[str], known: Iterable[ColumnMapping]) -> ColumnMapping:
    """The mapping whose columns a file has; the one that recognises most where there are several.

    Raises
    ------
    DataFault
        ``refcat.columns`` with the columns of the file, the nearest mapping, and what that one misses.
    """
    there = {name.lower() for name in names}
    ranked = sorted(known, key=lambda each: (len(_lost(each, there)) / len(each.recognise), each.name))
    fitting = [each for each in ranked if not _lost(each, there)]
    if fitting:
        return max(fitting, key=lambda each: len(each.recognise))
    nearest = ranked[0]
    message = (
        f"{path}: no mapping knows the columns {', '.join(names)}; the nearest is {nearest.name!r}, "
        f"which also needs {', '.join(_lost(nearest, there))}"
    )
    raise DataFault("refcat.columns", message, path=str(path), nearest=nearest.name)


def _lost(mapping: ColumnMapping, there: set[str]) -> list[str]:
    return [name for name in mapping.recognise if name.lower() not in there]


def bands_of(mapping: ColumnMapping, names: Iterable[str]) -> dict[str, Band]:
    """The bands that a file has, with ``{band}`` filled in, by name of the band."""
    there = tuple(names)
    lower = {name.lower() for name in there}
    found: dict[str, Band] = {}
    for band, spec in mapping.bands.items():
        main = spec.mag or spec.flux
        if band != "*":
            if main.lower() in lower:
                found[band] = spec
            continue
        pattern = re.compile(re.escape(main).replace(r"\{band\}", f"({BAND_NAME.pattern})"))
        for name in there:
            hit = pattern.fullmatch(name)
            if hit is not None:
                words: Mapping[str, str] = {
                    key: getattr(spec, key).replace("{band}", hit[1])
                    for key in ("mag", "error", "flux", "flux_error", "snr")
                }
                found[hit[1]] = spec.model_copy(update=dict(words))
    return found
