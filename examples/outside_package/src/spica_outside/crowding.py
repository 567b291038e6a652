"""How crowded a detector is: the typical distance from a source to its nearest neighbour."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, FaultKind, declare
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task

declare(
    "crowding.too-few-sources",
    FaultKind.DATA,
    "a detector has too few sources to say how crowded it is",
    "lower crowding.minimum",
)


class CrowdingSettings(Settings):
    """Settings of the task."""

    minimum: int = setting(10, "fewest sources that give a figure", ge=2)


def crowding(settings: CrowdingSettings, sources: Catalogue) -> Products:
    """Median distance from a source to its nearest neighbour.

    Parameters
    ----------
    settings : least number of sources.
    sources : catalogue with the columns x and y, ``(n,)`` float64 [pixel], 0-based centres.

    Returns
    -------
    Metric ``nearest_neighbour`` [pixel]; for points at random with density d it is sqrt(ln 2 / (pi d)).

    Raises
    ------
    DataFault
        ``crowding.too-few-sources``.
    """
    if len(sources) < settings.minimum:
        raise DataFault(
            "crowding.too-few-sources",
            f"{len(sources)} sources, at least {settings.minimum} are needed",
            sources=len(sources),
            minimum=settings.minimum,
        )
    places = np.column_stack([sources["x"], sources["y"]])
    # The nearest of all is the source itself, the second its neighbour.
    distances, _ = KDTree(places).query(places, k=2)
    return {"crowding": {"nearest_neighbour": Measured(float(np.median(distances[:, 1])), "pixel")}}


TASK = Task(
    name="crowding",
    version=1,
    grain=Grain.DETECTOR,
    settings=CrowdingSettings,
    needs=(Need("sources", columns=("x", "y")),),
    gives=(Give("crowding", Form.METRICS, meaning="distance between neighbours"),),
    run=crowding,
)
