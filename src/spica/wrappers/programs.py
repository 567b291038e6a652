"""Programs outside of spica: where they are, of which version, and how one is run and stopped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spica.core.faults import DataFault, SetupFault

LOG = "program.log"
"""Standard output and error of the programs that ran in a folder."""
_LINES = 5
"""Last lines of the log that a fault quotes."""


@dataclass(frozen=True)
class Program:
    """A program that a task runs.

    Attributes
    ----------
    name : what people call it.
    commands : names of its file, the first that is found is taken; a path counts as it is.
    ask : arguments upon which it tells its version.
    pattern : regular expression, the first group of which is the version in what it tells.
    least, below : the versions that the task knows, from the first to before the second; '' for no bound.
    install : what to do where it is absent.
    """

    name: str
    commands: tuple[str, ...]
    ask: tuple[str, ...] = ("-v",)
    pattern: str = r"version\s+(\d+(?:\.\d+)*)"
    least: str = ""
    below: str = ""
    install: str = ""

    def path(self) -> str:
        """Its file; SetupFault ``program.missing``."""
        found = next(filter(None, map(shutil.which, self.commands)), None)
        if found is None:
            message = f"{self.name} ({' or '.join(self.commands)}) is not installed"
            raise SetupFault("program.missing", message, advice=self.install, program=self.name)
        return found

    def version(self) -> str:
        """Its version; SetupFault ``program.missing``, ``program.version`` for one out of the range."""
        path = self.path()
        told = _told(path, Path(path).stat().st_mtime_ns, self.ask)
        match = re.search(self.pattern, told)
        if match is None:
            message = f"{self.name} ({path}) does not tell its version: {told.strip()[:100]!r}"
            raise SetupFault("program.version", message, program=self.name)
        found = match[1] if match.groups() else match[0]
        if (self.least and _numbers(found) < _numbers(self.least)) or (
            self.below and _numbers(found) >= _numbers(self.below)
        ):
            message = f"{self.name} {found} is installed; the task knows {self.least or 'all'} to before {self.below or 'any'}"
            raise SetupFault("program.version", message, program=self.name, found=found)
        return found


@cache
def _told(path: str, changed: int, ask: tuple[str, ...]) -> str:  # noqa: ARG001 - a file that changed is asked anew
    try:
        done = subprocess.run([path, *ask], capture_output=True, text=True, errors="replace", timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout + done.stderr


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def call(name: str, command: Sequence[str], folder: Path, limit: float) -> None:
    """Run a program in a folder and wait for it; it does not outlive who called it.

    Parameters
    ----------
    name : what people call it.
    command : its file and arguments.
    folder : where it works; what it tells goes into `LOG` there.
    limit : seconds that it may take.

    Raises
    ------
    DataFault
        ``program.failed`` with the exit code and the last lines, ``program.timeout``.
    """
    guard = shutil.which("setpriv")
    whole = [*([guard, "--pdeathsig", "KILL", "--"] if guard else []), *command]
    with (folder / LOG).open("ab") as log:
        child = subprocess.Popen(  # noqa: S603
            whole,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C", "OMP_NUM_THREADS": "1"},
        )
        try:
            code = child.wait(limit)
        except subprocess.TimeoutExpired as error:
            message = f"{name} was stopped after {limit:g} s{_quoted(folder)}"
            raise DataFault("program.timeout", message, program=name, limit=limit) from error
        finally:
            stop(child)
    if code != 0:
        message = f"{name} ended with {_ended(code)}{_quoted(folder)}"
        raise DataFault("program.failed", message, program=name, exit=code, lines=last_lines(folder))


def stop(child: subprocess.Popen[bytes]) -> None:
    """End a child and its children; nothing where it has ended."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def last_lines(folder: Path) -> str:
    """The last lines that a folder's programs told, without the marks of a terminal."""
    text = (folder / LOG).read_text(errors="replace") if (folder / LOG).exists() else ""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("\r", "\n")
    return "\n".join([line.strip() for line in plain.splitlines() if line.strip()][-_LINES:])


def _quoted(folder: Path) -> str:
    lines = last_lines(folder)
    return f": {lines.splitlines()[-1][:200]}" if lines else ""


def _ended(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
