"""Level: the numbers of one calibration frame that its combination needs, so that pixels are streamed only once."""

from __future__ import annotations

import numpy as np

from spica.core.faults import DataFault
from spica.core.images import Float32, Image, Int32
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.cells import cell_means
from spica.kernels.robust import robust_statistics

_LEAST_CELL = 16
"""Pixels: a smaller cell has too few of them for statistics."""
_SAMPLE_ROWS = 512
"""Rows, evenly spread, in which bright and dark pixels are counted: enough for fractions of 10⁻⁴."""


class LevelSettings(Settings):
    """What counts as the level of a frame."""

    kappa: float = setting(4.0, "clipping limit", "sigma", gt=0)
    iterations: int = setting(5, "upper limit of clipping passes", ge=0)
    cells: int = setting(16, "cells along each axis whose levels are the frame's pattern", ge=1)
    bright: float = setting(5.0, "pixels so far above (or below) their cell's level are counted", "sigma", gt=0)


def level(settings: LevelSettings, frame: Image) -> Products:
    """Median, scatter, pattern and time of a frame.

    Returns
    -------
    level : median, sigma and `noise` (scatter within a cell) [electron], fraction of pixels that are good, saturated,
        far above (`bright`) and far below (`dark`) their cell's level, exposure and dark time [second], gain
        [electron/ADU], `slices` (read-outs, where the frame is the mean of several), and `pattern`: level of each cell,
        a list of rows [electron], None where a cell has no pixels.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where no pixel is good.
    """
    mask = np.zeros(frame.shape, np.int32) if frame.mask is None else frame.mask
    found = robust_statistics(
        frame.pixels, mask, bad_bits=int(Mask.unusable()), kappa=settings.kappa, iterations=settings.iterations
    )
    if found.good == 0:
        raise DataFault("data.no-pixels", "the frame has no good pixel", nx=frame.shape[1], ny=frame.shape[0])
    ny, nx = frame.shape
    box = (max(-(-ny // settings.cells), _LEAST_CELL), max(-(-nx // settings.cells), _LEAST_CELL))
    pattern, rms = cell_means(frame.pixels, mask, bad_bits=int(Mask.unusable()), box=box)
    noise = float(np.median(rms[np.isfinite(rms)])) if np.isfinite(rms).any() else float(found.sigma)
    bright, dark = _outliers(frame.pixels, mask, pattern, box, settings.bright * noise)
    slices = frame.header.get("NSLICES")
    return {
        "level": {
            **({} if slices is None else {"slices": slices}),
            "median": float(found.median),
            "sigma": float(found.sigma),
            "noise": noise,
            "good": found.good / frame.pixels.size,
            "saturated": float(np.mean(mask & int(Mask.SATURATED) != 0)),
            "bright": bright,
            "dark": dark,
            "exposure_time": float(frame.header.get("EXPTIME") or 0.0),
            "dark_time": float(frame.header.get("DARKTIME") or 0.0),
            "gain": float(frame.header.get("GAINRAW") or 0.0),
            "pattern": [[float(f"{x:.7g}") if np.isfinite(x) else None for x in row] for row in pattern.tolist()],
        }
    }


def _outliers(
    pixels: Float32, mask: Int32, pattern: np.ndarray, box: tuple[int, int], limit: float
) -> tuple[float, float]:
    """Fractions of the good pixels that lie further than `limit` above and below their cell's level."""
    ny, nx = pixels.shape
    rows = np.unique(np.linspace(0, ny - 1, min(ny, _SAMPLE_ROWS)).astype(int))
    levels = pattern[rows // box[0]][:, np.arange(nx) // box[1]].astype(np.float32)
    above = np.where(mask[rows] & int(Mask.unusable()) == 0, pixels[rows], np.nan) - levels
    number = max(int(np.count_nonzero(np.isfinite(above))), 1)
    return float(np.count_nonzero(above > limit)) / number, float(np.count_nonzero(above < -limit)) / number


TASK = Task(
    name="level",
    version=2,
    grain=Grain.DETECTOR,
    settings=LevelSettings,
    needs=(Need("frame"),),
    gives=(Give("level", Form.VALUE, meaning="level, scatter and pattern of a calibration frame"),),
    run=level,
)
