"""The process that is measured: catalogues of a folder in, solution out, as the engine would do it for a group."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from spica.core.records import Exposure, FrameType
from spica.core.systems import Systems
from spica.core.task import Member
from spica.files.catalogues import FileTable, read_catalogue, write_catalogue, write_parts
from spica.tasks.solve import TASK

SOURCES = ("source_id", "x", "y", "x_err", "y_err", "flux_auto", "flux_auto_err", "flags")


def solve_folder(folder: Path, **settings: float) -> None:
    """Solve what `benchmarks.calibration._lists.write_lists` wrote."""
    exposures, wcs, sources = [], {}, []
    for number, plain in enumerate(json.loads(Path(folder, "exposures.json").read_text())):
        record = Exposure(number, plain["name"], "drawn", FrameType.OBJECT, plain["night"], plain["mjd"], 1.0, band="r", airmass=plain["airmass"])  # fmt: skip
        exposures.append(record)
        for chip, cards in enumerate(plain["detectors"]):
            unit = f"detector:{record.name}/{chip}"
            wcs[f"{record.name}/{chip}"] = cards
            sources.append(Member(unit, FileTable(folder / f"{record.name}-{chip}.parquet", SOURCES)))
    start = time.process_time()
    reference = read_catalogue(folder / "reference.parquet")
    made = TASK.run(
        TASK.settings(**settings),
        exposures=tuple(exposures),
        wcs=wcs,
        sources=tuple(sources),
        pointing=None,
        reference=reference,
        standards=reference,
        systems=Systems(scales={"r": "AB"}),
        site={"longitude": 0.0, "latitude": 0.0, "height": 0.0, "wavelengths": {}},
    )
    write_catalogue(folder / "solution.parquet", made["solution"], {})
    write_parts(folder / "matches.parquet", made["matches"], {})
    cpu = time.process_time() - start
    figures = {name: each.value for name, each in made["solving"].items()}
    Path(folder, "solving.json").write_text(json.dumps({"metrics": figures, "refused": made["refused"], "cpu": cpu}))


if __name__ == "__main__":
    solve_folder(Path(sys.argv[1]), **json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
