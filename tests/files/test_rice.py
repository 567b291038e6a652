"""Rice coding: lossless, the same bytes as the reference code, and damage is noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits as astropy_fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spica.kernels import rice

Rows = npt.NDArray[Any]
"""int32 or int16"""


def _coded(rows: Rows) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    out = np.full(rice.bound(*rows.shape), 7, np.uint8)
    ends = np.empty(len(rows), np.int64)
    if rows.dtype == np.int16:
        rice.encode_shorts(rows, out, ends)
    else:
        rice.encode_integers(rows, out, ends)
    return out, ends


def _decoded(
    out: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64], shape: tuple[int, ...], size: int = 4
) -> tuple[int, Rows]:
    back = np.empty(shape, np.int32)
    starts = np.concatenate([[0], ends[:-1]])
    return rice.decode_integers(out, starts, ends, size, rice.BLOCK, back), back


def _pictures() -> dict[str, Rows]:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 16, (5, 333)).astype(np.int32)
    wild = rng.integers(-(2**31), 2**31 - 1, (4, 97)).astype(np.int32)
    holes = noise.copy()
    holes[1, 30:70] = rice.BLANK
    peaks = noise.copy()
    peaks[2, 5::40] += 2**20
    return {"noise": noise, "wild": wild, "holes": holes, "peaks": peaks, "flat": np.zeros((3, 64), np.int32)}


@pytest.mark.parametrize("dtype", [np.int32, np.int16])
@pytest.mark.parametrize("name", list(_pictures()))
def test_the_bytes_are_those_of_the_reference(name: str, dtype: type[np.signedinteger[Any]], tmp_path: Any) -> None:
    rows = _pictures()[name].astype(dtype)
    path = tmp_path / "x.fits"
    astropy_fits.CompImageHDU(rows, compression_type="RICE_1", tile_shape=(1, rows.shape[1])).writeto(path)
    with astropy_fits.open(path, disable_image_compression=True) as file:
        theirs = [bytes(tile) for tile in file[1].data["COMPRESSED_DATA"]]
    out, ends = _coded(rows)
    starts = [0, *ends[:-1].tolist()]
    assert [out[a:b].tobytes() for a, b in zip(starts, ends.tolist(), strict=True)] == theirs


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(st.sampled_from([np.int32, np.int16]), hnp.array_shapes(min_dims=2, max_dims=2, max_side=100)))
def test_lossless_and_within_the_bound(rows: Rows) -> None:
    out, ends = _coded(rows)
    assert ends[-1] <= rice.bound(*rows.shape)
    bad, back = _decoded(out, ends, rows.shape, rows.dtype.itemsize)
    assert bad == -1
    assert np.array_equal(rows, back)


def test_floats_are_rounded_to_steps_and_holes_are_kept() -> None:
    rows = np.random.default_rng(2).normal(100, 10, (6, 200)).astype(np.float32)
    rows[3, 4:9] = np.nan
    rows[5, 1] = np.inf
    out = np.empty(rice.bound(*rows.shape), np.uint8)
    ends = np.empty(len(rows), np.int64)
    assert rice.encode_floats(rows, 0.5, 0.0, out, ends)
    back = np.empty_like(rows)
    starts = np.concatenate([[0], ends[:-1]])
    assert rice.decode_floats(out, starts, ends, 4, rice.BLOCK, 0.5, 0.0, rice.BLANK, np.nan, back) == -1
    assert np.array_equal(np.isnan(back), ~np.isfinite(rows))
    good = np.isfinite(rows)
    assert np.abs(back[good] - rows[good]).max() <= 0.25
    assert abs(float((back[good] - rows[good]).mean())) < 0.02


def test_a_range_of_too_many_steps_is_refused() -> None:
    rows = np.array([[0.0, 1e10]], np.float32)
    assert not rice.encode_floats(rows, 1.0, 0.0, np.empty(100, np.uint8), np.empty(1, np.int64))


def test_no_damaged_bytes_are_read_beyond_their_end() -> None:
    rows = _pictures()["noise"]
    out, ends = _coded(rows)
    assert _decoded(out[: ends[2] + 3], ends, rows.shape)[0] == 3
    short = ends.copy()
    short[1] = ends[0] + 20
    starts = np.concatenate([[0], ends[:-1]])
    assert rice.decode_integers(out, starts, short, 4, rice.BLOCK, np.empty(rows.shape, np.int32)) == 1
    negative = starts.copy()
    negative[0] = -5
    assert rice.decode_integers(out, negative, ends, 4, rice.BLOCK, np.empty(rows.shape, np.int32)) == 0
    for seed in range(30):  # any bytes end in an answer
        noise = np.random.default_rng(seed).integers(0, 256, 300).astype(np.uint8)
        bad = rice.decode_integers(noise, np.array([0]), np.array([300]), 2, rice.BLOCK, np.empty((1, 2000), np.int32))
        assert bad in {-1, 0}


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_small_integers_as_the_reference_codes_them(dtype: Any, tmp_path: Any) -> None:
    rows = np.random.default_rng(3).normal(100, 30, (4, 77)).clip(0, 255).astype(dtype)
    path = tmp_path / "x.fits"
    astropy_fits.CompImageHDU(rows, compression_type="RICE_1", tile_shape=(1, 77)).writeto(path)
    with astropy_fits.open(path, disable_image_compression=True) as file:
        tiles = [np.asarray(tile) for tile in file[1].data["COMPRESSED_DATA"]]
    ends = np.cumsum([len(tile) for tile in tiles])
    back = np.empty(rows.shape, np.int32)
    starts = np.concatenate([[0], ends[:-1]])
    size = np.dtype(dtype).itemsize
    data = np.concatenate(tiles).astype(np.uint8)
    assert rice.decode_integers(data, starts, ends, size, rice.BLOCK, back) == -1
    assert np.array_equal(back & 255 if size == 1 else back, rows)
