"""Two coordinators at the same time on one survey, with SQLite and with PostgreSQL: every unit is done once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drills.ground import Field, Program
from tests.support.survey import EXPOSURES, NIGHT_UNITS
from tests.support.terminal import Terminal


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=(pytest.mark.postgres, pytest.mark.slow))])
def shared(request: pytest.FixtureRequest, taken: Field) -> Field:
    """A survey with its frames, its registry in either kind of database."""
    if request.param == "sqlite":
        return taken
    fresh: Callable[[], str] = request.getfixturevalue("postgres_database")
    path = taken.folder / "survey.toml"
    url = fresh()
    path.write_text(path.read_text().replace('registry = "sqlite:///registry.sqlite"', f'registry = "{url}"'))
    for gone in taken.folder.glob("registry.sqlite*"):
        gone.unlink()
    taken.order("registry", "upgrade")
    assert taken.ask("ingest", taken.folder / "raw", "--mode", "inplace")["new"] == EXPOSURES
    return taken


def test_every_unit_is_done_once(shared: Field, expected: dict[str, bytes]) -> None:
    order = ("run", "night", "--workers", "2", "--json")
    both = [Program(shared.folder).start(*order) for _ in range(2)]
    ended = [process.communicate(timeout=180) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    production = shared.ask("status", "--orders", "10")["productions"]
    assert sum(line["done"] for line in production) == NIGHT_UNITS
    assert shared.contents() == expected
    assert shared.ask("check", "--deep")["differences"] == []
    assert shared.ask("faults")["faults"] == []
    assert shared.night()["skipped"] == NIGHT_UNITS


@pytest.mark.slow
def test_a_coordinator_takes_over_what_a_killed_one_held(shared: Field, expected: dict[str, bytes]) -> None:
    first = Program(shared.folder).start("run", "night", "--workers", "1")
    while first.poll() is None and not list((shared.folder / "scratch").rglob("*.fits")):
        pass
    second = Program(shared.folder).start("run", "night", "--workers", "1", "--json")
    first.kill()
    first.communicate()
    said, told = second.communicate(timeout=200)
    assert second.returncode == 0, said + told
    assert shared.contents() == expected


@pytest.mark.slow
def test_two_ingest_at_once(field: Field, expected: dict[str, bytes]) -> None:
    both = [Program(field.folder).start("ingest", str(field.delivery), "--json") for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert field.ask("status")["files"] == EXPOSURES
    assert field.ask("check", "--deep")["differences"] == []
    field.night()
    assert field.contents() == expected


@pytest.mark.slow
def test_a_survey_of_its_own_is_made_once(tmp_path: Path) -> None:
    both = [Program(tmp_path, {"SPICA_SURVEY": ""}).start("init", "survey", "--json") for _ in range(2)]
    ended = [process.communicate(timeout=60) for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes[0] == 0, ended
    assert codes[1] in {0, 2}, ended
    assert Terminal(tmp_path / "survey").ask("status")["files"] == 0
