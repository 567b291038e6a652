"""A simulated night, reduced and calibrated by the shipped pipelines, beside its truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spica.services import ingest, initialise, references, run, simulation

SKY = {
    "bands": "r",
    "exposures": "3",
    "biases": "3",
    "darks": "0",
    "flats": "3",
    "detectors": "1,2",
    "density": "3000",
}


def calibrated(root: Path, **other: str) -> Path:
    """Draw `SKY` (some of it `other`) into `root`/sky and calibrate it in the survey `root`/survey; return `root`."""
    home = root / "survey"
    drawn: Mapping[str, str] = SKY | other
    initialise.initialise(home)
    simulation.simulate(root / "sky", "demo", drawn, home)
    ingest.ingest(ingest.Order((str(root / "sky" / "raw"),)), home)
    run.run(run.Order("calibrations", executor="inprocess"), home)
    references.bring_in("truth", [root / "sky" / "reference.parquet"], home)
    result = run.run(run.Order("calibrate", executor="inprocess"), home)
    assert (result.failed, result.refused) == (0, 0)
    return root
