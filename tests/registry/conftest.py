"""Every test of the registry that asks for `url` or `registry` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spica.registry.door import Door
from spica.registry.schema import metadata
from spica.registry.store import Registry

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database: no registry yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.sqlite"
    fresh: Callable[[], str] = request.getfixturevalue("postgres_database")
    return fresh()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new registry's file, to be copied: making the tables anew for each test would take longer than the test."""
    path = tmp_path_factory.mktemp("template") / "registry.sqlite"
    Registry.create(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def shared_postgres(request: pytest.FixtureRequest) -> str:
    """A registry on PostgreSQL that tests empty before they use it."""
    server = request.getfixturevalue("postgres_server")
    url: str = server.fresh_database()
    Registry.create(url).close()
    return url


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty registry."""
    if request.param == "sqlite":
        path = tmp_path / "registry.sqlite"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    shared: str = request.getfixturevalue("shared_postgres")
    door = Door(shared)
    with door.write() as connection:
        tables = ", ".join(name for name in metadata.tables if name != "meta")
        connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY")
    door.close()
    return shared


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    """An empty registry."""
    with Registry.open(url) as opened:
        yield opened
