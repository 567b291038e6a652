"""Stack all products of a folder as one program would: ``python -m benchmarks.deep_sky._stack_folder FOLDER METHOD OUT``.

And write such products: of noise, shifted and turned a little.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spica.core.records import Grain, Unit
from spica.core.task import Member
from spica.files.images import ImageSink
from spica.files.thin import open_thin
from spica.tasks.stack import TASK, StackSettings


def stack_folder(folder: Path, method: str, out: Path) -> None:
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


def write_exposures(folder: Path, number: int, shape: tuple[int, int], *, lossless: bool) -> dict[str, Any]:
    """Write exposures (ny, nx) of noise as products; returns the tile that holds them all."""
    # What stacks a folder shall not pay for what writes one.
    import numpy as np

    from spica.core.images import Image
    from spica.files.images import write_image
    from spica.kernels.projection import Projection
    from spica.kernels.wcs import tangent_wcs
    from spica.kernels.wcs_cards import to_cards

    rng, scale, (ny, nx) = np.random.default_rng(11), 0.2 / 3600, shape
    noise = rng.normal(0.0, 10.0, shape).astype(np.float32)
    for n in range(number):
        turn, (dx, dy) = 2e-4 * (n - 0.5 * (number - 1)), rng.uniform(-40, 40, 2)
        cd = scale * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        cards = to_cards(tangent_wcs([10.0, 20.0], [0.5 * nx + dx, 0.5 * ny + dy], cd))
        pixels = np.roll(noise, int(rng.integers(noise.size)))
        # Each pixel's own light is part of its variance.
        image = Image(pixels, np.float32(100.0) + np.float32(0.5) * pixels, np.zeros(shape, np.int32), cards)
        write_image(folder / f"e{n}.prod.fits", image, {}, lossless)
    middle = np.array([0.5 * (nx + 99), 0.5 * (ny + 99)])
    where = Projection("TAN", np.array([10.0, 20.0]), middle, scale * np.array([[-1.0, 0.0], [0.0, 1.0]]))
    return {"nx": nx + 100, "ny": ny + 100, "cards": where.cards()}


if __name__ == "__main__":
    stack_folder(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
