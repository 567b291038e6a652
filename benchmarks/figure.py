"""One measured figure, with its peer and its goal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Goal:
    """What a figure has to reach: at least or at most a limit, of its own value or of its ratio to the peer's."""

    sense: Literal[">=", "<="]
    limit: float
    of_peer: bool = False

    def __str__(self) -> str:
        return f"{self.sense} {self.limit:g}{' x peer' if self.of_peer else ''}"

    def met(self, value: float, ratio: float | None) -> bool:
        """Whether the value (or its ratio to the peer's) reaches the limit; not a number never does."""
        judged = ratio if self.of_peer else value
        if judged is None:
            return False
        return judged >= self.limit if self.sense == ">=" else judged <= self.limit


def at_least(limit: float, *, of_peer: bool = False) -> Goal:
    """More is better: the value, or its ratio to the peer's, reaches `limit`."""
    return Goal(">=", limit, of_peer)


def at_most(limit: float, *, of_peer: bool = False) -> Goal:
    """Less is better: the value, or its ratio to the peer's, stays within `limit`."""
    return Goal("<=", limit, of_peer)


@dataclass(frozen=True)
class Figure:
    """A figure as it stands in build/bench.json.

    Attributes
    ----------
    group : the benchmark group ('spine'); the runner fills it in from the folder.
    figure : what was measured, with its circumstances ('ingest, SQLite').
    value, unit : what came out.
    peer, peer_value : whom it is compared with and what came out there, in the same run and unit.
    ratio : value over peer's value.
    goal, met : the goal in words (">= 4", ">= 5 x peer") and whether it was reached; None without a goal.
    """

    group: str
    figure: str
    value: float
    unit: str
    peer: str | None
    peer_value: float | None
    ratio: float | None
    goal: str | None
    met: bool | None

    def plain(self) -> dict[str, Any]:
        """The figure as JSON holds it."""
        return asdict(self)


def figure(
    name: str, value: float, unit: str, goal: Goal | None = None, *, peer: str | None = None, peer_value: float = 0.0
) -> Figure:
    """Make a figure; ratio and verdict follow from the numbers.

    Parameters
    ----------
    name : what was measured, with its circumstances.
    value, unit : what came out.
    goal : what it has to reach.
    peer, peer_value : an independent implementation measured in the same run, in the same unit.

    Raises
    ------
    ValueError
        A goal against a peer without a peer, or a peer's value that is not positive.
    """
    if peer is None and goal is not None and goal.of_peer:
        message = f"figure {name!r} has a goal against a peer, and no peer"
        raise ValueError(message)
    if peer is not None and not peer_value > 0:
        message = f"figure {name!r}: the value of peer {peer!r} is {peer_value}, it has to be positive"
        raise ValueError(message)
    # JSON knows no numbers of NumPy, nor what comes of comparing them.
    value, peer_value = float(value), float(peer_value)
    ratio = value / peer_value if peer is not None else None
    return Figure(
        group="",
        figure=name,
        value=value,
        unit=unit,
        peer=peer,
        peer_value=peer_value if peer is not None else None,
        ratio=ratio,
        goal=str(goal) if goal else None,
        met=goal.met(value, ratio) if goal else None,
    )
