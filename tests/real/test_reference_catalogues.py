"""Published catalogues as they are: Gaia with proper motions in two forms, SkyMapper, Tycho-2, SCAMP's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.coordinates import Distance, SkyCoord, get_body_barycentric
from astropy.table import Table
from astropy.time import Time

from spica.files.hats.regions import Cone, Polygon, vectors
from spica.files.reference.catalogue import open_reference
from spica.files.reference.motion import Prior, motions_of
from spica.kernels.propagation import MAS, propagate
from tests.support.references import imported

ALL = Cone(0.0, 0.0, 180.0)


def test_gaia_of_the_lsst_stack(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "hsc_visit1180_catalogues" / "gaia_refCat.parquet"
    info = imported(tmp_path, "gaia", path).info
    table = pq.read_table(path)
    lost = int(np.count_nonzero(np.isnan(table["coord_ra"].to_numpy()) | np.isnan(table["coord_dec"].to_numpy())))
    assert (info.mapping, info.rows, dict(info.rejected)) == (
        "gaia-lsst",
        table.num_rows - lost,
        {"position-missing": lost},
    )
    rows = open_reference(tmp_path, "gaia").find(ALL)
    given = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    place = {int(number): row for row, number in enumerate(given["id"])}
    order = np.array([place[int(number)] for number in rows["source_id"]])
    assert np.array_equal(rows["ra"], np.degrees(1) * given["coord_ra"][order]) or np.allclose(
        rows["ra"], np.degrees(given["coord_ra"][order]), rtol=0, atol=1e-12
    )
    assert np.allclose(rows["ra_err"], given["coord_raErr"][order] / MAS, rtol=1e-6)
    assert np.allclose(
        rows["mag_G"], (given["phot_g_mean_flux"][order] * u.nJy).to_value(u.ABmag), atol=1e-5, equal_nan=True
    )
    moving = ~given["pm_flag"][order] & np.isfinite(given["pm_ra"][order])
    assert np.array_equal(moving, np.isfinite(rows["pmra"]))
    assert moving.mean() > 0.5
    # Correlations lie within -1 and 1, and the covariance of five parameters is one.
    full = motions_of(rows.select(moving & np.isfinite(rows["parallax"]))).covariance[:, :5, :5]
    scale = np.sqrt(np.einsum("nii->ni", full))
    assert np.linalg.eigvalsh(full / scale[:, :, None] / scale[:, None, :]).min() > -1e-6


def test_gaia_at_the_time_of_the_visit_is_where_astropy_puts_it(real_data: Path, tmp_path: Path) -> None:
    imported(tmp_path, "gaia", real_data / "hsc_visit1180_catalogues" / "gaia_refCat.parquet")
    opened = open_reference(tmp_path, "gaia")
    time = Time(56742.4, format="mjd", scale="tai")
    region = Cone(opened.find(ALL)["ra"].mean(), opened.find(ALL)["dec"].mean(), 0.3)
    then, start = opened.find(region, mjd=time.mjd), opened.find(region.grown(0.01))
    start = start.select(np.isfinite(start["pmra"]) & (start["parallax"] > 0.3))
    theirs = SkyCoord(
        ra=start["ra"] * u.deg,
        dec=start["dec"] * u.deg,
        distance=Distance(parallax=start["parallax"] * u.mas),
        pm_ra_cosdec=start["pmra"] * u.mas / u.yr,
        pm_dec=start["pmdec"] * u.mas / u.yr,
        radial_velocity=np.zeros(len(start)) * u.km / u.s,
        obstime=Time(start["epoch"], format="jyear", scale="tdb"),
    ).apply_space_motion(new_obstime=time)
    seen = theirs.cartesian.without_differentials() - get_body_barycentric("earth", time, ephemeris="builtin")
    there = np.stack([np.asarray(each / seen.norm()) for each in seen.xyz], axis=1)
    ours = {int(number): row for row, number in enumerate(then["source_id"])}
    pairs = [(ours[int(number)], row) for row, number in enumerate(start["source_id"]) if int(number) in ours]
    assert len(pairs) > 100
    i, j = np.array(pairs).T
    apart = np.linalg.norm(vectors(then["ra"], then["dec"])[i] - there[j], axis=1) / MAS * 1000
    assert apart.max() < 5.0, "microarcseconds"
    assert np.all(region.contains(then["ra"], then["dec"]))


def test_gaia_in_parts_from_fits(real_data: Path, tmp_path: Path) -> None:
    paths = sorted((real_data / "legacy_testcase6").glob("chunk-*.fits"))
    info = imported(tmp_path, "gaia", *paths).info
    tables = [Table.read(path, hdu=1) for path in paths]
    assert info.rows + sum(info.rejected.values()) == sum(len(table) for table in tables)
    assert (info.mapping, info.epochs) == ("gaia", (2015.5, 2015.5))
    rows = open_reference(tmp_path, "gaia").find(ALL)
    assert set(rows["source_id"].tolist()) == {int(number) for table in tables for number in table["source_id"]}
    unsolved = sum(int(np.count_nonzero(np.isnan(np.array(table["pmra"])))) for table in tables)
    assert np.count_nonzero(np.isnan(rows["pmra"])) == np.count_nonzero(np.isnan(rows["parallax_err"])) == unsolved > 0
    assert np.nanmedian(rows["mag_G"]) > 15


def test_skymapper(real_data: Path, tmp_path: Path) -> None:
    info = imported(tmp_path, "sm", real_data / "huntsman" / "refcat.csv").info
    assert (info.mapping, list(info.bands)) == ("skymapper", ["u", "v", "g", "r", "i", "z"])
    assert info.epochs[0] > 2014
    assert info.epochs[1] < 2020
    opened = open_reference(tmp_path, "sm")
    table = Table.read(real_data / "huntsman" / "refcat.csv", format="ascii.csv")
    ra, dec = np.array(table["raj2000"], float), np.array(table["dej2000"], float)
    box = Polygon.of([64.0, 64.5, 64.5, 64.0], [-55.5, -55.5, -55.0, -55.0])
    assert len(opened.find(box, ("ra",))) == np.count_nonzero(box.contains(ra, dec)) > 10


@pytest.mark.parametrize(
    ("file", "mapping", "rows", "epoch"),
    [
        ("legacy_testcase6/tycho2.kd.fits", "tycho2-kd", 234, 2000.0),
        ("lco_calibrated/GAIA-DR2.cat", "scamp", 249, 2015.5),
    ],
)
def test_tycho_and_scamp(file: str, mapping: str, rows: int, epoch: float, real_data: Path, tmp_path: Path) -> None:
    info = imported(tmp_path, "any", real_data / file).info
    assert (info.mapping, info.rows, info.epochs) == (mapping, rows, (epoch, epoch))
    found = open_reference(tmp_path, "any").find(ALL)
    assert len(set(found["source_id"].tolist())) == rows
    assert 1 < np.median(found["ra_err"]) < 200, "milliarcseconds"


def test_motions_of_tycho_lead_from_its_mean_to_its_observed_positions(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "legacy_testcase6" / "tycho2.kd.fits"
    imported(tmp_path, "tycho", path)
    rows = open_reference(tmp_path, "tycho").find(ALL)
    table = Table.read(path, hdu=1)
    names = {
        int(a) * 1000000 + int(b) * 10 + int(c): row
        for row, (a, b, c) in enumerate(zip(table["tyc1"], table["tyc2"], table["tyc3"], strict=True))
    }
    order = np.array([names[int(number)] for number in rows["source_id"]])
    years = np.array(table["epoch_dec"], float)[order] - 2000.0
    then = propagate(motions_of(rows, Prior(parallax=0.0, radial_velocity=0.0)), years)
    north = (then.dec - np.array(table["dec"], float)[order]) * 3.6e6
    still = (rows["dec"] - np.array(table["dec"], float)[order]) * 3.6e6
    assert np.median(np.abs(north)) < 0.5 * np.median(np.abs(still))
