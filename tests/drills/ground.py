"""The ground of the drills: a small survey to spoil, the means to spoil it, and what an undisturbed one looks like."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astropy.io import fits

from tests.support.survey import Small
from tests.support.terminal import Terminal

SPICA = Path(sys.executable).with_name("spica")
LAST = 11
"""Number of the last exposure, a science one."""
NIGHT = "2026-11-20"
DETECTORS = (1, 2)


def name_of(number: int) -> str:
    return f"demo-20261120-{number:05d}"


@dataclass(frozen=True)
class Field(Terminal):
    """A survey (`folder`) with its terminal, and the delivery (`sky`) beside it."""

    sky: Path

    def raw(self, number: int) -> Path:
        """The delivered file of an exposure."""
        return self.sky / "raw" / NIGHT / f"{name_of(number)}.fits.fz"

    @property
    def delivery(self) -> Path:
        return self.sky / "raw"

    def night(self, *words: str | Path, code: int = 0, pipeline: str = "night") -> Any:
        """Run the night in this process."""
        return self.ask("run", pipeline, "--executor", "inprocess", *words, code=code)

    def contents(self) -> dict[str, bytes]:
        """Every file below ``products``."""
        return contents(self.folder)

    def copy(self, target: Path) -> Field:
        small = Small(self.folder, self.sky).copy(target)
        return Field(small.folder, small.sky)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``products`` of a survey."""
    products = folder / "products"
    return {str(path.relative_to(products)): path.read_bytes() for path in products.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Ended:
    """How a real process ended, and what it said."""

    code: int
    said: str
    told: str
    """On stderr."""

    @property
    def answer(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.said)


@dataclass(frozen=True)
class Program:
    """``spica`` as a process of its own, where the drill needs one: other rights, limits, packages."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    """Called in the new process before it becomes spica."""

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(SPICA), *map(str, words)],
            cwd=self.folder,
            env={**os.environ, "SPICA_SURVEY": str(self.folder), "NO_COLOR": "1", **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=self.before,  # noqa: PLW1509 - no threads here
        )

    def order(self, *words: str | Path, code: int = 0, seconds: float = 120.0) -> Ended:
        """Give an order that must end with this exit code."""
        with self.start(*words) as process:
            said, told = process.communicate(timeout=seconds)
        assert process.returncode == code, f"spica {words} ended with {process.returncode}:\n{said}{told}"
        assert "Traceback" not in told, told
        return Ended(process.returncode, said, told)


CAPABILITIES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: what lets root pass permissions by."""
_DROP = 24
"""PR_CAPBSET_DROP."""


def obey_permissions() -> None:
    """In a new process: root gives up the right to pass file permissions by; anybody else has none to give up."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in CAPABILITIES:
        if libc.prctl(_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "capabilities cannot be given up")


def small_files(limit: int) -> Callable[[], None]:
    """In a new process: no file may grow beyond `limit` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def edit(path: Path, **cards: object) -> None:
    """Change (or with None delete) cards of a file's primary header, as a careless observatory would: sums are right."""
    with fits.open(path, disable_image_compression=True) as hdus:
        for keyword, value in cards.items():
            if value is None:
                del hdus[0].header[keyword.replace("_", "-")]
            else:
                hdus[0].header[keyword.replace("_", "-")] = value
        hdus.writeto(path, overwrite=True, checksum=True)
