"""What is known of a published catalogue as a whole, in the file `spica.json` of its folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.columns import Column
from spica.core.faults import DataFault, SetupFault
from spica.core.hats import Partition
from spica.files import atomic

ABOUT = "spica.json"
FORMAT = 1
"""Of `ABOUT`; raised when older programs could not read it."""
KIND = "objects"


@dataclass(frozen=True)
class PublishedInfo:
    """What is known of a published catalogue.

    Attributes
    ----------
    name, title : as people call it, and what it is.
    checksum : of all rows in their order, 40 hexadecimal digits, whatever the partitions.
    rows : how many there are.
    columns : their declarations, in order.
    partitions : in the order of the sky.
    tiles : tile to the rows that it owns.
    bands : in the order of the columns.
    not_own : rows of tiles that another tile owns: left out.
    twice : rows of objects on the seam between two tiles that both own (`spica.files.published.seams`): left out.
    """

    name: str
    title: str
    checksum: str
    rows: int
    columns: tuple[Column, ...]
    partitions: tuple[Partition, ...]
    tiles: Mapping[str, int]
    bands: tuple[str, ...]
    not_own: int
    twice: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(each.name for each in self.columns)


def read_info(folder: Path) -> PublishedInfo:
    """What is known of a catalogue.

    Raises
    ------
    SetupFault
        ``published.unknown`` where none lies in the folder.
    DataFault
        ``published.damaged`` where its description cannot be read.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise SetupFault("published.unknown", f"{folder} holds no published catalogue ({ABOUT})", path=str(folder))
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if (given.pop("format"), given.pop("kind")) != (FORMAT, KIND):
            message = f"{path} is of no published catalogue, or of another version of spica"
            raise DataFault("published.damaged", message, path=str(path))
        given["partitions"] = tuple(Partition(*each) for each in given["partitions"])
        given["columns"] = tuple(Column(*each) for each in given["columns"])
        given["bands"] = tuple(given["bands"])
        return PublishedInfo(**given)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFault("published.damaged", f"{path} cannot be read: {error}", path=str(path)) from error


def write_info(folder: Path, info: PublishedInfo) -> None:
    """Write what is known of a catalogue; no date and no host is in it."""
    made = dataclasses.asdict(info) | {"format": FORMAT, "kind": KIND}
    made["partitions"] = [[each.order, each.pixel, each.rows] for each in info.partitions]
    made["columns"] = [list(dataclasses.astuple(each)) for each in info.columns]
    atomic.write_bytes(folder / ABOUT, (json.dumps(made, indent=1, sort_keys=True) + "\n").encode())
