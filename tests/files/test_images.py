"""Image products: same bytes, stated rounding, readable by others, by whole and by rows."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as astropy_fits

from spica.core.faults import DataFault, ResourceFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Scalar
from spica.core.streams import Band, Rows
from spica.files import conformance, encode
from spica.files.checksums import of_file
from spica.files.images import ImageSink, open_rows, read_identity, read_image, write_image
from spica.files.verify import inspect_file

SHAPE = (300, 222)
SIGMA = 10.0
IDENTITY = {"UNIT": "detector:demo-1/2", "JOB": "0" * 40}


def picture(seed: int = 1) -> Image:
    rng = np.random.default_rng(seed)
    pixels = rng.normal(500, SIGMA, SHAPE).astype(np.float32)
    pixels[100:103, 50:53] += 60000
    variance = np.maximum(pixels, 0) + np.float32(25)
    mask = np.zeros(SHAPE, np.int32)
    mask[100:103, 50:53] = Mask.SATURATED
    pixels[7, 20:40] = np.nan
    variance[7, 20:40] = np.inf
    mask[7, 20:40] = Mask.NO_DATA
    return Image(pixels, variance, mask, {"BUNIT": "electron", "CRVAL1": 70.123456789012, "long name": "x" * 120})


@pytest.mark.parametrize("lossless", [False, True])
def test_the_same_image_gives_the_same_bytes(tmp_path: Path, *, lossless: bool) -> None:
    for name in "ab":
        write_image(tmp_path / name, picture(), dict(reversed(IDENTITY.items())) if name == "b" else IDENTITY, lossless)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_identity(tmp_path / "a") == IDENTITY


def test_lossless_is_lossless(tmp_path: Path) -> None:
    image = picture()
    write_image(tmp_path / "x", image, IDENTITY, lossless=True)
    back = read_image(tmp_path / "x")
    assert np.array_equal(back.pixels, image.pixels, equal_nan=True)
    assert back.variance is not None
    assert image.variance is not None
    assert np.array_equal(back.variance, image.variance)
    assert back.mask is not None
    assert image.mask is not None
    assert np.array_equal(back.mask, image.mask)
    assert dict(back.header) == dict(image.header)


def test_rounding_is_a_sixteenth_of_the_noise_and_is_stated(tmp_path: Path) -> None:
    image = picture()
    write_image(tmp_path / "x", image, IDENTITY)
    back = read_image(tmp_path / "x")
    good = np.isfinite(image.pixels)
    assert np.array_equal(good, np.isfinite(back.pixels))
    with astropy_fits.open(tmp_path / "x", disable_image_compression=True) as file:
        step, added = file["SCIENCE"].header["BSCALE"], file["SCIENCE"].header["QUANTVAR"]
    assert step == pytest.approx(SIGMA / 16, rel=0.05)
    assert added == pytest.approx(step**2 / 12)
    difference = (back.pixels - image.pixels)[good & (image.pixels < 1000)]
    assert np.abs(difference).max() <= step * 0.5001
    assert difference.var() == pytest.approx(added, rel=0.05)
    assert back.variance is not None
    assert image.variance is not None
    assert np.isinf(back.variance[~good]).all()
    assert np.median(back.variance[good] - image.variance[good]) == pytest.approx(added, abs=525 / 128)
    assert np.abs(back.variance[good] / image.variance[good] - 1).max() < 1 / 128
    assert back.mask is not None
    assert image.mask is not None
    assert np.array_equal(back.mask, image.mask)
    assert dict(back.header) == dict(image.header)


@pytest.mark.parametrize("lossless", [False, True])
def test_astropy_reads_the_same_and_finds_no_fault(tmp_path: Path, *, lossless: bool) -> None:
    write_image(tmp_path / "x", picture(), IDENTITY, lossless)
    mine = read_image(tmp_path / "x")
    with astropy_fits.open(tmp_path / "x", checksum=True) as file:  # a wrong sum is a warning, warnings are errors
        assert [hdu.name for hdu in file] == ["PRIMARY", "SCIENCE", "VARIANCE", "MASK"]
        assert np.array_equal(file["SCIENCE"].data.astype(np.float32), mine.pixels, equal_nan=True)
        assert mine.mask is not None
        assert np.array_equal(file["MASK"].data, mine.mask)
        assert file["MASK"].header["BIT1"] == "SATURATED"
        assert file["SCIENCE"].header["CRVAL1"] == 70.123456789012
    assert conformance.by_astropy(tmp_path / "x") == ()
    assert [hdu.checked for hdu in inspect_file(tmp_path / "x").hdus] == ["checksum"] * 4


SOLUTION: dict[str, Scalar] = {
    "CD1_1": -1e-4, "CD2_2": 1e-4, "CRPIX1": 5.0, "CRPIX2": 6.0, "CRVAL1": 10.0, "CRVAL2": 20.0,
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg", "WCSAXES": 2,
}  # fmt: skip


@pytest.mark.fitsverify
@pytest.mark.parametrize("lossless", [False, True])
def test_fitsverify_finds_no_fault(tmp_path: Path, *, lossless: bool) -> None:
    write_image(tmp_path / "x.fits", replace(picture(), header={"OBJECT": "M 31"} | SOLUTION), IDENTITY, lossless)
    assert conformance.by_fitsverify(tmp_path / "x.fits") == ()


@pytest.mark.parametrize("lossless", [False, True])
def test_rows_are_the_rows_of_the_whole(tmp_path: Path, *, lossless: bool) -> None:
    write_image(tmp_path / "x", picture(), IDENTITY, lossless)
    whole = read_image(tmp_path / "x")
    rows = open_rows(tmp_path / "x")
    assert isinstance(rows, Rows)
    assert rows.shape == SHAPE
    assert rows.dtype == np.dtype(np.float32)
    assert rows.header["BUNIT"] == "electron"
    for name, plane in (("science", whole.pixels), ("variance", whole.variance), ("mask", whole.mask)):
        assert plane is not None
        read = rows.read(5, 9, name)
        assert read.dtype == plane.dtype
        assert np.array_equal(read, plane[5:9], equal_nan=True)
    with pytest.raises(KeyError):
        rows.read(0, 1, "weight")


@pytest.mark.parametrize("lossless", [False, True])
def test_no_rows_at_all_are_none(tmp_path: Path, *, lossless: bool) -> None:
    write_image(tmp_path / "x", picture(), IDENTITY, lossless)
    for plane in ("science", "variance", "mask"):
        assert open_rows(tmp_path / "x").read(40, 40, plane).shape == (0, SHAPE[1])


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("height", [1, 37, 300])
def test_bands_give_the_bytes_of_the_whole(tmp_path: Path, height: int, *, lossless: bool) -> None:
    image = picture()
    write_image(tmp_path / "whole", image, IDENTITY, lossless)
    sink = ImageSink(tmp_path / "bands", SHAPE, IDENTITY, lossless, image.header)
    for y in range(0, SHAPE[0], height):
        cut = slice(y, y + height)
        assert image.variance is not None
        assert image.mask is not None
        sink.write(Band(y, {"science": image.pixels[cut], "mask": image.mask[cut], "variance": image.variance[cut]}))
    assert not (tmp_path / "bands").exists()
    sink.close()
    assert (tmp_path / "bands").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bands", "whole"]


def test_bands_that_do_not_tile_are_refused(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path / "x", (4, 3), {}, lossless=True)
    sink.write(Band(0, {"science": np.zeros((2, 3), np.float32)}))
    for band in (
        Band(3, {"science": np.zeros((1, 3), np.float32)}),
        Band(2, {"science": np.zeros((3, 3), np.float32)}),
        Band(2, {"mask": np.zeros((1, 3), np.int32)}),
        Band(2, {"science": np.zeros((1, 4), np.float32)}),
    ):
        with pytest.raises(DataFault) as caught:
            sink.write(band)
        assert caught.value.code == "data.bad-value"
    with pytest.raises(DataFault):
        sink.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fill", [0.0, 3.25])
def test_what_has_no_noise_is_kept_exactly(tmp_path: Path, fill: float) -> None:
    image = Image(np.full((5, 20), fill, np.float32))
    write_image(tmp_path / "x", image, {})
    assert np.array_equal(read_image(tmp_path / "x").pixels, image.pixels)


def test_flags_and_counts_are_coded_and_kept_exactly(tmp_path: Path) -> None:
    pixels = np.zeros((300, 400), np.float32)
    pixels[7, 9::30] = 2.0**20 + 1
    pixels[8, 3] = np.nan
    write_image(tmp_path / "x", Image(pixels), {})
    assert np.array_equal(read_image(tmp_path / "x").pixels, pixels, equal_nan=True)
    with astropy_fits.open(tmp_path / "x") as file:
        assert file["SCIENCE"].header["QUANTVAR"] == 0
        assert np.array_equal(file["SCIENCE"].data, pixels, equal_nan=True)
    assert (tmp_path / "x").stat().st_size < 0.1 * pixels.nbytes + 3 * 2880


def test_a_range_that_steps_cannot_hold_is_kept_exactly(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).normal(0, 1, (8, 50)).astype(np.float32)
    pixels[3, 3] = 1e30
    write_image(tmp_path / "x", Image(pixels), {})
    assert np.array_equal(read_image(tmp_path / "x").pixels, pixels)


def test_writing_again_what_was_read_adds_no_more_than_is_stated(tmp_path: Path) -> None:
    write_image(tmp_path / "x", picture(), {})
    once = read_image(tmp_path / "x")
    write_image(tmp_path / "y", once, {})
    twice = read_image(tmp_path / "y")
    assert np.nanmax(np.abs(twice.pixels - once.pixels)) <= SIGMA / 16


def test_the_noise_is_that_of_the_sky() -> None:
    rng = np.random.default_rng(5)
    slope = np.linspace(0, 1000, 400, dtype=np.float32)
    rows = rng.normal(0, 3, (100, 400)).astype(np.float32) + slope
    rows[:, ::50] += 5000
    assert encode.noise(rows) == pytest.approx(3, rel=0.1)
    assert encode.noise(np.full((3, 30), np.nan, np.float32)) == 0
    assert encode.noise(np.zeros((3, 4), np.float32)) == 0


def test_no_date_and_no_host_in_the_bytes(tmp_path: Path) -> None:
    write_image(tmp_path / "x", picture(), IDENTITY)
    with astropy_fits.open(tmp_path / "x") as file:
        cards = [card for hdu in file for card in hdu.header.cards]
    assert not [card for card in cards if "DATE" in card.keyword or "20" in str(card.comment)]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encode, "write_planes", full)
    with pytest.raises(ResourceFault) as caught:
        write_image(tmp_path / "x", picture(), {})
    assert caught.value.code == "disk.full"
    assert not list(tmp_path.iterdir())


def test_any_other_image_has_rows_too(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.int16).reshape(3, 4)
    astropy_fits.PrimaryHDU(pixels).writeto(tmp_path / "x")
    assert np.array_equal(open_rows(tmp_path / "x").read(1, 3), pixels[1:].astype(np.float32))
    astropy_fits.PrimaryHDU().writeto(tmp_path / "y")
    with pytest.raises(DataFault) as caught:
        open_rows(tmp_path / "y")
    assert caught.value.code == "header.bad-geometry"


BOUNDED = """
import resource, sys
from pathlib import Path
import numpy as np
from spica.core.streams import Band
from spica.files.images import ImageSink, open_rows

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

ny, nx, height = 4096, 4096, 128
rows = np.random.default_rng(1).normal(100, 5, (height, nx)).astype(np.float32)
band = {"science": rows, "variance": rows, "mask": np.zeros(rows.shape, np.int32)}
for warm in (True, False):
    shape = (height, nx) if warm else (ny, nx)
    before = peak()
    sink = ImageSink(Path(sys.argv[1]), shape, {})
    for y in range(0, shape[0], height):
        sink.write(Band(y, band))
    sink.close()
    source = open_rows(Path(sys.argv[1]))
    for y in range(0, shape[0], height):
        source.read(y, y + height), source.read(y, y + height, "variance")
print(peak() - before)
"""


def test_memory_is_bounded_by_the_band_not_by_the_image(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path / "x")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 80, "MiB, for an image of 192 MiB"


@pytest.mark.parametrize(
    ("lossless", "digest"),
    [(False, "aaadd9234f85b051c64d4516336272dae955eb2d"), (True, "0e27b1a73251d35b793ec066a6793726d6b89758")],
)
def test_the_form_of_the_files_has_not_changed(tmp_path: Path, digest: str, *, lossless: bool) -> None:
    # Whoever changes the form of products on purpose changes this, and says so in `changes`.
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels = ((x * 7919 + y * 104729) % 251 + 500).astype(np.float32)
    image = Image(pixels, pixels + np.float32(25), (x == y).astype(np.int32), {"BUNIT": "electron", "OBJECT": "M 31"})
    write_image(tmp_path / "x", image, IDENTITY, lossless)
    assert of_file(tmp_path / "x") == digest
