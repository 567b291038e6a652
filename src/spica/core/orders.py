"""Words for productions: how they stand, and what is wished of them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """How a production stands.

    WAITING : for a coordinator.
    RUNNING : somebody works on it.
    DONE : every unit is done.
    FAILED : it came to its end, but units failed or were refused.
    STOPPED : somebody stopped it, or a short resource did: not all units were reached.
    ARCHIVED : put away; its record and products stay.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    ARCHIVED = "archived"


ENDED = (State.DONE, State.FAILED, State.STOPPED)


class Wished(StrEnum):
    """What the coordinator of a running production is asked to do, after the units that are at work.

    HOLD : put it back into the queue, held. STOP : end it.
    """

    HOLD = "hold"
    STOP = "stop"
