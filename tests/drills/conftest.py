"""One small sky for all drills; each drill spoils a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drills.ground import Field
from tests.support.survey import NIGHT_UNITS, simulated


@pytest.fixture(scope="session")
def empty_once(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """A survey without frames beside a good delivery; read-only."""
    small = simulated(tmp_path_factory.mktemp("drills"))
    return Field(small.folder, small.sky)


@pytest.fixture(scope="session")
def taken_once(empty_once: Field, tmp_path_factory: pytest.TempPathFactory) -> Field:
    """The same with its frames taken in; read-only."""
    field = empty_once.copy(tmp_path_factory.mktemp("taken"))
    field.order("ingest", field.delivery)
    return field


@pytest.fixture(scope="session")
def calm(taken_once: Field, tmp_path_factory: pytest.TempPathFactory) -> Field:
    """The same after a night that nobody disturbed; read-only."""
    field = taken_once.copy(tmp_path_factory.mktemp("calm"))
    assert field.night()["done"] == NIGHT_UNITS
    return field


@pytest.fixture(scope="session")
def expected(calm: Field) -> dict[str, bytes]:
    """Every product of the undisturbed survey."""
    return calm.contents()


@pytest.fixture
def field(empty_once: Field, tmp_path: Path) -> Field:
    """A survey without frames and its delivery, to be spoilt."""
    return empty_once.copy(tmp_path)


@pytest.fixture
def taken(taken_once: Field, tmp_path: Path) -> Field:
    """A survey with its frames, to be spoilt."""
    return taken_once.copy(tmp_path)


@pytest.fixture
def done(calm: Field, tmp_path: Path) -> Field:
    """A survey whose night has run, to be spoilt."""
    return calm.copy(tmp_path)
