"""Published columns into ours: units, epochs, magnitudes, flags; and which rows cannot be used, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.reference import ALWAYS, REFERENCE_COLUMNS, ReferenceFlag, declaration
from spica.files.reference.mapping import (
    CORRELATED,
    Band,
    ColumnMapping,
    FlagTest,
    Value,
    bands_of,
    covariance_unit,
    factor,
)
from spica.files.reference.reading import NO_IDENTIFIER, Chunk, Kind

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

AB_ZERO = 31.4
"""AB magnitude of 1 nJy: -2.5 log10(1e-9 / 3631)."""
_PER_MAG = 2.5 / np.log(10.0)
EPOCHS = (1850.0, 2150.0)
"""Positions of other years are none, or their epoch is given in another unit."""
NO_POSITION = "position-missing"
ABSURD_POSITION = "position-absurd"
NO_EPOCH = "epoch-missing"
ABSURD_EPOCH = "epoch-absurd"
NO_ID = "identifier-missing"
TWICE = "identifier-twice"
REASONS = (NO_POSITION, ABSURD_POSITION, NO_EPOCH, ABSURD_EPOCH, NO_ID, TWICE)
"""Why rows are left out."""


@dataclass(frozen=True)
class Reader:
    """A mapping applied to files with these columns.

    Attributes
    ----------
    mapping, names : the mapping and the names in the file.
    epoch : Julian year of rows whose epoch the file does not tell, None where nobody does.
    """

    mapping: ColumnMapping
    names: tuple[str, ...]
    epoch: float | None = None

    @cached_property
    def bands(self) -> dict[str, Band]:
        """The bands that there are."""
        return bands_of(self.mapping, self.names)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Our columns that these files fill, in their order."""
        filled = [name for name in REFERENCE_COLUMNS if name in ALWAYS or self._is_there(name)]
        for band, spec in self.bands.items():
            filled.append(f"mag_{band}")
            if any(self._actual(word) for word in (spec.error, spec.flux_error, spec.snr) if word):
                filled.append(f"mag_{band}_err")
        return tuple(filled)

    @property
    def tells_epoch(self) -> bool:
        """Whether the epoch of positions is known."""
        return self.epoch is not None or self._is_there("epoch")

    @property
    def tells_identifier(self) -> bool:
        """Whether rows have identifiers of their own."""
        return self._is_there("source_id")

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """The file's columns that are needed, and as what."""
        found: dict[str, Kind] = {}
        for name, value in self.mapping.columns.items():
            kind: Kind = "integer" if name == "source_id" else "number"
            for source in self._sources(value):
                found[source] = kind
            if value.unless and (flag := self._actual(value.unless)):
                found[flag] = "word"
        for spec in self.bands.values():
            for word in (spec.mag, spec.error, spec.flux, spec.flux_error, spec.snr):
                if word and (name := self._actual(word)):
                    found[name] = "number"
        for test in self.mapping.flags.values():
            name = self._actual(test.source)
            if name:
                numeric = test.above is not None or test.below is not None
                found.setdefault(name, "integer" if test.bits is not None else "number" if numeric else "word")
        return found

    def convert(self, chunk: Chunk) -> dict[str, npt.NDArray[Any]]:
        """Our columns of a chunk of the file's, in the dtypes that they are declared with."""
        rows = len(next(iter(chunk.values())))
        made: dict[str, npt.NDArray[Any]] = {}
        for name in self.columns:
            if name in REFERENCE_COLUMNS and name != "flags":
                made[name] = self._column(name, chunk, rows)
        for name, value in self.mapping.columns.items():
            if value.covariance and name in made:
                errors = [made[each].astype(np.float64) for each in CORRELATED[name]]
                with np.errstate(divide="ignore", invalid="ignore"):
                    made[name] = made[name] / (errors[0] * errors[1])
        for band, spec in self.bands.items():
            mag, error = self._magnitude(spec, chunk)
            made[f"mag_{band}"] = mag
            if error is not None:
                made[f"mag_{band}_err"] = error
        made["flags"] = self._flags(chunk, rows)
        with np.errstate(over="ignore"):
            return {name: made[name].astype(declaration(name).dtype) for name in self.columns}

    def _actual(self, name: str) -> str:
        """The name as the file spells it, '' where it has none such."""
        return self._spelling.get(name.lower(), "")

    @cached_property
    def _spelling(self) -> dict[str, str]:
        return {name.lower(): name for name in reversed(self.names)}

    def _is_there(self, name: str) -> bool:
        value = self.mapping.columns.get(name)
        return value is not None and (value.value is not None or bool(self._sources(value)))

    def _sources(self, value: Value) -> tuple[str, ...]:
        found = [actual for name in value.source if (actual := self._actual(name))]
        if value.combine:
            return tuple(found) if len(found) == len(value.source) else ()
        return tuple(found[:1])

    def _column(self, name: str, chunk: Chunk, rows: int) -> npt.NDArray[Any]:
        value = self.mapping.columns.get(name)
        if name == "source_id":
            return self._identifier(value, chunk, rows)
        if value is None or not self._is_there(name):
            return np.full(rows, np.nan if self.epoch is None or name != "epoch" else self.epoch)
        if value.value is not None:
            return np.full(rows, value.value)
        source = chunk[self._sources(value)[0]]
        numbers = _blanked(source, value.missing)
        if value.unless and (flag := self._actual(value.unless)):
            numbers = np.where(_truth(chunk[flag]), np.nan, numbers)
        if name == "epoch":
            years = _years(numbers, value.unit or "yr")
            return years if self.epoch is None else np.where(np.isnan(years), self.epoch, years)
        if value.covariance and value.unit:
            return numbers * factor(value.unit, covariance_unit(name))
        return numbers * factor(value.unit, declaration(name).unit) if value.unit else numbers

    def _identifier(self, value: Value | None, chunk: Chunk, rows: int) -> npt.NDArray[np.int64]:
        sources = self._sources(value) if value is not None else ()
        if value is None or not sources:
            return np.zeros(rows, np.int64)
        parts = [chunk[source] for source in sources]
        weights = value.combine or (1,)
        made = np.asarray(sum(part * weight for part, weight in zip(parts, weights, strict=True)))
        lost = np.any([part == NO_IDENTIFIER for part in parts], axis=0)
        return np.where(lost, NO_IDENTIFIER, made)

    def _magnitude(self, spec: Band, chunk: Chunk) -> tuple[Float64, Float64 | None]:
        error = self._optional(spec.error, chunk, spec.missing)
        snr = self._optional(spec.snr, chunk, ())
        with np.errstate(divide="ignore", invalid="ignore"):
            if spec.mag:
                mag = _blanked(chunk[self._actual(spec.mag)], spec.missing)
            else:
                flux = _blanked(chunk[self._actual(spec.flux)], spec.missing) * factor(spec.unit, "nJy")
                mag = AB_ZERO - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))
                flux_error = self._optional(spec.flux_error, chunk, ())
                if flux_error is not None:
                    snr = flux / (flux_error * factor(spec.unit, "nJy"))
            if error is None and snr is not None:
                error = _PER_MAG / np.where(snr > 0, snr, np.nan)
        return mag, None if error is None else np.where(error >= 0, error, np.nan)

    def _optional(self, name: str, chunk: Chunk, missing: tuple[float, ...]) -> Float64 | None:
        actual = self._actual(name) if name else ""
        return _blanked(chunk[actual], missing) if actual else None

    def _flags(self, chunk: Chunk, rows: int) -> npt.NDArray[np.int32]:
        flags = np.zeros(rows, np.int32)
        for name, test in self.mapping.flags.items():
            actual = self._actual(test.source)
            if actual:
                flags |= np.where(_meets(test, chunk[actual]), ReferenceFlag.NAMES[name], 0).astype(np.int32)
        return flags


def _blanked(values: npt.NDArray[Any], missing: tuple[float, ...]) -> Float64:
    numbers = values.astype(np.float64)
    if missing:
        numbers[np.isin(numbers, missing)] = np.nan
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _truth(words: npt.NDArray[Any]) -> Bools:
    return np.isin(np.char.lower(words), ("true", "t", "1", "yes"))


def _meets(test: FlagTest, values: npt.NDArray[Any]) -> Bools:
    if test.above is not None:
        return np.asarray(values > test.above)
    if test.below is not None:
        return np.asarray(values < test.below)
    if test.bits is not None:
        return np.asarray(values & test.bits != 0)
    if test.equals is None:
        return _truth(values)
    if isinstance(test.equals, str):
        return np.asarray(values == test.equals)
    return np.array([_number(word) == test.equals for word in values], bool)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _years(values: Float64, unit: str) -> Float64:
    if unit == "yr":
        return values
    mjd = values - 2400000.5 if unit == "jd" else values
    return 2000.0 + (mjd - 51544.5) / 365.25


def judge(columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, Bools]:
    """Rows that cannot be used, by reason, each row under its first one; identifiers met twice are found elsewhere."""
    ra, dec, epoch = columns["ra"], columns["dec"], columns["epoch"]
    lost = np.isnan(ra) | np.isnan(dec)
    tests = {
        NO_POSITION: lost,
        ABSURD_POSITION: ~lost & ~((ra >= 0) & (ra <= 360) & (np.abs(dec) <= 90)),
        NO_EPOCH: np.isnan(epoch),
        ABSURD_EPOCH: ~np.isnan(epoch) & ~((epoch >= EPOCHS[0]) & (epoch <= EPOCHS[1])),
        NO_ID: columns["source_id"] == NO_IDENTIFIER,
    }
    told = np.zeros(ra.size, bool)
    found = {}
    for reason, rows in tests.items():
        found[reason] = rows & ~told
        told |= rows
    return found
