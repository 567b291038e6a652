"""The orders that were given to a survey, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spica.services.surveys import opened
from spica.services.times import utc


@dataclass(frozen=True)
class ProductionLine:
    """One order: running (or cut off) while `closed` is empty. Times are UTC, seconds are sums over its jobs."""

    id: int
    name: str
    pipeline: str
    selection: str
    opened: str
    closed: str
    done: int
    refused: int
    failed: int
    wall: float
    cpu: float


def productions(folder: Path | None, limit: int) -> tuple[ProductionLine, ...]:
    """The latest orders, the newest first.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    with opened(folder) as house:
        found = []
        for each in house.registry.queue.listed(limit=limit):
            cost = house.registry.costs(each.id)
            line = ProductionLine(
                id=each.id,
                name=each.name,
                pipeline=each.pipeline,
                selection=each.selection,
                opened=utc(each.opened),
                closed=utc(each.closed) if each.closed else "",
                done=each.outcomes.get("done", 0),
                refused=each.outcomes.get("refused", 0),
                failed=each.outcomes.get("failed", 0),
                wall=cost["wall"],
                cpu=cost["cpu"],
            )
            found.append(line)
    return tuple(found)
