"""Rows that hold no file: the same numbers as through a memory map, and no descriptor between reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.streams import Rows
from spica.files.images import FileRows, open_rows, write_image
from spica.files.thin import ThinRows, open_thin


@pytest.fixture
def image() -> Image:
    rng = np.random.default_rng(1)
    pixels = rng.normal(100, 5, (40, 30)).astype(np.float32)
    mask = rng.integers(0, 3, (40, 30)).astype(np.int32)
    return Image(pixels, np.full((40, 30), 25, np.float32), mask, {"BUNIT": "electron"})


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_scratch_is_read_as_through_a_map(tmp_path: Path, image: Image) -> None:
    write_image(tmp_path / "x.fits", image, {}, lossless=True)
    thin, mapped = open_thin(tmp_path / "x.fits"), open_rows(tmp_path / "x.fits")
    assert isinstance(thin, ThinRows)
    assert isinstance(thin, Rows)
    assert (thin.shape, thin.dtype, dict(thin.header)) == (mapped.shape, mapped.dtype, dict(mapped.header))
    for plane in ("science", "variance", "mask"):
        for y0, y1 in ((0, 40), (7, 8), (33, 40)):
            found = thin.read(y0, y1, plane)
            assert found.dtype == mapped.read(y0, y1, plane).dtype
            np.testing.assert_array_equal(found, mapped.read(y0, y1, plane))
            words = thin.stored(y0, y1, plane, np.empty(2000, np.int32))
            np.testing.assert_array_equal(words.byteswap().view(found.dtype), found)
    with pytest.raises(KeyError):
        thin.read(0, 1, "weight")


def test_nothing_is_held_open(tmp_path: Path, image: Image) -> None:
    for number in range(50):
        write_image(tmp_path / f"{number}.fits", image, {}, lossless=True)
    before = descriptors()
    held = [open_thin(tmp_path / f"{number}.fits") for number in range(50)]
    assert all(rows.read(0, 5).shape == (5, 30) for rows in held)
    assert descriptors() == before


def test_compressed_products_are_read_through_a_map(tmp_path: Path, image: Image) -> None:
    write_image(tmp_path / "x.fits", image, {})
    rows = open_thin(tmp_path / "x.fits")
    assert isinstance(rows, FileRows)
    assert np.abs(np.asarray(rows.read(0, 40), np.float32) - image.pixels).max() < 0.5


def test_a_file_cut_off_meanwhile_is_named(tmp_path: Path, image: Image) -> None:
    path = tmp_path / "x.fits"
    write_image(path, image, {}, lossless=True)
    rows = open_thin(path)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(DataFault) as caught:
        rows.read(30, 40)
    assert caught.value.code == "file.truncated"
