"""A registry's life: made, opened, checked, upgraded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, select

from spica import __version__
from spica.core.faults import Fault, SetupFault
from spica.registry.door import BUSY_SECONDS, Door, shown, sqlite_path, translated
from spica.registry.schema import meta, metadata
from spica.registry.version import SCHEMA

if TYPE_CHECKING:
    from alembic.config import Config

_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "sshfs",
    "fuse.sshfs",
    "afs",
    "9p",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
}


def create(url: str, revision: str = "head") -> None:
    """Make the tables of a new registry (of an older revision where a backup needs it).

    Raises
    ------
    SetupFault
        ``registry.network-disk`` for SQLite on a network file system; ``survey.exists`` when tables are there already.
    """
    path = sqlite_path(url)
    if path is not None:
        _refuse_network_disk(path)
        path.parent.mkdir(parents=True, exist_ok=True)
    door = Door(url)
    try:
        if _tables(door):
            raise SetupFault("survey.exists", f"registry {shown(url)} has tables already", url=shown(url))
        if path is not None:
            with translated(url), door.engine.connect() as connection:
                # Readers and the writer do not wait for each other; the mode stays with the file.
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    finally:
        door.close()
    upgrade(url, revision)


def opened(url: str, busy: float = BUSY_SECONDS) -> Door:
    """A door to a registry that this version can use.

    Raises
    ------
    SetupFault
        ``registry.missing``, ``registry.corrupt``, ``registry.newer``, ``registry.older``.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise SetupFault("registry.missing", f"there is no registry {path}", url=shown(url))
    door = Door(url, busy=busy)
    try:
        _check(door)
    except Fault:
        door.close()
        raise
    return door


def version(url: str) -> int:
    """Version of a registry's tables; 0 where there are none."""
    door = Door(url)
    try:
        return _version(door)
    finally:
        door.close()


def upgrade(url: str, to: str = "head") -> None:
    """Bring the tables up to this version (or to a named revision), migration by migration, in one transaction.

    A registry of a newer version is refused with ``registry.newer``.
    """
    from alembic import command

    door = Door(url)
    try:
        if _version(door) > SCHEMA:
            raise newer(url, _version(door))
        with door.write() as connection:
            command.upgrade(configuration(connection), to)
            if to == "head":
                _sign(connection)
    finally:
        door.close()


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for one connection: the scripts lie inside the package, there is no .ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _sign(connection: Connection) -> None:
    """Write which version of spica made or upgraded the tables last."""
    facts = {"spica": __version__}
    for name, value in facts.items():
        connection.execute(meta.delete().where(meta.c.name == name))
        connection.execute(meta.insert().values(name=name, value=value))


def _tables(door: Door) -> set[str]:
    with translated(door.url):
        return set(inspect(door.engine).get_table_names()) & set(metadata.tables)


def _version(door: Door) -> int:
    if "meta" not in _tables(door):
        return 0
    with door.read() as connection:
        value = connection.execute(select(meta.c.value).where(meta.c.name == "schema")).scalar()
    if value is None or not value.isdigit():
        raise SetupFault(
            "registry.corrupt", f"registry {shown(door.url)} does not tell its version", url=shown(door.url)
        )
    return int(value)


def _check(door: Door) -> None:
    tables = _tables(door)
    if not tables:
        raise SetupFault(
            "registry.missing",
            f"{shown(door.url)} holds no registry",
            url=shown(door.url),
            advice="make one: 'spica init DIR'",
        )
    found = _version(door)
    if found > SCHEMA:
        raise newer(door.url, found)
    if 0 < found < SCHEMA:
        raise SetupFault(
            "registry.older",
            f"registry {shown(door.url)} has version {found}, this spica {SCHEMA}",
            found=found,
            own=SCHEMA,
        )
    missing = set(metadata.tables) - tables
    if missing:
        raise SetupFault(
            "registry.corrupt",
            f"registry {shown(door.url)} lacks the tables {', '.join(sorted(missing))}",
            url=shown(door.url),
        )


def newer(url: str, found: int) -> SetupFault:
    """The fault for a registry (or backup) of a newer version."""
    return SetupFault(
        "registry.newer",
        f"registry {shown(url)} has version {found}, this spica only {SCHEMA}",
        found=found,
        own=SCHEMA,
    )


def network_disk(path: Path, mounts: str | None = None) -> str:
    """Kind of the network file system that a path lies on, '' for a local one (or where nobody can tell).

    `mounts` is the text of ``/proc/self/mounts``, read from there by default.
    """
    table = Path("/proc/self/mounts")
    if mounts is None:
        mounts = table.read_text() if table.exists() else ""
    best, kind = -1, ""
    for line in mounts.splitlines():
        place, found = line.split(" ")[1:3]
        root = Path(place.replace("\\040", " "))
        if path.resolve().is_relative_to(root) and len(root.parts) >= best:
            best, kind = len(root.parts), found
    return kind if kind in _NETWORK else ""


def _refuse_network_disk(path: Path) -> None:
    kind = network_disk(path)
    if kind:
        raise SetupFault(
            "registry.network-disk", f"{path} lies on a network file system ({kind})", path=str(path), kind=kind
        )
