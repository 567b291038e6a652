"""Background: level and noise of the sky on a mesh, without the light of sources."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.background import expand_grid, filter_grid
from spica.kernels.skymesh import SkyMesh, sky_mesh

Floats = npt.NDArray[np.float64]


class BackgroundSettings(Settings):
    """How the sky is measured."""

    method: Literal["mesh", "constant", "none"] = setting(
        "mesh", "level: of each cell, one for the detector, or none (its noise is measured all the same)"
    )
    box: int = setting(64, "side of a mesh cell, about: the detector is divided evenly", "pixel", ge=8)
    filter_size: int = setting(3, "side of the median filter over the mesh, odd", "cell", ge=1)
    halo: int = setting(6, "objects up to about this size are told from the sky; 0: none larger than a cell", ge=0)
    least_sky: float = setting(0.1, "fraction of a cell that must be sky, or it is spanned from its neighbours", gt=0)


def background(settings: BackgroundSettings, science: Image) -> Products:
    """Mean of what is left in each cell when sources and the blocks about them are masked, filtered, bicubic.

    The method is `spica.kernels.skymesh`'s; docs/background.md says how well it does.

    Returns
    -------
    background : Image of the level [electron] with the sky's variance [electron²], as measured from the scatter.
    background_level : metrics of the mesh.
    sky_mesh : value: `level`, rows of the mesh's cells, `rms`, the noise of most of them [electron].

    Raises
    ------
    DataFault
        ``data.no-pixels`` where no cell has enough good pixels.
    """
    mesh = sky_mesh(
        science.pixels,
        science.mask,
        bad_bits=int(Mask.unusable()),
        box=settings.box,
        halo=settings.halo,
        least=settings.least_sky,
    )
    if not np.any(np.isfinite(mesh.level)):
        raise DataFault(
            "data.no-pixels",
            f"none of the {mesh.level.size} cells of the background mesh has enough good pixels",
            cells=mesh.level.size,
            box=settings.box,
        )
    level = filter_grid(mesh.level, settings.filter_size)
    rms = filter_grid(mesh.rms, settings.filter_size)
    measured = _metrics(mesh, level, rms)
    if settings.method == "constant":
        level, rms = np.median(level, keepdims=True), np.median(rms, keepdims=True)
    elif settings.method == "none":
        level = np.zeros((1, 1))
    told = {"level": [[float(f"{value:.7g}") for value in row] for row in level], "rms": float(np.median(rms))}
    sigma = expand_grid(rms, science.shape, least=float(rms.min()))
    cards: dict[str, Scalar] = {"BUNIT": "electron", "BACKBOX": settings.box, "BACKMETH": settings.method}
    image = Image(expand_grid(level, science.shape), np.square(sigma, out=sigma), None, cards)
    return {"background": image, "background_level": measured, "sky_mesh": told}


def _metrics(mesh: SkyMesh, level: Floats, rms: Floats) -> dict[str, Measured]:
    """Figures of the mesh; the gradient is of the plane that fits best, from edge to edge of the detector."""
    slopes: list[float] = []
    for axis in (0, 1):
        size = level.shape[axis]
        steps = (np.arange(size) - 0.5 * (size - 1)) / size
        along: Floats = level.mean(axis=1 - axis)
        slopes.append(float(np.sum(steps * along) / np.sum(steps * steps)) if size > 1 else 0.0)
    correlation = mesh.correlation[np.isfinite(mesh.correlation)]
    return {
        "background": Measured(float(np.median(level)), "electron"),
        "background_rms": Measured(float(np.median(rms)), "electron"),
        "background_range": Measured(float(np.ptp(level)), "electron"),
        "background_gradient": Measured(math.hypot(*slopes), "electron"),
        "background_lost": Measured(float(np.mean(np.isnan(mesh.level)))),
        "background_correlation": Measured(float(np.median(correlation)) if correlation.size else 1.0),
    }


TASK = Task(
    name="background",
    version=3,
    grain=Grain.DETECTOR,
    settings=BackgroundSettings,
    needs=(Need("science"),),
    gives=(
        Give("background", Form.MEMORY, meaning="level and variance of the sky at every pixel"),
        Give("background_level", Form.METRICS, meaning="level, noise and gradient of the sky, cells without any"),
        Give(
            "sky_mesh", Form.VALUE, meaning="the sky's mesh: level of each cell, and its noise; what a stack takes off"
        ),
    ),
    run=background,
)

DEEP = replace(TASK, name="deep_background", grain=Grain.TILE_BAND)
"""The same of a stack."""
