"""Index files of astrometry.net, as they are installed or downloaded (series Tycho-2, 4100, 4200, 5200 …).

A FITS file whose binary tables hold plain arrays of the writer's machine, the byte order told by a card: `quads` (star
numbers of each asterism), kd-trees of the asterisms' codes and of the stars' unit vectors (`spica.files.reference.trees`), for
each star the round in which it was taken (`sweep`) and columns of the catalogue that came along. Files are mapped into
memory; what is not asked for is not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.keys import digest
from spica.core.records import Scalar
from spica.files import fits
from spica.files.fits import Hdu
from spica.files.reference.trees import Float64, Int64, Raw, Tree, axis_mask

_ENDIAN = {"04:03:02:01": "<", "01:02:03:04": ">"}
_KINDS = {"u16": "u2", "u32": "u4"}
_SAMPLE = 50
"""Stars about which the density is taken."""
_FEWEST, _MOST = 3, 5
"""Stars of an asterism."""


@dataclass(frozen=True, eq=False)
class IndexFile:
    """One index file that is open: `spica.kernels.indexes.Index`.

    Attributes
    ----------
    path : of the file.
    ident : its number, as INDEXID has it.
    healpix, nside : part of the sky that it is of, -1 for all of it.
    """

    path: Path
    ident: int
    healpix: int
    nside: int
    order: int
    smallest: float
    largest: float
    count: int
    stars: int
    _tables: _Tables = field(repr=False)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @cached_property
    def density(self) -> float:
        """See `spica.kernels.indexes.Index`; told by stars here and there, since nothing tells what part of the sky an index is of."""
        some = np.arange(0, self.stars, -(-self.stars // _SAMPLE))
        one, _ = self.near(self.directions(some), np.full(some.size, self.largest))
        return float(np.median(np.bincount(one, minlength=some.size))) / (np.pi * self.largest**2)

    @cached_property
    def identity(self) -> str:
        """A digest of its length and of all headers, which tell when, how and of what it was built."""
        return self._tables.identity

    @cached_property
    def codes(self) -> Tree:
        """Tree of the codes."""
        return self._tables.tree("codes", 2 * self.order - 4, self.count)

    @cached_property
    def sky(self) -> Tree:
        """Tree of the stars."""
        return self._tables.tree("stars", 3, self.stars)

    @cached_property
    def _quads(self) -> Raw:
        return self._tables.array("quads", "u4", (self.count, self.order))

    @cached_property
    def _bright(self) -> Raw:
        return self._tables.brightness(self.stars)

    @cached_property
    def _place(self) -> Int64 | None:
        """Where each star lies in its tree, where that is not its number."""
        number = self.sky.number
        return None if number is None else np.argsort(number, kind="stable")

    def alike(self, codes: Float64, radius: Float64) -> tuple[Int64, Int64]:
        """See `spica.kernels.indexes.Index`."""
        return self.codes.near(codes, radius)

    def members(self, asterisms: Int64) -> Int64:
        """See `spica.kernels.indexes.Index`; ``index.damaged`` where a star is told that is not there."""
        found = self._quads[asterisms].astype(np.int64)
        if found.size and found.max() >= self.stars:
            raise _damaged(self.path, f"an asterism has star {found.max()} of {self.stars}")
        return found

    def directions(self, stars: Int64) -> Float64:
        """See `spica.kernels.indexes.Index`."""
        return self.sky.values(stars if self._place is None else self._place[stars])

    def near(self, directions: Float64, radius: Float64) -> tuple[Int64, Int64]:
        """See `spica.kernels.indexes.Index`."""
        return self.sky.near(directions, 2.0 * np.sin(0.5 * np.radians(np.minimum(radius, 180.0))))

    def brightness(self, stars: Int64) -> Float64:
        """See `spica.kernels.indexes.Index`."""
        return np.asarray(self._bright[stars], np.float64)


def open_index(path: Path) -> IndexFile:
    """An index file, open for look-ups.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.unreadable``, ``index.damaged`` for what is no index file, is cut short, or of a layout that
        is not known.
    """
    try:
        data = fits.open_bytes(path)
        hdus = fits.layout(data, path)
    except DataFault as fault:
        if fault.code in {"file.missing", "file.unreadable"}:
            raise
        raise _damaged(path, fault.message.removeprefix(f"{path}: ")) from fault
    first = hdus[0].header
    if first.get("AN_FILE") != "QUAD":
        raise _damaged(path, f"it is no index file (AN_FILE = {first.get('AN_FILE')!r})")
    tables = _Tables(path, data, _byte_order(path, first), hdus)
    order, count, stars = (tables.whole(hdus[0], key) for key in ("DIMQUADS", "NQUADS", "NSTARS"))
    if not _FEWEST <= order <= _MOST or count < 1 or stars < order:
        raise _damaged(path, f"{count} asterisms of {order} stars among {stars}")
    flags = tables.named("kdtree_header_codes").header
    lacking = [key for key in ("CXDX", "CXDXLT1", "CIRCLE") if flags.get(key) is not True]
    if lacking:
        raise _damaged(path, f"codes in no order that is known ({', '.join(lacking)} is not told)")
    low, high = (tables.number(hdus[0], key) for key in ("SCALE_L", "SCALE_U"))
    if not 0.0 < low < high < np.pi:
        raise _damaged(path, f"sizes from {low!r} to {high!r}")
    ident, healpix, nside = (_told(first, key) for key in ("INDEXID", "HEALPIX", "HPNSIDE"))
    sizes = float(np.degrees(low)), float(np.degrees(high))
    return IndexFile(path, ident, healpix, nside, order, *sizes, count, stars, tables)


def _told(header: dict[str, Scalar], key: str) -> int:
    value = header.get(key)
    return value if type(value) is int else -1


def files_of(places: Iterable[Path]) -> tuple[Path, ...]:
    """The files themselves, and of folders the files whose names begin with ``index`` and end with ``.fits``, in order."""
    found: list[Path] = []
    for place in places:
        found.extend(sorted(place.glob("index*.fits")) if place.is_dir() else [place])
    return tuple(dict.fromkeys(found))


def _damaged(path: Path, what: str) -> DataFault:
    return DataFault("index.damaged", f"{path}: {what}", path=str(path))


def _byte_order(path: Path, header: dict[str, Scalar]) -> str:
    told = str(header.get("ENDIAN"))
    if told not in _ENDIAN:
        raise _damaged(path, f"byte order {told!r} is not known")
    return _ENDIAN[told]


class _Tables:
    """The tables of a file by the name of their first column."""

    def __init__(self, path: Path, data: memoryview, order: str, hdus: Sequence[Hdu]) -> None:
        self._path, self._data, self._order = path, data, order
        self.identity = digest([len(data), *(hdu.text for hdu in hdus)])
        self._hdus = {str(hdu.header.get("TTYPE1", "")).strip(): hdu for hdu in hdus[1:]}

    def named(self, name: str) -> Hdu:
        if name not in self._hdus:
            raise _damaged(self._path, f"the table {name} is not there")
        return self._hdus[name]

    def whole(self, hdu: Hdu, key: str) -> int:
        value = hdu.header.get(key)
        if type(value) is not int:
            raise _damaged(self._path, f"{key} = {value!r}")
        return value

    def number(self, hdu: Hdu, key: str) -> float:
        value = hdu.header.get(key)
        if not isinstance(value, int | float):
            raise _damaged(self._path, f"{key} = {value!r}")
        return float(value)

    def array(self, name: str, kind: str, shape: tuple[int, ...]) -> Raw:
        """A table that holds one plain array, mapped."""
        hdu = self.named(name)
        dtype = np.dtype(self._order + kind)
        if hdu.size != dtype.itemsize * int(np.prod(shape)):
            raise _damaged(self._path, f"the table {name} has {hdu.size} bytes, not {shape} of {dtype.itemsize}")
        return np.frombuffer(self._data, dtype, int(np.prod(shape)), hdu.data).reshape(shape)

    def tree(self, name: str, axes: int, count: int) -> Tree:
        head = self.named(f"kdtree_header_{name}")
        if (self.whole(head, "KDT_NDIM"), self.whole(head, "KDT_NDAT")) != (axes, count):
            raise _damaged(self._path, f"the tree of {name} is not of {count} points in {axes} dimensions")
        kinds = {_KINDS.get(str(head.header.get(key))) for key in ("KDT_INT", "KDT_DATA")}
        kind = kinds.pop()
        if kind is None or kinds:
            told = head.header.get("KDT_INT"), head.header.get("KDT_DATA")
            raise _damaged(self._path, f"a tree of {name} of kind {told} is not known")
        nodes = self.whole(head, "KDT_NNOD")
        leaves = (nodes + 1) // 2
        if nodes < 1 or nodes & (nodes + 1):
            raise _damaged(self._path, f"the tree of {name} has {nodes} nodes")
        last = self.array(f"kdtree_lr_{name}", "u4", (leaves,))
        if int(last[-1]) != count - 1 or bool(np.any(last[1:] < last[:-1])):
            raise _damaged(self._path, f"the leaves of the tree of {name} do not hold its points")
        span = self.array(f"kdtree_range_{name}", "f8", (2 * axes + 1,)).astype(np.float64)
        if not np.isfinite(span).all() or span[-1] <= 0.0:
            raise _damaged(self._path, f"the scale of the tree of {name} is {span[-1]!r}")
        split = self.array(f"kdtree_split_{name}", kind, (leaves - 1,))
        if bool(np.any((split & axis_mask(axes)) >= axes)):
            raise _damaged(self._path, f"the tree of {name} is split along an axis that it does not have")
        permuted = f"kdtree_perm_{name}"
        return Tree(
            self.array(f"kdtree_data_{name}", kind, (count, axes)),
            split,
            last,
            span[:axes],
            float(span[-1]),
            self.array(permuted, "u4", (count,)) if permuted in self._hdus else None,
        )

    def brightness(self, count: int) -> npt.NDArray[np.generic]:
        """Magnitudes that came along, else the round in which each star was taken, else nothing but order."""
        for hdu in self._hdus.values():
            if hdu.header.get("AN_FILE") == "TAGALONG":
                found = _column(hdu, self._data, count)
                if found is not None:
                    return found
        if "sweep" in self._hdus:
            return self.array("sweep", "u1", (count,))
        return np.arange(count)


def _column(hdu: Hdu, data: memoryview, count: int) -> Raw | None:
    """The first column of real numbers whose name tells of magnitudes."""
    kinds = {"1E": ">f4", "E": ">f4", "1D": ">f8", "D": ">f8"}
    at, width = 0, hdu.header.get("NAXIS1")
    for number in range(1, int(hdu.header.get("TFIELDS") or 0) + 1):
        kind = kinds.get(str(hdu.header.get(f"TFORM{number}")).strip())
        if kind is None or type(width) is not int or hdu.size != width * count:
            return None
        if "mag" in str(hdu.header.get(f"TTYPE{number}")).lower():
            rows = np.frombuffer(data, np.uint8, hdu.size, hdu.data).reshape(count, width)
            size = np.dtype(kind).itemsize
            return rows[:, at : at + size].view(kind)[:, 0]
        at += np.dtype(kind).itemsize
    return None
