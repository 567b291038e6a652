"""Kernels are compiled before workers need them, once, and with progress."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import spica.kernels
from spica.kernels import warm
from spica.services import kernels
from spica.services.progress import Step, unwatched


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources and a cache of their own; compiling makes three cached functions."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(spica.kernels, "__path__", [str(folder)])
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)

    def compile_all(progress: Callable[[int, int, str], None]) -> float:
        for number in range(3):
            progress(number + 1, 3, "a kernel")
            (folder / "__pycache__").mkdir(exist_ok=True)
            (folder / "__pycache__" / f"f{number}.nbi").touch()
        return 9.0

    monkeypatch.setattr(warm, "compile_all", compile_all)
    return folder


def test_a_cold_cache_is_compiled_with_progress_and_only_once(house: Path) -> None:
    told: list[Step] = []
    assert not kernels.ready()
    assert kernels.prepare(told.append) == 9.0
    assert [(step.stage, step.done, step.total) for step in told] == [("compiling kernels", n, 3) for n in (1, 2, 3)]
    assert kernels.ready()
    assert kernels.prepare(told.append) == 0.0
    assert len(told) == 3
    assert kernels.cached(house / "__pycache__") == 3


def test_some_that_another_command_compiled_are_not_all(house: Path) -> None:
    (house / "__pycache__").mkdir()
    (house / "__pycache__" / "f0.nbi").touch()
    assert kernels.prepare(unwatched) == 9.0


def test_another_source_another_machine_or_a_lost_function_is_seen(
    house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels.prepare(unwatched)
    (house / "__pycache__" / "f1.nbi").unlink()
    assert kernels.prepare(unwatched) == 9.0
    os.utime(house / "a.py", (1, 1))
    assert kernels.prepare(unwatched) == 9.0
    assert kernels.prepare(unwatched) == 0.0
    (tmp_path / "cpuinfo").write_text("model name : another\n")
    monkeypatch.setattr(kernels, "CPU", tmp_path / "cpuinfo")
    assert kernels.prepare(unwatched) == 9.0


def test_where_nothing_can_be_noted_it_is_seen_by_loading(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    assert kernels.prepare(unwatched) == 9.0
    assert kernels.prepare(unwatched) == 9.0
    assert house.is_dir()
