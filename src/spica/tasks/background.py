"""Background: level and noise of the sky on a mesh, without the light of sources."""

from __future__ import annotations

import numpy as np

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.background import expand_grid, filter_grid, mesh_statistics


class BackgroundSettings(Settings):
    """How the sky is measured."""

    box: int = setting(64, "side of a mesh cell", "pixel", ge=8)
    filter_size: int = setting(3, "side of the median filter over the mesh, odd", "cell", ge=1)


def background(settings: BackgroundSettings, science: Image) -> Products:
    """Clipped mode per mesh cell, median filtered, bicubic in between (after Bertin & Arnouts 1996).

    Returns
    -------
    background : Image of the level [electron] with the sky's variance [electron²], as measured from the scatter.
    background_level : metrics: median level and noise over the mesh.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where no cell has enough good pixels.
    """
    level, rms = mesh_statistics(science.pixels, science.mask, bad_bits=int(Mask.unusable()), box=settings.box)
    if not np.any(np.isfinite(level)):
        raise DataFault(
            "data.no-pixels",
            f"none of the {level.size} cells of the background mesh has enough good pixels",
            cells=level.size,
            box=settings.box,
        )
    smooth_level = filter_grid(level, settings.filter_size)
    smooth_rms = filter_grid(rms, settings.filter_size)
    sigma = expand_grid(smooth_rms, science.shape, settings.box)
    image = Image(
        expand_grid(smooth_level, science.shape, settings.box),
        sigma * sigma,
        None,
        {"BUNIT": "electron", "BACKBOX": settings.box},
    )
    return {
        "background": image,
        "background_level": {
            "background": Measured(float(np.median(smooth_level)), "electron"),
            "background_rms": Measured(float(np.median(smooth_rms)), "electron"),
            "background_range": Measured(float(np.ptp(smooth_level)), "electron"),
        },
    }


TASK = Task(
    name="background",
    version=1,
    grain=Grain.DETECTOR,
    settings=BackgroundSettings,
    needs=(Need("science"),),
    gives=(
        Give("background", Form.MEMORY, meaning="level and variance of the sky at every pixel"),
        Give("background_level", Form.METRICS, meaning="median level and noise of the sky"),
    ),
    run=background,
)
