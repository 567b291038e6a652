"""Dithered near-infrared exposures, cubes of several read-outs each, from simulated frames to catalogues in two passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spica.core.mask import Mask
from spica.core.records import Grain, Unit
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.files.survey import Survey
from spica.services import ingest, initialise, inventory, run, simulation, why
from spica.services.cameras import load
from spica.services.judging import matched, noise_pulls, spread
from spica.services.surveys import opened
from spica.services.truth import Truth, frames, match

FRAMES = {
    "bands": "J",
    "exposures": "9",
    "exposure_time": "20",
    "dither": "0.2",
    "biases": "12",
    "darks": "3",
    "flats": "12",
    "detectors": "1",
    "detector_size": "192,192",
    "density": "300",
    "star_fraction": "1",
    "mag_bright": "14",
    "mag_faint": "19",
    "movers_per_field": "0",
    "seeing": "0.8",
}


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nir")
    folder, sky = root / "survey", root / "sky"
    initialise.initialise(folder)
    simulation.simulate(sky, "wircam", FRAMES, folder)
    ingest.ingest(ingest.Order((str(sky / "raw"),)), folder)
    run.run(run.Order("calibrations", executor="inprocess"), folder)
    return folder


@pytest.fixture(scope="module")
def production(survey: Path) -> run.Production:
    return run.run(run.Order("nir", executor="inprocess"), survey)


def test_every_exposure_gets_its_image_and_the_sky_is_at_the_noise(production: run.Production, survey: Path) -> None:
    assert production.complete
    truth = Truth.read(survey.parent / "sky" / "truth")
    spec = load("wircam", Survey.open(survey)).detectors[0]
    matched: list[int] = []
    widths: list[float] = []
    with opened(survey) as house:
        objects = house.registry.exposures("frame_type = 'object'")
        assert len(objects) == 9
        for exposure in objects:
            unit = Unit(Grain.DETECTOR, (exposure.name, "1"))
            made = {each.name: each for each in house.registry.products_of(unit)}
            assert {"science", "sources"} <= made.keys()
            assert {each.name: each.value for each in house.registry.metrics_of(unit)}["sky_frames"] == 8.0
            image = read_image(house.survey.root / made["science"].path)
            assert image.variance is not None
            assert image.mask is not None
            places = truth.of_detector(exposure.name, 1)
            y, x = np.mgrid[: spec.ny, : spec.nx]
            dark = image.mask & int(Mask.unusable()) == 0
            for u, v in zip(places["x"], places["y"], strict=True):
                dark &= np.hypot(x - u, y - v) > 12.0
            # The tilt of each exposure's sky is its own: that is for the background.
            plane = np.column_stack([np.ones(dark.sum()), x[dark], y[dark]])
            value, sigma = image.pixels[dark].astype(float), np.sqrt(image.variance[dark])
            # Clipped: hot pixels and cosmic rays are another matter.
            near = np.abs(value - np.median(value)) < 5.0 * sigma
            tilt = np.linalg.lstsq(plane[near], value[near], rcond=None)[0]
            pull = (value - plane @ tilt) / sigma
            pull = pull[np.abs(pull) < 4.0]
            widths.append(float(pull.std()))
            sources = read_catalogue(house.survey.root / made["sources"].path)
            matched.append(len(match(sources, places)[0]))
    # A little below 1: the noise of the masters, which the variance holds, is the same in all exposures and goes too.
    assert 0.9 < np.median(widths) < 1.03
    assert max(widths) < 1.1
    assert min(matched) > 5


def test_cubes_are_read_whole_and_recorded(production: run.Production, survey: Path) -> None:
    slices = load("wircam", Survey.open(survey)).slices
    assert slices > 1
    with opened(survey) as house:
        exposure = house.registry.exposures("frame_type = 'object'")[0]
        assert exposure.extra["slices"] == slices
        assert exposure.exposure_time == 20.0
        everything = house.registry.exposures()
        assert house.registry.exposures(f"slices = {slices}") == everything
        assert house.registry.exposures("slices < 2") == []
        unit = Unit(Grain.DETECTOR, (exposure.name, "1"))
        path = next(each.path for each in house.registry.products_of(unit) if each.name == "science")
        header = read_image(house.survey.root / path).header
    assert (header["NSLICES"], header["GAIN"], header["EXPTIME"]) == (slices, slices, 20.0)
    taken = inventory.take(survey)
    assert all(line.readouts == slices * line.exposures for line in taken.nights)
    story = why.why(exposure.name, survey)
    assert story.facts["slices"] == slices


def test_sources_lie_in_their_places_with_their_light(production: run.Production, survey: Path) -> None:
    with opened(survey) as house:
        made = list(frames(house, Truth.read(survey.parent / "sky" / "truth")))
    noise = np.concatenate([noise_pulls(frame) for frame in made])
    assert spread(noise) == pytest.approx(1.0, abs=0.03)
    stars = matched(made)
    assert len(stars.snr) > 50
    pulls = np.concatenate([stars.dx / stars.x_err, stars.dy / stars.y_err])
    assert spread(pulls) == pytest.approx(1.0, abs=0.2)
    assert np.abs(np.concatenate([stars.dx, stars.dy])[np.tile(stars.bright, 2)]).max() < 0.1
    light = stars.expected * 10.0 ** (-0.4 * stars.offset)
    flux = ((stars.flux - light) / stars.error)[np.isfinite(stars.offset)]
    assert spread(flux) == pytest.approx(1.0, abs=0.2)
    assert abs(np.median(flux)) < 0.3


def test_again_is_done_already_and_one_exposure_means_its_neighbours_too(
    production: run.Production, survey: Path
) -> None:
    assert production.done
    with opened(survey) as house:
        name = house.registry.exposures("frame_type = 'object'")[4].name
    for where in ("", f"exposure = '{name}'"):
        foreseen = run.foresee(run.Order("nir", where), survey)
        assert foreseen.to_run == 0, where
        assert foreseen.done > 0
