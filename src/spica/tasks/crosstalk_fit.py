"""Crosstalk coefficients of a detector from the bright sources of many exposures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task

Floats = npt.NDArray[np.float64]


class CrosstalkFitSettings(Settings):
    """What is enough."""

    least: int = setting(50, "fewest bright pixels that tell of an amplifier's crosstalk", ge=1)


def crosstalk_fit(settings: CrosstalkFitSettings, sums: tuple[Member, ...]) -> Products:
    """Solve the summed normal equations; errors from how exposures differ where they are enough.

    Parameters
    ----------
    sums : what `crosstalk_sums` found in each exposure.

    Returns
    -------
    crosstalk : `names`; `matrix` and `errors`, victims × sources, None where nothing bright met a pair.
    crosstalk_fit : ``crosstalk.VICTIM.SOURCE``.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where no exposure has a source that is bright enough.
    """
    names = sums[0].value["names"]
    matrix: list[list[float | None]] = []
    errors: list[list[float | None]] = []
    for victim in range(len(names)):
        told = [m.value["victims"][victim] for m in sums]
        values, spread = _solve([each for each in told if each["pixels"]], settings.least, len(names) - 1)
        values.insert(victim, 0.0)
        spread.insert(victim, 0.0)
        matrix.append(values)
        errors.append(spread)
    pairs = [value for i, row in enumerate(matrix) for j, value in enumerate(row) if i != j]
    # A detector of one amplifier has no pairs, and nothing to measure.
    if pairs and all(value is None for value in pairs):
        raise DataFault("data.no-pixels", f"no source of {len(sums)} exposures is bright enough to leave a ghost")
    metrics = {
        f"crosstalk.{victim}.{source}": Measured(value, "")
        for victim, row in zip(names, matrix, strict=True)
        for source, value in zip(names, row, strict=True)
        if value is not None and victim != source
    }
    return {
        "crosstalk": {"names": names, "matrix": matrix, "errors": errors, "frames": len(sums)},
        "crosstalk_fit": metrics,
    }


def _solve(told: Sequence[dict[str, Any]], least: int, count: int) -> tuple[list[float | None], list[float | None]]:
    nothing: list[float | None] = [None] * count
    if sum(each["pixels"] for each in told) < least:
        return list(nothing), list(nothing)
    normals = np.array([each["normal"] for each in told], dtype=np.float64)
    rights = np.array([each["right"] for each in told], dtype=np.float64)
    total = normals.sum(axis=0)
    met = np.flatnonzero(np.diag(total) > 0.0)
    inverse = np.linalg.pinv(total[np.ix_(met, met)])
    values = inverse @ rights.sum(axis=0)[met]
    freedom = max(sum(each["pixels"] for each in told) - len(met), 1)
    stretch = max(sum(each["misfit"] for each in told) / freedom, 1.0)
    errors = np.sqrt(np.diag(inverse) * stretch)
    if len(told) > 4:
        # The victim's own faint sources are no white noise: exposures that are dithered tell the true scatter.
        errors = np.maximum(errors, _jackknife(normals[:, met][:, :, met], rights[:, met]))
    found, spread = list(nothing), list(nothing)
    for place, value, error in zip(met, values, errors, strict=True):
        found[place], spread[place] = float(value), float(error)
    return found, spread


def _jackknife(normals: Floats, rights: Floats) -> Floats:
    n = len(normals)
    left = np.array(
        [np.linalg.pinv(normals.sum(0) - a) @ (rights.sum(0) - b) for a, b in zip(normals, rights, strict=True)]
    )
    return np.asarray(np.sqrt((n - 1) / n * np.square(left - left.mean(axis=0)).sum(axis=0)))


TASK = Task(
    name="crosstalk_fit",
    version=1,
    grain=Grain.CALIBRATION,
    settings=CrosstalkFitSettings,
    needs=(Need("sums", grain=Grain.DETECTOR, quorum=1),),
    gives=(
        Give("crosstalk", Form.VALUE, meaning="crosstalk matrix of a detector with its errors"),
        Give("crosstalk_fit", Form.METRICS, meaning="crosstalk coefficients"),
    ),
    run=crosstalk_fit,
)
