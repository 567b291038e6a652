"""The queue of productions: order them, see how they stand, stop, resume, run again, put away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.faults import SetupFault
from spica.core.orders import ENDED, State, Wished
from spica.engine.owners import silent_hands, working_hands
from spica.engine.planner import make_plan
from spica.registry.rows import Production
from spica.services.orders import literal
from spica.services.pipelines import load_for
from spica.services.run import Order
from spica.services.surveys import Opened, opened
from spica.services.times import utc

RESTING = (State.WAITING, *ENDED)


@dataclass(frozen=True)
class Ordered:
    """A production in the queue. Times are UTC; `progress` tells done, failed, refused, total, running, eta [s]."""

    id: int
    name: str
    pipeline: str
    where: str
    settings: Mapping[str, Any]
    release: str
    tiles: tuple[str, ...]
    state: str
    held: bool
    wish: str
    priority: float
    person: str
    rule: str
    ordered: str
    begun: str
    ended: str
    outcomes: Mapping[str, int]
    progress: Mapping[str, Any]
    code: str
    message: str
    signed: str


@dataclass(frozen=True)
class Stand:
    """The queue: productions, and the coordinators that work them off (`silent` ones do not answer)."""

    productions: tuple[Ordered, ...]
    coordinators: tuple[str, ...]
    silent: tuple[str, ...]


def order(given: Order, folder: Path | None, *, priority: float = 0.0, person: str = "", rule: str = "") -> Ordered:
    """Put a production into the queue; a coordinator ('spica up') takes it by its priority.

    Raises
    ------
    SetupFault
        As `spica.services.run.foresee`, for it is planned; ``order.invalid`` for a pipeline by its file, and for an executor or number of
        workers, which are the coordinator's.
    """
    if given.executor or given.workers is not None:
        message = "a production of the queue is carried out by its coordinator, which has its own executor and workers"
        raise SetupFault("order.invalid", message, advice="leave --executor and --workers out, or use 'spica run'")
    if given.pipeline.endswith(".toml"):
        message = f"{given.pipeline}: the queue takes pipelines by their names"
        raise SetupFault("order.invalid", message, advice="put the file into the survey's folder pipelines/")
    with opened(folder) as house:
        overrides = {name: literal(value) for name, value in (given.settings or {}).items()}
        _plan(house, given.pipeline, given.where, overrides, given.release, given.tiles)
        number = house.registry.queue.add(
            *(given.name or given.pipeline, given.pipeline, given.where, overrides),
            priority=priority,
            person=person,
            release=given.release,
            tiles=given.tiles,
            retry=given.retry,
            rule=rule,
        )
        return _line(house.registry.queue.get(number))


def _plan(
    house: Opened, pipeline: str, where: str, overrides: Mapping[str, Any], release: str, tiles: tuple[str, ...]
) -> None:
    """Plan an order: what is wrong with it is said to whom gives it, not to whom carries it out."""
    loaded = load_for(release, pipeline, house.survey)
    make_plan(house.registry, house.survey, loaded, where, overrides, release=release, tiles=tiles)


def stand(folder: Path | None, states: tuple[str, ...] = (), limit: int = 50) -> Stand:
    """How the queue stands: productions (in these states; all but archived ones by default), the newest first.

    Raises
    ------
    SetupFault
        ``order.invalid`` for an unknown state.
    """
    wanted = [_state(state) for state in states] or [state for state in State if state is not State.ARCHIVED]
    with opened(folder) as house:
        queue = house.registry.queue
        return Stand(
            tuple(_line(each) for each in queue.listed(wanted, limit)),
            tuple(working_hands(house.registry)),
            tuple(silent_hands(house.registry)),
        )


def show(number: int, folder: Path | None) -> Ordered:
    """One production; SetupFault ``order.unknown-production`` where there is none."""
    with opened(folder) as house:
        return _line(house.registry.queue.get(number))


def stop(number: int, folder: Path | None, *, hold: bool = False) -> Ordered:
    """Stop a production after the units that are at work; with `hold` it waits in the queue until it is resumed."""
    with opened(folder) as house:
        queue = house.registry.queue
        done = queue.change(number, [State.RUNNING], wish=Wished.HOLD if hold else Wished.STOP) or (
            queue.change(number, [State.WAITING], held=1)
            if hold
            else queue.change(number, [State.WAITING], state=State.STOPPED)
        )
        return _told(house, number, done=done, deed="hold" if hold else "stop")


def resume(number: int, folder: Path | None, *, retry: bool = False) -> Ordered:
    """Let a production wait for a coordinator (again): what is done is not done again. `retry` tries what failed once more."""
    with opened(folder) as house:
        values: dict[str, Any] = {"state": State.WAITING, "held": 0, "queued": 1, "wish": "", "signed": None}
        if retry:
            values["retry"] = 1
        return _told(house, number, done=house.registry.queue.change(number, RESTING, **values), deed="resume")


def rerun(number: int, folder: Path | None, settings: Mapping[str, str] | None = None) -> Ordered:
    """Order a production once more, with some settings changed."""
    with opened(folder) as house:
        old = house.registry.queue.get(number)
        overrides = {**old.settings, **{name: literal(value) for name, value in (settings or {}).items()}}
        _plan(house, old.pipeline, old.selection, overrides, old.release, old.tiles)
        again = house.registry.queue.add(
            *(old.name, old.pipeline, old.selection, overrides),
            priority=old.priority,
            person=old.person,
            release=old.release,
            tiles=old.tiles,
            retry=old.retry,
        )
        return _line(house.registry.queue.get(again))


def prioritise(number: int, priority: float, folder: Path | None) -> Ordered:
    """Give a production another priority; of one that runs it holds when it waits again."""
    with opened(folder) as house:
        done = house.registry.queue.change(number, tuple(State), priority=priority)
        return _told(house, number, done=done, deed="prioritise")


def archive(number: int, folder: Path | None) -> Ordered:
    """Put a production away that has ended."""
    with opened(folder) as house:
        done = house.registry.queue.change(number, ENDED, state=State.ARCHIVED)
        return _told(house, number, done=done, deed="archive")


def sign(number: int, who: str, comment: str, folder: Path | None) -> Ordered:
    """Accept the result of a production that has ended."""
    with opened(folder) as house:
        return _told(house, number, done=house.registry.queue.sign(number, who, comment), deed="sign")


def forget(number: int, folder: Path | None) -> None:
    """Delete a production that does not run from the list; its jobs and products stay.

    Raises
    ------
    SetupFault
        ``order.unknown-production``; ``production.state`` while it runs.
    """
    with opened(folder) as house:
        if not house.registry.queue.forget(number):
            _told(house, number, done=False, deed="delete")


def _told(house: Opened, number: int, *, done: bool, deed: str) -> Ordered:
    """The production after a deed; ``production.state`` where its state does not allow that."""
    found = house.registry.queue.get(number)
    if not done:
        raise SetupFault(
            "production.state",
            f"production {number} is {found.state.value}: you cannot {deed} it now",
            production=number,
            state=found.state.value,
        )
    return _line(found)


def _state(word: str) -> State:
    try:
        return State(word)
    except ValueError as error:
        known = ", ".join(State)
        raise SetupFault("order.invalid", f"there is no state {word!r}; there are {known}", state=word) from error


def _line(each: Production) -> Ordered:
    signed = each.signed or {}
    return Ordered(
        id=each.id,
        name=each.name,
        pipeline=each.pipeline,
        where=each.selection,
        settings=each.settings,
        release=each.release,
        tiles=each.tiles,
        state=each.state.value,
        held=each.held,
        wish=each.wish,
        priority=each.priority,
        person=each.person,
        rule=each.rule,
        ordered=utc(each.opened),
        begun=utc(each.begun) if each.begun else "",
        ended=utc(each.closed) if each.closed else "",
        outcomes=each.outcomes,
        progress=each.progress,
        code=each.fault.code if each.fault else "",
        message=each.fault.message if each.fault else "",
        signed=f"{signed['who']}, {utc(signed['when'])}: {signed['comment']}" if signed else "",
    )
