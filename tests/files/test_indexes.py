"""Index files of astrometry.net: Debian's Tycho-2 files read as they are, and as what they are refused when spoilt."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.faults import DataFault
from spica.files.hats.regions import Cone, vectors
from spica.files.reference.catalogue import ReferenceCatalogue
from spica.files.reference.indexes import IndexFile, files_of, open_index
from spica.kernels.indexes import Float64, Index
from tests.support.groups import INDEXES
from tests.support.references import imported

pytestmark = pytest.mark.astrometry

BRIGHT = {
    "eps Boo": (221.2467, 27.0742, 2.58),
    "beta Cyg": (292.6803, 27.9597, 3.19),
    "eps Eri": (53.2327, -9.4583, 3.81),
    "delta Cep": (337.2928, 58.4152, 4.21),
    "theta1 Ori C": (83.8186, -5.3897, 5.06),
    "sigma Oct": (317.1954, -88.9565, 5.47),
    "51 Peg": (344.3666, 20.7688, 5.53),
}
"""Position (ICRS, J2000) [degree] and magnitude V_T."""


def installed(number: int) -> Path:
    """One of Debian's files."""
    return next(INDEXES.glob(f"index-tycho2-{number}.*.fits"))


@pytest.fixture(scope="module")
def fine() -> IndexFile:
    """Of four stars, 1 to 1.4 degrees."""
    return open_index(installed(10))


@pytest.fixture(scope="module")
def coarse() -> IndexFile:
    """Of three stars, 23 to 33 degrees."""
    return open_index(installed(19))


def test_what_the_headers_tell(fine: IndexFile, coarse: IndexFile) -> None:
    assert isinstance(fine, Index)
    assert (fine.ident, fine.order, fine.count, fine.stars) == (4110, 4, 580800, 362950)
    assert (fine.smallest, fine.largest) == pytest.approx((1.0, 2.0**0.5), rel=3e-3)
    assert (coarse.order, coarse.healpix) == (3, -1)
    # Uniform by the way it is built, but for where there are too few stars; a circle about a star has that one too.
    assert fine.density == pytest.approx(362950 / 41252.96, rel=0.15)


def test_bright_stars_are_where_they_are(fine: IndexFile) -> None:
    places = np.array([each[:2] for each in BRIGHT.values()])
    one, star = fine.near(vectors(places[:, 0], places[:, 1]), np.full(len(places), 2.0 / 3600))
    assert one.tolist() == list(range(len(places)))
    assert fine.brightness(star) == pytest.approx([each[2] for each in BRIGHT.values()], abs=0.02)
    apart = np.linalg.norm(fine.directions(star) - vectors(places[:, 0], places[:, 1]), axis=1)
    assert 3600.0 * np.degrees(apart).max() < 0.5


def code_of(stars: Float64) -> Float64:
    """Codes (n, 2 order - 4) of asterisms (n, order, 3) by the definition in `spica.kernels.indexes`."""
    middle = stars[:, 0] + stars[:, 1]
    middle /= np.linalg.norm(middle, axis=1)[:, None]
    east = np.cross([0.0, 0.0, 1.0], middle)
    east /= np.linalg.norm(east, axis=1)[:, None]
    xi, eta = (np.einsum("nsk,nk->ns", stars, axis) for axis in (east, np.cross(middle, east)))
    z = (xi + 1j * eta) / np.einsum("nsk,nk->ns", stars, middle)
    code = (1 + 1j) * np.conj((z[:, 2:] - z[:, :1]) / (z[:, 1:2] - z[:, :1]))
    return np.stack([code.real, code.imag], axis=-1).reshape(len(stars), -1)


@pytest.mark.parametrize("number", [10, 11, 14, 19])
def test_codes_are_those_that_astrometry_net_computed(number: int) -> None:
    index = open_index(installed(number))
    some = np.arange(0, index.count, max(index.count // 3000, 1))
    members = index.members(some)
    stars = index.directions(members.ravel()).reshape(*members.shape, 3)
    assert np.abs(np.linalg.norm(stars, axis=2) - 1.0).max() < 1e-8
    code = code_of(stars)
    # Stored to 1 part in 46340.
    assert np.abs(code - index.codes.values(some)).max() < 1.2e-5
    x = code[:, ::2]
    assert np.all(np.diff(x, axis=1) > -2e-5)
    assert x.mean(axis=1).max() < 0.5 + 2e-5
    apart = np.degrees(np.arccos(np.einsum("nk,nk->n", stars[:, 0], stars[:, 1])))
    assert index.smallest <= apart.min()
    assert apart.max() <= index.largest


def test_the_trees_of_the_file_find_all_that_is_near(fine: IndexFile, coarse: IndexFile) -> None:
    rng = np.random.default_rng(2)
    places = rng.normal(size=(6, 3))
    places /= np.linalg.norm(places, axis=1)[:, None]
    for index, radius in ((fine, 1.5), (coarse, 40.0)):
        stars = index.directions(np.arange(index.stars))
        found = index.near(places, np.full(len(places), radius))
        apart = np.stack([np.linalg.norm(stars - place, axis=1) for place in places])
        one, star = np.nonzero(apart <= 2.0 * np.sin(0.5 * np.radians(radius)))
        assert np.array_equal(np.stack(found), np.stack([one, star]))
    codes = fine.codes.values(np.arange(fine.count))
    asked = codes[:: fine.count // 5] + 0.01
    one, quad = fine.alike(asked, np.full(len(asked), 0.03))
    for number, place in enumerate(asked):
        wanted = np.flatnonzero(np.linalg.norm(codes - place, axis=1) <= 0.03)
        assert np.array_equal(quad[one == number], wanted)


def spoilt(path: Path, card: bytes, value: bytes, nth: int = 0) -> Path:
    """The file with another value of a card."""
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(nth + 1):
        at = data.index(card.ljust(8) + b"=", at + 1)
    data[at + 10 : at + 30] = value.rjust(20)
    path.write_bytes(data)
    return path


def used(path: Path) -> None:
    """Open a file and look into both of its trees' tables."""
    index = open_index(path)
    index.members(np.array([0]))
    index.alike(np.zeros((1, 2)), np.ones(1))


@pytest.mark.parametrize(
    ("card", "value", "word"),
    [
        (b"AN_FILE", b"'CAKE    '", "no index file"),
        (b"ENDIAN", b"'03:04:01:02'", "byte order"),
        (b"DIMQUADS", b"9", "9 stars"),
        (b"DIMQUADS", b"4", "quads"),
        (b"NQUADS", b"1729", "quads"),
        (b"SCALE_L", b"7.0", "sizes"),
        (b"SCALE_U", b"'wide'", "SCALE_U"),
        (b"CXDX", b"F", "CXDX"),
        (b"KDT_NDIM", b"3", "dimensions"),
        (b"KDT_DATA", b"'float'", "not known"),
        (b"KDT_NNOD", b"254", "nodes"),
    ],
)
def test_what_is_no_index_is_refused_by_name(tmp_path: Path, card: bytes, value: bytes, word: str) -> None:
    path = spoilt(Path(shutil.copyfile(installed(19), tmp_path / "index.fits")), card, value)
    with pytest.raises(DataFault, match=word) as fault:
        used(path)
    assert fault.value.code == "index.damaged"
    assert str(path) in fault.value.message


def test_files_that_are_cut_short_or_something_else(tmp_path: Path) -> None:
    whole = installed(19).read_bytes()
    for number, data in enumerate((whole[:50_000], b"cake", b"", whole[:2880])):
        path = tmp_path / f"index-{number}.fits"
        path.write_bytes(data)
        with pytest.raises(DataFault) as fault:
            open_index(path)
        assert fault.value.code == "index.damaged"
    with pytest.raises(DataFault) as fault:
        open_index(tmp_path / "none.fits")
    assert fault.value.code == "file.missing"


def test_a_star_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = Path(shutil.copyfile(installed(19), tmp_path / "index.fits"))
    with fits.open(path) as hdus:
        start = hdus.fileinfo(1)["datLoc"]
    data = bytearray(path.read_bytes())
    data[start : start + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    with pytest.raises(DataFault, match="an asterism has star") as fault:
        open_index(path).members(np.array([0]))
    assert fault.value.code == "index.damaged"


def test_the_other_byte_order_is_the_same_index(tmp_path: Path, coarse: IndexFile) -> None:
    """As a machine of the other byte order writes it: each plain array turned, by hand from the file's own layout."""
    path = Path(shutil.copyfile(installed(19), tmp_path / "index.fits"))
    words = {"quads": 4, "lr": 4, "split_codes": 2, "split_stars": 4, "range": 8, "data_codes": 2, "data_stars": 4}
    data = bytearray(path.read_bytes().replace(b"'04:03:02:01'", b"'01:02:03:04'"))
    with fits.open(path) as hdus:
        for number, hdu in enumerate(hdus):
            name = hdu.header.get("TTYPE1", "").strip()
            size = next((size for word, size in words.items() if word in name), 1)
            start, length = hdus.fileinfo(number)["datLoc"], hdu.header.get("NAXIS1", 0) * hdu.header.get("NAXIS2", 0)
            if size > 1 and "header" not in name:
                part = np.frombuffer(bytes(data[start : start + length]), f"<u{size}")
                data[start : start + length] = part.byteswap().tobytes()
    path.write_bytes(data)
    other = open_index(path)
    asked = np.array([[0.3, 0.4], [0.2, 0.9]]), np.full(2, 0.05)
    assert np.array_equal(np.stack(other.alike(*asked)), np.stack(coarse.alike(*asked)))
    assert np.array_equal(other.members(np.arange(50)), coarse.members(np.arange(50)))
    assert np.array_equal(other.directions(np.arange(50)), coarse.directions(np.arange(50)))
    assert np.array_equal(other.brightness(np.arange(50)), coarse.brightness(np.arange(50)))


@pytest.mark.slow
def test_an_index_that_is_built_now_is_read(tmp_path: Path) -> None:
    """build-astrometry-index, of a sky made up, without magnitudes that come along."""
    rng = np.random.default_rng(4)
    sky = rng.normal(size=(4000, 3))
    sky /= np.linalg.norm(sky, axis=1)[:, None]
    ra, dec = np.degrees(np.arctan2(sky[:, 1], sky[:, 0])) % 360.0, np.degrees(np.arcsin(sky[:, 2]))
    columns = [
        fits.Column(name, "D", array=each) for name, each in (("RA", ra), ("DEC", dec), ("MAG", rng.random(4000)))
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "sky.fits")
    order = "build-astrometry-index -i sky.fits -o index-1.fits -P 15 -S MAG -I 77 -E -T"
    subprocess.run(order.split(), cwd=tmp_path, check=True, capture_output=True, timeout=120)
    index = open_index(tmp_path / "index-1.fits")
    assert (index.ident, index.order) == (77, 4)
    members = index.members(np.arange(index.count))
    stars = index.directions(members.ravel()).reshape(*members.shape, 3)
    assert np.abs(code_of(stars) - index.codes.values(np.arange(index.count))).max() < 1.2e-5
    _, near = index.near(sky[:50], np.full(50, 1e-4))
    assert len(near) > 30


def test_folders_and_files_are_told_apart(tmp_path: Path) -> None:
    for name in ("index-2.fits", "index-1.fits", "other.fits", "index-3.txt"):
        (tmp_path / name).touch()
    named = tmp_path / "other.fits"
    assert [path.name for path in files_of([tmp_path, named, named])] == ["index-1.fits", "index-2.fits", "other.fits"]


def test_its_stars_are_a_reference_catalogue(tmp_path: Path, fine: IndexFile) -> None:
    """Taken in as any table, with the magnitudes that came along; another index has nearly all of them at the same places."""
    imported(tmp_path, "tycho2", installed(11))
    catalogue = ReferenceCatalogue(tmp_path / "tycho2")
    assert catalogue.info.mapping == "tycho2-index"
    for ra, dec, mag in BRIGHT.values():
        found = catalogue.find(Cone(ra, dec, 2.0 / 3600.0))
        assert found["mag_VT"] == pytest.approx([mag], abs=0.006)
        assert (found["epoch"].tolist(), found["ra_err"].tolist()) == ([2000.0], [60.0])
    there = vectors(*(catalogue.find(Cone(80.0, -5.0, 3.0))[name] for name in ("ra", "dec")))
    one, _ = fine.near(there, np.full(len(there), 0.02 / 3600))
    assert np.unique(one).size > 0.95 * len(there) > 50
