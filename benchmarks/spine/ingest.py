"""How quickly files are taken in: all that ``spica ingest`` does on SQLite (small pixels, so that bytes hardly count)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figure import Figure, at_least, figure
from benchmarks.measure import run_program

SPICA = Path(sys.executable).with_name("spica")
FRAMES = ("biases=60", "darks=60", "flats=40", "detector_size=64,64", "density=200")


def figures() -> Iterator[Figure]:
    """Detector records per second, verification, checksums, header translation and recording together."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        words = [word for setting in FRAMES for word in ("--set", setting)]
        run_program([SPICA, "simulate", "sky", "--camera", "demo", *words], cwd=folder)
        run_program([SPICA, "init", "survey"], cwd=folder)
        survey = folder / "survey"
        shutil.copy(folder / "sky/camera.toml", survey / "cameras/demo.toml")
        said = run_program([SPICA, "ingest", folder / "sky/raw", "--json"], cwd=survey).output
        told = json.loads(said[said.index("{") : said.rindex("}") + 1])
        yield figure(
            "ingest, whole command, demo mosaics of 4 detectors", told["rate"], "detector records/s", at_least(200)
        )
