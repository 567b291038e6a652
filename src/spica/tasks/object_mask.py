"""Object mask: where sources are, so that they are left out of the sky of the neighbours."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from spica.core.images import Image
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.detect import Segments


class ObjectMaskSettings(Settings):
    """How far sources reach."""

    grow: int = setting(3, "pixels around each detection that its wings reach", "pixel", ge=0)


def object_mask(settings: ObjectMaskSettings, segments: Segments) -> Products:
    """1 where a source was detected or its wings reach, else 0.

    Parameters
    ----------
    segments : connected pixels of each source.

    Returns
    -------
    objects : Image of ``(ny, nx)``, 0 or 1.
    """
    there = segments.labels() > 0
    if settings.grow:
        reach = np.arange(-settings.grow, settings.grow + 1)
        disk = np.hypot(*np.meshgrid(reach, reach)) <= settings.grow + 0.5
        there = ndimage.binary_dilation(there, structure=disk)
    return {"objects": Image(there.astype(np.float32), header={"BUNIT": ""})}


TASK = Task(
    name="object_mask",
    version=1,
    grain=Grain.DETECTOR,
    settings=ObjectMaskSettings,
    needs=(Need("segments"),),
    gives=(Give("objects", Form.IMAGE, meaning="where sources are"),),
    run=object_mask,
)
