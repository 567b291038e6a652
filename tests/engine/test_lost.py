"""Units whose header points elsewhere: index files as a need, stars of where the unit truly is, rungs that need something."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.core.records import FrameType, Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.streams import Places
from spica.core.task import Form, Give, Need, Products, Task
from spica.engine.plan import Plan
from spica.files.survey import CatalogueSettings, Survey
from spica.kernels.indexes import Index
from spica.registry.store import Registry
from tests.engine.ground import Ground, exposure, record
from tests.support.groups import INDEXES
from tests.support.references import gaia_like, imported, write

TRUE = (200.0, 30.0)
HEADER = (10.0, -20.0)


class Look(Settings):
    blind: bool = setting(default=False, meaning="anywhere on the sky")


def look(settings: Look, plates: Mapping[int, Mapping[str, Scalar]], stars: Catalogue, indexes: tuple[Index, ...] | None, everywhere: Places) -> Products:  # fmt: skip
    """Nothing is found where the header points; blind, the place is known."""
    assert len(stars) == 0, "the catalogue has none there"
    if not settings.blind:
        raise DataFault("pointing.no-reference", "nothing here", told=len(plates))
    assert indexes
    found = everywhere.around(*TRUE, 0.1)
    return {"place": {"cone": [*TRUE, 0.1], "stars": len(found), "indexes": [one.name for one in indexes]}}


def idle(settings: Look) -> Products:
    """It does not say where the unit is."""
    return {"place": {}}


def follow(settings: Settings, place: Mapping[str, object], stars: Catalogue) -> Products:
    """The stars of where the unit truly is."""
    return {"stars": stars}


COLUMNS = ("ra", "dec", "mag_G")
TASKS = {
    "look": Task(
        "look",
        1,
        Grain.EXPOSURE,
        Look,
        (
            Need("plates", "wcs"),
            Need("stars", "reference", columns=COLUMNS, nowhere=True),
            Need("indexes", "indexes", optional=True),
            Need("everywhere", "reference", columns=COLUMNS, nowhere=True, stream=True),
        ),
        (Give("place", Form.VALUE),),
        look,
    ),
    "follow": Task(
        "follow",
        1,
        Grain.EXPOSURE,
        Settings,
        (Need("place"), Need("stars", "reference", columns=COLUMNS, placed="place")),
        (Give("stars", Form.CATALOGUE),),
        follow,
    ),
}
PIPELINE = """
name = "lost"
[[step]]
task = "look"
frames = ["object"]
[[step]]
task = "follow"
frames = ["object"]
"""
LADDER = (
    PIPELINE
    + """
[[rescue]]
after = "pointing.no-reference"
step = "look"
settings = { blind = false }
[[rescue]]
after = "pointing.no-reference"
step = "look"
settings = { blind = true }
needs = "indexes"
"""
)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """An exposure whose header points to where the catalogue has no star, and one whose header does not tell."""
    survey = Survey.create(tmp_path / "survey")
    registry = Registry.create(survey.registry_url)
    away = replace(exposure(1, FrameType.OBJECT, band="r"), ra=HEADER[0], dec=HEADER[1])
    registry.add_many([record(away, 2), record(exposure(2, FrameType.OBJECT, band="r"), 2)])
    imported(survey.references, "gaia", write(tmp_path / "gaia.parquet", gaia_like(2000, 1, TRUE, 0.3)))
    return Ground(survey, registry, TASKS)


def told(ground: Ground, **named: str | tuple[str, ...]) -> Ground:
    settings = ground.survey.settings.model_copy(update={"catalogues": CatalogueSettings(**named)})
    return Ground(Survey(ground.survey.root, settings), ground.registry, ground.tasks)


def rungs(ground: Ground, plan: Plan) -> set[tuple[str, ...]]:
    return {ground.registry.job(job.key).rungs for job in plan.jobs}


def test_a_rung_that_needs_what_is_not_there_is_passed_over_and_told(ground: Ground) -> None:
    plan = ground.plan(ground.pipeline("lost", lost=LADDER))
    result = ground.run(plan)
    assert (result.done, result.failed) == (0, 2)
    # The first rung would change nothing.
    [taken] = rungs(ground, plan)
    assert taken == ("after pointing.no-reference: look with blind=True: passed over, there are no indexes",)
    fault = ground.registry.job(plan.jobs[0].key).fault
    assert fault is not None
    assert fault.code == "pointing.no-reference", "the fault is that of the last attempt, with its evidence"
    assert fault.evidence["told"] == 2


@pytest.mark.astrometry
def test_what_follows_gets_the_stars_of_where_the_unit_truly_is(ground: Ground, tmp_path: Path) -> None:
    from spica.files.catalogues import read_catalogue

    name = next(INDEXES.glob("index-tycho2-19*.fits"))
    (tmp_path / "survey" / "indexes").mkdir()
    shutil.copy(name, tmp_path / "survey" / "indexes")
    named = told(ground, indexes="indexes")
    plan = named.plan(named.pipeline("lost", lost=LADDER))
    assert named.run(plan).complete
    assert rungs(named, plan) == {("after pointing.no-reference: look with blind=True",)}
    for job in plan.jobs:
        products = named.registry.products([f"{job.key}/stars", f"{job.key}/place"])
        place = products[f"{job.key}/place"].value
        stars = read_catalogue(named.survey.path_of(products[f"{job.key}/stars"].path))
        assert place is not None
        assert place["indexes"] == [name.name]
        assert len(stars) == place["stars"] > 20
        assert np.abs(stars["dec"] - TRUE[1]).max() < 0.1


@pytest.mark.astrometry
def test_which_index_files_decides_not_where_they_lie(ground: Ground, tmp_path: Path) -> None:
    pipeline = ground.pipeline("lost", lost=LADDER)
    one, other, more = (tmp_path / name for name in ("one", "other", "more"))
    for folder in (one, other, more):
        folder.mkdir()
        shutil.copy(next(INDEXES.glob("index-tycho2-19*.fits")), folder / "index-a.fits")
    shutil.copy(next(INDEXES.glob("index-tycho2-18*.fits")), more / "index-b.fits")
    keys = [
        {job.key for job in told(ground, indexes=named).plan(pipeline).jobs}
        for named in ("", str(one), str(other), (str(one / "index-a.fits"),), str(more))
    ]
    assert keys[1] == keys[2] == keys[3]
    assert len({frozenset(each) for each in keys}) == 3
    named = told(ground, indexes=str(one))
    plan = named.plan(pipeline)
    shutil.copy(more / "index-b.fits", one / "index-a.fits")
    named.run(plan)
    faults = [named.registry.job(job.key).fault for job in plan.jobs]
    assert {fault.code for fault in faults if fault is not None} == {"index.changed"}


def test_a_folder_without_index_files_ends_the_order(ground: Ground, tmp_path: Path) -> None:
    pipeline = ground.pipeline("lost", lost=LADDER)
    for place, code in ((str(tmp_path), "index.none"), ("nowhere.fits", "file.missing")):
        named = told(ground, indexes=place)
        with pytest.raises((SetupFault, DataFault)) as fault:
            named.plan(pipeline)
        assert fault.value.code == code
    with pytest.raises(SetupFault) as nothing:
        ground.plan(ground.pipeline("lost", lost=PIPELINE.replace('"look"\n', '"look"\nrequire = ["indexes"]\n')))
    assert nothing.value.code == "index.none"


def test_what_is_nowhere_and_was_not_found_is_refused(ground: Ground) -> None:
    """Stars of where a unit truly is, where neither the header nor anything else tells."""
    calm = replace(TASKS["look"], needs=(), run=idle)
    other = Ground(ground.survey, ground.registry, {**TASKS, "look": calm})
    plan = other.plan(other.pipeline("lost", lost=PIPELINE))
    other.run(plan)
    faults = [other.registry.job(job.key).fault for job in plan.jobs]
    assert {fault.code if fault else "" for fault in faults} == {"", "data.no-pointing"}


@pytest.mark.parametrize(
    ("task", "need", "text", "word"),
    [
        ("follow", Need("stars", "reference", placed="nothing"), PIPELINE, "no need"),
        ("follow", Need("stars", "reference"), LADDER.replace('"indexes"', '"plates"'), "no optional need"),
    ],
)
def test_the_check_of_a_pipeline_knows_both(ground: Ground, task: str, need: Need, text: str, word: str) -> None:
    tasks = {**TASKS, task: replace(TASKS[task], needs=(TASKS[task].needs[0], need))}
    wrong = Ground(ground.survey, ground.registry, tasks)
    with pytest.raises(SetupFault, match=word):
        wrong.pipeline("lost", lost=text)
