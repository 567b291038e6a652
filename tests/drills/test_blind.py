"""A night with a frame whose header points elsewhere: passed over without index files, calibrated with them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from spica.core.keys import exposure_id
from spica.core.solution import Standing
from spica.files.catalogues import read_catalogue
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_rows import from_columns
from spica.services import ingest, initialise, references, run, simulation, why
from tests.support.calibrated import SKY

pytestmark = [pytest.mark.slow, pytest.mark.astrometry, pytest.mark.timeout(1200)]

LOST = "demo-20261120-00009"
PASSED = "pointing with blind=True: passed over, there are no indexes"


def spoil(folder: Path) -> None:
    """A header that points 12 degrees away."""
    with fits.open(next(folder.rglob(f"{LOST}*")), mode="update", disable_image_compression=True) as hdus:
        hdus[0].header.update({"RA": "05:10:00.0", "DEC": -30.0})
        for hdu in hdus[1:]:
            hdu.header.update({"CRVAL1": 77.5, "CRVAL2": -30.0})
        for hdu in hdus:
            hdu.header.remove("CHECKSUM", ignore_missing=True)


def build(reference: Path, folder: Path) -> None:
    """Index files of a reference catalogue, by astrometry.net's own program."""
    folder.mkdir()
    table = pq.read_table(reference)
    columns = [fits.Column(name, "D", array=np.asarray(table[column])) for name, column in COLUMNS.items()]
    fits.BinTableHDU.from_columns(columns).writeto(folder / "reference.fits")
    for preset in (0, 2):
        order = (
            f"build-astrometry-index -i reference.fits -o index-{preset}.fits -P {preset} -S MAG -E -n 30 -I 90{preset}"
        )
        subprocess.run(order.split(), cwd=folder, check=True, capture_output=True, timeout=120)


COLUMNS = {"RA": "ra", "DEC": "dec", "MAG": "mag_r"}


def test_a_frame_that_points_elsewhere_is_calibrated(tmp_path: Path) -> None:
    home, sky = tmp_path / "survey", tmp_path / "sky"
    initialise.initialise(home)
    simulation.simulate(sky, "demo", SKY, home)
    spoil(sky / "raw")
    ingest.ingest(ingest.Order((str(sky / "raw"),)), home)
    references.bring_in("truth", [sky / "reference.parquet"], home)
    run.run(run.Order("calibrations", executor="inprocess"), home)

    # Without index files the rung is passed over, and the record says so.
    first = run.run(run.Order("calibrate", executor="inprocess"), home)
    assert not first.complete
    [job] = [job for job in why.why(LOST, home).jobs if job.rungs]
    assert job.fault is not None
    assert job.fault.code == "pointing.no-reference"
    assert job.rungs[-1].endswith(PASSED)

    build(sky / "reference.parquet", home / "indexes")
    settings = home / "survey.toml"
    settings.write_text(settings.read_text() + '\n[catalogues]\nindexes = "indexes"\n')
    assert run.run(run.Order("calibrate", executor="inprocess"), home).complete
    assert run.run(run.Order("calibrate", executor="inprocess"), home).done == 0
    [*_, job] = [job for job in why.why(LOST, home).jobs if job.rungs]
    assert job.outcome == "done"
    assert job.rungs[-1].endswith("blind=True")

    # The joint solution has all detectors, where their stars truly are.
    paths = (home / "products" / "solution").rglob("*.parquet")
    solved = read_catalogue(max(paths, key=lambda path: path.stat().st_mtime))  # the other one is of the first run
    assert len(solved) == 6
    assert np.all(solved["standing"] == Standing.SOLVED)
    truth, stars = (pq.read_table(sky / "truth" / f"{name}.parquet") for name in ("positions", "sources"))
    place = dict(
        zip(stars["id"].to_pylist(), zip(stars["ra"].to_pylist(), stars["dec"].to_pylist(), strict=True), strict=True)
    )
    names = np.array(truth["exposure"].to_pylist())
    columns = {name: np.asarray(truth[name]) for name in ("detector", "id", "x", "y")}
    for row in range(6):
        ids = {name: exposure_id("demo", str(name)) for name in np.unique(names)}
        [name] = [name for name, number in ids.items() if number == solved["exposure_id"][row]]
        here = (names == name) & (columns["detector"] == solved["detector"][row])
        here &= np.array([number in place for number in columns["id"]])
        ra, dec = pixel_to_sky(from_columns(solved.columns, row), columns["x"][here], columns["y"][here])
        true = np.array([place[number] for number in columns["id"][here]])
        assert abs(np.median(3.6e6 * (ra - true[:, 0]) * np.cos(np.radians(dec)))) < 30.0
        assert abs(np.median(3.6e6 * (dec - true[:, 1]))) < 30.0
