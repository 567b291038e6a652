"""What wrapped programs leave, as products: FITS images, FITS_LDAC catalogues, headers as text, and their XML as metrics."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spica.core.columns import COLUMNS, Catalogue, Column
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.records import Scalar
from spica.core.task import Measured
from spica.files import cards
from spica.files.ldac import FROM_ONE, NAMES
from spica.wrappers.programs import last_lines

_OURS: Mapping[str, str] = {theirs: ours for ours, theirs in NAMES.items()}


def no_output(program: str, path: Path, why: str = "is not there") -> DataFault:
    """The fault for an output that is absent or has no sense."""
    told = last_lines(path.parent)
    message = f"{program} left no output: {path.name} {why}"
    return DataFault("program.no-output", message, program=program, file=path.name, lines=told)


def read_image(program: str, path: Path) -> Image:
    """The first image of a FITS file; DataFault ``program.no-output``."""
    from astropy.io import fits

    if not path.is_file():
        raise no_output(program, path)
    try:
        with fits.open(path, memmap=False) as hdus:
            hdu = next((hdu for hdu in hdus if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2), None)
            if hdu is None:
                raise no_output(program, path, "holds no image")
            return Image(np.asarray(hdu.data, np.float32), header=_header(hdu.header))
    except (OSError, TypeError, ValueError) as error:
        raise no_output(program, path, f"cannot be read: {error}") from error


def _header(header: Any) -> dict[str, Scalar]:
    """Cards of a header without those of its structure; cards() would sort out what FITS cannot hold."""
    text = header.tostring(sep="", endcard=False, padding=False)
    structure = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|[PG]COUNT|BSCALE|BZERO|DATASUM|CHECKSUM|EXTNAME")
    return {key: value for key, value in cards.parse(text).items() if not structure.fullmatch(key)}


def read_catalogue(program: str, path: Path, header: Mapping[str, Scalar] | None = None) -> Catalogue:
    """Sources of a FITS_LDAC file (or of the first table of any FITS) under our names, pixels from 0.

    Raises
    ------
    DataFault
        ``program.no-output`` where there is none, or no table in it.
    """
    from astropy.io import fits

    if not path.is_file():
        raise no_output(program, path)
    try:
        with fits.open(path, memmap=False) as hdus:
            tables = [
                hdu for hdu in hdus[1:] if getattr(hdu, "columns", None) is not None and hdu.name != "LDAC_IMHEAD"
            ]
            if not tables:
                raise no_output(program, path, "holds no table")
            names, units = tables[0].columns.names, tables[0].columns.units
            found = {name: np.asarray(tables[0].data[name]) for name in names}
    except (OSError, TypeError, ValueError) as error:
        raise no_output(program, path, f"cannot be read: {error}") from error
    return _named(found, dict(zip(names, units, strict=True)), header or {})


def _named(found: Mapping[str, Any], units: Mapping[str, str | None], header: Mapping[str, Scalar]) -> Catalogue:
    columns: dict[str, Any] = {}
    extra: dict[str, Column] = {}
    for theirs, values in found.items():
        name = _OURS.get(theirs, theirs.lower())
        native = values.astype(values.dtype.newbyteorder("="))
        if name in FROM_ONE:
            native = native - native.dtype.type(1)
        if native.ndim > 2 or native.dtype.kind not in "iufb":
            continue  # stamps and texts are no columns of a source
        size = native.shape[1] if native.ndim == 2 else 1
        known = COLUMNS.get(name)
        if known is not None and known.size == size:
            columns[name] = native.astype(known.dtype)
            continue
        columns[name] = native
        extra[name] = Column(name, native.dtype.str[1:], units.get(theirs) or "", "", f"{theirs} of the program", size)
    return Catalogue(columns, dict(header), extra)


def read_heads(program: str, path: Path) -> list[dict[str, Scalar]]:
    """Headers of a ``.head`` file, one for each image."""
    if not path.is_file():
        raise no_output(program, path)
    texts = re.split(r"^END\s*$", path.read_text(encoding="latin-1"), flags=re.MULTILINE)
    found = [cards.parse("".join(line[:80].ljust(80) for line in text.splitlines())) for text in texts]
    return [head for head in found if head]


def read_metrics(program: str, path: Path, *, table: str = "", prefix: str = "") -> dict[str, Measured]:
    """Numbers of a VOTable, each as a metric: ``prefix_name`` with its unit; the first row of a table.

    Parameters
    ----------
    table : name of the table; the first of all by default.
    """
    if not path.is_file():
        raise no_output(program, path)
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - written a moment ago by a program of the user's choice
    except ET.ParseError as error:
        raise no_output(program, path, f"is no XML: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    tables = [each for each in root.iter("TABLE") if not table or each.get("name") == table]
    metrics: dict[str, Measured] = {}
    for one in tables[:1]:
        cells = [cell.text or "" for cell in next(one.iter("TR"), ET.Element("TR")).iter("TD")]
        for column, text in zip(one.iter("FIELD"), cells, strict=False):
            metrics |= _measured(prefix, column, text)
    for parameter in root.iter("PARAM"):
        if parameter.get("name", "").startswith(("N", "Number")):
            metrics |= _measured(prefix, parameter, parameter.get("value", ""))
    return metrics


def _measured(prefix: str, column: ET.Element, text: str) -> dict[str, Measured]:
    """The numbers of one cell; several are told by their place."""
    if column.get("datatype") not in {"float", "double", "int", "short", "long"}:
        return {}
    name = "_".join(filter(None, (prefix, re.sub(r"\W+", "_", column.get("name", "")).strip("_").lower())))
    unit = column.get("unit", "")
    found = {}
    words = text.split()
    for place, cell in enumerate(words):
        try:
            value = float(cell)
        except ValueError:
            continue
        if math.isfinite(value):
            found[name if len(words) == 1 else f"{name}_{place + 1}"] = Measured(value, unit)
    return found
