"""The private PostgreSQL of the tests is a real one, and fresh databases are strangers to each other."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa


def test_server_speaks_postgresql(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.connect() as connection:
        version = connection.execute(sa.text("SELECT version()")).scalar_one()
    engine.dispose()
    assert version.startswith("PostgreSQL ")


def test_fresh_databases_share_nothing(postgres_database: Callable[[], str]) -> None:
    first, second = postgres_database(), postgres_database()
    assert first != second
    engine = sa.create_engine(first)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE night (mjd integer)"))
    engine.dispose()
    other = sa.create_engine(second)
    assert not sa.inspect(other).has_table("night")
    other.dispose()
