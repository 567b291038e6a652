"""What covers a place, by the best that is known of each detector: a joint solution, `pointing`, the header, the camera's table."""

from __future__ import annotations

import numpy as np

from spica.core.faults import Outcome
from spica.core.jobs import JobReport, ProductRecord
from spica.core.records import Unit
from spica.core.task import Form
from spica.engine.footprints import outline
from spica.files.survey import Survey
from spica.instruments import tables
from spica.kernels.wcs import tangent_wcs
from spica.kernels.wcs_cards import to_cards
from spica.registry.store import Registry
from spica.services.covering import covering
from tests.support.survey import SCIENCE, Small


def where_it_lies(small: Small, number: int) -> tuple[float, float]:
    """Middle of a detector as header and table have it."""
    survey = Survey.open(small.folder)
    with Registry.open(survey.registry_url) as registry:
        (exposure,) = registry.exposures(f"name = '{SCIENCE[0]}'")
        (record,) = registry.detectors([(SCIENCE[0], number)]).values()
        found = outline(tables.load("demo", [small.folder / "cameras"]), exposure, record)
    assert found is not None
    return found.bounds.ra, found.bounds.dec


def point(small: Small, number: int, place: tuple[float, float]) -> None:
    """Record that `pointing` found a detector at a place, and could not find another one."""
    cards = to_cards(tangent_wcs(place, (63.5, 63.5), 1e-4 * np.diag([-1.0, 1.0])))
    value = {"detectors": {str(number): {"how": "own", "cards": cards}, "3": {"how": "lost", "cards": {}}}}
    unit = Unit.parse(SCIENCE[0])
    product = ProductRecord("p/pointing", "pointing", Form.VALUE, unit, "p", value=value)
    with Registry.open(Survey.open(small.folder).registry_url) as registry:
        registry.record(JobReport("p", unit, "pointing", (), (), Outcome.DONE, (product,)))


def test_without_any_solution_header_or_table_tell(done: Small) -> None:
    place = where_it_lies(done, 1)
    mine = [each for each in covering(done.folder, *place) if each.unit == f"detector:{SCIENCE[0]}/1"]
    assert [each.by for each in mine] in (["header"], ["camera table"])
    assert len(mine[0].ra) == len(mine[0].dec) == 8
    whole = [each for each in covering(done.folder, *place, exposures=True) if SCIENCE[0] in each.unit]
    assert [(each.unit, each.ra) for each in whole] == [(f"exposure:{SCIENCE[0]}", ())]
    assert covering(done.folder, place[0], -place[1]) == []
    assert covering(done.folder, *place, where="band = 'none'") == []


def test_what_pointing_found_is_better_than_the_header(done: Small) -> None:
    place = where_it_lies(done, 1)
    there = place[0], place[1] + 2.0
    point(done, 1, there)
    name = f"detector:{SCIENCE[0]}/1"
    assert name not in {each.unit for each in covering(done.folder, *place)}
    assert [(each.unit, each.by) for each in covering(done.folder, *there)] == [(name, "pointing")]
    assert [each.by for each in covering(done.folder, *there, exposures=True)] == ["pointing"]
    assert name in {each.unit for each in covering(done.folder, *place, radius=2.0)}
