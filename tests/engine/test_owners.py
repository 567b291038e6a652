"""Leases of coordinators that are gone are free again, those of living ones are not touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spica.engine.meter import host
from spica.engine.owners import owning, release_dead
from spica.registry.store import Registry

KEY = "a" * 40


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.create(f"sqlite:///{tmp_path}/registry.sqlite")


def lease(registry: Registry, owner: str) -> None:
    registry.queue.add("p", "null", owner=owner)
    assert registry.lease([KEY], owner, 120) == {KEY}


def free(registry: Registry) -> bool:
    release_dead(registry)
    return registry.lease([KEY], "other:1:x", 120) == {KEY}


def test_a_run_that_goes_on_keeps_its_leases(registry: Registry) -> None:
    with owning() as owner:
        lease(registry, owner)
        assert not free(registry)


def test_a_run_that_ended_in_a_living_process_has_none(registry: Registry) -> None:
    with owning() as owner:
        lease(registry, owner)
    assert free(registry)


def test_a_dead_process_has_none(registry: Registry) -> None:
    lease(registry, f"{host()}:999999999:x")
    assert free(registry)


@pytest.mark.parametrize("owner", [f"elsewhere:{os.getpid()}:x", "somebody"], ids=["another host", "no process"])
def test_other_machines_speak_for_themselves(registry: Registry, owner: str) -> None:
    lease(registry, owner)
    assert not free(registry)
