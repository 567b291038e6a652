"""Every way in which a delivered file can be bad has its name."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as astropy_fits

from spica.core.faults import DataFault
from spica.files import checksums, conformance, fits
from spica.files.verify import inspect_file


def mosaic(path: Path, *, compressed: bool = False, sums: bool = True) -> Path:
    rng = np.random.default_rng(1)
    hdus = [astropy_fits.PrimaryHDU()]
    hdus[0].header["OBJECT"] = "M 31"
    for name in ("D1", "D2"):
        pixels = rng.normal(1000, 10, (50, 400)).astype(np.uint16)
        if compressed:
            hdus.append(astropy_fits.CompImageHDU(pixels, name=name, compression_type="RICE_1", tile_shape=(1, 400)))
        else:
            hdus.append(astropy_fits.ImageHDU(pixels, name=name))
    astropy_fits.HDUList(hdus).writeto(path, checksum=sums)
    return path


def fault_of(path: Path) -> DataFault:
    with pytest.raises(DataFault) as caught:
        inspect_file(path)
    assert path.name in str(caught.value)
    assert caught.value.evidence["path"] == str(path)
    return caught.value


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["x.fits", "x.fit", "x.fts"])
def test_a_good_file(tmp_path: Path, name: str, *, compressed: bool) -> None:
    path = mosaic(tmp_path / name, compressed=compressed)
    found = inspect_file(path)
    assert found.checksum == checksums.of_file(path)
    assert found.size == path.stat().st_size
    assert [(hdu.index, hdu.name, hdu.shape, hdu.checked) for hdu in found.hdus] == [
        (0, "", (), "checksum"),
        (1, "D1", (50, 400), "checksum"),
        (2, "D2", (50, 400), "checksum"),
    ]
    assert found.headers[0]["OBJECT"] == "M 31"
    assert found.hdus[0].text.startswith("SIMPLE  =")
    assert found.conformance == ()


def test_a_gzip_is_the_file_in_it(tmp_path: Path) -> None:
    plain = mosaic(tmp_path / "x.fits")
    packed = tmp_path / "x.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert inspect_file(packed).hdus == inspect_file(plain).hdus
    assert inspect_file(packed).checksum == checksums.of_file(packed)


def _cut(where: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * where)]


def _flip(where: float) -> Callable[[bytes], bytes]:
    def flipped(data: bytes) -> bytes:
        at = int(len(data) * where)
        return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]

    return flipped


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda _: b"", "file.empty"),
        (lambda _: b"P6 100 100 255\n" + bytes(5000), "file.not-fits"),
        (lambda _: b"SIMPLE", "file.not-fits"),
        (_cut(0.9), "file.truncated"),
        (_cut(0.4), "file.truncated"),
        (_cut(0.01), "file.truncated"),
        (lambda data: data[:4000], "file.truncated"),
        (lambda data: data + b"junk" * 1000, "file.corrupt"),
        (_flip(0.3), "file.corrupt"),
        (_flip(0.85), "file.corrupt"),
        (lambda data: data.replace(b"M 31", b"M 32"), "file.corrupt"),
        (
            lambda data: data.replace(b"NAXIS1  =                  400", b"NAXIS1  =                 -400"),
            "file.corrupt",
        ),
        (
            lambda data: data.replace(b"BITPIX  =                   16", b"BITPIX  =                   17"),
            "file.corrupt",
        ),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[bytes], bytes], code: str) -> None:
    path = mosaic(tmp_path / "x.fits")
    path.write_bytes(damage(path.read_bytes()))
    assert fault_of(path).code == code


@pytest.mark.parametrize("damage", [_cut(0.9), _cut(0.5)])
def test_damage_inside_compressed_files(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    for compressed, name in ((True, "x.fits.fz"), (False, "y.fits.gz")):
        path = mosaic(tmp_path / f"{name}.whole", compressed=compressed)
        data = path.read_bytes() if compressed else gzip.compress(path.read_bytes())
        (tmp_path / name).write_bytes(damage(data))
        assert fault_of(tmp_path / name).code == "file.truncated"


def test_a_bit_flipped_in_a_gzip(tmp_path: Path) -> None:
    data = gzip.compress(mosaic(tmp_path / "x.fits").read_bytes())
    (tmp_path / "x.fits.gz").write_bytes(_flip(0.5)(data))
    assert fault_of(tmp_path / "x.fits.gz").code in {"file.corrupt", "file.truncated"}


def test_tiles_without_sums_are_decoded(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "x.fits.fz", compressed=True, sums=False)
    assert [hdu.checked for hdu in inspect_file(path).hdus] == ["", "decoded", "decoded"]
    data = bytearray(path.read_bytes())
    hdu = fits.layout(memoryview(bytes(data)), path)[2]
    data[hdu.data + hdu.size - 400 : hdu.data + hdu.size] = b"\xff" * 400
    path.write_bytes(bytes(data))
    fault = fault_of(path)
    assert (fault.code, fault.evidence["hdu"]) == ("file.corrupt", 2)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    assert fault_of(tmp_path / "absent.fits").code == "file.missing"
    (tmp_path / "folder.fits").mkdir()
    assert fault_of(tmp_path / "folder.fits").code == "file.unreadable"
    (tmp_path / "loop.fits").symlink_to(tmp_path / "loop.fits")
    assert fault_of(tmp_path / "loop.fits").code == "file.unreadable"


@pytest.mark.parametrize("damage", [_cut, _flip])
def test_damage_anywhere_is_noticed(tmp_path: Path, damage: Callable[[float], Callable[[bytes], bytes]]) -> None:
    path = mosaic(tmp_path / "x.fits", compressed=True)
    whole = path.read_bytes()
    for where in np.random.default_rng(7).uniform(0, 1, 40):
        path.write_bytes(damage(float(where))(whole))
        with pytest.raises(DataFault):
            inspect_file(path)


def test_nonstandard_headers_are_told_not_refused(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "x.fits", sums=False)
    data = path.read_bytes()
    data = data.replace(b"OBJECT  = 'M 31    '", b"object  = 'M 31    '").replace(
        b"EXTEND  =                    T", b"EXPOSURE= 6,4E-05             "
    )
    path.write_bytes(data)
    lines = inspect_file(path).conformance
    assert any("'object'" in line for line in lines)
    assert any("EXPOSURE" in line for line in lines)


def test_sums_agree_with_astropy(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "x.fits")
    data = fits.open_bytes(path)
    for hdu in fits.layout(data, path):
        body = data[hdu.data : hdu.end]
        assert str(fits.data_sum(body)) == str(hdu.header["DATASUM"])
        assert fits.data_sum(data[hdu.start : hdu.end]) in {0, 0xFFFFFFFF}


@pytest.mark.realdata
def test_real_files_agree_with_astropy_about_their_sums(real_data: Path) -> None:
    for name in (
        "raw_lco/mef_raw_test_frame.fits",
        "lco_calibrated/banzai_test_frame.fits.fz",
        "panoptes/solved.fits.fz",
    ):
        assert {hdu.checked for hdu in inspect_file(real_data / name).hdus} == {"checksum"}
    # A frame whose pixels were changed after the sums had been written: astropy warns, we refuse.
    with (
        pytest.warns(UserWarning, match="[Cc]hecksum|[Dd]atasum"),
        astropy_fits.open(real_data / "wcs" / "tpv.fits", checksum=True) as file,
    ):
        assert file[0].data is not None
    assert fault_of(real_data / "wcs" / "tpv.fits").code == "file.corrupt"
    assert inspect_file(real_data / "wcs" / "tpv.fits", sums=False).hdus[0].checked == ""


@pytest.mark.fitsverify
def test_fitsverify_speaks_up(tmp_path: Path) -> None:
    path = mosaic(tmp_path / "x.fits", sums=False)
    assert conformance.by_fitsverify(path) == ()
    path.write_bytes(path.read_bytes().replace(b"OBJECT  = 'M 31    '", b"object  = 'M 31    '"))
    assert conformance.by_fitsverify(path)
