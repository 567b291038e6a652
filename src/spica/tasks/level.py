"""Level: the numbers of one calibration frame that its combination needs, so that pixels are streamed only once."""

from __future__ import annotations

import numpy as np

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.robust import robust_statistics


class LevelSettings(Settings):
    """What counts as the level of a frame."""

    kappa: float = setting(4.0, "clipping limit", "sigma", gt=0)
    iterations: int = setting(5, "upper limit of clipping passes", ge=0)


def level(settings: LevelSettings, frame: Image) -> Products:
    """Median, scatter and time of a frame.

    Returns
    -------
    level : median and sigma [electron], fraction of pixels that are good, saturated fraction, exposure and dark time
        [second].

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
    saturated = float(np.mean(mask & int(Mask.SATURATED) != 0))
    return {
        "level": {
            "median": float(found.median),
            "sigma": float(found.sigma),
            "good": found.good / frame.pixels.size,
            "saturated": saturated,
            "exposure_time": float(frame.header.get("EXPTIME") or 0.0),
            "dark_time": float(frame.header.get("DARKTIME") or 0.0),
        }
    }


TASK = Task(
    name="level",
    version=1,
    grain=Grain.DETECTOR,
    settings=LevelSettings,
    needs=(Need("frame"),),
    gives=(Give("level", Form.VALUE, meaning="level and scatter of a calibration frame"),),
    run=level,
)
