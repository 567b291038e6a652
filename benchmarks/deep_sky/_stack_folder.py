"""Stack all products of a folder as one program would: ``python -m benchmarks.deep_sky._stack_folder FOLDER METHOD OUT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from spica.core.records import Grain, Unit
from spica.core.task import Member
from spica.files.images import ImageSink
from spica.files.thin import open_thin
from spica.tasks.stack import TASK, StackSettings


def main(folder: Path, method: str, out: Path) -> None:
    """Stack the products `*.prod.fits` on the tile of `tile.json`."""
    tile = SimpleNamespace(**json.loads((folder / "tile.json").read_text()))
    science, solutions, lights = [], [], []
    for path in sorted(folder.glob("*.prod.fits")):
        rows = open_thin(path)
        science.append(Member(path.name, rows))
        solutions.append(Member(path.name, {"cards": rows.header, "exposure_time": 1.0}))
        lights.append(Member(path.name, {"zero": 30.0, "flat": []}))
    made = TASK.run(
        StackSettings.model_validate({"method": method}),
        unit=Unit(Grain.TILE_BAND, ("bench", "r")),
        tile=tile,
        inputs=None,
        science=tuple(science),
        sky_solution=tuple(solutions),
        light=tuple(lights),
        sky_mesh=None,
    )["stack"]
    sink = ImageSink(out, made.shape, {}, lossless=True, header=made.header)
    for band in made.bands:
        sink.write(band)
    sink.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
