"""AB magnitudes of fluxes, with their errors."""

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float64

_PER_PART = 2.5 / np.log(10.0)


def ab_magnitudes(flux: npt.ArrayLike, error: npt.ArrayLike, zero: float) -> tuple[Float64, Float64]:
    """Magnitudes and standard errors; NaN where there is no light.

    Parameters
    ----------
    flux, error : of any shape, the same.
    zero : magnitude of one unit.
    """
    light, spread = np.asarray(flux, np.float64), np.asarray(error, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        shines = light > 0.0
        magnitude = np.where(shines, zero - 2.5 * np.log10(np.where(shines, light, 1.0)), np.nan)
        return magnitude, np.where(shines, _PER_PART * spread / np.where(shines, light, 1.0), np.nan)
