"""Plane: the level of a whole focal plane in one flat, against which each detector's sensitivity shows."""

from __future__ import annotations

import numpy as np

from spica.core.faults import DataFault
from spica.core.records import Grain
from spica.core.settings import NoSettings
from spica.core.task import Form, Give, Member, Need, Products, Task


def plane(settings: NoSettings, levels: tuple[Member, ...]) -> Products:  # noqa: ARG001
    """Median of the detectors' levels in one exposure.

    A flat that is divided by it keeps what its detector has more or less than the others: in a combined flat the focal
    plane has the median 1, and the image of an even sky has no steps from detector to detector.

    Parameters
    ----------
    levels : what `level` found, of each detector of the exposure.

    Returns
    -------
    plane : level [electron], and of how many detectors.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where no detector has a positive level.
    """
    found = [float(member.value["median"]) for member in levels]
    lit = [value for value in found if value > 0]
    if not lit:
        raise DataFault("data.no-pixels", f"none of {len(found)} detectors has a positive level", detectors=len(found))
    return {"plane": {"level": float(np.median(lit)), "detectors": len(lit)}}


TASK = Task(
    name="plane",
    version=1,
    grain=Grain.EXPOSURE,
    settings=NoSettings,
    needs=(Need("levels", grain=Grain.DETECTOR, quorum=0.5),),
    gives=(Give("plane", Form.VALUE, meaning="level of the focal plane in one flat"),),
    run=plane,
)
