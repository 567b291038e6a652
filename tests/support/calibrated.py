"""A simulated night, reduced and calibrated by the shipped pipelines, beside its truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def calibrated(root: Path, spoil: Callable[[Path], object] | None = None, **other: str) -> Path:
    """Draw `SKY` (some of it `other`) into `root`/sky and calibrate it in the survey `root`/survey; return `root`.

    What `spoil` does to the folder of raw frames is done before they are taken in.
    """
    home = root / "survey"
    drawn: Mapping[str, str] = SKY | other
    initialise.initialise(home)
    simulation.simulate(root / "sky", "demo", drawn, home)
    if spoil is not None:
        spoil(root / "sky" / "raw")
    ingest.ingest(ingest.Order((str(root / "sky" / "raw"),)), home)
    run.run(run.Order("calibrations", executor="inprocess"), home)
    references.bring_in("truth", [root / "sky" / "reference.parquet"], home)
    result = run.run(run.Order("calibrate", executor="inprocess"), home)
    assert spoil is not None or (result.failed, result.refused) == (0, 0)
    return root
