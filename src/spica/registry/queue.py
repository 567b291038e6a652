"""Productions: orders that wait, run and end. Whatever races is one statement with its condition inside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select, update

from spica.core.faults import FaultKind, FaultRecord, Outcome, SetupFault
from spica.core.orders import State, Wished
from spica.registry import forms, newcomers
from spica.registry.door import Door
from spica.registry.ordering import order_row
from spica.registry.rows import Hand, Newcomers, Production, Usual
from spica.registry.schema import chains, jobs, leases, productions

_HAND = "coordinator "
"""Before the names of coordinators among the leases."""


class Queue:
    """The productions of a registry, and the coordinators that work them off. Times are Unix seconds (UTC)."""

    def __init__(self, door: Door) -> None:
        self._door = door

    # -- orders -------------------------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        pipeline: str,
        where: str = "",
        settings: Mapping[str, Any] | None = None,
        *,
        owner: str = "",
        **more: Any,
    ) -> int:
        """Record an order; answers its number. It waits for a coordinator, or, where an `owner` is given, is that one's and runs.

        Parameters
        ----------
        more : priority, person, release, tiles, retry, rule, as columns of `Production`.
        """
        with self._door.write() as connection:
            order = {"name": name, "pipeline": pipeline, "selection": where, "settings": settings or {}, **more}
            values = order_row(order, self._door.now(connection), owner)
            made = connection.execute(productions.insert().values(values).returning(productions.c.id))
            return int(made.scalar_one())

    def get(self, number: int) -> Production:
        """One production; SetupFault ``order.unknown-production`` where there is none."""
        with self._door.read() as connection:
            row = connection.execute(select(productions).where(productions.c.id == number)).first()
        if row is None:
            raise SetupFault("order.unknown-production", f"there is no production {number}", production=number)
        return _production(row)

    def listed(self, states: Collection[State] = (), limit: int | None = None) -> list[Production]:
        """Productions (in these states), the newest first."""
        query = select(productions).order_by(productions.c.id.desc()).limit(limit)
        if states:
            query = query.where(productions.c.state.in_([state.value for state in states]))
        with self._door.read() as connection:
            return [_production(row) for row in connection.execute(query)]

    def waiting(self) -> list[Production]:
        """What a coordinator may begin: the most urgent first, then the oldest."""
        query = (
            select(productions)
            .where(productions.c.state == State.WAITING.value, productions.c.held == 0)
            .order_by(productions.c.priority.desc(), productions.c.id)
        )
        with self._door.read() as connection:
            return [_production(row) for row in connection.execute(query)]

    def change(self, number: int, states: Iterable[State], **values: Any) -> bool:
        """Change columns of a production if it stands in one of these states; answers whether it did."""
        there = productions.c.state.in_([state.value for state in states])
        return self._change(number, there, values)

    def _change(self, number: int, there: ColumnElement[bool], values: Mapping[str, Any]) -> bool:
        plain = {key: value.value if isinstance(value, State | Wished) else value for key, value in values.items()}
        with self._door.write() as connection:
            statement = update(productions).where(productions.c.id == number, there).values(plain)
            return connection.execute(statement).rowcount > 0

    def sign(self, number: int, who: str, comment: str) -> bool:
        """Note who accepts the result of a production that has ended; answers whether it had."""
        with self._door.write() as connection:
            signed = {"who": who, "comment": comment, "when": self._door.now(connection)}
            ended = productions.c.state.in_([State.DONE.value, State.FAILED.value, State.STOPPED.value])
            statement = update(productions).where(productions.c.id == number, ended).values(signed=signed)
            return connection.execute(statement).rowcount > 0

    def forget(self, number: int) -> bool:
        """Delete a production that does not run; its jobs stay, as nobody's. Answers whether it was there."""
        with self._door.write() as connection:
            here = productions.c.id == number, productions.c.state != State.RUNNING.value
            if connection.execute(select(productions.c.id).where(*here)).first() is None:
                return False
            connection.execute(update(jobs).where(jobs.c.production == number).values(production=None))
            return connection.execute(delete(productions).where(*here)).rowcount > 0

    # -- work ---------------------------------------------------------------------------------------------------------

    def claim(self, number: int, owner: str) -> bool:
        """Begin a production that waits; one coordinator gets it."""
        with self._door.write() as connection:
            statement = (
                update(productions)
                .where(productions.c.id == number, productions.c.state == State.WAITING.value, productions.c.held == 0)
                .values(
                    state=State.RUNNING.value,
                    owner=owner,
                    begun=self._door.now(connection),
                    closed=None,
                    wish="",
                    progress={},
                    fault=None,
                )
            )
            return connection.execute(statement).rowcount > 0

    def tell(self, number: int, owner: str, progress: Mapping[str, Any]) -> str | None:
        """Note how far a production is; answers what is wished of it, None where it is not ours any more."""
        mine = productions.c.id == number, productions.c.owner == owner, productions.c.state == State.RUNNING.value
        statement = update(productions).where(*mine).values(progress=dict(progress)).returning(productions.c.wish)
        with self._door.write() as connection:
            row = connection.execute(statement).first()
        return None if row is None else str(row.wish)

    def end(
        self,
        number: int,
        outcomes: Mapping[str, int],
        state: State,
        fault: FaultRecord | None = None,
        *,
        held: bool = False,
    ) -> None:
        """Record how a production came to rest, and how many units ended how."""
        with self._door.write() as connection:
            values = {
                "closed": None if state is State.WAITING else self._door.now(connection),
                "outcomes": dict(outcomes),
                "state": state.value,
                "held": int(held),
                "wish": "",
                "fault": None if fault is None else forms.fault_columns(fault),
            }
            connection.execute(update(productions).where(productions.c.id == number).values(values))

    # -- rules --------------------------------------------------------------------------------------------------------

    def rule_seen(self, rule: str) -> float:
        """Until when a rule has seen exposures; one that was never asked for has seen all that are there now."""
        return newcomers.seen(self._door, rule)

    def newcomers(self, where: str, since: float) -> tuple[list[Newcomers], float]:
        """Exposures that a selection takes, recorded after a time, by night; and what time it is."""
        return newcomers.since(self._door, where, since)

    def act(self, rule: str, before: float, until: float, orders: Sequence[Mapping[str, Any]]) -> list[int]:
        """Order productions (columns of `Production`) for what a rule saw between two times, unless somebody has; their numbers."""
        return newcomers.act(self._door, rule, before, until, orders)

    # -- coordinators -------------------------------------------------------------------------------------------------

    def attend(self, hand: str, seconds: float) -> None:
        """Note that a coordinator is at work, for so long; again and again while it is."""
        with self._door.write() as connection:
            row = {"key": _HAND + hand, "owner": hand, "expires": self._door.now(connection) + seconds}
            new = self._door.insert(leases).values(row)
            connection.execute(
                new.on_conflict_do_update(
                    index_elements=[leases.c.key], set_={"owner": new.excluded.owner, "expires": new.excluded.expires}
                )
            )

    def leave(self, hand: str) -> None:
        """A coordinator ends."""
        with self._door.write() as connection:
            connection.execute(delete(leases).where(leases.c.key == _HAND + hand))

    def hands(self) -> list[Hand]:
        """Coordinators that gave notice, with the seconds for which it still holds; 0 and less: they are silent."""
        with self._door.read() as connection:
            now = self._door.now(connection)
            query = select(leases).where(leases.c.key.startswith(_HAND)).order_by(leases.c.key)
            return [Hand(row.owner, row.expires - now) for row in connection.execute(query)]

    def usual(self, pipeline: str) -> dict[str, Usual]:
        """What jobs of a pipeline cost so far, by the key of their steps (see `steps_key`), whatever their settings."""
        columns = jobs.c.peak_memory, jobs.c.bytes_written, jobs.c.wall
        query = (
            select(chains.c.steps, func.count(), func.max(columns[0]), *(func.sum(each) for each in columns[1:]))
            .join(chains, chains.c.id == jobs.c.chain)
            .where(jobs.c.pipeline == pipeline, jobs.c.outcome == Outcome.DONE.value)
            .group_by(chains.c.id, chains.c.steps)
        )
        sums: dict[str, tuple[int, int, float, float]] = {}
        with self._door.read() as connection:
            for steps, *found in connection.execute(query):
                key = steps_key([step["label"] for step in steps])
                count, memory, written, seconds = sums.get(key, (0, 0, 0.0, 0.0))
                sums[key] = (
                    *(count + found[0], max(memory, int(found[1]))),
                    *(written + float(found[2]), seconds + float(found[3])),
                )
        return {
            key: Usual(memory, written / count, seconds / count)
            for key, (count, memory, written, seconds) in sums.items()
        }


def steps_key(labels: Sequence[str]) -> str:
    """How a chain of steps is called where its settings do not matter."""
    return " ".join(labels)


def _production(row: Row[Any]) -> Production:
    fault = row.fault
    return Production(
        *(row.id, row.name, row.pipeline, row.selection, row.settings, row.owner),
        *(row.opened, row.closed, row.outcomes),
        state=State(row.state),
        queued=bool(row.queued),
        held=bool(row.held),
        priority=row.priority,
        person=row.person,
        release=row.release,
        tiles=tuple(row.tiles),
        retry=bool(row.retry),
        rule=row.rule,
        wish=row.wish,
        begun=row.begun,
        progress=row.progress,
        fault=None if fault is None else FaultRecord(**{**fault, "kind": FaultKind(fault["kind"])}),
        signed=row.signed,
    )
