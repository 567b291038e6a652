"""The pipeline calibrate on a simulated night: PSF, pointing, one solution for all exposures, against the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.core.columns import Catalogue
from spica.core.keys import exposure_id
from spica.core.records import Unit
from spica.core.solution import Standing
from spica.files.catalogues import read_catalogue
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_rows import from_columns
from spica.services import covering, headers, heads
from spica.services.surveys import opened
from tests.support.calibrated import calibrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey with a calibrated night, beside its sky."""
    return calibrated(tmp_path_factory.mktemp("night"))


def solution(night: Path) -> Catalogue:
    [path] = (night / "survey" / "products" / "solution").rglob("*.parquet")
    return read_catalogue(path)


def test_each_detector_is_where_its_stars_are(night: Path) -> None:
    solved = solution(night)
    assert len(solved) == 6
    assert np.all(solved["standing"] == Standing.SOLVED)
    truth = pq.read_table(night / "sky" / "truth" / "positions.parquet")
    stars = pq.read_table(night / "sky" / "truth" / "sources.parquet")
    place = dict(
        zip(stars["id"].to_pylist(), zip(stars["ra"].to_pylist(), stars["dec"].to_pylist(), strict=True), strict=True)
    )
    names = np.array(truth["exposure"].to_pylist())
    columns = {name: np.asarray(truth[name]) for name in ("detector", "id", "x", "y")}
    for row in range(len(solved)):
        [name] = [each for each in np.unique(names) if exposure_id("demo", str(each)) == solved["exposure_id"][row]]
        here = (names == name) & (columns["detector"] == solved["detector"][row])
        here &= np.array([number in place for number in columns["id"]])
        assert np.count_nonzero(here) >= 10
        ra, dec = pixel_to_sky(from_columns(solved.columns, row), columns["x"][here], columns["y"][here])
        true = np.array([place[number] for number in columns["id"][here]])
        east = 3.6e6 * (ra - true[:, 0]) * np.cos(np.radians(dec))
        north = 3.6e6 * (dec - true[:, 1])
        error = (
            3.0 * solved["sky_err"][row] + 10.0
        )  # 10 mas: motions since the sky's epoch, in the median of ten sources
        assert abs(np.median(east)) < error
        assert abs(np.median(north)) < error


def test_every_detector_has_a_psf_and_every_source_a_fit(night: Path) -> None:
    models = sorted((night / "survey" / "products" / "psf").rglob("*.parquet"))
    fits = sorted((night / "survey" / "products" / "psf_sources").rglob("*.parquet"))
    sources = sorted((night / "survey" / "products" / "sources").rglob("*.parquet"))
    assert len(models) == len(fits) == len(sources) == 6
    for fitted, measured in zip(map(read_catalogue, fits), map(read_catalogue, sources), strict=True):
        np.testing.assert_array_equal(fitted["source_id"], measured["source_id"])
        bright = (measured["snr"] > 50) & (measured["flags"] == 0) & (fitted["flags_psf"] == 0)
        ratio = (
            fitted["flux_psf"][bright & (fitted["p_star"] > 0.9)]
            / measured["flux_auto"][bright & (fitted["p_star"] > 0.9)]
        )
        assert abs(np.median(ratio) - 1.0) < 0.03


def test_the_solution_is_delivered(night: Path, tmp_path: Path) -> None:
    """Headers, `.head` files and outlines of every detector, from the one place."""
    home = night / "survey"
    solved = solution(night)
    done = headers.refreshed(home)
    assert done.problems == ()
    images = sorted((home / "products" / "science").rglob("*.fits"))
    assert len(images) == 6
    written = heads.write(tmp_path, home)
    assert (len(written.paths), written.without) == (6, ())
    for row in range(6):
        wcs = from_columns(solved.columns, row)
        x, y = np.array([10.0, 300.0]), np.array([200.0, 20.0])
        ra, dec = pixel_to_sky(wcs, x, y)
        there = [fits.getheader(path, "SCIENCE") for path in images]
        [mine] = [
            each
            for each in there
            if each["DETECTOR"] == solved["detector"][row]
            and exposure_id("demo", each["EXPNAME"]) == solved["exposure_id"][row]
        ]
        assert np.allclose(WCS(mine).all_pix2world(x, y, 0), (ra, dec), rtol=0, atol=1e-9)
        found = {each.unit for each in covering.covering(home, float(ra[0]), float(dec[0]))}
        assert f"detector:{mine['EXPNAME']}/{mine['DETECTOR']}" in found
        assert f"exposure:{mine['EXPNAME']}" in {
            each.unit for each in covering.covering(home, float(ra[0]), float(dec[0]), exposures=True)
        }


def test_zero_points_are_those_of_the_night(night: Path) -> None:
    """Exposures against each other as they were drawn, by themselves and jointly; magnitudes of stars as they were drawn.

    The zero point itself holds what the flat field is relative to, which the drawn one does not.
    """
    truth = pq.read_table(night / "sky" / "truth" / "exposures.parquet")
    pairs = zip(truth["exposure"].to_pylist(), truth["zero_point"].to_pylist(), strict=True)
    true = {name: zero for name, zero in pairs if zero is not None and np.isfinite(zero)}
    assert len(true) == 3
    solved = solution(night)
    assert solved.header["MAGSYS"] == "AB"
    assert np.all(solved["photometric"] == 1)
    found: dict[str, tuple[float, float]] = {}
    with opened(night / "survey") as house:
        for name in true:
            metrics = {each.name: each.value for each in house.registry.metrics_of(Unit.parse(f"exposure:{name}"))}
            assert abs(metrics["zero_point_slope"] - 1.0) < 0.03
            assert metrics["transparency"] == pytest.approx(10 ** (-0.4 * metrics["clouds"]))
            joint = float(np.mean(solved["zero_point"][solved["exposure_id"] == exposure_id("demo", name)]))
            found[name] = metrics["zero_point"], joint
            for detector in (1, 2):
                told = house.registry.metrics_of(Unit.parse(f"detector:{name}/{detector}"))
                values = {each.name: each.value for each in told}
                assert values["zero_point_joint"] == 1.0
                assert abs(values["zero_point_apart"]) < 0.02
    names = sorted(true)
    apart = np.array([np.subtract(found[name], true[name]) for name in names])
    assert np.all(np.abs(apart) < 0.08)
    assert np.all(np.ptp(apart, axis=0) < 0.02)


def test_few_stars_among_galaxies_set_detectors_right(tmp_path: Path) -> None:
    """Seven to twelve bright stars a detector among more galaxies: no detector is a tenth of a magnitude off its neighbour."""
    home = calibrated(tmp_path, exposures="4")
    drawn = pq.read_table(home / "sky" / "truth" / "exposures.parquet")
    solved = solution(home)
    assert len(solved) == 8
    for name, zero in zip(drawn["exposure"].to_pylist(), drawn["zero_point"].to_pylist(), strict=True):
        for row in np.flatnonzero(solved["exposure_id"] == exposure_id("demo", name)):
            path = home / "sky" / "truth" / f"flat_r_D{solved['detector'][row]}.fits"
            flat = 2.5 * np.log10(np.median(np.asarray(fits.getdata(path))))
            off = solved["zero_point"][row] - zero - flat
            assert abs(off) < 0.02
            assert abs(off) < 3.5 * solved["zero_point_err"][row]


def test_magnitudes_are_those_of_the_stars(night: Path) -> None:
    truth = pq.read_table(night / "sky" / "truth" / "positions.parquet")
    columns = {name: np.asarray(truth[name]) for name in ("detector", "x", "y", "mag")}
    names = np.array(truth["exposure"].to_pylist())
    products = night / "survey" / "products"
    paths = sorted((products / "magnitudes").rglob("*.parquet"))
    assert len(paths) == 6
    off: list[float] = []
    for path in paths:
        made = read_catalogue(path)
        assert (made.header["MAGSYS"], made.header["MAGFROM"]) == ("AB", "joint")
        name, detector = path.name.split("_")[:2]
        [seen] = [read_catalogue(each) for each in (products / "sources").rglob(f"{name}_{detector}_*.parquet")]
        [fitted] = [read_catalogue(each) for each in (products / "psf_sources").rglob(f"{name}_{detector}_*.parquet")]
        here = (names == name) & (columns["detector"] == int(detector))
        away = np.hypot(seen["x"][:, None] - columns["x"][here], seen["y"][:, None] - columns["y"][here])
        nearest = np.argmin(away, axis=1)
        stars = (
            (away.min(axis=1) < 1.0) & (seen["flags"] == 0) & (fitted["p_star"] > 0.9) & (made["mag_auto_err"] < 0.02)
        )
        assert np.count_nonzero(stars) >= 8
        off.append(float(np.median(made["mag_auto"][stars] - columns["mag"][here][nearest[stars]])))
        assert abs(np.median(made["mag_psf"][stars] - made["mag_auto"][stars])) < 0.03
    assert np.max(np.abs(off)) < 0.03
    assert abs(np.mean(off)) < 0.012
