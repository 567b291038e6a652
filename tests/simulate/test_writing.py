"""Raw files: standard, checksummed, the same bytes for the same content."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.records import Scalar
from spica.simulate.writing import Hdu, encoded, write


def content() -> list[Hdu]:
    rng = np.random.default_rng(1)
    pixels = rng.normal(1500, 20, (64, 100)).astype(np.uint16)
    cards: dict[str, Scalar] = {
        "OBJECT": "M 31",
        "EXPTIME": 30.5,
        "ZEROS": "0000000000000000",
        "ABSENT": None,
        "FLAG": True,
    }
    return [Hdu(cards), Hdu({"EXTNAME": "D1"}, pixels), Hdu({"EXTNAME": "D2"}, pixels.astype(np.int32) * 100)]


@pytest.mark.parametrize("suffix", [".fits", ".fits.fz", ".fits.gz"])
def test_files_read_back_with_sound_checksums(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"raw{suffix}"
    write(path, content())
    # Warnings are errors: astropy warns of a wrong DATASUM or CHECKSUM.
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        assert hdus[0].header["OBJECT"] == "M 31"
        assert "ABSENT" not in hdus[0].header
        np.testing.assert_array_equal(hdus["D1"].data, content()[1].pixels)
        np.testing.assert_array_equal(hdus["D2"].data, content()[2].pixels)
        assert isinstance(hdus["D1"], fits.CompImageHDU) == (suffix == ".fits.fz")
    with fits.open(path, disable_image_compression=True) as hdus:
        assert all("DATASUM" in hdu.header and "CHECKSUM" in hdu.header for hdu in hdus)


@pytest.mark.parametrize("suffix", [".fits", ".fits.fz", ".fits.gz"])
def test_same_content_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        write(tmp_path / f"{name}{suffix}", content())
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []


def test_primary_may_hold_the_pixels() -> None:
    data = encoded(Hdu({"OBJECT": "x"}, np.ones((4, 5), dtype=np.float32)), primary=True, compressed=False)
    assert len(data) % 2880 == 0
    with fits.HDUList.fromstring(data, checksum=True) as hdus:
        assert hdus[0].data.sum() == 20
