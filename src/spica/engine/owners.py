"""Who holds leases: each run of a coordinator under a name of its own, and which of them have ended without saying so."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from spica.engine.meter import host
from spica.registry.store import Registry

_RECENT = 1000
"""Productions looked at, newest first."""
_RUNNING: set[str] = set()
"""Owners at work in this process: a process may outlive a run that could not free its leases (a full disk, say)."""


@contextmanager
def owning() -> Iterator[str]:
    """A new owner's name, at work while the block runs."""
    owner = f"{host()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    _RUNNING.add(owner)
    try:
        yield owner
    finally:
        _RUNNING.discard(owner)


def release_dead(registry: Registry) -> None:
    """Free what dead coordinators on this machine had leased; others' leases run out by themselves."""
    for each in registry.productions(_RECENT):
        if each.closed is None and _dead(each.owner):
            registry.release(each.owner)
            registry.close_production(each.id, {**each.outcomes, "killed": 1})


def _dead(owner: str) -> bool:
    where, _, rest = owner.partition(":")
    process = rest.partition(":")[0]
    if where != host() or not process.isdigit():
        return False
    if int(process) == os.getpid():
        return owner not in _RUNNING
    return not psutil.pid_exists(int(process))
