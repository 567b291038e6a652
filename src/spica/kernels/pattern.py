"""Amplitude of a known pattern in an image with sources: robust least squares in cells."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float64, Numbers
from spica.kernels.robust import MAD_TO_SIGMA

PLANE = 3
"""Parameters of the sky in a cell: level and two slopes."""


class Sample(NamedTuple):
    """Pixels by cells: values, pattern, and which count, each (cells, pixels); plane (pixels, 3)."""

    values: Float64
    pattern: Float64
    good: npt.NDArray[np.bool_]
    plane: Float64


class Amplitude(NamedTuple):
    """Amplitude of the pattern, its standard error, and how many cells gave it; 0, infinite and 0 where none did."""

    value: float
    error: float
    cells: int


def sampled(image: Numbers, pattern: Numbers, good: npt.NDArray[np.bool_], box: int) -> Sample:
    """Cut an image into square cells; rows and columns that fill no cell are left out.

    Parameters
    ----------
    image, pattern : (ny, nx)
        Values, and the pattern to be found in them.
    good : (ny, nx) bool
        Pixels that count.
    box : int
        Side of a cell; where the image is smaller it is one cell.
    """
    ny, nx = image.shape
    box_y, box_x = min(box, ny), min(box, nx)

    def cells(plane: Numbers) -> Numbers:
        whole = plane[: ny // box_y * box_y, : nx // box_x * box_x]
        split = whole.reshape(ny // box_y, box_y, nx // box_x, box_x).swapaxes(1, 2)
        return split.reshape(-1, box_y * box_x)

    v, u = np.mgrid[:box_y, :box_x].reshape(2, -1) / max(box_y, box_x) - 0.5
    values, shape = cells(image).astype(np.float64), cells(pattern).astype(np.float64)
    counts = cells(good) & np.isfinite(values) & np.isfinite(shape)
    plane = np.stack([np.ones_like(u), u, v], axis=1)
    return Sample(np.where(counts, values, 0.0), np.where(counts, shape, 0.0), counts, plane)


def pattern_amplitude(sample: Sample, kappa: float = 3.0, iterations: int = 6) -> Amplitude:
    """Amplitude of the pattern: value = plane + amplitude × pattern in each cell, sources clipped, cells averaged.

    Parameters
    ----------
    sample : Sample
        Of `sampled`.
    kappa : float
        Pixels further off than this many standard deviations of those that are kept (at first: 1.4826 MAD about the
        median), and cells so far from their weighted mean, are left out.
    iterations : int
        Passes of clipping.

    Returns
    -------
    Amplitude
        The error is that of the scatter between cells, or of the pixels' noise where that is larger.
    """
    middle = _medians(sample.values, sample.good)
    sigma = MAD_TO_SIGMA * _medians(np.abs(sample.values - middle), sample.good)
    used = sample.good & (np.abs(sample.values - middle) <= kappa * np.maximum(sigma, 1e-6))
    value = np.zeros(len(used))
    weight = np.zeros(len(used))
    for _ in range(iterations):
        parameters, information = _fit(sample, used)
        residual = sample.values - parameters[:, :PLANE] @ sample.plane.T - parameters[:, PLANE:] * sample.pattern
        left = np.einsum("cp,cp,cp->c", used, residual, residual) / np.maximum(used.sum(axis=1) - PLANE - 1, 1)
        spread = np.maximum(np.sqrt(left), 1e-6)
        value, weight = parameters[:, PLANE], information / spread**2
        kept = sample.good & (np.abs(residual) <= kappa * spread[:, None])
        if np.array_equal(kept, used):
            break
        used = kept
    known = (weight > 0) & (used.sum(axis=1) > 0.2 * used.shape[1])
    return _average(value[known], weight[known], kappa)


def _medians(values: Float64, good: npt.NDArray[np.bool_]) -> Float64:
    """Median of each row's good values as a column, 0 where there are none."""
    count = good.sum(axis=1)
    ordered = np.sort(np.where(good, values, np.inf), axis=1)
    row = np.arange(len(values))
    low, high = ordered[row, np.maximum(count - 1, 0) // 2], ordered[row, np.minimum(count // 2, values.shape[1] - 1)]
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, 0.5 * (low + high), 0.0)[:, None]


def _fit(sample: Sample, used: npt.NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Least squares in every cell at once; the amplitude's information, its inverse variance for unit noise."""
    weight = used.astype(np.float64)
    cells = len(used)
    normal = np.empty((cells, PLANE + 1, PLANE + 1))
    normal[:, :PLANE, :PLANE] = np.einsum("cp,pi,pj->cij", weight, sample.plane, sample.plane, optimize=True)
    shaped = weight * sample.pattern
    normal[:, PLANE, :PLANE] = normal[:, :PLANE, PLANE] = shaped @ sample.plane
    normal[:, PLANE, PLANE] = np.einsum("cp,cp->c", shaped, sample.pattern)
    right = np.empty((cells, PLANE + 1))
    right[:, :PLANE] = (weight * sample.values) @ sample.plane
    right[:, PLANE] = np.einsum("cp,cp->c", shaped, sample.values)
    # A cell without pixels, or in which the pattern is a plane, tells nothing: its amplitude comes out as 0.
    inverse = np.linalg.pinv(normal, rcond=1e-10, hermitian=True)
    spread = inverse[:, PLANE, PLANE]
    information = np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
    return np.einsum("cij,cj->ci", inverse, right), information


def _average(value: Float64, weight: Float64, kappa: float) -> Amplitude:
    """Weighted mean without cells that are far off."""
    if value.size == 0:
        return Amplitude(0.0, np.inf, 0)
    kept = np.ones(value.size, bool)
    mean, chi2 = 0.0, 1.0
    for _ in range(10):
        mean = float(np.sum(weight[kept] * value[kept]) / np.sum(weight[kept]))
        off = (value - mean) * np.sqrt(weight)
        chi2 = float(np.sum(off[kept] ** 2) / max(1, kept.sum() - 1))
        now = np.abs(off) <= kappa * max(1.0, MAD_TO_SIGMA * float(np.median(np.abs(off[kept]))))
        if np.array_equal(now, kept) or not now.any():
            break
        kept = now
    error = float(np.sqrt(max(chi2, 1.0) / np.sum(weight[kept])))
    return Amplitude(mean, error, int(kept.sum()))
