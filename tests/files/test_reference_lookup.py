"""Look-ups by place give what a search through all rows gives: across RA 0, at the poles, in small and large regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.files.hats import healpix
from spica.files.hats import lookup as lookups
from spica.files.hats.regions import Cone, Polygon, vectors
from spica.files.reference import motion
from spica.files.reference.around import stars_around
from spica.files.reference.catalogue import ReferenceCatalogue, open_reference
from spica.files.reference.coverage import Coverage
from spica.files.reference.motion import Prior, motions_of, moved
from spica.kernels.propagation import triad
from tests.support.references import gaia_like, imported, write

PLACES = [(10.0, 20.0), (0.0, 0.0), (359.99, -45.0), (123.0, 90.0), (77.0, -89.95), (180.0, 66.4)]


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of the whole sky, dense about the places that matter, in many small partitions."""
    folder = tmp_path_factory.mktemp("sky")
    parts = [gaia_like(4000, 50)]
    for number, (ra, dec) in enumerate(PLACES):
        rng = np.random.default_rng(number)
        radius = 3.0 * np.sqrt(rng.random(3000))
        angle = rng.uniform(0, 2 * np.pi, 3000)
        there = SkyCoord(ra * u.deg, dec * u.deg).directional_offset_by(angle * u.rad, radius * u.deg)
        made = gaia_like(3000, number)
        made |= {"ra": there.ra.deg, "dec": there.dec.deg, "source_id": np.arange(3000) + 10_000 * (number + 1)}
        parts.append(made)
    parts[0]["source_id"] = np.arange(4000)
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    imported(folder, "sky", write(folder / "stars.parquet", whole), largest=700)
    return folder


@pytest.fixture
def opened(sky: Path) -> ReferenceCatalogue:
    return open_reference(sky, "sky")


@pytest.fixture(scope="module")
def everything(sky: Path) -> Catalogue:
    return open_reference(sky, "sky").find(Cone(0, 0, 180))


def ids(rows: Catalogue) -> set[int]:
    found = set(rows["source_id"].tolist())
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("radius", [0.02, 0.7, 25.0])
def test_cones(place: tuple[float, float], radius: float, opened: ReferenceCatalogue, everything: Catalogue) -> None:
    assert len(everything) == opened.info.rows
    stars = SkyCoord(everything["ra"] * u.deg, everything["dec"] * u.deg)
    near = stars.separation(SkyCoord(place[0] * u.deg, place[1] * u.deg)).deg <= radius
    assert ids(opened.find(Cone(*place, radius))) == set(everything["source_id"][near].tolist())


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [0.05, 1.0, 20.0])
def test_polygons(place: tuple[float, float], size: float, opened: ReferenceCatalogue, everything: Catalogue) -> None:
    """A detector's outline, turned; inside is what lies on the same side of all its great circles."""
    middle = SkyCoord(place[0] * u.deg, place[1] * u.deg)
    angles = np.radians([40.0, 130.0, 220.0, 300.0])
    corners = middle.directional_offset_by(angles * u.rad, size * u.deg)
    points = vectors(everything["ra"], everything["dec"])
    edges = vectors(corners.ra.deg, corners.dec.deg)
    normals = np.cross(edges, np.roll(edges, -1, axis=0))
    sides = points @ normals.T
    inside = np.all(sides > 0, axis=1) | np.all(sides < 0, axis=1)
    # All sides have the same sign at the opposite place too.
    inside &= points @ vectors(*place)[0] > 0
    for order in (slice(None), slice(None, None, -1)):
        polygon = Polygon.of(corners.ra.deg[order], corners.dec.deg[order])
        assert ids(opened.find(polygon)) == set(everything["source_id"][inside].tolist())


def test_a_hollow_polygon(opened: ReferenceCatalogue, everything: Catalogue) -> None:
    """An L about RA 0: what its two parts hold together, no more."""
    x, y = np.array([-1, 1, 1, 0, 0, -1.0]), np.array([-1, -1, 0, 0, 1, 1.0])
    whole = Polygon.of(x % 360, y)
    parts = [
        Polygon.of(np.array([-1, 1, 1, -1.0]) % 360, [-1, -1, 0, 0]),
        Polygon.of(np.array([-1, 0, 0, -1.0]) % 360, [0, 0, 1, 1]),
    ]
    assert ids(opened.find(whole)) == ids(opened.find(parts[0])) | ids(opened.find(parts[1]))
    assert len(opened.find(whole)) > 300


def test_columns_rows_and_words_of_their_absence(opened: ReferenceCatalogue, everything: Catalogue) -> None:
    region = Cone(10.0, 20.0, 2.0)
    found = opened.find(region, ("source_id", "mag_G"), "mag_G < 12 and flags = 0")
    assert tuple(found.columns) == ("source_id", "mag_G")
    bright = (everything["mag_G"] < 12) & (everything["flags"] == 0)
    near = region.contains(everything["ra"], everything["dec"])
    assert ids(found) == set(everything["source_id"][bright & near].tolist())
    assert found.header == {"reference": "sky", "reference_checksum": opened.info.checksum}
    assert found.declaration("mag_G").unit == "mag"
    assert len(opened.find(region, where="mag_G < 0")) == 0
    for words, code in ((("mag_K",), "order.invalid"), ((), "where.invalid")):
        with pytest.raises(SetupFault) as caught:
            opened.find(region, words, "" if words else "mag_K < 3")
        assert caught.value.code == code


def test_who_names_no_columns_around_a_unit_gets_all_of_them(sky: Path, opened: ReferenceCatalogue) -> None:
    cones = (Cone(10.0, 20.0, 0.5), Cone(10.4, 20.0, 0.5))
    found = stars_around(str(opened.folder), opened.info.checksum, cones, (), "", 59000.0)
    whole = opened.find(cones[0], mjd=59000.0)
    assert set(found.columns) == set(whole.columns) >= {"source_id", "ra_err", "mag_G", "mag_G_err"}
    assert ids(whole) < ids(found)
    np.testing.assert_array_equal(found["mag_G"][: len(whole)], whole["mag_G"])


def test_what_is_kept_in_memory_is_bounded_and_changes_nothing(sky: Path, everything: Catalogue) -> None:
    small = open_reference(sky, "sky", kept=100_000)
    for place in PLACES * 2:
        assert ids(small.find(Cone(*place, 2.0))) == ids(open_reference(sky, "sky").find(Cone(*place, 2.0)))
        assert small.lookup.held <= 100_000


def test_open_files_are_bounded(sky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "OPEN", 3)
    few = open_reference(sky, "sky", kept=1)
    assert len(few.find(Cone(0, 0, 180), ("source_id",))) == few.info.rows
    assert few.lookup.opened <= 3


def test_regions_that_are_none() -> None:
    for region in (
        lambda: Cone(0, 91, 1),
        lambda: Cone(0, 0, 0),
        lambda: Cone(np.nan, 0, 1),
        lambda: Polygon.of([0, 1], [0, 1]),
        lambda: Polygon.of([0, 1, np.nan], [0, 1, 0]),
        lambda: Polygon.of([0, 120, 240], [0, 0, 0]),
    ):
        with pytest.raises(SetupFault) as caught:
            region()
        assert caught.value.code == "order.invalid"


def test_a_damaged_partition_is_named(tmp_path: Path) -> None:
    info = imported(tmp_path, "gaia", write(tmp_path / "stars.csv", gaia_like(100))).info
    broken = tmp_path / "gaia" / info.partitions[0].path
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DataFault, match=broken.name) as caught:
        open_reference(tmp_path, "gaia").find(Cone(0, 0, 180))
    assert caught.value.code == "refcat.damaged"
    (tmp_path / "gaia" / "spica.json").write_text("{}")
    with pytest.raises(DataFault) as again:
        open_reference(tmp_path, "gaia")
    assert again.value.code == "refcat.damaged"


def test_cells_are_those_of_an_independent_implementation() -> None:
    from astropy_healpix import HEALPix

    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(0, 360, 5000), np.degrees(np.arcsin(rng.uniform(-1, 1, 5000)))
    for order in (0, 5, 12):
        theirs = HEALPix(2**order, order="nested").lonlat_to_healpix(ra * u.deg, dec * u.deg)
        assert np.array_equal(healpix.cells(ra, dec, order), theirs)


def test_at_another_time_stars_have_moved_into_the_region_and_out_of_it(tmp_path: Path) -> None:
    columns = gaia_like(3)
    columns |= {"ra": np.array([10.0, 10.02, 10.0]), "dec": np.array([0.0, 0.0, 5.0])}
    columns |= {"pmra": np.array([3.6e6 * 0.01 / 10, -3.6e6 * 0.02 / 10, 0.0]), "pmdec": np.zeros(3)}
    imported(tmp_path, "gaia", write(tmp_path / "stars.csv", columns))
    opened = open_reference(tmp_path, "gaia")
    region, later = Cone(10.0, 0.0, 0.005), 57388.5 + 3652.5
    assert ids(opened.find(region)) == {int(columns["source_id"][0])}
    then = opened.find(region, ("source_id", "ra", "dec", "ra_err", "epoch"), mjd=later)
    assert ids(then) == {int(columns["source_id"][1])}
    assert abs(then["ra"][0] - 10.0) < 1e-6
    assert abs(then["epoch"][0] - 2026.0) < 1e-5
    assert "ra_dec_corr" in opened.find(region, mjd=later).columns


def test_what_is_not_known_grows_by_the_prior() -> None:
    rows = Catalogue(
        {
            "ra": np.array([10.0, 10.0, 10.0]),
            "dec": np.array([40.0, 40.0, 40.0]),
            "epoch": np.full(3, 2016.0),
            "ra_err": np.full(3, 3.0),
            "dec_err": np.full(3, 4.0),
            "pmra": np.array([5.0, np.nan, 5.0]),
            "pmdec": np.array([5.0, np.nan, 5.0]),
            "pmra_err": np.array([0.1, np.nan, np.nan]),
            "pmdec_err": np.array([0.1, np.nan, np.nan]),
        }
    )
    prior = Prior(motion=7.0, parallax=0.0)
    then = moved(rows, 51544.5 + 365.25 * 26 - motion.TDB_TAI, prior)
    assert np.allclose(then["ra_err"], np.sqrt(9 + 100 * np.array([0.1, 7, 7]) ** 2), rtol=1e-5)
    assert np.allclose(then["dec_err"], np.sqrt(16 + 100 * np.array([0.1, 7, 7]) ** 2), rtol=1e-5)
    assert np.isnan(then["pmra"]).tolist() == [False, True, False]
    assert np.isnan(then["pmra_err"]).tolist() == [False, True, False]
    stars = motions_of(rows, prior)
    assert stars.pmra.tolist() == [5.0, 0.0, 5.0]


def test_a_position_without_an_error_stays_without_one_and_spoils_nothing_else() -> None:
    columns = {"ra": np.array([10.0]), "dec": np.array([40.0]), "epoch": np.array([2016.0])}
    columns |= {
        "pmra": np.array([5.0]),
        "pmdec": np.array([5.0]),
        "pmra_err": np.array([0.1]),
        "pmdec_err": np.array([0.2]),
    }
    then = moved(Catalogue(columns), 60000.0)
    assert np.isnan(then["ra_err"][0])
    assert np.isnan(then["ra_dec_corr"][0])
    assert np.allclose((then["pmra_err"][0], then["pmdec_err"][0]), (0.1, 0.2), rtol=1e-4)


def test_a_partition_of_another_catalogue_is_noticed(tmp_path: Path) -> None:
    for number, rows in enumerate((100, 50)):
        imported(
            tmp_path, f"c{number}", write(tmp_path / f"{number}.csv", gaia_like(rows, centre=(10.0, 40.0), width=0.1))
        )
    one, two = (open_reference(tmp_path, name) for name in ("c0", "c1"))
    (tmp_path / "c0" / one.info.partitions[0].path).write_bytes(
        (tmp_path / "c1" / two.info.partitions[0].path).read_bytes()
    )
    with pytest.raises(DataFault, match="it has 50 rows, not 100"):
        one.find(Cone(10.0, 40.0, 1.0))


def test_pulls_of_rows_brought_to_a_time_have_width_one() -> None:
    """Stars whose motions are drawn from the prior, half of them unknown to the catalogue."""
    n, prior, rng = 4000, Prior(motion=8.0, parallax=2.0), np.random.default_rng(3)
    truth = {
        "ra": rng.uniform(0, 360, n),
        "dec": np.degrees(np.arcsin(rng.uniform(-0.99, 0.99, n))),
        "epoch": np.full(n, 2000.0),
        "pmra": rng.normal(0, prior.motion, n),
        "pmdec": rng.normal(0, prior.motion, n),
        "parallax": rng.normal(0, prior.parallax, n),
    }
    unknown = rng.random(n) < 0.5
    noise = {name: rng.normal(size=n) for name in ("ra", "dec", "pmra", "pmdec", "parallax")}
    measured = dict(truth)
    measured["ra"] = truth["ra"] + noise["ra"] * 20 / 3.6e6 / np.cos(np.radians(truth["dec"]))
    measured["dec"] = truth["dec"] + noise["dec"] * 20 / 3.6e6
    for name, error in (("pmra", 1.0), ("pmdec", 1.0), ("parallax", 0.5)):
        measured[name] = np.where(unknown, np.nan, truth[name] + noise[name] * error)
        measured[f"{name}_err"] = np.where(unknown, np.nan, error)
    measured |= {"ra_err": np.full(n, 20.0), "dec_err": np.full(n, 20.0)}
    mjd = 58849.3
    ours, true = moved(Catalogue(measured), mjd, prior), moved(Catalogue(truth), mjd, prior)
    east, north, there = triad(true["ra"], true["dec"])
    shift = (triad(ours["ra"], ours["dec"])[2] - there) * np.degrees(1) * 3.6e6
    for axis, name in ((east, "ra_err"), (north, "dec_err")):
        pull = np.einsum("ij,ij->i", shift, axis) / ours[name]
        for group in (unknown, ~unknown):
            assert abs(np.std(pull[group]) - 1) < 4 / np.sqrt(n)
    assert ours["ra_err"][unknown].min() > 100 > ours["ra_err"][~unknown].max()


def test_coverage_of_a_square_and_of_its_edge(tmp_path: Path) -> None:
    columns = gaia_like(40_000, 1, (0.0, 30.0), 4.0)
    hole = np.hypot((columns["ra"] + 180) % 360 - 180.5, columns["dec"] - 30.5) < 0.4
    imported(tmp_path, "gaia", write(tmp_path / "stars.parquet", {k: v[~hole] for k, v in columns.items()}))
    covering = Coverage(tmp_path / "gaia")
    assert 0.05 < covering.resolution < 0.2

    def square(ra: float, dec: float, half: float) -> Polygon:
        wide = half / np.cos(np.radians(dec))
        return Polygon.of(
            [ra - wide, ra + wide, ra + wide, ra - wide], [dec - half, dec - half, dec + half, dec + half]
        )

    whole, edge, inside, away = covering.of(
        [square(359, 29, 0.5), square(0, 28, 0.5), square(0.5, 30.5, 0.1), square(90, 0, 1)]
    )
    assert (whole, inside, away) == (1.0, 0.0, 0.0)
    assert abs(edge - 0.5) < 1.5 * covering.resolution
    assert covering.of([]).size == 0
