"""Every test of the registry that asks for `url` or `registry` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spica.registry.store import Registry


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/registry.sqlite"
    fresh: str = request.getfixturevalue("postgres_database")()
    return fresh


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    """An empty registry."""
    with Registry.create(url) as made:
        yield made
