"""No space left, for products or for the registry: the production stops with its reason, and a rerun completes it.

A limit on the size of files stands in for the full disk: writing fails in the same place.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spica.engine.executors.inprocess import InProcess
from spica.engine.executors.local import Local
from tests.engine.ground import Ground, make_ground


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class FullForWorkers(Local):
    """Only the workers meet the full disk."""

    def _start(self) -> Any:
        with files_up_to(6000):
            return super()._start()


def calm(root: Path) -> dict[str, bytes]:
    ground = make_ground(root)
    assert ground.run(ground.plan()).complete
    ground.registry.close()
    return ground.contents()


def resumes(ground: Ground, expected: dict[str, bytes]) -> None:
    again = ground.run(ground.plan())
    assert again.complete, ground.registry.faults()
    assert ground.contents() == expected


def test_no_space_for_products(tmp_path: Path) -> None:
    expected, ground = calm(tmp_path / "calm"), make_ground(tmp_path / "full")
    result = ground.run(ground.plan(), FullForWorkers(workers=2))
    assert result.stopped is not None
    assert result.stopped.code == "disk.full"
    assert result.stopped.advice
    assert result.left > 0
    assert not list(ground.survey.root.rglob("*.part"))
    resumes(ground, expected)
    ground.registry.close()


def test_no_space_for_the_registry(tmp_path: Path) -> None:
    expected, ground = calm(tmp_path / "calm"), make_ground(tmp_path / "full")
    plan = ground.plan()
    size = (ground.survey.root / "registry.sqlite").stat().st_size
    with files_up_to(size + 8192):
        result = ground.run(plan, InProcess())
    assert result.stopped is not None
    assert result.stopped.code == "disk.full"
    resumes(ground, expected)
    ground.registry.close()
