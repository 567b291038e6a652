"""Anchored: a frame of a series that has no sky solution, as a stack needs it: place and light relative to the series' reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.records import Detector, Exposure, Grain, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.wcs import outline
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.kernels.wcs_convert import laid


class AnchoredSettings(Settings):
    """On which scale."""

    zero_point: float = setting(25.0, "magnitude of one electron per second in the reference: relative", "mag")


def anchored(
    settings: AnchoredSettings,
    unit: Unit,
    exposure: Exposure,
    detector: Detector,
    registration: Catalogue,
    anchors: Mapping[str, Any],
) -> Products:
    """Place and zero point of a frame by how it lies on its reference, and by how much fainter its stars are.

    Places are right among the frames of the series (by a similarity); on the sky they are as right as the header of the
    reference. Magnitudes are relative: one electron per second in the reference is of magnitude `zero_point`.

    Returns
    -------
    sky_solution : value: `cards` of the header, `exposure_time` [s], `outline`.
    detector_outline : vertices on the sky.
    light : value: `zero`, `error` [mag at 1 electron per second], `scale` (relative), `of` (series), `flat`, `size`, `exposure_time` [s].

    Raises
    ------
    DataFault
        ``register.unseen`` for a frame that was not laid on any; ``data.no-pointing`` where the reference does not tell where
        it is.
    """
    rows = np.flatnonzero(
        (registration["exposure_id"] == exposure.id) & (registration["detector"] == detector.detector)
    )
    if rows.size == 0:
        raise DataFault("register.unseen", f"{unit} was not laid on the reference of its series", unit=str(unit))
    row = {name: float(registration[name][rows[0]]) for name in _ROW}
    anchor = anchors[str(detector.detector)]
    try:
        first = from_cards(anchor["cards"])
    except ValueError as error:
        message = f"{anchor['exposure']}, on which {unit} is laid, does not tell where on the sky it is: {error}"
        raise DataFault("data.no-pointing", message, unit=str(unit), reference=anchor["exposure"]) from error
    turn, offset = complex(row["turn_x"], row["turn_y"]), complex(row["offset_x"], row["offset_y"])
    wcs = laid(first, turn, offset, mirrored=row["mirrored"] != 0.0)
    seconds = exposure.exposure_time
    longer = 2.5 * np.log10(max(seconds, 1e-3) / max(float(anchor["exposure_time"]), 1e-3))
    edge = outline(wcs, (detector.nx, detector.ny))
    light = {
        "zero": float(settings.zero_point - row["fainter"] - longer),
        "error": row["fainter_scatter"] / np.sqrt(max(row["matches"], 1.0)),
        "scale": "relative",
        "of": "series",
        "flat": [],
        "size": [detector.nx, detector.ny],
        "exposure_time": seconds,
    }
    return {
        "sky_solution": {"cards": to_cards(wcs), "exposure_time": seconds, "outline": edge},
        "detector_outline": edge,
        "light": light,
    }


_ROW = ("turn_x", "turn_y", "offset_x", "offset_y", "mirrored", "fainter", "fainter_scatter", "matches")

TASK = Task(
    name="anchored",
    version=1,
    grain=Grain.DETECTOR,
    settings=AnchoredSettings,
    needs=(
        Need("unit", source="unit"),
        Need("exposure", source="exposure"),
        Need("detector", source="detector"),
        Need("registration", grain=Grain.GROUP),
        Need("anchors", grain=Grain.GROUP),
    ),
    gives=(
        Give("sky_solution", Form.VALUE, meaning="header cards of the frame's place, right among those of its series"),
        Give("detector_outline", Form.OUTLINE, meaning="the frame's outline on the sky"),
        Give("light", Form.VALUE, meaning="the frame's zero point beside its series' reference: relative"),
    ),
    run=anchored,
)
