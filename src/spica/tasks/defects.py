"""Defects: hot, unstable, dead and deviating pixels and columns, found in the masters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spica.core.images import Float32, Image, Int32
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.background import expand_grid, filter_grid, mesh_statistics
from spica.kernels.robust import robust_statistics
from spica.kernels.smooth import even_cells

Bools = npt.NDArray[np.bool_]
_BESIDE = 8
"""Columns to each side with which a column is compared."""


class DefectSettings(Settings):
    """What makes a pixel a defect."""

    hot: float = setting(8.0, "dark current above its surroundings that marks a hot pixel", "sigma", gt=0)
    least_dark: float = setting(0.05, "and no less than this above them", "electron/s", ge=0)
    low: float = setting(0.75, "response relative to the surroundings below which a pixel is dead or low", ge=0, lt=1)
    high: float = setting(1.25, "response relative to the surroundings above which a pixel is too high", gt=1)
    column: float = setting(0.2, "a column's part is bad whose median is beyond this share of a pixel's limit", gt=0)
    segment: int = setting(128, "rows of such a part", "pixel", ge=16)
    filled: float = setting(0.3, "a column of which more is bad from its first to its last defect is bad between", gt=0)
    whole: float = setting(0.7, "a column of which more is bad is bad as a whole", gt=0, le=1)
    box: int = setting(64, "side of the cells that the surroundings are measured in", "pixel", ge=8)


def defects(
    settings: DefectSettings, dark: Image | None = None, flat: Image | None = None, known: Image | None = None
) -> Products:
    """Hot and unstable pixels of a dark; dead, low and high ones of a flat; whole columns of either.

    Parameters
    ----------
    dark : ``(ny, nx)`` [electron per second], or None.
    flat : ``(ny, nx)`` [about 1], or None.
    known : defects found elsewhere, which are taken over (those of the dark, when a flat is searched).

    Returns
    -------
    defects : Image whose mask has the bits BAD and NO_DATA; its pixels are 1 on a defect, else 0. The header counts
        them by kind: NHOT, NLOW, NHIGH, NUNSTABL, NCOLUMN, NBAD.
    """
    masters = [image for image in (dark, flat, known) if image is not None]
    if not masters:
        raise ValueError("defects are found in a dark or a flat: neither is given")
    bad = np.zeros(masters[0].shape, np.bool_)
    none = np.zeros(bad.shape, np.int32)
    columns = np.zeros_like(bad)
    header: dict[str, Scalar] = {"BUNIT": ""}
    for image in masters:
        bits = none if image.mask is None else image.mask
        none = none | (bits & np.int32(Mask.NO_DATA))
        unstable = bits & int(Mask.SUSPECT) != 0
        bad |= unstable | (bits & int(Mask.BAD) != 0)
        header["NUNSTABL"] = int(header.get("NUNSTABL") or 0) + int(np.count_nonzero(unstable))
    if dark is not None:
        above = dark.pixels - _surroundings(settings, dark)
        spread = robust_statistics(above, dark.mask, bad_bits=int(Mask.NO_DATA)).sigma
        limit = max(settings.hot * float(np.nan_to_num(spread)), settings.least_dark)
        hot = above > limit
        bad |= hot
        columns |= _parts(settings, above, settings.column * limit, settings.column * limit)
        header |= {"NHOT": int(np.count_nonzero(hot)), "HOTLIMIT": float(limit)}
    if flat is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            response = flat.pixels / _surroundings(settings, flat)
        low, high = ~(response >= settings.low), response > settings.high
        bad |= low | high
        limits = settings.column * (1 - settings.low), settings.column * (settings.high - 1)
        columns |= _parts(settings, response - np.float32(1), *limits)
        header |= {"NLOW": int(np.count_nonzero(low)), "NHIGH": int(np.count_nonzero(high))}
    columns |= _runs(settings, bad | columns)
    bad |= columns
    mask: Int32 = none | np.where(bad, np.int32(Mask.BAD), np.int32(0))
    header |= {"NCOLUMN": int(np.count_nonzero(columns.any(axis=0))), "NBAD": int(np.count_nonzero(mask))}
    return {"defects": Image((mask != 0).astype(np.float32), None, mask, header)}


def _surroundings(settings: DefectSettings, image: Image) -> Float32:
    """Smooth level about each pixel: a mesh of clipped modes, median filtered."""
    box = even_cells(image.shape, settings.box)
    level, _ = mesh_statistics(image.pixels, image.mask, bad_bits=int(Mask.NO_DATA), box=box)
    if not np.isfinite(level).any():
        return np.zeros(image.shape, np.float32)
    return expand_grid(filter_grid(level, 3), image.shape, box)


def _parts(settings: DefectSettings, off: Float32, low: float, high: float) -> Bools:
    """Parts of columns whose median deviates from that of the columns beside them, although no pixel alone may."""
    found = np.zeros(off.shape, np.bool_)
    reach = min(_BESIDE, (off.shape[1] - 1) // 2)
    for y0 in range(0, off.shape[0], settings.segment):
        rows = slice(y0, y0 + settings.segment)
        middle = np.median(off[rows], axis=0)
        window = np.lib.stride_tricks.sliding_window_view(np.pad(middle, reach, mode="edge"), 2 * reach + 1)
        step = middle - np.median(window, axis=1)
        found[rows] = (step < -low) | (step > high)
    return found


def _runs(settings: DefectSettings, bad: Bools) -> Bools:
    """Columns that are bad between their first and last defect, or from end to end."""
    found = np.zeros_like(bad)
    counts = bad.sum(axis=0)
    for x in np.flatnonzero(counts >= settings.segment // 8):
        rows = np.flatnonzero(bad[:, x])
        if counts[x] > settings.whole * bad.shape[0]:
            found[:, x] = True
        elif counts[x] > settings.filled * (rows[-1] - rows[0] + 1):
            found[rows[0] : rows[-1] + 1, x] = True
    return found


TASK = Task(
    name="defects",
    version=2,
    grain=Grain.CALIBRATION,
    settings=DefectSettings,
    needs=(Need("dark", optional=True), Need("flat", optional=True), Need("known", source="master", optional=True)),
    gives=(Give("defects", Form.IMAGE, master=True, meaning="mask of hot, unstable, dead and deviating pixels"),),
    run=defects,
)
