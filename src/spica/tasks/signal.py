"""Signal: raw amplifiers in their places, in ADU above the overscan; what frames are measured on that judge the camera.

Nothing that is to be measured is applied: no gain, no linearity, no crosstalk, no masters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.camera import AmplifierSpec
from spica.core.faults import DataFault
from spica.core.images import Image, RawDetector
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.overscan import overscan_rows
from spica.kernels.robust import robust_statistics

Floats = npt.NDArray[np.float64]

_WHOLE = 0.99
"""Sums of whole numbers are whole in more than this part of the pixels."""


class SignalSettings(Settings):
    """How the level of the overscan is found."""

    skip: int = setting(2, "columns next to the data left out: they carry trailed charge", "pixel", ge=0)
    rows: int = setting(33, "rows over which the level is averaged: its own noise must not add to the data's", ge=1)


def signal(settings: SignalSettings, raw: RawDetector) -> Products:
    """Assemble a detector in ADU above its overscan.

    Parameters
    ----------
    raw : pixels as read out [ADU], or the mean of several read-outs.

    Returns
    -------
    signal : Image of ``(ny, nx)`` [ADU]; an amplifier without overscan keeps its bias level.
    layout : times [second], `slices` (read-outs that the pixels are the mean of) and, per amplifier, name, place, flips, table values, the level taken off, mean and 99.9th
        percentile of the data [ADU], step of the digitisation [ADU].

    Raises
    ------
    DataFault
        ``header.bad-geometry``, ``data.no-pixels``.
    """
    image = np.full((raw.ny, raw.nx), np.nan, dtype=np.float32)
    amplifiers = []
    for pixels, amplifier in zip(raw.pixels, raw.amplifiers, strict=True):
        x0, x1, y0, y1 = amplifier.data
        u0, u1, v0, v1 = amplifier.detector
        if x1 > pixels.shape[1] or y1 > pixels.shape[0] or u1 > raw.nx or v1 > raw.ny:
            raise DataFault(
                "header.bad-geometry",
                f"amplifier {amplifier.name} lies outside of the pixels read",
                amplifier=amplifier.name,
            )
        data = pixels[y0:y1, x0:x1]
        levels = _levels(settings, pixels, amplifier)
        placed = data.astype(np.float32) - levels[:, None].astype(np.float32)
        image[v0:v1, u0:u1] = placed[:: -1 if amplifier.flip_y else 1, :: -1 if amplifier.flip_x else 1]
        found = robust_statistics(placed, kappa=6.0)
        if found.good == 0:
            raise DataFault("data.no-pixels", f"amplifier {amplifier.name} has no finite pixel", name=amplifier.name)
        amplifiers.append(
            {
                **amplifier.model_dump(
                    mode="json",
                    include={"name", "detector", "flip_x", "flip_y", "gain", "read_noise", "saturation", "linearity"},
                ),
                "overscan": amplifier.overscan is not None,
                "level": float(np.mean(levels)),
                "mean": found.mean,
                "top": float(np.nanpercentile(placed, 99.9)),
                "step": _step(data, raw.slices),
            }
        )
    times = {name: float(raw.header.get(name) or 0.0) for name in ("exposure_time", "dark_time")}
    layout = {**times, "slices": raw.slices, "amplifiers": amplifiers}
    return {"signal": Image(image, header={"BUNIT": "adu"}), "layout": layout}


def _levels(settings: SignalSettings, pixels: npt.NDArray[Any], amplifier: AmplifierSpec) -> Floats:
    """Level of the overscan in each row of the data, averaged along the rows; 0 without overscan [ADU]."""
    y0, y1 = amplifier.data[2:]
    if amplifier.overscan is None:
        return np.zeros(y1 - y0)
    u0, u1, v0, v1 = amplifier.overscan
    if u1 - u0 > 2 * settings.skip:
        u0, u1 = (u0 + settings.skip, u1) if u0 >= amplifier.data[1] else (u0, u1 - settings.skip)
    rows = overscan_rows(pixels[v0:v1, u0:u1]).level.astype(np.float64)
    if v0 > y0 or v1 < y1:
        return np.full(y1 - y0, np.nanmean(rows))
    width = min(settings.rows, len(rows))
    box = np.ones(width)
    smooth = np.convolve(rows, box, "same") / np.convolve(np.ones(len(rows)), box, "same")
    return np.asarray(smooth[y0 - v0 : y1 - v0])


def _step(data: npt.NDArray[Any], slices: int) -> float:
    """Step of whole numbers (a 12-bit converter may write multiples of 16); 0 for others.

    The mean of several read-outs tells it by their sum, but for a few pixels that not all of them define.
    """
    some = data[:: max(1, len(data) // 64)]
    if slices > 1:
        sums = some.astype(np.float64) * slices
        # As near as the mean's single precision tells.
        whole = np.abs(sums - np.rint(sums)) <= 1e-7 * np.abs(sums)
        some = np.rint(sums[whole]).astype(np.int64) if np.mean(whole) > _WHOLE else some
    if not np.issubdtype(some.dtype, np.integer):
        return 0.0
    values = np.unique(some.astype(np.int64))
    return float(np.gcd.reduce(np.diff(values))) if len(values) > 1 else 0.0


TASK = Task(
    name="signal",
    version=2,
    grain=Grain.DETECTOR,
    settings=SignalSettings,
    needs=(Need("raw", source="raw"),),
    gives=(
        Give("signal", Form.IMAGE, meaning="assembled detector in ADU above its overscan"),
        Give("layout", Form.VALUE, meaning="amplifiers, levels and times of a frame"),
    ),
    run=signal,
)
