"""HiPS on disk: where tiles lie, tiles of numbers, the all-sky picture, coverage, `properties` (IVOA recommendation HiPS 1.0)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, SetupFault
from spica.core.records import Scalar
from spica.files import atomic, fits
from spica.files.images import open_rows

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

ALLSKY_ORDER = 3
ALLSKY_PIXELS = 64
"""Width of a tile in the all-sky picture."""
_ACROSS = 27
MADE_OF = "made-of.json"
"""What each tile was made of, so that what did not change is not made again."""
_EMPTY = "no value "
_GROUP = 10_000


def tile_path(folder: Path, order: int, cell: int, suffix: str) -> Path:
    """Where a tile lies (HiPS 1.0, section 4.2.1)."""
    return folder / f"Norder{order}" / f"Dir{cell // _GROUP * _GROUP}" / f"Npix{cell}.{suffix}"


def tiles_there(folder: Path, order: int, suffix: str) -> list[int]:
    """Cells of an order that a HiPS has tiles of, rising."""
    return sorted(int(path.stem[4:]) for path in (folder / f"Norder{order}").glob(f"Dir*/Npix*.{suffix}"))


def write_numbers(path: Path, pixels: Float32, cards: Mapping[str, Scalar]) -> None:
    """Write a tile of numbers, or their all-sky picture: float32 in the primary HDU, row 0 at the bottom, NaN without value."""
    big = np.ascontiguousarray(pixels, ">f4")
    ny, nx = big.shape
    head: list[fits.Card] = [("SIMPLE", True, ""), ("BITPIX", -32, ""), ("NAXIS", 2, "")]
    head += [("NAXIS1", nx, ""), ("NAXIS2", ny, ""), ("ORIGIN", "spica", "")]
    head += [(key, value, "") for key, value in cards.items()]
    total = fits.data_sum(big)
    atomic.write_bytes(path, fits.header_bytes(head, total) + big.tobytes() + fits.padding(big.nbytes), durable=False)


def read_numbers(path: Path) -> Float32:
    """The pixels of a tile of numbers; ``file.*`` where they cannot be read."""
    rows = open_rows(path)
    return np.asarray(rows.read(0, rows.shape[0]), np.float32)


def allsky(tiles: Iterable[tuple[int, npt.NDArray[Any]]], empty: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The tiles of order 3, made small, in one picture: 27 in a row, the first at the upper left; row 0 at the bottom.

    Parameters
    ----------
    tiles : cell and its ``(64, 64, …)`` pixels.
    empty : a pixel without value.
    """
    side, number = ALLSKY_PIXELS, 12 * 4**ALLSKY_ORDER
    height = -(-number // _ACROSS) * side
    picture = np.broadcast_to(empty, (height, _ACROSS * side, *empty.shape)).copy()
    for cell, pixels in tiles:
        top, left = height - cell // _ACROSS * side, cell % _ACROSS * side
        picture[top - side : top, left : left + side] = pixels
    return picture


def write_properties(folder: Path, values: Mapping[str, Scalar]) -> None:
    """Write `properties`: a line for each keyword that has a value (HiPS 1.0, section 4.4.1)."""
    lines = [f"{key:<20} = {_text(value)}" for key, value in values.items() if value not in {None, ""}]
    atomic.write_bytes(folder / "properties", ("\n".join(lines) + "\n").encode())


def _text(value: Scalar) -> str:
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


def read_properties(folder: Path) -> dict[str, str]:
    """The keywords of `properties`; ``file.missing`` where the folder is no HiPS."""
    path = folder / "properties"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise DataFault("file.missing", f"{folder} is no HiPS: it has no file 'properties'", path=str(path)) from error
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def begin(folder: Path) -> dict[int, str]:
    """Take a folder for a HiPS: what each tile there was made of, nothing where all of it has to be made.

    Until `finish` the folder says that it is not finished: what a killed process leaves behind is made anew.

    Raises
    ------
    SetupFault
        ``order.invalid`` where the folder holds anything else.
    """
    known = made_of(folder)
    if not (folder / MADE_OF).exists() and folder.is_dir() and any(folder.iterdir()):
        message = f"{folder} is not empty and holds no HiPS that spica made"
        raise SetupFault("order.invalid", message, path=str(folder), advice="name an empty folder, or one to be")
    _tell(folder, {})
    return known


def made_of(folder: Path) -> dict[int, str]:
    """Cells of the deepest order to checksums of what they were made of; nothing where the HiPS is not finished."""
    path = folder / MADE_OF
    if not path.exists():
        return {}
    try:
        return {int(cell): str(key) for cell, key in json.loads(path.read_text("utf-8"))["tiles"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataFault("file.corrupt", f"{path} cannot be read: {error}", path=str(path)) from error


def unchanged(folder: Path, order: int, suffix: str, plan: Mapping[int, str], before: Mapping[int, str]) -> set[int]:
    """Cells whose tile would be the same again: it is there, or it had no value and is not."""
    return {
        cell
        for cell, key in plan.items()
        if before.get(cell) == (key if tile_path(folder, order, cell, suffix).exists() else _EMPTY + key)
    }


def finish(folder: Path, plan: Mapping[int, str], there: set[int]) -> None:
    """Say what each tile was made of, and which have no value and are not `there`: the HiPS is whole."""
    _tell(folder, {str(cell): key if cell in there else _EMPTY + key for cell, key in sorted(plan.items())})


def _tell(folder: Path, tiles: Mapping[str, str]) -> None:
    atomic.write_bytes(folder / MADE_OF, json.dumps({"tiles": tiles}, indent=0).encode() + b"\n")
