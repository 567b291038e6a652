"""Defects: hot, dead and unstable pixels, found in the masters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.robust import robust_statistics


class DefectSettings(Settings):
    """What makes a pixel a defect."""

    hot: float = setting(8.0, "dark current above the detector's median that marks a hot pixel", "sigma", gt=0)
    least_dark: float = setting(0.05, "and no less than this above the median", "electron/s", ge=0)


def defects(settings: DefectSettings, dark: Image) -> Products:
    """Hot pixels from the master dark, and pixels without any value.

    Parameters
    ----------
    dark : ``(ny, nx)`` [electron per second].

    Returns
    -------
    defects : Image whose mask has the bits BAD and NO_DATA; its pixels are 1 on a defect, else 0.
    """
    bits = np.zeros(dark.shape, np.int32) if dark.mask is None else dark.mask & np.int32(Mask.NO_DATA)
    found = robust_statistics(dark.pixels, bits, bad_bits=int(Mask.NO_DATA))
    limit = found.median + max(settings.hot * found.sigma, settings.least_dark)
    hot = dark.pixels > limit
    mask: npt.NDArray[np.int32] = bits | np.where(hot, np.int32(Mask.BAD), np.int32(0))
    header: dict[str, Scalar] = {"BUNIT": "", "NHOT": int(np.count_nonzero(hot)), "HOTLIMIT": float(limit)}
    return {"defects": Image((mask != 0).astype(np.float32), None, mask, header)}


TASK = Task(
    name="defects",
    version=1,
    grain=Grain.CALIBRATION,
    settings=DefectSettings,
    needs=(Need("dark"),),
    gives=(Give("defects", Form.IMAGE, master=True, meaning="mask of hot and dead pixels"),),
    run=defects,
)
