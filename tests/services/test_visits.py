"""Visits of two snaps, from simulated frames to one image and catalogue each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spica.core.faults import SetupFault
from spica.core.mask import Mask
from spica.core.records import Grain, Unit
from spica.files.images import read_image
from spica.files.survey import Survey
from spica.pipelines.catalogue import load as load_pipeline
from spica.pipelines.check import check
from spica.pipelines.graph import chains
from spica.pipelines.model import Pipeline, Step
from spica.services import ingest, initialise, run, simulation
from spica.services.cameras import load
from spica.services.surveys import opened
from spica.services.truth import Truth
from spica.tasks import summary

FRAMES = {
    "bands": "r",
    "exposures": "2",
    "biases": "3",
    "darks": "0",
    "flats": "3",
    "detectors": "94",
    "detector_size": "200,160",
    "density": "1500",
    "exposure_time": "15",
    "cosmic_rate": "5",
    "movers_per_field": "0",
}
VISITS = ("imsim-7", "imsim-9")


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("visits")
    folder, sky = root / "survey", root / "sky"
    initialise.initialise(folder)
    simulation.simulate(sky, "imsim", FRAMES, folder)
    ingest.ingest(ingest.Order((str(sky / "raw"),)), folder)
    run.run(run.Order("calibrations", executor="inprocess"), folder)
    return folder


@pytest.fixture(scope="module")
def production(survey: Path) -> run.Production:
    return run.run(run.Order("visits", executor="inprocess"), survey)


def test_snaps_are_exposures_of_one_visit(survey: Path) -> None:
    with opened(survey) as house:
        objects = house.registry.exposures("frame_type = 'object'")
    assert [each.name for each in objects] == [f"{visit}-{snap}" for visit in VISITS for snap in (0, 1)]
    assert [(each.extra["visit"], each.extra["snap"]) for each in objects] == [(7, 0), (7, 1), (9, 0), (9, 1)]
    assert objects[0].ra == objects[1].ra


def test_one_image_and_catalogue_for_each_visit(production: run.Production, survey: Path) -> None:
    assert production.complete
    truth = Truth.read(survey.parent / "sky" / "truth")
    spec = load("imsim", Survey.open(survey)).detectors[0]
    struck, left = 0, 0
    with opened(survey) as house:
        for visit in VISITS:
            made = {each.name: each for each in house.registry.products_of(Unit(Grain.DETECTOR, (f"{visit}-0", "94")))}
            assert {"science", "sources"} <= made.keys()
            assert not house.registry.products_of(Unit(Grain.DETECTOR, (f"{visit}-1", "94")))
            metrics = {
                each.name: each.value for each in house.registry.metrics_of(Unit(Grain.DETECTOR, (f"{visit}-0", "94")))
            }
            assert metrics["snaps_used"] == 2.0
            assert abs(metrics["snap_shift_x"]) < 0.1
            assert abs(metrics["snap_shift_y"]) < 0.1
            image = read_image(house.survey.root / made["science"].path)
            assert image.header["EXPTIME"] == 30.0
            assert image.variance is not None
            assert image.mask is not None
            hits = [truth.mask(f"{visit}-{snap}", spec) & int(Mask.COSMIC) != 0 for snap in (0, 1)]
            once = hits[0] ^ hits[1]
            pull = (image.pixels - np.median(image.pixels)) / np.sqrt(image.variance)
            struck += int(once.sum())
            left += int((once & (pull > 8.0) & (image.mask & int(Mask.unusable()) == 0)).sum())
    assert struck > 100
    # What is left lies on stars.
    assert left < 0.1 * struck


def test_again_is_done_already_and_half_a_visit_is_the_whole(production: run.Production, survey: Path) -> None:
    assert production.done
    for where in ("", "exposure = 'imsim-7-1'", "exposure = 'imsim-9-0'"):
        foreseen = run.foresee(run.Order("visits", where), survey)
        assert foreseen.to_run == 0, where
        assert foreseen.done > 0


def test_the_first_snap_alone_on_request(production: run.Production, survey: Path) -> None:
    assert production.complete
    order = run.Order("visits", "exposure = 'imsim-7-0'", {"snaps.first_only": "true"}, executor="inprocess")
    assert run.run(order, survey).complete
    with opened(survey) as house:
        unit = Unit(Grain.DETECTOR, ("imsim-7-0", "94"))
        metrics = {each.name: each.value for each in house.registry.metrics_of(unit)}
    assert metrics["snaps_used"] == 1.0


def test_what_follows_the_combination_works_by_visit() -> None:
    linked = chains(load_pipeline("visits"))
    assert [chain.by_visit for chain in linked if chain.steps[0].label in {"detrend", "snaps"}] == [False, True]
    assert all(chain.by_visit for chain in linked[1:])


def test_only_products_of_detectors_are_among_others() -> None:
    wrong = replace(summary.TASK, needs=tuple(replace(need, among="visit") for need in summary.TASK.needs))
    with pytest.raises(SetupFault, match="cannot be among") as refused:
        check(Pipeline("wrong", "", (Step("summary", wrong),)))
    assert refused.value.code == "pipeline.invalid"
