"""Smooth surfaces through the cells of a mesh: two-dimensional Chebyshev polynomials, robustly fitted."""

from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from spica.kernels.compiled import Float32, Float64, Numbers

_KAPPA = 4.0


class Surface(NamedTuple):
    """A polynomial: ``coefficients`` (order + 1, order + 1) along y and x over -1 … 1 from the first to the last pixel.

    ``rms`` is that of the cells that were used about it, ``cells`` their number.
    """

    coefficients: Float64
    rms: float
    cells: int


def even_cells(shape: tuple[int, int], wanted: int) -> tuple[int, int]:
    """Sides of cells near to the one wanted that fill an image without a narrow one at its edge."""
    ny, nx = (-(-side // max(1, round(side / wanted))) for side in shape)
    return ny, nx


def fit_surface(level: Numbers, shape: tuple[int, int], box: tuple[int, int], order: int) -> Surface | None:
    """Fit a surface to the levels of cells; cells that are 4σ off the first fit are left out of a second one.

    Parameters
    ----------
    level : (gy, gx) array
        Of each cell; those that are not finite are left out.
    shape, box : (int, int)
        Sides of the image and of a cell [pixel].
    order : int
        Greatest order along each axis; lowered to what the number of cells along it allows.

    Returns
    -------
    Surface, or None where fewer cells are good than the polynomial has coefficients.
    """
    order = min(order, level.shape[0] - 1, level.shape[1] - 1)
    good = np.isfinite(level)
    if np.count_nonzero(good) < (order + 1) ** 2:
        return None
    y, x = (_centres(count, side, size) for count, side, size in zip(level.shape, box, shape, strict=True))
    basis = np.einsum("yi,xj->yxij", chebyshev.chebvander(y, order), chebyshev.chebvander(x, order))
    basis = basis.reshape(*level.shape, -1)
    found = np.linalg.lstsq(basis[good], level[good], rcond=None)[0]
    off = level - basis @ found
    kept = good & (np.abs(off) <= _KAPPA * 1.4826 * np.median(np.abs(off[good])))
    if np.count_nonzero(kept) >= basis.shape[-1]:
        found = np.linalg.lstsq(basis[kept], level[kept], rcond=None)[0]
    else:
        kept = good
    rms = float(np.std((level - basis @ found)[kept]))
    return Surface(found.reshape(order + 1, order + 1), rms, int(np.count_nonzero(kept)))


def surface(coefficients: Float64, shape: tuple[int, int]) -> Float32:
    """The polynomial at every pixel, (ny, nx) float32."""
    y, x = (np.linspace(-1.0, 1.0, side) if side > 1 else np.zeros(1) for side in shape)
    return chebyshev.chebgrid2d(y, x, coefficients).astype(np.float32)


def _centres(count: int, side: int, size: int) -> Float64:
    """Centres of cells along an axis on -1 … 1 from the first to the last pixel."""
    starts = side * np.arange(count)
    return np.asarray((starts + np.minimum(starts + side, size) - 1) / max(size - 1, 1) - 1.0)
