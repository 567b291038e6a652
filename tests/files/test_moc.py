"""Maps of coverage: exact algebra, regions covered, files as other programs write and read them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from cdshealpix import nested

from spica.core.faults import SetupFault
from spica.files.hats import healpix
from spica.files.hats.moc import WHOLE, Moc
from spica.files.hats.moc_files import is_ascii_moc, parse_moc, read_moc, to_ascii, write_moc
from spica.files.hats.regions import Cone, Polygon
from tests.support.groups import lsdb_python

ORDER = 4
CELLS = 12 * 4**ORDER


def drawn(seed: int, share: float = 0.3) -> tuple[Moc, np.ndarray]:
    """A map of cells of one order, and which of them it holds."""
    rng = np.random.default_rng(seed)
    inside = np.repeat(rng.random(CELLS // 4) < share, 4) ^ (rng.random(CELLS) < 0.1)
    return Moc.of_cells(ORDER, np.flatnonzero(inside)), inside


def held(moc: Moc) -> np.ndarray:
    return moc.holds((np.arange(CELLS) << 2 * (29 - ORDER)) + 12345)


def test_the_algebra_is_that_of_sets_of_cells() -> None:
    (a, in_a), (b, in_b) = drawn(1), drawn(2)
    for made, truth in ((a | b, in_a | in_b), (a & b, in_a & in_b), (a - b, in_a & ~in_b), (~a, ~in_a)):
        assert np.array_equal(held(made), truth)
        assert made.fraction == pytest.approx(truth.mean(), rel=1e-12)
        assert made == Moc.of_cells(ORDER, np.flatnonzero(truth))
        assert np.all(made.first[1:] > made.end[:-1])
    nothing, everything = Moc.of([], []), ~Moc.of([], [])
    assert not nothing
    assert (everything.fraction, everything.order) == (1.0, 0)
    assert everything.area == pytest.approx(41252.96, abs=0.01)
    assert (a & nothing, a | nothing, a & everything, a - everything) == (nothing, a, a, nothing)
    assert (a.order, ~~a == a, hash(a) == hash(~~a)) == (ORDER, True, True)
    assert a.touches(b)
    assert not a.touches(~a)
    assert not a.touches(nothing)
    coarse = a.degraded(2)
    assert coarse.order == 2
    assert not (a - coarse)
    assert np.array_equal(held(coarse), np.repeat(in_a.reshape(-1, 16).any(axis=1), 16))


@pytest.mark.parametrize("place", [(10.0, 20.0), (0.0, 0.0), (200.0, 89.8), (359.99, -89.9), (45.0, 41.8)])
def test_cones_and_outlines_are_covered_by_the_cells_they_touch(place: tuple[float, float]) -> None:
    rng = np.random.default_rng(3)
    cone = Cone(*place, 0.7)
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    sky = healpix.cells(*nested_circle(place, 0.7, around))
    moc = Moc.of_cone(*place, 0.7, 9)
    assert moc.holds(sky).all()
    assert moc.order <= 9
    # No more than a cell beyond it.
    corners = [
        nested_circle(place, 0.7 + 2.5 * healpix.width(9), around),
        nested_circle((place[0], -place[1]), 0.3, around),
    ]
    for ra, dec in corners if abs(place[1]) > 2 else corners[:1]:
        assert not moc.contains(ra, dec).any()
    polygon = Polygon.of(*nested_circle(place, 0.7, np.array([0.2, 1.7, 3.5, 5.0])))
    outline = tuple(np.array(polygon.vertices).T)
    covered = Moc.of_outlines([outline, outline], 9)
    ra, dec = polygon.grid(500)
    assert covered.contains(ra, dec).all()
    assert covered.area == pytest.approx(moc.area * 2 / np.pi, rel=0.15)
    assert covered.touches(moc)
    ra, dec = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    inside = cone.contains(ra, dec)
    assert moc.contains(ra, dec)[inside].all()


def nested_circle(place: tuple[float, float], radius: float, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places on a circle [degree]."""
    a, d, r = np.radians(place[0]), np.radians(place[1]), np.radians(radius)
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.array([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)])
    middle = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    there = np.cos(r) * middle + np.sin(r) * (np.cos(angles)[:, None] * north + np.sin(angles)[:, None] * east)
    return np.degrees(np.arctan2(there[:, 1], there[:, 0])) % 360, np.degrees(np.arcsin(np.clip(there[:, 2], -1, 1)))


def test_it_agrees_with_the_cells_that_healpix_counts() -> None:
    from astropy import units
    from astropy.coordinates import Latitude, Longitude

    cells, _, _ = nested.cone_search(Longitude(10 * units.deg), Latitude(20 * units.deg), 3 * units.deg, 7, flat=True)
    assert Moc.of_cone(10.0, 20.0, 3.0, 7) == Moc.of_cells(7, cells.astype(np.int64))


@pytest.mark.parametrize("name", ["a.fits", "range.fits", "a.json", "a.txt"])
def test_files_are_read_back_as_written(name: str, tmp_path: Path) -> None:
    deepest = Moc.of([5, WHOLE - 1], [6, WHOLE])
    for moc in (drawn(1)[0], ~drawn(2)[0], deepest, Moc.of([], []), ~Moc.of([], [])):
        path = tmp_path / name
        write_moc(path, moc, by_range=name.startswith("range"))
        assert read_moc(path) == moc
        first = path.read_bytes()
        write_moc(path, moc, by_range=name.startswith("range"))
        assert path.read_bytes() == first


def test_what_the_files_say(tmp_path: Path) -> None:
    moc = parse_moc("5/4965 6/19868-19869 19904 19906 19912")
    assert parse_moc("6/19860-19863,19868-19869, 19904 19906 19912") == moc
    assert to_ascii(moc) == "5/4965 6/19868-19869 19904 19906 19912"
    assert is_ascii_moc("5/4965")
    assert not is_ascii_moc("5/field.fits")
    write_moc(tmp_path / "m.json", moc)
    assert json.loads((tmp_path / "m.json").read_text()) == {"5": [4965], "6": [19868, 19869, 19904, 19906, 19912]}
    write_moc(tmp_path / "m.fits", moc)
    with fits.open(tmp_path / "m.fits", checksum=True) as hdus:
        header = hdus[1].header
        assert hdus[1].data["UNIQ"].tolist() == [
            4096 + 4965,
            *(16384 + cell for cell in (19868, 19869, 19904, 19906, 19912)),
        ]
    said = [header[key] for key in ("MOCVERS", "MOCDIM", "ORDERING", "COORDSYS", "MOCORD_S", "MOCORDER")]
    assert said == ["2.0", "SPACE", "NUNIQ", "C", 6, 6]


BAD = ("", "5-7", "5/4965 6/x", "3/768", "30/1", "5/9-3", '{"5": 4965}', '{"5": ["x"]}', "{")


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_map_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text(text)
    with pytest.raises(SetupFault) as fault:
        read_moc(tmp_path / "m.txt")
    assert fault.value.code == "moc.invalid"
    assert "m.txt" in str(fault.value)


def test_what_is_no_map_in_fits_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.fits"
    write_moc(path, drawn(1)[0])
    data = path.read_bytes()
    for old, new in ((b"'NUNIQ   '", b"'RING    '"), (b"'SPACE   '", b"'TIME    '"), (b"XTENSION", b"YTENSION")):
        assert old in data
        path.write_bytes(data.replace(old, new))
        with pytest.raises(SetupFault) as fault:
            read_moc(path)
        assert fault.value.code == "moc.invalid"
    with pytest.raises(SetupFault, match="cannot be read"):
        read_moc(tmp_path / "none.fits")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SetupFault, match="neither FITS nor text"):
        read_moc(tmp_path / "binary")
    with pytest.raises(SetupFault, match=r"has to end in \.fits"):
        write_moc(tmp_path / "m.dat", drawn(1)[0])


MOCPY = """
import json, sys
from pathlib import Path
import astropy.units as u
from mocpy import MOC
folder = Path(sys.argv[1])
a, b = (MOC.load(folder / name, format=form) for name, form in (("a.fits", "fits"), ("b.json", "json")))
same = a == MOC.load(folder / "range.fits", format="fits")
cone = MOC.from_cone(lon=10 * u.deg, lat=20 * u.deg, radius=1 * u.deg, max_depth=9)
for name, moc in (("both", a & b), ("any", a | b), ("cone", cone)):
    moc.save(folder / f"{name}.fits", format="fits", overwrite=True)
    (folder / f"{name}.txt").write_text(moc.to_string("ascii"))
    (folder / f"{name}.json").write_text(moc.to_string("json"))
print(json.dumps([same, a.sky_fraction]))
"""


@pytest.mark.slow
@pytest.mark.lsdb
def test_mocpy_reads_ours_and_we_read_its(tmp_path: Path) -> None:
    # LSDB brings MOCPy with it.
    python = lsdb_python()
    assert python is not None
    a, b = drawn(1)[0], drawn(2)[0]
    write_moc(tmp_path / "a.fits", a)
    write_moc(tmp_path / "range.fits", a, by_range=True)
    write_moc(tmp_path / "b.json", b)
    done = subprocess.run([python, "-c", MOCPY, str(tmp_path)], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [True, pytest.approx(a.fraction, rel=1e-12)]
    for name, truth in (("both", a & b), ("any", a | b), ("cone", Moc.of_cone(10.0, 20.0, 1.0, 9))):
        for form in ("fits", "txt", "json"):
            assert read_moc(tmp_path / f"{name}.{form}") == truth, (name, form)
