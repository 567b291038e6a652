"""Registered: what the registration of a series says of one detector of an exposure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.records import Exposure, Grain, Unit
from spica.core.settings import NoSettings
from spica.core.task import Form, Give, Measured, Need, Products, Task

_FIGURES = {"rms": "pixel", "matches": "", "odds": "", "angle": "deg", "scale": "", "fainter": "mag"}
"""Columns that become metrics `register_NAME`, and their units."""


def registered(
    settings: NoSettings, unit: Unit, exposure: Exposure, registration: Catalogue, unregistered: Mapping[str, Any]
) -> Products:
    """The frame's row of `registration` as metrics; one that has none fails by its own reason.

    Returns
    -------
    placed : metrics `register_rms`, `register_matches`, `register_odds`, `register_angle`, `register_scale`,
        `register_fainter`; of the reference itself angle 0, scale 1.

    Raises
    ------
    DataFault
        ``register.no-match``, ``register.no-stars``, ``register.unseen``.
    """
    del settings
    number = int(unit.keys["detector"])
    rows = np.flatnonzero((registration["exposure_id"] == exposure.id) & (registration["detector"] == number))
    if rows.size == 0:
        raise _fault(f"{exposure.name}/{number}", unregistered["frames"])
    values = {name: float(registration[name][rows[0]]) for name in _FIGURES}
    return {
        "placed": {
            f"register_{name}": Measured(value, _FIGURES[name]) for name, value in values.items() if np.isfinite(value)
        }
    }


def _fault(name: str, frames: Mapping[str, Any]) -> DataFault:
    told = dict(frames.get(name, {}))
    match told.pop("code", ""):
        case "register.no-match":
            message = (
                f"{name} does not lie on {told['reference']}: too few of their stars agree, or no more than by chance"
            )
            return DataFault("register.no-match", message, **told)
        case "register.no-stars":
            return DataFault("register.no-stars", f"{name} has {told['stars']} stars", **told)
        case _:
            return DataFault("register.unseen", f"{name} was not looked at: its catalogue or its PSF fits failed")


TASK = Task(
    name="registered",
    version=1,
    grain=Grain.DETECTOR,
    settings=NoSettings,
    needs=(
        Need("unit", source="unit"),
        Need("exposure", source="exposure"),
        Need("registration", grain=Grain.GROUP),
        Need("unregistered", grain=Grain.GROUP),
    ),
    gives=(Give("placed", Form.METRICS, meaning="how the frame lies on the one that the series is laid on"),),
    run=registered,
)
