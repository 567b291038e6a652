"""Reference stars as a need: around the unit, at its time, of the catalogue that the survey names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.core.records import FrameType, Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.engine.plan import Plan
from spica.files.survey import CatalogueSettings, Survey
from spica.kernels.wcs import sky_to_pixel
from spica.kernels.wcs_cards import from_cards
from spica.registry.store import Registry
from tests.engine.ground import Ground, exposure, record
from tests.support.references import gaia_like, imported, write

RA, DEC = 359.99, 2.0
STARS = 4000
ACROSS = 1.0
"""Degrees over which the catalogue has stars: beyond them there are none."""


class Near(Settings):
    search: float = setting(0.01, "how far stars may be off [degree]")
    other: bool = setting(False, "at the opposite declination too")
    least: int = setting(0, "fewer stars are a fault")


def near(
    settings: Near,
    stars: Catalogue | None,
    plates: Mapping[int, Mapping[str, Scalar]],
    detector_stars: Catalogue | None,
) -> Products:
    """The stars as they came, and where the first solutions put them."""
    if stars is None:
        return {"stars": Catalogue({"x": np.zeros(0)}, {}), "about": {"plates": sorted(plates)}}
    if len(stars) < settings.least:
        raise DataFault("data.too-many-sources", f"{len(stars)} are too few", found=len(stars))
    x, y = sky_to_pixel(from_cards(plates[1]), stars["ra"], stars["dec"])
    made = Catalogue({**stars.columns, "x": x, "y": y}, stars.header, stars.extra)
    return {"stars": made, "about": {"plates": sorted(plates), "size": plates[1]["NAXIS1"]}}


_NEEDS = (
    Need("stars", "reference", columns=("ra", "dec", "epoch", "pmra", "mag_*", "parallax_err"), where="mag_G < 19", margin="search", opposite="other", optional=True),
    Need("plates", "wcs"),
    Need("detector_stars", "reference", section="photometry", optional=True),
)  # fmt: skip
TASKS = {
    "near": Task("near", 1, Grain.EXPOSURE, Near, _NEEDS, (Give("stars", Form.CATALOGUE), Give("about", Form.VALUE)), near),
}  # fmt: skip
PIPELINE = """
name = "near"
[[step]]
task = "near"
frames = ["object"]
require = ["stars"]
without = ["detector_stars"]
"""
LADDER = (
    PIPELINE
    + """
settings = { least = 500 }
[[rescue]]
after = "data.too-many-sources"
step = "near"
settings = { search = 0.3 }
"""
)


def stars(parent: Path, name: str = "gaia", seed: int = 1) -> None:
    made = gaia_like(STARS, seed, (RA, DEC), ACROSS)
    imported(parent, name, write(parent.parent / f"{name}.parquet", made))


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    survey = Survey.create(tmp_path / "survey")
    registry = Registry.create(survey.registry_url)
    first = replace(exposure(1, FrameType.OBJECT, band="r"), ra=RA, dec=DEC)
    registry.add_many([record(first, 2), record(replace(exposure(2, FrameType.OBJECT, band="r"), ra=RA, dec=DEC), 2)])
    made = Ground(survey, registry, TASKS)
    stars(survey.references)
    return made


def with_catalogues(ground: Ground, **named: str) -> Ground:
    settings = ground.survey.settings.model_copy(update={"catalogues": CatalogueSettings(**named)})
    return Ground(Survey(ground.survey.root, settings), ground.registry, ground.tasks)


def made(ground: Ground, plan: Plan) -> list[Catalogue]:
    from spica.files.catalogues import read_catalogue

    assert ground.run(plan).complete
    found = ground.registry.products([f"{job.key}/stars" for job in plan.jobs])
    return [read_catalogue(ground.survey.path_of(found[f"{job.key}/stars"].path)) for job in plan.jobs]


def codes(ground: Ground, plan: Plan) -> set[str]:
    """How the jobs ended."""
    reports = [ground.registry.job(job.key) for job in plan.jobs]
    return {report.fault.code if report.fault else "" for report in reports}


def test_stars_around_the_exposure_at_its_time(ground: Ground) -> None:
    plan = ground.plan(ground.pipeline("near", near=PIPELINE))
    few = made(ground, plan)[0]
    # Two detectors of 48 by 32 pixels stand beside each other in the demo camera; all stars near them are there.
    assert 0 < len(few) < STARS / 4
    assert np.all(few["mag_G"] < 19)
    assert np.all(np.isnan(few["parallax_err"]) | (few["parallax_err"] > 0))
    assert {name for name in few.columns if name.startswith("mag_")} >= {"mag_G", "mag_G_err"}
    np.testing.assert_allclose(few["epoch"], 2026.9, atol=0.1)
    wide = made(ground, ground.plan(ground.pipeline("near", near=PIPELINE), near__search=0.3))[0]
    assert len(wide) > 3 * len(few)
    value = ground.registry.products([f"{plan.jobs[0].key}/about"])[f"{plan.jobs[0].key}/about"].value
    assert value == {"plates": [1, 2], "size": 48}


def test_a_rung_that_looks_farther_gets_more_stars(ground: Ground) -> None:
    plan = ground.plan(ground.pipeline("near", near=LADDER))
    assert all(len(each) > 500 for each in made(ground, plan))


def test_a_rung_that_looks_at_the_opposite_declination(ground: Ground) -> None:
    turned = [replace(exposure(n, FrameType.OBJECT, band="r"), ra=RA, dec=-DEC) for n in (4, 5)]
    ground.registry.add_many([record(each, 2) for each in turned])
    text = LADDER.replace("search = 0.3", "search = 0.3, other = true")
    # Headers of both signs are served by one ladder: no star, then those of the place itself or of the other one.
    found = made(ground, ground.plan(ground.pipeline("near", near=text)))
    assert len(found) == 4
    assert all(len(each) > 500 for each in found)
    assert all(np.all(each["dec"] > 0) for each in found)


def test_another_catalogue_is_other_work(ground: Ground) -> None:
    pipeline = ground.pipeline("near", near=PIPELINE)
    plan = ground.plan(pipeline)
    assert ground.run(plan).complete
    assert ground.plan(pipeline).counts()["run"] == 0
    stars(ground.survey.references, "other", seed=2)
    with pytest.raises(SetupFault) as fault:
        ground.plan(pipeline)
    assert fault.value.code == "refcat.unnamed"
    assert with_catalogues(ground, astrometry="gaia").plan(pipeline).counts()["run"] == 0
    assert with_catalogues(ground, astrometry="other").plan(pipeline).counts()["run"] == 2
    with pytest.raises(SetupFault) as fault:
        with_catalogues(ground, astrometry="none").plan(pipeline)
    assert fault.value.code == "refcat.unknown"


def test_an_optional_need_goes_without(ground: Ground) -> None:
    stars(ground.survey.references, "other", seed=2)
    text = PIPELINE.replace('require = ["stars"]\n', "")
    assert len(made(ground, ground.plan(ground.pipeline("near", near=text)))[0]) == 0


def test_a_catalogue_replaced_after_planning_is_noticed(ground: Ground) -> None:
    import shutil

    plan = ground.plan(ground.pipeline("near", near=PIPELINE))
    shutil.rmtree(ground.survey.references / "gaia")
    stars(ground.survey.references, "gaia", seed=3)
    ground.run(plan)
    assert codes(ground, plan) == {"refcat.changed"}


def test_a_column_that_decides_must_be_there(ground: Ground) -> None:
    tasks = {"near": replace(TASKS["near"], needs=(replace(_NEEDS[0], where="mag_q < 19"), *_NEEDS[1:]))}
    other = Ground(ground.survey, ground.registry, tasks)
    plan = other.plan(other.pipeline("near", near=PIPELINE))
    other.run(plan)
    assert codes(other, plan) == {"refcat.lacking"}


def test_a_frame_without_a_place_is_refused_and_its_neighbour_done(ground: Ground) -> None:
    ground.registry.add_many([record(exposure(3, FrameType.OBJECT, band="r"), 2)])
    plan = ground.plan(ground.pipeline("near", near=PIPELINE))
    result = ground.run(plan)
    assert (result.done, result.failed) == (2, 1)
    assert codes(ground, plan) == {"", "data.no-pointing"}


@pytest.mark.parametrize(
    ("need", "word"),
    [
        (replace(_NEEDS[0], margin="nothing"), "no setting"),
        (replace(_NEEDS[0], opposite="nothing"), "no setting"),
        (replace(_NEEDS[0], section="cooking"), "purpose"),
    ],
)
def test_the_check_of_a_pipeline_knows_the_need(ground: Ground, need: Need, word: str) -> None:
    wrong = Ground(ground.survey, ground.registry, {"near": replace(TASKS["near"], needs=(need, *_NEEDS[1:]))})
    with pytest.raises(SetupFault, match=word):
        wrong.pipeline("near", near=PIPELINE)
