"""Frames as delivered: raw amplifiers of every form, and images reduced elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits as astropy_fits
from scipy import ndimage

from spica.core.camera import AmplifierSpec, Delivered
from spica.core.faults import DataFault
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, FrameType
from spica.files import encode, fits
from spica.files.images import read_delivered, read_raw
from spica.files.planes import Plane

EXPOSURE = Exposure(
    7, "demo-1", "demo", FrameType.OBJECT, "2026-11-20", 61364.1, 30.0, dark_time=31.0, band="r", ra=7.5
)
NX, NY = 60, 40


def amplifier(name: str, hdu: int = 0, nx: int = NX, gain: float = 2.0) -> AmplifierSpec:
    return AmplifierSpec(
        name=name, data=(0, nx, 0, NY), detector=(0, nx, 0, NY), gain=gain, read_noise=5.0, saturation=50000.0, hdu=hdu
    )


def detector(hdus: tuple[int, ...] = (1,), **given: Any) -> Detector:
    amplifiers = tuple(amplifier(f"A{i}", i) for i in range(len(hdus)))
    return Detector("demo-1", 3, "sum", hdus, amplifiers, NX, NY, **given)


def noise(dtype: Any, seed: int = 1, layers: int = 0) -> npt.NDArray[Any]:
    shape = (layers, NY, NX) if layers else (NY, NX)
    values = np.random.default_rng(seed).normal(1000, 50, shape)
    return (values.clip(0, 255) if np.dtype(dtype).itemsize == 1 else values).astype(dtype)


CODINGS: list[dict[str, Any] | None] = [
    None,
    {"compression_type": "RICE_1", "tile_shape": (1, NX)},
    {"compression_type": "RICE_1", "tile_shape": (16, NX)},
    {"compression_type": "RICE_1", "tile_shape": (16, 16)},
    {"compression_type": "GZIP_1", "tile_shape": (1, NX)},
    {"compression_type": "GZIP_2", "tile_shape": (1, NX)},
    {"compression_type": "HCOMPRESS_1", "tile_shape": (20, NX)},
]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("stored", "promised"), [("u1", "u2"), ("u2", "u2"), ("i2", "i4"), ("i4", "i4"), ("f4", "f4")])
def test_raw_pixels_of_every_form(tmp_path: Path, coding: dict[str, Any] | None, stored: str, promised: str) -> None:
    pixels = noise(stored)
    coded = {**coding, "quantize_level": 0.0} if coding and stored == "f4" else coding
    if stored == "f4" and coding and "GZIP" not in coding["compression_type"]:
        return  # these codings keep no float exactly
    hdu = astropy_fits.ImageHDU(pixels) if coded is None else astropy_fits.CompImageHDU(pixels, **coded)
    astropy_fits.HDUList([astropy_fits.PrimaryHDU(), hdu]).writeto(tmp_path / "x")
    raw = read_raw(detector(), {"sum": tmp_path / "x"}, EXPOSURE)
    assert raw.pixels[0].dtype == np.dtype(promised)
    assert np.array_equal(raw.pixels[0], pixels)
    data = fits.open_bytes(tmp_path / "x")
    plane = Plane(data, fits.layout(data, tmp_path / "x")[1], tmp_path / "x")
    assert np.array_equal(plane.read(5, 23), pixels[5:23])
    assert np.array_equal(plane.read(35, 40), pixels[35:])
    assert np.array_equal(plane.floats(17, 19), pixels[17:19].astype(np.float32))


def test_the_record_travels_in_the_header(tmp_path: Path) -> None:
    astropy_fits.HDUList([astropy_fits.PrimaryHDU(), astropy_fits.ImageHDU(noise("u2"))]).writeto(tmp_path / "x")
    raw = read_raw(detector(wcs={"CRVAL1": 7.5}), {"sum": tmp_path / "x"}, EXPOSURE)
    expected = {"exposure": "demo-1", "detector": 3, "dark_time": 31.0, "band": "r", "ra": 7.5, "CRVAL1": 7.5}
    assert expected.items() <= dict(raw.header).items()
    assert "dec" not in raw.header
    assert (raw.nx, raw.ny) == (NX, NY)


def test_amplifiers_share_an_hdu_or_have_their_own(tmp_path: Path) -> None:
    hdus = [astropy_fits.PrimaryHDU(), *(astropy_fits.ImageHDU(noise("u2", seed)) for seed in (1, 2))]
    astropy_fits.HDUList(hdus).writeto(tmp_path / "x")
    own = read_raw(detector((1, 2)), {"sum": tmp_path / "x"}, EXPOSURE)
    assert np.array_equal(own.pixels[1], noise("u2", 2))
    shared = read_raw(detector((2, 2)), {"sum": tmp_path / "x"}, EXPOSURE)
    assert shared.pixels[0] is shared.pixels[1]


def test_one_file_per_amplifier(tmp_path: Path) -> None:
    for seed, name in ((1, "a"), (2, "b")):
        astropy_fits.PrimaryHDU(noise("u2", seed)).writeto(tmp_path / name)
    record = detector((0, 0), amplifier_files=("a", "b"))
    raw = read_raw(record, {name: tmp_path / name for name in "ab"}, EXPOSURE)
    assert [np.array_equal(raw.pixels[i], noise("u2", i + 1)) for i in (0, 1)] == [True, True]
    with pytest.raises(DataFault) as caught:
        read_raw(record, {"a": tmp_path / "a"}, EXPOSURE)
    assert caught.value.code == "file.missing"


@pytest.mark.parametrize("coding", [None, {"compression_type": "RICE_1", "tile_shape": (1, 1, NX)}])
def test_a_cube_holds_one_image_per_amplifier(tmp_path: Path, coding: dict[str, Any] | None) -> None:
    cube = noise("u2", 5, layers=2)
    hdu = astropy_fits.ImageHDU(cube) if coding is None else astropy_fits.CompImageHDU(cube, **coding)
    astropy_fits.HDUList([astropy_fits.PrimaryHDU(), hdu]).writeto(tmp_path / "x")
    two = read_raw(detector((1, 1)), {"sum": tmp_path / "x"}, EXPOSURE)
    assert np.array_equal(np.stack(two.pixels), cube)
    assert two.slices == 1


def test_undefined_integers_become_nan(tmp_path: Path) -> None:
    pixels = noise("i2")
    pixels[3, 4] = -32768
    hdu = astropy_fits.ImageHDU(pixels)
    hdu.header["BLANK"] = -32768
    astropy_fits.HDUList([astropy_fits.PrimaryHDU(), hdu]).writeto(tmp_path / "x")
    raw = read_raw(detector(), {"sum": tmp_path / "x"}, EXPOSURE).pixels[0]
    assert raw.dtype == np.float32
    assert np.argwhere(~np.isfinite(raw)).tolist() == [[3, 4]]


@pytest.mark.parametrize("record", [detector((5,)), detector((0,)), detector((2,))])
def test_a_record_that_does_not_fit_the_file(tmp_path: Path, record: Detector) -> None:
    hdus = [astropy_fits.PrimaryHDU(), astropy_fits.ImageHDU(noise("u2")), astropy_fits.ImageHDU(noise("u2")[:, :50])]
    astropy_fits.HDUList(hdus).writeto(tmp_path / "x")
    with pytest.raises(DataFault) as caught:
        read_raw(record, {"sum": tmp_path / "x"}, EXPOSURE)
    assert caught.value.code == "header.bad-geometry"


def delivered(tmp_path: Path, **planes: npt.NDArray[Any]) -> Detector:
    hdus: list[Any] = [astropy_fits.PrimaryHDU()]
    for name, values in planes.items():
        hdus.append(astropy_fits.ImageHDU(values, name=name))
    hdus[0].header["EXPTIME"] = 30.0
    astropy_fits.HDUList(hdus).writeto(tmp_path / "x", overwrite=True)
    places = {name: ("sum", number) for number, name in enumerate(planes, start=1)}
    return detector(planes=places, wcs={"CTYPE1": "RA---TAN"})


@pytest.mark.parametrize("exposure", [EXPOSURE, None])
@pytest.mark.parametrize("plane", ["weight", "variance"])
def test_delivered_units_become_electrons(tmp_path: Path, exposure: Exposure | None, plane: str) -> None:
    science = noise("f4")
    error = np.full((NY, NX), 0.25 if plane == "weight" else 4.0, np.float32)
    error[2, 3] = 0 if plane == "weight" else np.nan
    image = read_delivered(delivered(tmp_path, science=science, **{plane: error}), {"sum": tmp_path / "x"}, exposure)
    assert np.allclose(image.pixels, science * 2, rtol=1e-6)
    assert image.variance is not None
    assert image.mask is not None
    assert image.variance[0, 0] == pytest.approx(16)
    assert np.isinf(image.variance[2, 3])
    assert np.argwhere(image.mask).tolist() == [[2, 3]]
    assert image.mask[2, 3] == Mask.NO_DATA
    cards = {"BUNIT": "electron", "CTYPE1": "RA---TAN", "SATURATE": 100000.0, "EXPTIME": 30.0}
    assert cards.items() <= dict(image.header).items()


@pytest.mark.parametrize("plane", ["weight", "variance"])
def test_weights_that_tell_of_the_sky_alone_get_the_photons_of_sources(tmp_path: Path, plane: str) -> None:
    rng = np.random.default_rng(1)
    science = rng.normal(0, 20, (NY, NX)).astype(np.float32) + np.float32(300)
    science[20, 20] += 5000
    error = np.full((NY, NX), 1 / 400 if plane == "weight" else 400.0, np.float32)
    error[2, 3] = 0 if plane == "weight" else np.nan
    record, paths = delivered(tmp_path, science=science, **{plane: error}), {"sum": tmp_path / "x"}
    image = read_delivered(record, paths, EXPOSURE, Delivered(weight="sky"))
    plain = read_delivered(record, paths, EXPOSURE)
    assert image.variance is not None
    assert plain.variance is not None
    assert plain.variance[20, 20] == pytest.approx(1600, rel=1e-5)
    assert image.variance[20, 20] == pytest.approx(10000 + 1600, rel=0.02)
    # Noise is no light: it would make weights small where it is positive, and sums too low.
    assert np.mean(image.variance[np.isfinite(image.variance)] != 1600) < 0.01
    assert np.isinf(image.variance[2, 3])


def test_variance_where_none_is_delivered(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    science = rng.normal(0, 20, (NY, NX)).astype(np.float32)
    science[20, 20] = 5000
    image = read_delivered(delivered(tmp_path, science=science), {"sum": tmp_path / "x"}, EXPOSURE)
    assert image.variance is not None
    sky = np.median(image.variance)
    assert 40**2 < sky < 1.3 * 40**2
    assert image.variance[20, 20] == pytest.approx(10000 + 40**2, rel=0.1)


def test_stars_side_by_side_are_no_noise(tmp_path: Path) -> None:
    """A crowded field, hardly a pixel of it blank, with an edge of zeros; the noise of its darkest places is told."""
    rng = np.random.default_rng(1)
    sky = ndimage.gaussian_filter(10.0 ** rng.uniform(0, 4, (NY, NX)) * (rng.random((NY, NX)) < 0.02), 1.5) * 10.0
    science = (rng.normal(100, 5, (NY, NX)) + sky).astype(np.float32)
    science[: NY // 5] = 0.0
    assert encode.noise(science[NY // 5 :]) > 2 * 5
    image = read_delivered(delivered(tmp_path, science=science), {"sum": tmp_path / "x"}, EXPOSURE)
    assert image.variance is not None
    assert 0.9 * 10 < np.sqrt(image.variance.min()) < 1.3 * 10


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (Delivered(), {1: Mask.BAD, 2: Mask.BAD, 5: Mask.BAD}),
        (
            Delivered(mask_form="codes", mask_values={"2": "SATURATED", "5": ""}),
            {1: Mask.BAD, 2: Mask.SATURATED, 5: 0},
        ),
        (
            Delivered(mask_form="bits", mask_values={"0": "COSMIC", "2": "TRAIL"}),
            {1: Mask.COSMIC, 2: Mask.BAD, 5: Mask.COSMIC | Mask.TRAIL},
        ),
    ],
)
def test_delivered_masks_become_ours(tmp_path: Path, table: Delivered, expected: dict[int, int]) -> None:
    mask = np.zeros((NY, NX), np.int16)
    for column, value in enumerate(expected):
        mask[0, column] = value
    record = delivered(tmp_path, science=noise("f4"), mask=mask)
    image = read_delivered(record, {"sum": tmp_path / "x"}, EXPOSURE, table)
    assert image.mask is not None
    assert image.mask[0, : len(expected)].tolist() == [int(bits) for bits in expected.values()]
    assert not image.mask[1:].any()


def test_planes_of_other_shapes_are_refused(tmp_path: Path) -> None:
    record = delivered(tmp_path, science=noise("f4"), mask=np.zeros((NY, NX + 1), np.int16))
    with pytest.raises(DataFault) as caught:
        read_delivered(record, {"sum": tmp_path / "x"}, EXPOSURE)
    assert caught.value.code == "header.bad-geometry"


@pytest.mark.realdata
def test_dithered_floats_of_the_community_pipeline(real_data: Path) -> None:
    name = "legacy_testcase8/c4d_171113_060340_oo{}_r_ls9.N6.fits"
    planes = {"science": ("i", 1), "weight": ("w", 1), "mask": ("d", 1)}
    record = Detector("decam-1", 60, "i", (1,), (amplifier("A"),), 280, 375, planes=planes)
    paths = {letter: real_data / name.format(letter) for letter in "iwd"}
    table = Delivered(mask_form="codes", mask_values={"3": "SATURATED", "4": "BLEED"})
    image = read_delivered(record, paths, EXPOSURE, table)
    with astropy_fits.open(paths["i"]) as file:
        assert np.allclose(image.pixels, 2.0 * file[1].data, rtol=1e-6)
    assert image.variance is not None
    assert image.mask is not None
    expected = float(np.sqrt(np.median(image.variance[image.mask == 0])))
    assert encode.noise(image.pixels) == pytest.approx(expected, rel=0.1)
