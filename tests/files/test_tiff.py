"""TIFF: what other programs see is the array, bottom row first, in 8 and 16 bits."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from spica.core.faults import DataFault
from spica.files.tiff import tiff, write_tiff


@pytest.mark.parametrize("shape", [(7, 9), (700, 211, 3), (7, 9, 4), (1, 1)])
def test_pillow_sees_the_array(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    write_tiff(tmp_path / "x.tif", array)
    with Pillow.open(tmp_path / "x.tif") as picture:
        assert np.array_equal(np.asarray(picture)[::-1], array)
    assert (tmp_path / "x.tif").read_bytes() == tiff(array.copy())


def test_sixteen_bits_of_grey_are_kept() -> None:
    array = np.random.default_rng(2).integers(0, 65536, (300, 501)).astype(np.uint16)
    with Pillow.open(io.BytesIO(tiff(array))) as picture:
        assert np.array_equal(np.asarray(picture)[::-1], array)


def test_sixteen_bits_of_colour_are_three_greys_side_by_side() -> None:
    # Pillow reads no 16-bit colours: as one grey row of three times the width they must be the same samples.
    array = np.random.default_rng(3).integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    data = tiff(array)
    (start,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[start : start + 2])
    entries = [struct.unpack("<HHII", data[start + 2 + 12 * k : start + 14 + 12 * k]) for k in range(count)]
    tags = {tag: (number, value) for tag, _, number, value in entries}
    assert [tag for tag, *_ in entries] == sorted(tags)
    assert tags[277] == (1, 3)
    assert struct.unpack("<3H", data[tags[258][1] : tags[258][1] + 6]) == (16, 16, 16)
    import zlib

    raw = np.frombuffer(zlib.decompress(data[tags[273][1] : tags[273][1] + tags[279][1]]), "<u2").reshape(5, 7, 3)
    assert np.array_equal(np.cumsum(raw, axis=1, dtype=np.uint16)[::-1], array)


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3), np.float32), np.zeros((3, 3, 2), np.uint8), np.zeros((0, 3), np.uint8)]
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(DataFault) as caught:
        tiff(array)
    assert caught.value.code == "data.bad-value"
