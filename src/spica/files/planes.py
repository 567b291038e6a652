"""Image HDUs of any FITS file as planes that are read a few rows at a time.

Plain HDUs are read through the memory map; whole-row Rice tiles of integers, the common raw form, by our own kernel; what
is left (other algorithms, dithered floats) by astropy.
"""

from __future__ import annotations

import io
import mmap
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.files import cards, fits
from spica.files.fits import Hdu
from spica.kernels import rice

Array = npt.NDArray[Any]
_WIDTH = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8, "P": 8, "Q": 16, "A": 1, "C": 8, "M": 16}
_TILE_TYPES = {"RICE_1", "RICE_ONE"}
_PRIMARY = cards.header({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True})


@dataclass(frozen=True)
class Plane:
    """One image HDU.

    Attributes
    ----------
    bytes : the whole file (`spica.files.fits.open_bytes`).
    hdu : where it lies.
    path : for messages.
    """

    bytes: memoryview
    hdu: Hdu
    path: Path

    @property
    def axes(self) -> tuple[int, ...]:
        """Sizes in numpy's order: (ny, nx), (n, ny, nx)."""
        prefix = "ZNAXIS" if self.hdu.compressed else "NAXIS"
        header = self.hdu.header
        return tuple(int(str(header[f"{prefix}{i}"])) for i in range(int(str(header[prefix])), 0, -1))

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the (first) image; ``header.bad-geometry`` where the HDU holds none."""
        if len(self.axes) < 2 or 0 in self.axes:
            message = f"{self.path}: HDU {self.hdu.index} {self.hdu.name} holds no image (axes {self.axes})"
            raise DataFault("header.bad-geometry", message, path=str(self.path), hdu=self.hdu.index)
        return self.axes[-2], self.axes[-1]

    @property
    def bitpix(self) -> int:
        """Type of the image as stored."""
        return int(str(self.hdu.header["ZBITPIX" if self.hdu.compressed else "BITPIX"]))

    @property
    def scale(self) -> tuple[float, float]:
        """BSCALE and BZERO."""
        return float(self.hdu.header.get("BSCALE") or 1), float(self.hdu.header.get("BZERO") or 0)

    @property
    def blank(self) -> int | None:
        """The integer that stands for no value."""
        value = self.hdu.header.get("BLANK")
        return value if type(value) is int and self.bitpix > 0 else None

    @property
    def mapped(self) -> bool:
        """Whether the bytes are those of the file on disk, not of a gzip that was unpacked."""
        return isinstance(self.bytes.obj, mmap.mmap)

    @property
    def layers(self) -> int:
        """Images in the HDU: 1, or the depth of a cube."""
        return int(np.prod(self.axes[:-2])) if len(self.axes) > 2 else 1

    def read(self, y0: int = 0, y1: int | None = None, layer: int = 0) -> Array:
        """Rows y0 to y1 (half open) of one image in physical values.

        Returns
        -------
        array
            ``(y1 - y0, nx)``: uint16 for 8- and 16-bit unsigned integers, int32 for the other integers, float32 for
            floats, scaled integers, and integers with undefined pixels (NaN).
        """
        ny, _ = self.shape
        stop = ny if y1 is None else y1
        stored = self._stored(y0 + layer * ny, stop + layer * ny)
        return _physical(stored.astype(np.uint8, copy=False) if self.bitpix == 8 else stored, self.scale, self.blank)

    def floats(self, y0: int, y1: int, fill: float = np.nan) -> npt.NDArray[np.float32]:
        """Rows as float32, `fill` where undefined."""
        tiles = self._tiles(y0, y1) if self._has_rice_rows and self._height == 1 and self.bitpix > 8 else None
        if tiles is not None:
            out = np.empty((y1 - y0, self.shape[1]), np.float32)
            blank = rice.BLANK - 1 if self.blank is None else self.blank
            coding = (*tiles, *_rice_parameters(self.hdu.header, self.bitpix))
            bad = rice.decode_floats(self._heap, *coding, *self.scale, blank, fill, out)
            self._finish(bad, *tiles)
            return out
        values = self.read(y0, y1).astype(np.float32, copy=False)
        if self.blank is not None:
            values[np.isnan(values)] = fill
        return values

    def _stored(self, y0: int, y1: int) -> Array:
        """Rows as stored integers or floats in the machine's byte order, without scaling; layers lie end to end."""
        _, nx = self.shape
        if not self.hdu.compressed:
            dtype = np.dtype(f">{'f' if self.bitpix < 0 else 'i'}{abs(self.bitpix) // 8}")
            if self.bitpix == 8:
                dtype = np.dtype("u1")
            offset = self.hdu.data + y0 * nx * dtype.itemsize
            flat = np.frombuffer(self.bytes, dtype, (y1 - y0) * nx, offset)
            rows = flat.reshape(y1 - y0, nx).astype(dtype.newbyteorder("="))
            fits.forget(self.bytes, offset, offset + rows.nbytes)
            return rows
        coded = self._rice(y0, y1)
        return self._by_astropy(y0, y1) if coded is None else coded

    @property
    def _height(self) -> int:
        """Rows per tile."""
        return int(str(self.hdu.header.get("ZTILE2") or 1))

    @property
    def _heap(self) -> Array:
        """The HDU's data, table and heap, as bytes."""
        return np.frombuffer(self.bytes, np.uint8, self.hdu.size, self.hdu.data)

    @property
    def _has_rice_rows(self) -> bool:
        """Whether the HDU holds integers in Rice tiles of whole rows, which our own kernel reads."""
        header = self.hdu.header
        return (
            self.hdu.compressed
            and str(header.get("ZCMPTYPE")).strip() in _TILE_TYPES
            and self.bitpix in {8, 16, 32}
            and int(str(header.get("ZTILE1") or self.shape[1])) == self.shape[1]
            and (self.layers == 1 or (self.shape[0] % self._height == 0 and int(str(header.get("ZTILE3") or 1)) == 1))
        )

    def _rice(self, y0: int, y1: int) -> Array | None:
        """Rows of Rice tiles; None where the HDU is coded otherwise."""
        height = self._height
        tiles = self._tiles(y0 // height, -(-y1 // height)) if self._has_rice_rows else None
        if tiles is None:
            return None
        starts, stops = tiles
        _, nx = self.shape
        first = y0 // height * height
        there = self.shape[0] * self.layers - first
        whole = min(len(starts), there // height)
        rows = np.empty((min(len(starts) * height, there), nx), np.int32)
        self._decode(starts[:whole], stops[:whole], rows[: whole * height].reshape(whole, height * nx))
        if whole < len(starts):
            self._decode(starts[whole:], stops[whole:], rows[whole * height :].reshape(1, -1))
        return rows[y0 - first : y1 - first]

    def _decode(self, starts: Array, stops: Array, out: npt.NDArray[np.int32]) -> None:
        if not len(starts):
            return
        size, block = _rice_parameters(self.hdu.header, self.bitpix)
        self._finish(rice.decode_integers(self._heap, starts, stops, size, block, out), starts, stops)
        if self.bitpix == 8:
            out &= 255

    def _finish(self, bad: int, starts: Array, stops: Array) -> None:
        """Refuse the HDU where tile `bad` (≥ 0) did not decode; let go of the bytes that were read."""
        if bad >= 0:
            message = f"{self.path}: HDU {self.hdu.index} {self.hdu.name}: tile {bad} does not decode"
            raise DataFault("file.corrupt", message, path=str(self.path), hdu=self.hdu.index, tile=int(bad))
        if len(starts):
            fits.forget(self.bytes, self.hdu.data + int(starts.min()), self.hdu.data + int(stops.max()))

    def _tiles(self, first: int, last: int) -> tuple[Array, Array] | None:
        """First byte and byte after the last (within the data) of tiles; None where some lie in another column."""
        header = self.hdu.header
        at = 0
        found = ""
        for i in range(1, int(str(header["TFIELDS"])) + 1):
            match = re.fullmatch(r"(\d*)([A-Z])(.*)", str(header[f"TFORM{i}"]).strip())
            if match is None:
                return None
            name = str(header.get(f"TTYPE{i}"))
            if name in {"ZSCALE", "ZZERO", "ZBLANK"}:
                return None
            if name == "COMPRESSED_DATA":
                found, offset = match.group(2), at
            at += _WIDTH.get(match.group(2), 0) * int(match.group(1) or 1)
        if found not in {"P", "Q"}:
            return None
        width, count = int(str(header["NAXIS1"])), int(str(header["NAXIS2"]))
        table = np.frombuffer(self.bytes, np.uint8, width * count, self.hdu.data).reshape(count, width)
        kind = ">i4" if found == "P" else ">i8"
        fields = table[first:last, offset : offset + _WIDTH[found]].copy().view(kind).astype(np.int64)
        if (fields[:, 0] == 0).any():
            return None
        starts = fields[:, 1] + int(str(header.get("THEAP") or width * count))
        return starts, starts + fields[:, 0]

    def _by_astropy(self, y0: int, y1: int) -> Array:
        """Rows of an HDU coded in any other way; astropy gets that HDU alone."""
        # Half a second, which those who read no such file do not pay.
        from astropy.io import fits as astropy_fits

        alone = io.BytesIO(_PRIMARY + bytes(self.bytes[self.hdu.start : self.hdu.end]))
        ny = self.shape[0]
        try:
            with astropy_fits.open(alone, do_not_scale_image_data=True, memmap=False) as file:
                section = file[1].section
                rows = section[y0:y1] if self.layers == 1 else section[y0 // ny, y0 % ny : y0 % ny + y1 - y0]
        except (OSError, ValueError, IndexError, RuntimeError, KeyError) as error:
            message = f"{self.path}: HDU {self.hdu.index} {self.hdu.name}: {error}"
            raise DataFault("file.corrupt", message, path=str(self.path), hdu=self.hdu.index) from error
        native = np.asarray(rows)
        return native.astype(native.dtype.newbyteorder("="), copy=False)


def _rice_parameters(header: Mapping[str, Scalar], bitpix: int) -> tuple[int, int]:
    """Bytes per coded integer and values per block, from the ZNAMEn/ZVALn cards."""
    given = {
        str(header[f"ZNAME{i}"]).strip(): int(str(header[f"ZVAL{i}"])) for i in range(1, 9) if f"ZNAME{i}" in header
    }
    return given.get("BYTEPIX", bitpix // 8), given.get("BLOCKSIZE", rice.BLOCK)


def _physical(stored: Array, scale: tuple[float, float], blank: int | None) -> Array:
    """Stored values to physical ones in the types that `Plane.read` promises."""
    step, zero = scale
    if stored.dtype.kind == "f":
        values = np.asarray(stored, np.float32)
        return values if scale == (1.0, 0.0) else values * np.float32(step) + np.float32(zero)
    undefined = None if blank is None else stored == blank
    if step == 1.0 and zero == 32768.0 and undefined is None and stored.dtype.itemsize >= 2:
        return stored.astype(np.uint16) ^ np.uint16(0x8000)
    if scale == (1.0, 0.0) and (undefined is None or not undefined.any()):
        if stored.dtype == np.uint8:
            return stored.astype(np.uint16)
        if stored.dtype.itemsize <= 4:
            return stored.astype(np.int32, copy=False)
    values = (stored * step + zero).astype(np.float32)
    if undefined is not None:
        values[undefined] = np.nan
    return values
