"""Cubes through the services: a camera measured on them, and deliveries that differ or are spoilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.files.survey import Survey
from spica.services import ingest, initialise, measuring, run, simulation
from spica.services.cameras import check, load
from spica.services.surveys import opened
from spica.services.why import why

FRAMES = {
    "bands": "J",
    "detectors": "1",
    "detector_size": "160,128",
    "exposures": "1",
    "exposure_time": "20",
    "biases": "6",
    "darks": "2",
    "flats": "0",
    "ramp": "4000,10000,20000,40000,70000",
    "lamp_scatter": "3e-4",
    "density": "300",
}


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cubes")
    folder, sky = root / "survey", root / "sky"
    initialise.initialise(folder)
    simulation.simulate(sky, "wircam", FRAMES, folder)
    ingest.ingest(ingest.Order((str(sky / "raw"),)), folder)
    return folder


def test_a_camera_measured_on_cubes_is_that_of_one_read_out(survey: Path) -> None:
    camera = load("wircam", Survey.open(survey))
    assert camera.slices > 1
    order = measuring.Order("wircam", executor="inprocess")
    measured = measuring.measure(order, survey)
    assert measured.production.complete
    amplifier = camera.detectors[0].amplifiers[0]
    figures = {each.quantity: each for each in measured.figures}
    for quantity, true in (("gain", amplifier.gain), ("read_noise", amplifier.read_noise)):
        figure = figures[quantity]
        assert figure.value == pytest.approx(true, abs=4.0 * figure.error)
        assert figure.error < 0.02 * true
        assert figure.verdict == "agrees"


def test_the_check_of_a_table_tells_the_slices(survey: Path) -> None:
    (delivered,) = (survey.parent / "sky" / "raw").rglob("*o.fits.fz")
    (found,) = check("wircam", [delivered], survey).files
    assert "4 × 20 s, 1 detectors" in found.summary


def test_spoilt_cubes_are_put_aside_by_name_and_the_story_is_told(survey: Path, tmp_path: Path) -> None:
    (delivered,) = (survey.parent / "sky" / "raw").rglob("*o.fits.fz")
    short = tmp_path / "1000000o.fits.fz"
    short.write_bytes(delivered.read_bytes()[:-5000])
    summary = ingest.ingest(ingest.Order((str(short),)), survey)
    assert [problem.code for problem in summary.problems] == ["file.truncated"]
    assert short.name in summary.problems[0].message
    assert "lacks" in why(str(short), survey).faults[0].message


def test_masters_of_cubes_serve_a_single_read_out(survey: Path, tmp_path: Path) -> None:
    """Means are those of one read-out: what is made of four serves one, with its own noise in the variance."""
    run.run(run.Order("calibrations", executor="inprocess"), survey)
    (delivered,) = (survey.parent / "sky" / "raw").rglob("*o.fits.fz")
    with fits.open(delivered) as hdus:
        primary = fits.PrimaryHDU(header=hdus[0].header)
        primary.header["EXPNUM"] += 1
        primary.header["NEXP"] = 1
        image = fits.CompImageHDU(hdus[1].data[0], hdus[1].header, compression_type="RICE_1")
        fits.HDUList([primary, image]).writeto(tmp_path / "9000001o.fits.fz", checksum=True)
    taken = ingest.ingest(ingest.Order((str(tmp_path / "9000001o.fits.fz"),)), survey)
    assert not taken.problems
    production = run.run(run.Order("reduce", "frame_type = 'object'", executor="inprocess"), survey)
    assert production.complete
    with opened(survey) as house:
        single = house.registry.exposures("frame_type = 'object' and slices = 1")
        cubes = house.registry.exposures("frame_type = 'object' and slices > 1")
        metrics = [
            {each.name: each.value for each in house.registry.metrics_of(row.unit)}
            for name in (single[0].name, cubes[0].name)
            for row in house.registry.detectors([(name, 1)]).values()
        ]
    assert len(single) == len(cubes) == 1
    slices = load("wircam", Survey.open(survey)).slices
    assert metrics[0]["sky_noise"] / metrics[1]["sky_noise"] == pytest.approx(np.sqrt(slices), rel=0.1)
    for each in metrics:
        assert each["noise_ratio"] == pytest.approx(1.0, abs=0.1)
