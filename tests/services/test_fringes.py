"""Fringes from simulated frames to a master that takes them away: the pipelines `fringes` and `reduce`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spica.core.mask import Mask
from spica.core.records import Grain, Unit
from spica.files.images import read_image
from spica.files.survey import Survey
from spica.services import ingest, initialise, run, simulation
from spica.services.cameras import load
from spica.services.surveys import opened
from spica.simulate.calibration import fringes
from spica.simulate.settings import SimulationSettings

FRAMES = {
    "bands": "z",
    "exposures": "6",
    "exposure_time": "120",
    "dither": "0.02",
    "biases": "4",
    "darks": "3",
    "flats": "4",
    "detectors": "1",
    "detector_size": "256,256",
    "density": "1500",
    "movers_per_field": "0",
}


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fringes")
    folder, sky = root / "survey", root / "sky"
    initialise.initialise(folder)
    simulation.simulate(sky, "demo", FRAMES, folder)
    ingest.ingest(ingest.Order((str(sky / "raw"),)), folder)
    made = run.run(run.Order("fringes", executor="inprocess"), folder)
    assert made.complete
    assert (made.refused, made.failed) == (0, 0)
    return folder


@pytest.fixture(scope="module")
def truth(survey: Path) -> np.ndarray:
    """The pattern as it was drawn, relative to the sky."""
    camera = load("demo", Survey.open(survey))
    pattern, strength = fringes(SimulationSettings(), camera, camera.detectors[0], "z")
    assert strength > 0
    return strength * pattern.astype(np.float64)


def test_the_master_is_the_pattern_as_it_was_drawn(survey: Path, truth: np.ndarray) -> None:
    with opened(survey) as house:
        (row,) = [each for each in house.registry.masters() if each.name == "fringe"]
        master = read_image(house.survey.root / row.path)
    assert (row.band, row.frames) == ("z", 6)
    assert row.valid_to - row.valid_from == pytest.approx(730, abs=1)
    assert master.variance is not None
    assert master.mask is not None
    good = (master.mask == 0) & (master.variance > 0)
    assert np.mean(good) > 0.95
    slope = float(np.polyfit(truth[good], master.pixels[good], 1)[0])
    assert slope == pytest.approx(1, abs=0.05)
    pull = (master.pixels - truth - np.mean((master.pixels - truth)[good]))[good] / np.sqrt(master.variance[good])
    assert float(np.std(np.clip(pull, -6, 6))) == pytest.approx(1, abs=0.25)


def test_frames_reduced_with_it_are_without_fringes(survey: Path, truth: np.ndarray) -> None:
    assert run.run(run.Order("reduce", executor="inprocess"), survey).complete
    with opened(survey) as house:
        for exposure in house.registry.exposures("frame_type = 'object'"):
            made = {each.name: each for each in house.registry.products_of(Unit(Grain.DETECTOR, (exposure.name, "1")))}
            image = read_image(house.survey.root / made["science"].path)
            assert image.mask is not None
            level = float(np.median(image.pixels))
            off = np.abs(image.pixels - level) < 4 * np.sqrt(level)
            good = (image.mask & int(Mask.unusable()) == 0) & off
            # The part of the drawn pattern that is left: a plane and the pattern together explain the sky.
            y, x = np.mgrid[: image.shape[0], : image.shape[1]]
            parts = np.stack([truth[good], np.ones(good.sum()), x[good], y[good]], axis=1)
            left = np.linalg.lstsq(parts, image.pixels[good] / level, rcond=None)[0][0]
            assert abs(left) < 0.05
            assert "defringe.fringe" in {each.need for each in house.registry.inputs_of(made["science"].job)}
