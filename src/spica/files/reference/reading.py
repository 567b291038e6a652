"""Published tables, a bounded number of rows at a time: CSV and ECSV (also .gz), Parquet, FITS, FITS_LDAC, HATS, index files."""

from __future__ import annotations

import contextlib
import csv
import gzip
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.utils.exceptions import AstropyUserWarning

from spica.core.faults import DataFault
from spica.files.reference.indexes import open_index

CHUNK = 1 << 18
"""Rows that are held at once."""
_BLOCK = 1 << 24
"""Bytes of CSV that are parsed at once."""
NO_IDENTIFIER = np.iinfo(np.int64).min
_BUFFER = 1 << 20
"""Bytes of a column that are read at once: without it a column of a whole row group is."""
_NULLS = ["", "null", "NULL", "nan", "NaN", "None", "\\N", "--"]

_INDEXED = ("star", "ra", "dec")
"""What every index file of astrometry.net tells of its stars: their number in it, and where they are."""

Kind = Literal["number", "integer", "word"]
Chunk = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """A table that can be read: its file, the names of its columns, and how it is written."""

    path: Path
    names: tuple[str, ...]
    form: Literal["csv", "parquet", "fits", "index"]
    hdu: int = 0

    def chunks(self, kinds: Mapping[str, Kind]) -> Iterator[Chunk]:
        """The columns named, at most `CHUNK` rows at a time.

        Numbers are float64 with NaN where missing, integers int64 with `NO_IDENTIFIER`, words text with ''.

        Raises
        ------
        DataFault
            ``file.truncated``, ``file.corrupt`` or ``file.not-parquet`` where the table cannot be read to its end.
        """
        if not kinds:
            return
        forms = {"csv": _csv_chunks, "parquet": _parquet_chunks, "fits": _fits_chunks, "index": _index_chunks}
        read = forms[self.form]
        yield from read(self, kinds)


def open_tables(path: Path) -> list[Table]:
    """The tables of a file, or of a HATS folder (each partition one), in a fixed order.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.empty``, ``file.truncated``, ``file.not-parquet``, ``file.not-fits``.
    """
    if path.is_dir():
        found = sorted(path.rglob("Npix=*.parquet"), key=lambda each: str(each.relative_to(path)))
        if not found:
            message = f"{path} is a folder without partitions of HATS (dataset/Norder=…/Dir=…/Npix=….parquet)"
            raise DataFault("file.missing", message, path=str(path))
        return [_parquet(each) for each in found]
    try:
        with path.open("rb") as stream:
            start = stream.read(6)
    except FileNotFoundError as error:
        raise DataFault("file.missing", f"{path} is not there", path=str(path)) from error
    except OSError as error:
        raise DataFault("file.unreadable", f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    if not start:
        raise DataFault("file.empty", f"{path} has no bytes", path=str(path))
    if start[:4] == b"PAR1":
        return [_parquet(path)]
    with _faults(path), _opened(path) as stream:
        inner = stream.read(6)
    return [_fits(path) if inner == b"SIMPLE" else _csv(path)]


def _parquet(path: Path) -> Table:
    with _faults(path), pq.ParquetFile(path) as file:
        return Table(path, tuple(file.schema_arrow.names), "parquet")


def _csv(path: Path) -> Table:
    skipped, header = _csv_header(path)
    names = tuple(name.strip() for name in next(csv.reader([header]), []))
    if not header.strip() or len(names) < 2:
        message = f"{path} is neither Parquet nor FITS, and its first line {header[:40]!r} names no columns of CSV"
        raise DataFault("file.not-parquet", message, path=str(path))
    return Table(path, names, "csv", skipped)


def _csv_header(path: Path) -> tuple[int, str]:
    """Lines of comment before the names of the columns, and the line of names."""
    skipped = 0
    with _faults(path), _opened(path) as stream:
        for raw in stream:
            line = raw.decode("utf-8")
            if not line.startswith("#"):
                return skipped, line.rstrip("\r\n")
            skipped += 1
    return skipped, ""


def _zipped(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unzipped where it is zipped."""
    with path.open("rb") as stream:
        if _zipped(path):
            with gzip.open(stream, "rb") as inner:
                yield cast("BinaryIO", inner)
        else:
            yield stream


def _csv_chunks(table: Table, kinds: Mapping[str, Kind]) -> Iterator[Chunk]:
    types = {"number": pa.float64(), "integer": pa.int64(), "word": pa.string()}
    names = [name or f"column {number}" for number, name in enumerate(table.names)]
    with _faults(table.path):
        stream = pa.input_stream(str(table.path), compression="gzip" if _zipped(table.path) else None)
        reader = pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, skip_rows=table.hdu + 1, column_names=names
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: types[kind] for name, kind in kinds.items()},
                include_columns=list(kinds),
                null_values=_NULLS,
                strings_can_be_null=True,
            ),
        )
        with reader:
            yield from _from_batches(iter(reader), kinds)


def _parquet_chunks(table: Table, kinds: Mapping[str, Kind]) -> Iterator[Chunk]:
    with _faults(table.path), pq.ParquetFile(table.path, buffer_size=_BUFFER) as file:
        batches = file.iter_batches(batch_size=CHUNK // 4, columns=list(kinds), use_threads=False)
        yield from _from_batches(batches, kinds)


def _from_batches(batches: Iterator[pa.RecordBatch], kinds: Mapping[str, Kind]) -> Iterator[Chunk]:
    """Record batches as chunks; small ones are gathered."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if held and rows + batch.num_rows > CHUNK:
            yield _from_arrow(pa.Table.from_batches(held), kinds)
            held, rows = [], 0
        held.append(batch)
        rows += batch.num_rows
    if rows:
        yield _from_arrow(pa.Table.from_batches(held), kinds)


def _from_arrow(table: pa.Table, kinds: Mapping[str, Kind]) -> Chunk:
    return {name: _values(table.column(name), kind) for name, kind in kinds.items()}


def _values(column: pa.ChunkedArray, kind: Kind) -> npt.NDArray[Any]:
    if kind == "word":
        text = column.cast(pa.string()).fill_null("")
        return np.asarray(text.to_numpy(zero_copy_only=False), dtype=str)
    if kind == "integer":
        whole = column.cast(pa.int64()).fill_null(int(NO_IDENTIFIER))
        return np.asarray(whole.to_numpy())
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _fits(path: Path) -> Table:
    with _faults(path, "file.not-fits"), _fits_open(path) as hdus:
        if hdus[0].header.get("AN_FILE") == "QUAD":
            along = next((n for n, hdu in enumerate(hdus) if hdu.header.get("AN_FILE") == "TAGALONG"), 0)
            names = [name for name in (hdus[along].columns.names if along else ()) if name not in _INDEXED]
            return Table(path, (*_INDEXED, *names), "index", along)
        tables = [n for n, hdu in enumerate(hdus) if isinstance(hdu, fits.BinTableHDU)]
        named = [n for n in tables if hdus[n].name == "LDAC_OBJECTS"]
        if not tables:
            raise DataFault("file.not-parquet", f"{path} holds no table", path=str(path))
        chosen = (named or tables)[0]
        return Table(path, tuple(hdus[chosen].columns.names), "fits", chosen)


def _fits_chunks(table: Table, kinds: Mapping[str, Kind]) -> Iterator[Chunk]:
    with _faults(table.path, "file.not-fits"), _fits_open(table.path) as hdus:
        hdu = hdus[table.hdu]
        rows = int(hdu.header["NAXIS2"])
        data = hdu.data
        for first, end in pairwise([*range(0, rows, CHUNK), rows]):
            part = data[first:end]
            yield {name: _fits_values(part, hdu.columns[name], kind) for name, kind in kinds.items()}


def _index_chunks(table: Table, kinds: Mapping[str, Kind]) -> Iterator[Chunk]:
    """Stars of an index file in the order of their numbers, with the columns that came along."""
    index = open_index(table.path)
    for first, end in pairwise([*range(0, index.stars, CHUNK), index.stars]):
        number = np.arange(first, end)
        x, y, z = index.directions(number).T
        made: Chunk = {
            "star": number,
            "ra": np.degrees(np.arctan2(y, x)) % 360.0,
            "dec": np.degrees(np.arctan2(z, np.hypot(x, y))),
        }
        others = {name: kind for name, kind in kinds.items() if name not in _INDEXED}
        if others:
            with _faults(table.path, "file.not-fits"), _fits_open(table.path) as hdus:
                hdu = hdus[table.hdu]
                part = hdu.data[first:end]
                made |= {name: _fits_values(part, hdu.columns[name], kind) for name, kind in others.items()}
        yield {name: made[name] for name in kinds}


def _fits_values(part: Any, column: Any, kind: Kind) -> npt.NDArray[Any]:
    values = np.asarray(part.field(column.name))
    if values.ndim != 1:
        raise DataFault("data.bad-value", f"column {column.name!r} holds several values per row", column=column.name)
    null = None if column.null is None else values == column.null
    if kind == "word":
        return np.char.strip(values.astype(str))
    if kind == "integer":
        whole = values.astype(np.int64)
        return whole if null is None else np.where(null, NO_IDENTIFIER, whole)
    number = values.astype(np.float64)
    return number if null is None else np.where(null, np.nan, number)


@contextlib.contextmanager
def _fits_open(path: Path) -> Iterator[Any]:
    with warnings.catch_warnings():
        # Odd formats of display do not concern the values; a file that is too short is told below.
        warnings.simplefilter("ignore", AstropyUserWarning)
        with fits.open(path, memmap=not _zipped(path), lazy_load_hdus=False) as hdus:
            for hdu in hdus:
                _check_length(path, hdu)
            yield hdus


def _check_length(path: Path, hdu: Any) -> None:
    place = hdu.fileinfo()
    if place is None or _zipped(path):
        return
    if place["datLoc"] + hdu.size > path.stat().st_size:
        message = f"{path} ends before its headers say so: {place['datLoc'] + hdu.size} bytes are expected"
        raise DataFault("file.truncated", message, path=str(path))


@contextlib.contextmanager
def _faults(path: Path, garbled: str = "file.truncated") -> Iterator[None]:
    """Errors of the libraries that read, by name."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, csv.Error, VerifyError) as error:
        raise DataFault("file.not-parquet", f"{path}: {error}", path=str(path)) from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise DataFault("file.truncated", f"{path}: {error}", path=str(path)) from error
    except OSError as error:
        # The system's errors have a number; the others are what a library thinks of the bytes.
        code = garbled if error.errno is None else "file.unreadable"
        raise DataFault(code, f"{path} cannot be read: {error}", path=str(path)) from error
