"""Sensitivity: what a flat says of its detector at large scale, quantum efficiency and illumination together."""

from __future__ import annotations

import numpy as np

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.background import mesh_statistics
from spica.kernels.smooth import even_cells, fit_surface, surface

_CELL = 32
"""Pixels: side of the cells through which the map goes."""


class SensitivitySettings(Settings):
    """How smooth the map is."""

    order: int = setting(3, "greatest order of the Chebyshev polynomial along each axis", ge=0, le=8)


def sensitivity(settings: SensitivitySettings, flat: Image) -> Products:
    """Smooth map of a detector's response relative to the focal plane.

    A two-dimensional Chebyshev polynomial through the clipped modes of cells of the flat; cells that are 4σ off the fit
    (dust, defects) are left out once. The flat over this map is the response of the pixels alone.

    Parameters
    ----------
    flat : ``(ny, nx)``, 1 for the median of the focal plane.

    Returns
    -------
    sensitivity : Image [1], ``(ny, nx)``; header: RELSENS, its median; SENSRMS, rms of the cells about the fit; CHEBij,
        coefficients of order i along y and j along x, over -1 … 1 from the first to the last pixel.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where fewer cells are good than the polynomial has coefficients.
    """
    box = even_cells(flat.shape, _CELL)
    level, _ = mesh_statistics(flat.pixels, flat.mask, bad_bits=int(Mask.unusable()), box=box)
    found = fit_surface(level, flat.shape, box, settings.order)
    if found is None:
        good = int(np.count_nonzero(np.isfinite(level)))
        message = f"{good} of {level.size} cells of the flat are good, too few for order {settings.order}"
        raise DataFault("data.no-pixels", message, cells=level.size, good=good)
    pixels = surface(found.coefficients, flat.shape)
    orders = found.coefficients.shape[0]
    header: dict[str, Scalar] = {
        "BUNIT": "",
        "RELSENS": float(np.median(pixels)),
        "SENSRMS": found.rms,
        "SENSORD": orders - 1,
    }
    header |= {f"CHEB{i}{j}": float(found.coefficients[i, j]) for i in range(orders) for j in range(orders)}
    return {"sensitivity": Image(pixels, None, None, header)}


TASK = Task(
    name="sensitivity",
    version=1,
    grain=Grain.CALIBRATION,
    settings=SensitivitySettings,
    needs=(Need("flat"),),
    gives=(
        Give(
            "sensitivity", Form.IMAGE, master=True, meaning="smooth response of a detector relative to the focal plane"
        ),
    ),
    run=sensitivity,
)
