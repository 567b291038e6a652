"""One master from the frames of a folder, in a process of its own: prints CPU seconds and peak memory (bytes) as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from itertools import cycle, islice
from pathlib import Path

from spica.core.records import Grain, Unit
from spica.core.streams import Banded
from spica.core.task import Member
from spica.files.images import ImageSink
from spica.files.thin import open_thin
from spica.tasks.combine import CombineSettings, combine


def make(frames: list[Path], target: Path) -> None:
    """Read, combine and write, as a worker does."""
    members = tuple(Member(f"detector:e{n}/1", open_thin(path)) for n, path in enumerate(frames))
    choice = {
        "factors": {member.unit: 1.0 for member in members},
        "left_out": {},
        "scale": "none",
        "norm": "",
        "level": [0.0, 0.0, 0.0],
        "sensitivity": 1.0,
    }
    unit = Unit(Grain.CALIBRATION, ("demo", "1", "", "2026-11-20"))
    master = combine(CombineSettings(), members, choice, unit)["master"]
    assert isinstance(master, Banded)
    sink = ImageSink(target, master.shape, {}, header=master.header)
    for band in master.bands:
        sink.write(band)
    sink.close()


def main(folder: Path, number: int) -> None:
    """Warm on three frames, then measure."""
    frames = sorted(folder.glob("frame*.fits"))
    make(frames[:3], folder / "warm.fits")
    began = time.process_time()
    make(list(islice(cycle(frames), number)), folder / f"master{number}.fits")
    cpu = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"cpu": cpu, "peak": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
