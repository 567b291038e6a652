"""Who holds leases: each run of a coordinator under a name of its own, and which of them have ended without saying so."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from spica.core.orders import State, Wished
from spica.engine.meter import host
from spica.registry.store import Registry

_RECENT = 1000
"""Productions looked at, newest first."""
_RUNNING: set[str] = set()
"""Owners at work in this process: a process may outlive a run that could not free its leases (a full disk, say)."""


def hand() -> str:
    """How the names of owners in this process begin."""
    return f"{host()}:{os.getpid()}"


@contextmanager
def owning() -> Iterator[str]:
    """A new owner's name, at work while the block runs."""
    owner = f"{hand()}:{uuid.uuid4().hex[:8]}"
    _RUNNING.add(owner)
    try:
        yield owner
    finally:
        _RUNNING.discard(owner)


def release_dead(registry: Registry) -> None:
    """Free what dead coordinators on this machine had leased; others' leases run out by themselves.

    What dead ones, and silent ones elsewhere, took from the queue goes back there.
    """
    queue = registry.queue
    running = queue.listed([State.RUNNING], _RECENT)
    gone = silent_hands(registry)
    silent = tuple(f"{name}:" for name in gone)
    for each in running:
        dead = _dead(each.owner)
        if dead:
            registry.release(each.owner)
        if dead or (silent and each.owner.startswith(silent)):
            again = each.queued and each.wish != Wished.STOP
            state = State.WAITING if again else State.STOPPED
            held = again and each.wish == Wished.HOLD
            queue.end(each.id, {**each.outcomes, "killed": each.outcomes.get("killed", 0) + 1}, state, held=held)
    for name in gone:
        queue.leave(name)


def working_hands(registry: Registry) -> list[str]:
    """Coordinators that are at work."""
    return [each.name for each in registry.queue.hands() if each.seconds > 0 and not _dead(each.name)]


def silent_hands(registry: Registry) -> list[str]:
    """Coordinators that have died without a word, as far as can be told: at once on this machine, by their notice elsewhere."""
    return [each.name for each in registry.queue.hands() if each.seconds <= 0 or _dead(each.name)]


def _dead(owner: str) -> bool:
    where, _, rest = owner.partition(":")
    process = rest.partition(":")[0]
    if where != host() or not process.isdigit():
        return False
    if int(process) == os.getpid():
        return owner not in _RUNNING and owner != hand()
    return not psutil.pid_exists(int(process))
