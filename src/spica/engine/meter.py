"""What a unit costs: wall and CPU seconds, bytes, peak memory of the process while it worked."""

from __future__ import annotations

import resource
import socket
import time
from functools import cache
from pathlib import Path

from spica.core.jobs import Cost

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@cache
def host() -> str:
    """Name of this machine."""
    return socket.gethostname()


class Meter:
    """Measures from its making to `cost`; bytes are counted by whoever reads and writes."""

    def __init__(self) -> None:
        self.bytes_read = 0
        self.bytes_written = 0
        self._own_peak = _reset_peak()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def cost(self) -> Cost:
        """The cost until now."""
        return Cost(
            wall=time.perf_counter() - self._wall,
            cpu=time.process_time() - self._cpu,
            peak_memory=_peak(own=self._own_peak),
            bytes_read=self.bytes_read,
            bytes_written=self.bytes_written,
            host=host(),
        )


def _reset_peak() -> bool:
    """Let Linux forget the process's earlier peak; False where it cannot, and the peak is the process's own ever."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _peak(*, own: bool) -> int:
    if own:
        try:
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
