"""Ctrl-C and SIGTERM: the first asks to stop after what is at work, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from spica.core.orders import State


@dataclass
class Wish:
    """Whether somebody wishes to stop; and how what is stopped stands then: it waits (held or not), or is stopped."""

    asked: bool = False
    then: State = State.STOPPED
    held: bool = False


@contextmanager
def stopping() -> Iterator[Wish]:
    """Turn the first SIGINT or SIGTERM in the block into a wish; a second raises KeyboardInterrupt.

    In other threads than the main one Python takes no signals, and the wish stays unasked.
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def heard(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal's signature
        if wish.asked:
            raise KeyboardInterrupt
        wish.asked = True

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
