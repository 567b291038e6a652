"""New exposures bring about productions by the survey's rules, a night each, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.registry.rows import Production
from spica.services import coordinator, ingest, queue
from spica.services.rules import heed
from spica.services.surveys import opened
from tests.support.survey import Small

RULE = """
[rules.tonight]
pipeline = "null"
where = "frame_type='object'"
priority = 7.0
settle = {settle}
patience = {patience}
settings = {{ "null.value" = 3 }}
"""


def ruled(small: Small, settle: float = 0.0, patience: float = 300.0) -> Path:
    path = small.folder / "survey.toml"
    text = path.read_text().replace('executor = "local"', 'executor = "inprocess"')
    path.write_text(text + RULE.format(settle=settle, patience=patience))
    return small.folder


def ask(folder: Path) -> list[int]:
    with opened(folder) as house:
        return heed(house.survey, house.registry)


def orders(folder: Path) -> list[Production]:
    with opened(folder) as house:
        return house.registry.queue.listed()


def take_in(small: Small, *numbers: int) -> None:
    files = [str(small.sky / "raw" / "2026-11-20" / f"demo-20261120-{number:05d}.fits.fz") for number in numbers]
    ingest.ingest(ingest.Order(tuple(files)), small.folder)


def test_new_exposures_of_its_kind_are_ordered_once(empty: Small) -> None:
    folder = ruled(empty)
    take_in(empty, 10)
    assert ask(folder) == [], "what was there before the rule is not new"
    take_in(empty, 1, 2)
    assert ask(folder) == [], "biases are not of its kind"
    take_in(empty, 11)
    (number,) = ask(folder)
    (line,) = orders(folder)
    assert line.id == number
    assert (line.name, line.selection) == ("tonight 2026-11-20", "(frame_type='object') and night='2026-11-20'")
    assert (line.settings, line.priority, line.rule, line.queued) == ({"null.value": 3}, 7.0, "tonight", True)
    assert ask(folder) == []
    coordinator.work(folder, until_empty=True)
    found = queue.show(number, folder)
    assert (found.state, found.outcomes["done"], found.rule) == ("done", 4, "tonight")


def test_one_that_waits_already_takes_the_newcomers_along(empty: Small) -> None:
    folder = ruled(empty)
    assert ask(folder) == []
    take_in(empty, 10)
    assert len(ask(folder)) == 1
    take_in(empty, 11)
    assert ask(folder) == []
    coordinator.work(folder, until_empty=True)
    assert [line.outcomes["done"] for line in orders(folder)] == [4]


def test_it_waits_for_the_rest_of_a_sequence_but_not_for_ever(empty: Small) -> None:
    folder = ruled(empty, settle=3600.0, patience=7200.0)
    assert ask(folder) == []
    take_in(empty, 10)
    assert ask(folder) == []
    path = folder / "survey.toml"
    path.write_text(path.read_text().replace("patience = 7200.0", "patience = 0.0"))
    assert len(ask(folder)) == 1


def test_of_many_who_look_one_orders(empty: Small) -> None:
    folder = ruled(empty)
    assert ask(folder) == []
    take_in(empty, 10)
    with opened(folder) as one:
        mine = one.registry.queue
        before = mine.rule_seen("tonight")
        (found,), _ = mine.newcomers("", before)
        given = {"name": "n", "pipeline": "null", "selection": "", "settings": {}, "priority": 0.0, "person": ""}
        assert len(mine.act("tonight", before, found.last, [given])) == 1
        assert mine.act("tonight", before, found.last, [given]) == []


def test_a_rule_that_nobody_understands_is_said_at_the_start(empty: Small) -> None:
    folder = ruled(empty)
    path = folder / "survey.toml"
    path.write_text(path.read_text().replace("frame_type='object'", "framme_type='object'"))
    with pytest.raises(SetupFault, match="framme_type") as caught:
        coordinator.work(folder, until_empty=True)
    assert caught.value.code == "where.invalid"
    path.write_text(path.read_text().replace("priority = 7.0", "urgency = 7.0"))
    with pytest.raises(SetupFault, match="urgency"):
        coordinator.work(folder, until_empty=True)
