"""Streaming: what does not fit in memory travels as bands of rows.

`spica.files` implements `Rows` over FITS files, the engine hands them to banded tasks, which yield `Band`s that the
engine writes as they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.records import Scalar


@runtime_checkable
class Rows(Protocol):
    """An image on disk that is read a few rows at a time."""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the pixels that `read` returns."""

    @property
    def header(self) -> Mapping[str, Scalar]:
        """Header cards of the product."""

    def delivered(self) -> Mapping[str, Scalar]:
        """Cards of the headers that the observatory delivered, where the product keeps them: an image's above its file's."""

    def read(self, y0: int, y1: int, plane: str = "science") -> npt.NDArray[np.generic]:
        """Rows y0 to y1 (half open) of a plane, ``(y1 - y0, nx)``; KeyError where the product lacks the plane."""


@runtime_checkable
class StoredRows(Rows, Protocol):
    """Rows that can be had as they are stored too: who works through them turns them while he does so."""

    def stored(self, y0: int, y1: int, plane: str, room: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Rows y0 to y1 (half open) as big-endian words of 32 bits, in the first of `room` (flat); KeyError as `read`."""


@dataclass(frozen=True, eq=False)
class Band:
    """Some rows of an output: plane name ('science', 'variance', 'mask') to ``(rows, nx)`` array."""

    y0: int
    planes: Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Banded:
    """A streamed image product: bands in order of y0 that tile ``shape`` exactly."""

    shape: tuple[int, int]
    bands: Iterator[Band]
    header: Mapping[str, Scalar] = field(default_factory=dict)


@runtime_checkable
class Table(Protocol):
    """A catalogue on disk that is read when it is asked for, and not kept."""

    @property
    def header(self) -> Mapping[str, Scalar]:
        """Facts about the whole catalogue."""

    def __len__(self) -> int:
        """Rows."""

    def read(self) -> Catalogue:
        """The rows and columns that the need asks for."""


@runtime_checkable
class Places(Protocol):
    """A reference catalogue that is asked for its stars place by place."""

    def around(self, ra: float, dec: float, radius: float) -> Catalogue:
        """The rows and columns that the need asks for, within a radius of a place [degree], at the unit's time."""


@dataclass(frozen=True, eq=False)
class Parts:
    """A streamed catalogue product: one part or more of the same columns, in order; only one is in memory at a time."""

    parts: Iterator[Catalogue]
    header: Mapping[str, Scalar] = field(default_factory=dict)
