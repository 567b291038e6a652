"""In a worker: from the sources of a job's needs to the values that tasks take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, InternalFault
from spica.core.images import Image
from spica.core.records import Scalar
from spica.core.streams import Rows, Table
from spica.core.task import Form, Member
from spica.engine.meter import Meter
from spica.engine.spec import Delivered, Gathered, Given, Indexed, Raw, Referred, Source, Stored


class ImageRows:
    """An image in memory, read as rows by a task that streams."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.shape = image.shape
        self.dtype: np.dtype[np.generic] = image.pixels.dtype
        self.header = image.header

    def delivered(self) -> Mapping[str, Scalar]:
        """None: an image in memory has not kept them."""
        return {}

    def read(self, y0: int, y1: int, plane: str = "science") -> npt.NDArray[np.generic]:
        """Rows y0 to y1 (half open) of a plane; KeyError where the image lacks it."""
        planes = {"science": self._image.pixels, "variance": self._image.variance, "mask": self._image.mask}
        found = planes[plane]
        if found is None:
            raise KeyError(plane)
        return found[y0:y1]


@dataclass(frozen=True)
class MemoryTable:
    """`spica.core.streams.Table` of a catalogue in memory."""

    catalogue: Catalogue

    @property
    def header(self) -> Mapping[str, Scalar]:
        """Facts about the whole catalogue."""
        return self.catalogue.header

    def __len__(self) -> int:
        return len(self.catalogue)

    def read(self) -> Catalogue:
        """The catalogue."""
        return self.catalogue


@dataclass(frozen=True)
class ReferencePlaces:
    """`spica.core.streams.Places` of a reference catalogue."""

    source: Referred

    def around(self, ra: float, dec: float, radius: float) -> Catalogue:
        """The rows within a radius of a place [degree]."""
        from spica.files.hats.regions import Cone
        from spica.files.reference.around import stars_around

        given = self.source
        cones = [Cone(ra, dec, radius)]
        return stars_around(given.folder, given.checksum, cones, given.columns, given.where, given.mjd)


_NOWHERE = (0.0, -90.0, 1e-9)
"""A cone that holds no star [degree]."""
_SHIFT = 0.05
"""Of a cone's radius, and 0.01 degree: by so much a unit may lie beside its header's place without more stars."""


def _held(cone: tuple[float, float, float], cones: Sequence[tuple[float, float, float]]) -> bool:
    """Whether a cone lies, but for little, in one of others."""
    ra, dec, radius = np.radians(cone)
    for other in cones:
        ra0, dec0, radius0 = np.radians(other)
        half = np.sin(0.5 * (dec - dec0)) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin(0.5 * (ra - ra0)) ** 2
        apart = 2.0 * np.arcsin(min(np.sqrt(half), 1.0))
        if apart + radius <= (1.0 + _SHIFT) * radius0 + np.radians(0.01):
            return True
    return False


def cones_of(value: Any) -> tuple[tuple[float, float, float], ...]:
    """Where a value, or those of members, say that units truly are."""
    if isinstance(value, tuple):
        return tuple(cone for member in value for cone in cones_of(member.value))
    cone = value.get("cone") if isinstance(value, Mapping) else None
    return (tuple(cone),) if cone else ()


@cache
def _index(path: str, identity: str) -> Any:
    """An index file that is still the one that the work was planned with."""
    from spica.files.reference.indexes import open_index

    found = open_index(Path(path))
    if found.identity != identity:
        raise DataFault("index.changed", f"{path} is another file than when the work was planned", path=path)
    return found


class Reader:
    """Reads sources, each once for a job; counts bytes in the meter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._held: dict[int, tuple[Source, Any]] = {}
        self.original: list[tuple[int, str]] = []
        """Headers of the delivered HDUs that were read: index and text."""

    def value(self, source: Source) -> Any:
        """The value of a source; None for one that is absent."""
        if isinstance(source, Stored) and source.stream:
            return self._read(source)  # rows are not held: each consumer opens its own
        held = self._held.get(id(source))
        if held is None:
            held = self._held[id(source)] = (source, self._read(source))
        return held[1]

    def around(
        self,
        source: Referred,
        margin: float,
        *,
        opposite: bool = False,
        also: Sequence[tuple[float, float, float]] = (),
    ) -> Catalogue:
        """Reference stars, those too that lie up to `margin` [degree] outside of the unit, or at the opposite declination.

        `also` are cones where the unit truly is; one that the header's hold, but for little, adds nothing.
        """
        from spica.files.hats.regions import Cone
        from spica.files.reference.around import stars_around

        places = (*source.cones, *(cone for cone in also if not _held(cone, source.cones)))
        if not places:
            places = (_NOWHERE,)
        if opposite:
            places = (*places, *((ra, -dec, radius) for ra, dec, radius in places))
        cones = [Cone(*cone).grown(margin) for cone in places]
        return stars_around(source.folder, source.checksum, cones, source.columns, source.where, source.mjd)

    def forget(self, source: Source) -> None:
        """Let go of a value that no later step needs."""
        self._held.pop(id(source), None)

    def _read(self, source: Source) -> Any:
        match source:
            case None:
                return None
            case Given(value=value):
                return value
            case Gathered(members=members):
                return tuple(Member(unit, self.value(member)) for unit, member in members)
            case Stored():
                return self._stored(source)
            case Raw() | Delivered():
                return self._pixels(source)
            case Referred() | Indexed():
                return self._sky(source)

    def _sky(self, source: Referred | Indexed) -> Any:
        if isinstance(source, Referred):
            return self.around(source, 0.0)
        return tuple(_index(path, identity) for path, identity in source.files)

    def _count(self, path: Path) -> Path:
        self._meter.bytes_read += path.stat().st_size if path.exists() else 0
        return path

    def _pixels(self, source: Raw | Delivered) -> Any:
        from spica.files.frames import read_delivered, read_raw

        paths = {checksum: self._count(Path(path)) for checksum, path in source.paths.items()}
        self.original = []
        if isinstance(source, Raw):
            return read_raw(source.detector, paths, source.exposure, self.original)
        return read_delivered(source.detector, paths, source.exposure, source.table, self.original)

    def _stored(self, source: Stored) -> Any:
        path = self._count(Path(source.path))
        if source.form is Form.IMAGE:
            from spica.files.images import read_image
            from spica.files.thin import open_thin

            return open_thin(path) if source.stream else read_image(path, source.planes)
        if source.form is Form.CATALOGUE:
            from spica.files.catalogues import FileTable, read_catalogue

            if source.stream:
                return FileTable(path, source.columns, source.where)
            return read_catalogue(path, source.columns, source.where)
        if source.form is Form.PICTURE:
            from spica.files.pictures import read_png

            return read_png(path)
        raise InternalFault("internal.bad-return", f"a {source.form} cannot be read back from {path}", path=str(path))


def as_rows(value: Any) -> Rows | Table:
    """Rows of an image that is in memory, the table of a catalogue."""
    if isinstance(value, Catalogue):
        return MemoryTable(value)
    return ImageRows(value) if isinstance(value, Image) else value
