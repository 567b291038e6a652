"""A local worker process: takes specs from a socket, sends reports back, ends with its coordinator.

Started by `local.py` as ``python -m spica.engine.executors.child FD PARENT MEMORY``, with one thread for each numeric
library said in its environment before anything is imported.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import queue
import resource
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from spica.engine.executors.heap import keep_freed_memory

_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""

HELLO = b"ready"


def main(arguments: list[str]) -> None:
    """Work until the socket ends."""
    descriptor, parent, memory = (int(argument) for argument in arguments)
    _die_with(parent)
    # Ctrl-C reaches the whole terminal group; the coordinator decides what becomes of what is at work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a task prints must not mix with the answers of a command.
    os.dup2(2, 1)
    if memory:
        # Counts what the process may write to, not what it maps: compiled kernels and mapped files stay free.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    keep_freed_memory()
    socket = Connection(descriptor)
    # Loaded before we say that we are ready, so that no unit's time or memory is charged for it.
    import spica.files.frames
    import spica.files.images  # noqa: F401
    from spica.engine.worker import work

    specs = _receive(socket)
    socket.send_bytes(HELLO)
    while True:
        spec = specs.get()
        socket.send_bytes(pickle.dumps(work(spec), pickle.HIGHEST_PROTOCOL))


def _die_with(parent: int) -> None:
    """Ask Linux to kill us when the coordinator dies, however it dies; elsewhere the end of the socket tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it died before we asked


def _receive(socket: Connection) -> queue.SimpleQueue[Any]:
    """Read specs in a thread, so that the coordinator never waits for a busy worker to listen."""
    specs: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                message = socket.recv_bytes()
            except (EOFError, OSError):
                os._exit(0)
            for spec in pickle.loads(message):  # noqa: S301 - from our own coordinator
                specs.put(spec)

    threading.Thread(target=listen, daemon=True).start()
    return specs


if __name__ == "__main__":
    main(sys.argv[1:])
