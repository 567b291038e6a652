"""Memory that a worker has freed stays with it: its next image goes where the last one was."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Parameters of mallopt(3)."""
_KEPT = 1 << 30
"""Bytes that are kept at most."""


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory of this process for itself; False where it knows no such order.

    Planes of an image are as large as what it hands back to the system each time, and a fresh page costs more than many
    a step of the work on it: a fifth of a detector's CPU time went into them. The peak of a job holds what earlier ones
    have left to it, never more than they needed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # One heap for all threads: those of others cannot hold an image.
    orders = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_ARENA_MAX, 1))
    return all(bool(mallopt(parameter, value)) for parameter, value in orders)
