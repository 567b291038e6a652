"""What outside packages add: their entry points, of which tasks, cameras and pipelines may come."""

from __future__ import annotations

import sys
from functools import cache
from importlib import metadata

__all__ = ["entry_points"]


def entry_points(group: str) -> tuple[metadata.EntryPoint, ...]:
    """The entry points of a group, as the packages were when this process first asked along its search path."""
    return _along(group, tuple(sys.path))


@cache
def _along(group: str, _path: tuple[str, ...]) -> tuple[metadata.EntryPoint, ...]:
    # Opens a file of every installed package: as long as reducing a small frame takes.
    return tuple(metadata.entry_points(group=group))
