"""Cubes of read-outs: their mean, whatever the file's form; what is saturated or undefined in a slice."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from spica.core.camera import AmplifierSpec
from spica.core.faults import DataFault
from spica.core.images import Image, RawDetector
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, FrameType
from spica.files.frames import read_delivered, read_raw

NX, NY, N = 60, 40, 5
EXPOSURE = Exposure(7, "demo-1", "demo", FrameType.OBJECT, "2026-11-20", 61364.1, 30.0)
FULL = 50000.0


def amplifier(name: str, hdu: int = 0, x0: int = 0, x1: int = NX) -> AmplifierSpec:
    section = (x0, x1, 0, NY)
    return AmplifierSpec(name=name, data=section, detector=section, saturation=FULL - 1000 * (name == "B"), hdu=hdu)


def detector(*amplifiers: AmplifierSpec, hdus: tuple[int, ...] = (1,)) -> Detector:
    return Detector("demo-1", 3, "sum", hdus, amplifiers or (amplifier("A"),), NX, NY)


def cube_of(dtype: str, slices: int = N) -> npt.NDArray[Any]:
    values = np.random.default_rng(slices).normal(1000, 50, (slices, NY, NX))
    return (values.clip(0, 255) if np.dtype(dtype).itemsize == 1 else values).astype(dtype)


def read(path: Path, *hdus: Any, record: Detector | None = None) -> RawDetector:
    """Write the HDUs behind an empty primary (astropy zips where the name says so), and read them as raw pixels."""
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, overwrite=True)
    return read_raw(record or detector(), {"sum": path}, EXPOSURE)


FORMS: dict[str, dict[str, Any] | None] = {
    "plain": None,
    "rows": {"compression_type": "RICE_1", "tile_shape": (1, 1, NX)},
    "blocks of rows": {"compression_type": "RICE_1", "tile_shape": (1, 8, NX)},
    "blocks that divide no slice": {"compression_type": "RICE_1", "tile_shape": (1, 16, NX)},
    "squares": {"compression_type": "RICE_1", "tile_shape": (1, 16, 16)},
    "through the slices": {"compression_type": "RICE_1", "tile_shape": (N, 1, NX)},
    "some slices": {"compression_type": "RICE_1", "tile_shape": (2, 8, NX)},
    "gzip": {"compression_type": "GZIP_2", "tile_shape": (1, 1, NX)},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stored", ["u1", "u2", "i2", "i4", "f4"])
def test_the_mean_is_numpys_in_every_form(tmp_path: Path, form: str, stored: str) -> None:
    coding = FORMS[form]
    if stored == "f4" and coding is not None and form != "gzip":
        return  # these codings keep no float exactly
    cube = cube_of(stored)
    exact = {**coding, "quantize_level": 0.0} if coding and stored == "f4" else coding
    hdu = fits.ImageHDU(cube) if exact is None else fits.CompImageHDU(cube, **exact)
    raw = read(tmp_path / "x.fits", hdu)
    expected = cube.mean(axis=0, dtype=np.float64).astype(np.float32)
    assert raw.slices == N
    assert raw.pixels[0].dtype == np.float32
    if stored == "f4":
        np.testing.assert_allclose(np.asarray(raw.pixels[0], float), expected, rtol=1e-6)
    else:
        assert np.array_equal(raw.pixels[0], expected)


def test_a_zipped_file_gives_the_same(tmp_path: Path) -> None:
    cube = cube_of("u2")
    plain, zipped = (read(tmp_path / name, fits.ImageHDU(cube)) for name in ("x.fits", "x.fits.gz"))
    assert np.array_equal(plain.pixels[0], zipped.pixels[0])
    assert zipped.slices == N


def test_a_cube_of_one_is_the_image_as_it_was_read(tmp_path: Path) -> None:
    cube = cube_of("u2", slices=1)
    flat, thin = (read(tmp_path / "x.fits", fits.ImageHDU(pixels)) for pixels in (cube[0], cube))
    for raw in (flat, thin):
        assert raw.slices == 1
        assert raw.pixels[0].dtype == np.uint16
        assert np.array_equal(raw.pixels[0], cube[0])


def test_more_than_one_axis_of_slices(tmp_path: Path) -> None:
    cube = cube_of("u2", slices=6)
    raw = read(tmp_path / "x.fits", fits.ImageHDU(cube.reshape(2, 3, NY, NX)))
    assert raw.slices == 6
    assert np.array_equal(raw.pixels[0], cube.mean(axis=0).astype(np.float32))


def test_what_is_saturated_in_one_slice_is_saturated(tmp_path: Path) -> None:
    cube = cube_of("u2")
    cube[3, 10, 20] = FULL
    cube[1, 11, 20], cube[4, 11, 20] = FULL + 5000, FULL + 2000
    cube[2, 12, 20] = FULL - 1
    raw = read(tmp_path / "x.fits", fits.ImageHDU(cube)).pixels[0]
    expected = cube.mean(axis=0).astype(np.float32)
    expected[10, 20], expected[11, 20] = FULL, FULL + 5000
    assert np.array_equal(raw, expected)


def test_each_amplifier_of_an_image_has_its_own_saturation(tmp_path: Path) -> None:
    halves = amplifier("A", x1=NX // 2), amplifier("B", x0=NX // 2)
    record = detector(*halves, hdus=(1, 1))
    # As many slices as amplifiers, which lie side by side: these are read-outs.
    cube = cube_of("u2", slices=2)
    cube[1, 5, [10, NX - 10]] = FULL - 1000
    raw = read(tmp_path / "x.fits", fits.ImageHDU(cube), record=record)
    assert raw.slices == 2
    assert raw.pixels[0] is raw.pixels[1]
    assert raw.pixels[0][5, NX - 10] == FULL - 1000
    assert raw.pixels[0][5, 10] == cube[:, 5, 10].mean()


@pytest.mark.parametrize("stored", ["i2", "f4"])
def test_undefined_values_are_left_out(tmp_path: Path, stored: str) -> None:
    cube = cube_of(stored)
    nothing = -32768 if stored == "i2" else np.nan
    cube[2, 3, 4] = nothing
    cube[0, 3, 5] = cube[4, 3, 5] = nothing
    cube[:, 3, 6] = nothing
    hdu = fits.ImageHDU(cube)
    if stored == "i2":
        hdu.header["BLANK"] = nothing
    raw = np.asarray(read(tmp_path / "x.fits", hdu).pixels[0], float)
    known = np.where(cube == -32768, np.nan, cube.astype(np.float64))
    expected = np.array([known[:, y, x][np.isfinite(known[:, y, x])].mean() for y, x in ((3, 4), (3, 5), (7, 8))])
    np.testing.assert_allclose(raw[[3, 3, 7], [4, 5, 8]], expected, rtol=1e-6)
    assert np.argwhere(np.isnan(raw)).tolist() == [[3, 6]]


def test_a_cube_is_never_in_memory_whole(tmp_path: Path) -> None:
    slices, side = 40, 400
    cube = np.random.default_rng(1).integers(0, 60000, (slices, side, side)).astype(np.uint16)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube)]).writeto(tmp_path / "x.fits")
    whole = (0, side, 0, side)
    spec = AmplifierSpec(name="A", data=whole, detector=whole)
    record = Detector("demo-1", 3, "sum", (1,), (spec,), side, side)
    tracemalloc.start()
    raw = read_raw(record, {"sum": tmp_path / "x.fits"}, EXPOSURE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert raw.slices == slices
    assert peak < 10 * side * side * 4 < cube.nbytes


def test_cubes_of_one_detector_that_differ_in_depth_are_refused(tmp_path: Path) -> None:
    record = detector(amplifier("A", 0), amplifier("B", 1), hdus=(1, 2))
    with pytest.raises(DataFault, match=r"HDU 1 of .* 4, HDU 2 of .* 3") as caught:
        read(tmp_path / "x.fits", *(fits.ImageHDU(cube_of("u2", slices=n)) for n in (4, 3)), record=record)
    assert caught.value.code == "header.bad-geometry"


def test_images_that_are_neither_amplifiers_nor_slices_are_refused(tmp_path: Path) -> None:
    record = detector(amplifier("A"), amplifier("B", 1), hdus=(1, 1))
    assert record.layered
    with pytest.raises(DataFault, match="3 images") as caught:
        read(tmp_path / "x.fits", fits.ImageHDU(cube_of("u2", slices=3)), record=record)
    assert caught.value.code == "header.bad-geometry"


def test_a_cube_whose_last_slice_is_cut_off_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube_of("u2"), name="ARRAY")]).writeto(path)
    path.write_bytes(path.read_bytes()[: -NX * NY])
    with pytest.raises(DataFault, match=r"cube\.fits: HDU 1 ARRAY lacks") as caught:
        read_raw(detector(), {"sum": path}, EXPOSURE)
    assert caught.value.code == "file.truncated"


def delivered(path: Path, record: Detector, **planes: npt.NDArray[Any]) -> Image:
    """Write planes as a reduced exposure and read them."""
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(each) for each in planes.values())]).writeto(path, overwrite=True)
    places = {name: ("sum", hdu) for hdu, name in enumerate(planes, 1)}
    return read_delivered(replace(record, planes=places), {"sum": path}, EXPOSURE)


def test_a_reduced_cube_is_its_mean_with_the_variance_of_the_mean(tmp_path: Path) -> None:
    cube = cube_of("f4")
    spec = amplifier("A").model_copy(update={"gain": 2.0, "read_noise": 5.0})
    spread = np.random.default_rng(2).uniform(3.0, 5.0, cube.shape).astype(np.float32)
    mask = np.zeros(cube.shape, np.int16)
    mask[3, 7, 8] = 1
    weight = 1.0 / spread
    weight[2, 9, 9] = 0.0
    expected = spread.sum(axis=0) * 4.0 / N**2
    for name, plane in (("variance", spread), ("weight", weight)):
        image = delivered(tmp_path / "x.fits", detector(spec), science=cube, mask=mask, **{name: plane})
        assert image.variance is not None
        assert image.mask is not None
        np.testing.assert_allclose(image.pixels, 2.0 * cube.mean(axis=0), rtol=1e-6)
        good = np.isfinite(image.variance)
        np.testing.assert_allclose(image.variance[good], expected[good], rtol=1e-5)
        assert np.argwhere(~good).tolist() == ([[9, 9]] if name == "weight" else [])
        assert image.mask[7, 8] == Mask.BAD
        assert image.mask[9, 9] == (Mask.NO_DATA if name == "weight" else 0)
        assert (image.header["NSLICES"], image.header["GAIN"]) == (N, N)


def test_a_reduced_cube_without_a_variance_has_the_noise_of_its_mean(tmp_path: Path) -> None:
    sky = np.random.default_rng(1).normal(0, 20, (N, NY, NX)).astype(np.float32)
    sky[:, 20, 20] = 5000
    image = delivered(tmp_path / "x.fits", detector(), science=sky)
    assert image.variance is not None
    assert np.median(image.variance) == pytest.approx(400.0 / N, rel=0.2)
    assert image.variance[20, 20] == pytest.approx((5000.0 + 400.0) / N, rel=0.02)


def test_reduced_planes_of_another_depth_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="variance") as caught:
        delivered(tmp_path / "x.fits", detector(), science=cube_of("f4"), variance=cube_of("f4", slices=3))
    assert caught.value.code == "header.bad-geometry"
