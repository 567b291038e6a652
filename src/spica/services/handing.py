"""Running an order: by the coordinator that is at work on the survey, else here and now."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from spica.core.catalogue import CODES
from spica.core.faults import Outcome
from spica.core.orders import State
from spica.engine.owners import working_hands
from spica.registry.rows import Production as Row
from spica.registry.store import Registry
from spica.services import queue
from spica.services.faults import line
from spica.services.progress import Step, Watcher, unwatched
from spica.services.run import FaultGroup, Order, Production, run
from spica.services.surveys import opened

_LOOK_SECONDS = 0.5


def run_anyhow(
    order: Order,
    folder: Path | None,
    watcher: Watcher = unwatched,
    *,
    priority: float = 0.0,
    person: str = "",
    here: bool = False,
) -> Production:
    """Carry out an order. A coordinator that is at work takes it, and this follows it to its end; else it is done here.

    Parameters
    ----------
    here : do it here in any case; as it is where the order names an executor or a number of workers.

    Raises
    ------
    SetupFault
        As `spica.services.run.run`.
    KeyboardInterrupt
        While a coordinator works: it goes on.
    """
    if not here and not order.executor and order.workers is None and not order.pipeline.endswith(".toml"):
        with opened(folder) as house:
            alive = working_hands(house.registry)
        if alive:
            given = queue.order(order, folder, priority=priority, person=person)
            return follow(given.id, folder, watcher)
    return run(order, folder, watcher)


def follow(number: int, folder: Path | None, watcher: Watcher = unwatched) -> Production:
    """Watch a production of the queue until it rests."""
    with opened(folder) as house:
        while True:
            found = house.registry.queue.get(number)
            watcher(_step(found))
            if found.state not in {State.WAITING, State.RUNNING} or found.held:
                return _production(found, house.registry)
            time.sleep(_LOOK_SECONDS)


def _step(found: Row) -> Step:
    told = found.progress
    if found.state is State.WAITING:
        return Step(found.pipeline, 0, 0, f"production {found.id} waits")
    ended = int(told.get("done", 0)) + int(told.get("failed", 0))
    notes = [f"{told[name]} {name}" for name in ("failed", "refused") if told.get(name)]
    return Step(found.pipeline, ended, int(told.get("total", 0)), ", ".join(notes))


def _production(found: Row, registry: Registry) -> Production:
    counts = {name: int(found.outcomes.get(name, 0)) for name in _COUNTS}
    return Production(
        **counts,
        id=found.id,
        pipeline=found.pipeline,
        where=found.selection,
        skipped=int(found.outcomes.get("already", 0)),
        seconds=(found.closed or time.time()) - (found.begun or found.opened),
        compiling=0.0,
        interrupted=bool(found.outcomes.get("interrupted")) or found.state is State.WAITING,
        stopped=line("", found.pipeline, found.fault, 0.0) if found.fault else None,
        faults=_groups(found, registry),
        complete=found.state is State.DONE,
    )


_COUNTS = ("done", "refused", "failed", "failed_before", "elsewhere", "left")


def _groups(found: Row, registry: Registry) -> tuple[FaultGroup, ...]:
    """Faults by code of the production's units that did not end done."""
    rows = [each for each in registry.jobs_of_production(found.id) if each.fault and each.outcome is not Outcome.DONE]
    made = []
    for code, count in Counter(each.fault.code for each in rows if each.fault).most_common():
        first = next(each for each in rows if each.fault and each.fault.code == code)
        told = asdict(first.fault) if first.fault else {}
        advice = told["advice"] or (CODES[code].advice if code in CODES else "")
        made.append(FaultGroup(code, count, str(first.unit), told["message"], advice))
    return tuple(made)
