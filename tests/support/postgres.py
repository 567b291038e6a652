"""A private PostgreSQL server: its own folder, port and password, started and stopped by its user.

Used by the test fixtures and by the benchmarks. It never touches a server that the machine may run already.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

OWNER = "survey"
_ATTEMPTS = 5


def server_programs() -> Path | None:
    """Folder that holds `initdb` and `pg_ctl` (the newest of Debian's versions, else PATH), or None."""
    debian = sorted(
        (path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()),
        key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0,
    )
    if debian:
        return debian[-1]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _unprivileged() -> tuple[int, int] | None:
    """User and group to run the server as: PostgreSQL refuses root. None means: as we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    message = "running as root, and there is neither a user postgres nor nobody to run PostgreSQL as"
    raise RuntimeError(message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrivateServer:
    """A PostgreSQL server of one's own, for the length of a `with` block.

    Parameters
    ----------
    durable
        True keeps `fsync` on, as a real survey runs it (for benchmarks); False trades safety for speed (for tests).
    """

    def __init__(self, *, durable: bool = False) -> None:
        programs = server_programs()
        if programs is None:
            message = "PostgreSQL's server programs are not installed"
            raise RuntimeError(message)
        self._programs = programs
        self._durable = durable
        self._folder = Path()
        self._password = secrets.token_hex(16)
        self._identity: tuple[int, int] | None = None
        self._databases = 0
        self.port = 0

    def _do(self, *command: str) -> None:
        user, group = self._identity or (None, None)
        with (self._folder / "commands.log").open("a") as log:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, "HOME": str(self._folder), "LC_ALL": "C.UTF-8"},
                user=user,
                group=group,
                extra_groups=[] if self._identity else None,
                check=False,
            )
        if done.returncode != 0:
            logs = [path.read_text() for path in sorted(self._folder.glob("*.log"))]
            raise RuntimeError("\n".join([f"{Path(command[0]).name} ended with {done.returncode}", *logs]))

    def __enter__(self) -> Self:
        self._identity = _unprivileged()
        self._folder = Path(tempfile.mkdtemp(prefix="spica-pg-"))
        try:
            secret = self._folder / "password"
            secret.write_text(self._password)
            secret.chmod(0o600)
            if self._identity:
                for path in (self._folder, secret):
                    os.chown(path, *self._identity)
            self._initialise(secret)
            self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def _initialise(self, secret: Path) -> None:
        self._do(
            *(str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-U", OWNER),
            *("-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
        )

    def _start(self) -> None:
        switches = f"-k {self._folder} -c listen_addresses=127.0.0.1 -c shared_buffers=128MB"
        if not self._durable:
            switches += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        for attempt in range(_ATTEMPTS):
            self.port = _free_port()
            try:
                self._control("-w", "-l", str(self._folder / "server.log"), "-o", f"{switches} -p {self.port}", "start")
            except RuntimeError:
                # Somebody may have taken the port between our look and the server's start.
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def _control(self, *arguments: str) -> None:
        self._do(str(self._programs / "pg_ctl"), "-D", str(self._folder / "data"), *arguments)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._control("-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy address of one database of this server."""
        return f"postgresql+psycopg://{OWNER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def fresh_database(self) -> str:
        """Make an empty database and return its address."""
        import psycopg

        self._databases += 1
        name = f"survey_{self._databases}"
        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)
