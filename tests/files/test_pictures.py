"""Pictures: what other programs see is the array, bottom row first."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from spica.core.faults import DataFault
from spica.files.pictures import png, read_png, write_png


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (7, 9, 4), (1, 1)])
def test_pillow_sees_the_array(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    write_png(tmp_path / "x.png", array)
    data = (tmp_path / "x.png").read_bytes()
    with Pillow.open(io.BytesIO(data)) as picture:
        assert np.array_equal(np.asarray(picture)[::-1], array)
        assert not picture.info
    assert data == png(array.copy())


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3), np.float32), np.zeros((3, 3, 2), np.uint8), np.zeros((0, 3), np.uint8)]
)
def test_other_arrays_are_refused(array: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(DataFault) as caught:
        png(array)
    assert caught.value.code == "data.bad-value"


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (7, 9, 4), (1, 1)])
def test_what_was_written_is_read(shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    write_png(tmp_path / "x.png", array)
    assert np.array_equal(read_png(tmp_path / "x.png"), array)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    write_png(path, np.random.default_rng(3).integers(0, 256, (20, 20)).astype(np.uint8))
    whole = path.read_bytes()
    for spoilt in (b"", whole[:30], whole[:60], whole[:50] + bytes([whole[50] ^ 1]) + whole[51:], b"GIF" + whole[3:]):
        path.write_bytes(spoilt)
        with pytest.raises(DataFault) as caught:
            read_png(path)
        assert caught.value.code == "file.corrupt"
    path.unlink()
    with pytest.raises(DataFault) as caught:
        read_png(path)
    assert caught.value.code == "file.missing"
