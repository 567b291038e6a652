"""A small simulated survey, as tests of services and of the command line need one: seconds to make and to reduce."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from spica.services import ingest, initialise, run, simulation

SKY = {
    "bands": "r",
    "exposures": "2",
    "biases": "3",
    "darks": "3",
    "flats": "3",
    "detectors": "1,2",
    "detector_size": "128,128",
    "density": "1500",
}
EXPOSURES = 11
"""3 biases, 3 darks, 3 flats, 2 science exposures."""
SCIENCE = ("demo-20261120-00010", "demo-20261120-00011")
NIGHT_UNITS = 2 * EXPOSURES + 2 * 3 + 3 + (2 + 1 + 1) * len(SCIENCE)
"""Each detector of each exposure, three jobs that combine for each detector, the focal plane of each flat; of each science exposure a verdict for each
detector, a merged catalogue and a summary."""


@dataclass(frozen=True)
class Small:
    """A survey's folder, and the simulated sky beside it."""

    folder: Path
    sky: Path

    def copy(self, target: Path) -> Small:
        """A survey of one's own to spoil."""
        shutil.copytree(self.folder.parent, target, dirs_exist_ok=True)
        return Small(target / self.folder.name, target / self.sky.name)


def simulated(root: Path) -> Small:
    """An empty survey beside simulated frames; it has the table of the camera as drawn."""
    small = Small(root / "survey", root / "sky")
    initialise.initialise(small.folder)
    simulation.simulate(small.sky, "demo", SKY, small.folder)
    return small


def reduced(empty: Small, root: Path) -> Small:
    """The same survey with its frames taken in and a night run."""
    small = empty.copy(root)
    ingest.ingest(ingest.Order((str(small.sky / "raw"),)), small.folder)
    run.run(run.Order("night", executor="inprocess"), small.folder)
    return small
