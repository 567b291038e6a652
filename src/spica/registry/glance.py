"""The registry at a glance, for `spica status`.

SQLite is asked through Python's own driver: loading SQLAlchemy would take longer (0.4 s) than all that is done here.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from spica.registry.counts import Counts, gather
from spica.registry.version import SCHEMA

_FILE = "sqlite:///"


def counts(url: str) -> Counts:
    """Counts of the registry at an address, quickly.

    Raises
    ------
    SetupFault
        ``registry.missing``, ``registry.corrupt``, ``registry.newer``, ``registry.older``; ResourceFault
        ``registry.busy``.
    """
    path = Path(url.removeprefix(_FILE))
    if not url.startswith(_FILE) or not path.exists():
        return _slowly(url)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA busy_timeout=5000")
            connection.execute("BEGIN")
            version = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
            if version == (str(SCHEMA),):
                return gather(lambda query: connection.execute(query).fetchall())
    except sqlite3.Error:
        # Whatever is wrong, opening it in full names the fault properly.
        return _slowly(url)
    return _slowly(url)


def _slowly(url: str) -> Counts:
    from spica.registry.store import Registry

    with Registry.open(url) as registry:
        return registry.counts()
