"""Verdicts as people ask for them; a changed limit judges again and touches no pixel."""

from __future__ import annotations

import re

from spica.core.records import Grain, Unit
from spica.files.survey import Survey
from spica.services import run
from spica.services.grades import grades
from spica.services.surveys import opened
from tests.support.survey import SCIENCE, Small

APART = {"grade", "summary", "focal_plane"}


def test_the_worst_come_first_with_their_reasons(done: Small) -> None:
    found = grades(done.folder, "", 100)
    assert {line.unit for line in found} == {f"detector:{name}/{detector}" for name in SCIENCE for detector in (1, 2)}
    order = [line.grade for line in found]
    assert order == sorted(order, reverse=True)
    assert all(line.reasons or line.grade == "A" for line in found)
    assert len(grades(done.folder, "", 1)) == 1
    assert grades(done.folder, "", 1)[0].grade == order[0]
    whole = grades(done.folder, "", 100, exposures=True)
    assert {line.unit for line in whole} == {f"exposure:{name}" for name in SCIENCE}
    (one,) = grades(done.folder, f"exposure = '{SCIENCE[0]}'", 100, exposures=True)
    assert one.unit == f"exposure:{SCIENCE[0]}"


def test_what_people_said_stands_beside_the_verdict(done: Small) -> None:
    worst = grades(done.folder, "", 1)[0]
    with opened(done.folder) as house:
        house.registry.grade(Unit.parse(worst.unit), "C", "thin cloud")
    again = next(line for line in grades(done.folder, "", 100) if line.unit == worst.unit)
    assert again.grade == worst.grade
    assert worst.people == ()
    assert "C" in again.people[0] or "thin cloud" in again.people[0]


def test_a_changed_limit_judges_again_and_does_nothing_else(done: Small) -> None:
    table = Survey.open(done.folder).folder("cameras") / "demo.toml"
    text, count = re.subn(r"seeing = \[[^]]*\]", "seeing = [0.01, 0.02, 0.03]", table.read_text())
    assert count == 1
    table.write_text(text)
    made = run.run(run.Order("night", executor="inprocess"), done.folder)
    assert made.complete
    with opened(done.folder) as house:
        jobs = house.registry.jobs_of_production(made.id)
    assert {label for job in jobs for label in job.labels} <= APART
    judged = {str(job.unit) for job in jobs if job.unit.grain is Grain.DETECTOR}
    found = grades(done.folder, "", 100)
    assert len(judged) == len(found) == 4
    for line in found:
        assert line.grade == "D"
        assert any("seeing" in reason for reason in line.reasons)
