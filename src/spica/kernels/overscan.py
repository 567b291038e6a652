"""The bias level of an amplifier from its overscan: row by row, or fitted along the rows."""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_pixels, compiled, inner
from spica.kernels.detrend import Box
from spica.kernels.robust import MAD_TO_SIGMA, median_in_place

MEDIAN_LOSS = 0.5 * np.pi
"""Variance of the median of many normal values, in units of that of their mean."""
SAMPLE = 256
"""About so many rows tell the scatter within a row."""


class Rows(NamedTuple):
    """Overscan row by row: level [ADU] and its variance [ADU²], (ny,) float32; ``scatter`` of one pixel [ADU].

    Level and variance are NaN in a row that has no finite pixel.
    """

    level: Float32
    variance: Float32
    scatter: float


class Levels(NamedTuple):
    """Level to subtract in each row [ADU] and its variance [ADU²], each (ny,) float32."""

    level: Float32
    variance: Float32


def without_trail(overscan: Box, data: Box, skip: int) -> Box:
    """The overscan without the `skip` columns next to the data, unless too little would be left."""
    if overscan.shape[1] <= 2 * skip:
        return overscan
    after = overscan.x0 >= data.x1
    return overscan._replace(x0=overscan.x0 + skip) if after else overscan._replace(x1=overscan.x1 - skip)


@inner
def _median(line: Float32, buffer: Float32) -> float:
    """Median of the finite values of a line that has some."""
    count = 0
    for x in range(line.size):
        if np.isfinite(line[x]):
            buffer[count] = line[x]
            count += 1
    return median_in_place(buffer, count)


@inner
def _mean_within(line: Float32, low: float, high: float) -> tuple[float, int]:
    """Mean and number of the values within limits; the mean is 0 where there is none.

    In two sums, of which one does not wait for the other; of raw numbers, which are whole, both are exact.
    """
    even, odd, count, zero = 0.0, 0.0, 0, 0.0
    for x in range(0, line.size - 1, 2):
        one, two = np.float64(line[x]), np.float64(line[x + 1])
        first, second = (one >= low) & (one <= high), (two >= low) & (two <= high)
        even += one if first else zero
        odd += two if second else zero
        count += int(first) + int(second)
    if line.size & 1:
        last = np.float64(line[line.size - 1])
        if last >= low and last <= high:
            even += last
            count += 1
    return (even + odd) / max(count, 1), count


@compiled
def _clipped_rows(
    section: Float32, use_median: int, reach: float, iterations: int, levels: Float32, used: Int32
) -> None:
    """Levels of rows, from the pixels that lie within `reach` of their mean."""
    nx = section.shape[1]
    buffer = np.empty(nx, dtype=np.float32)
    centre = np.nan
    for y in range(section.shape[0]):
        line = section[y]
        mean, finite = _mean_within(line, -3e38, 3e38)
        used[y] = finite
        levels[y] = np.nan
        if finite == 0:
            continue
        kept = finite
        if iterations > 0:
            # Rows are much alike: the level of the one before is a good place to begin, the median where it is not.
            mean, kept = _mean_within(line, centre - reach, centre + reach)
            if 4 * kept < 3 * finite:
                centre = _median(line, buffer)
                mean, kept = _mean_within(line, centre - reach, centre + reach)
            for _ in range(iterations):
                before = kept
                mean, kept = _mean_within(line, mean - reach, mean + reach)
                if kept == before:
                    break
            centre = mean
        used[y] = kept
        if use_median:
            count = 0
            for x in range(nx):
                if np.isfinite(line[x]) and (iterations == 0 or abs(line[x] - mean) <= reach):
                    buffer[count] = line[x]
                    count += 1
            levels[y] = median_in_place(buffer, count)
        else:
            levels[y] = mean


def overscan_rows(section: Numbers, *, method: str = "mean", kappa: float = 4.0, iterations: int = 5) -> Rows:
    """Level of the overscan in each row, free of outliers.

    Parameters
    ----------
    section : (ny, n) array [ADU]
        Overscan pixels of the raw array, rows along the first axis.
    method : {"mean", "median"}
        Estimate from the pixels that clipping keeps.
    kappa : float
        Clipping limit about the mean of a row, in units of the section's scatter within rows (1.4826 MAD).
    iterations : int
        Upper limit of clipping passes; 0 keeps every finite pixel.

    Returns
    -------
    Rows
        Levels, variances, scatter.
    """
    if method not in {"median", "mean"}:
        raise ValueError(f"method is {method!r}, not 'median' or 'mean'")
    if section.ndim != 2 or section.shape[1] == 0:
        raise ValueError(f"overscan section of shape {section.shape} has no columns")
    ny = section.shape[0]
    levels, used = np.empty(ny, np.float32), np.empty(ny, np.int32)
    pixels = as_pixels(section)
    sigma, scatter = _scatter(pixels, kappa)
    _clipped_rows(pixels, int(method == "median"), kappa * sigma, int(iterations), levels, used)
    loss = MEDIAN_LOSS if method == "median" else 1.0
    variance = np.full(ny, np.nan, np.float32)
    known = used > 0
    variance[known] = loss * scatter**2 / used[known]
    return Rows(levels, variance, scatter)


def _scatter(section: Float32, kappa: float) -> tuple[float, float]:
    """Scatter within rows [ADU], from some of them: 1.4826 MAD, and the root mean square of what lies within kappa."""
    some = section[:: max(1, len(section) // SAMPLE)]
    some = np.sort(some[np.isfinite(some).all(axis=1)], axis=1).astype(np.float64)
    if some.size == 0:
        return 0.5, 0.0
    half = some.shape[1] // 2
    off = some - 0.5 * (some[:, [half]] + some[:, [(some.shape[1] - 1) // 2]])
    # Raw numbers are integers: below half a step the MAD says nothing about the noise.
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(off))), 0.5)
    within = off[np.abs(off) <= kappa * sigma]
    return sigma, float(np.sqrt(np.mean(within**2)))


def fit_levels(rows: Rows, how: str, *, order: int = 5, window: int = 51, kappa: float = 4.0) -> Levels:
    """The level along the rows, from rows of which some may be outliers or unknown.

    Parameters
    ----------
    rows : Rows
        Of `overscan_rows`; a row that is not finite takes no part, its level follows from the others.
    how : {"row", "spline", "polynomial", "running", "constant"}
        Each row its own; a cubic spline of `order` pieces or a polynomial of degree `order` (least squares with
        clipping); the running median of `window` rows; the median of all.
    order, window : int
        As above.
    kappa : float
        Fits leave out rows beyond so many 1.4826 MAD of the residuals.

    Returns
    -------
    Levels
        The variance of a fit is that of a row times the number of its parameters over the number of rows.
    """
    known = np.isfinite(rows.level)
    ny = known.size
    y = np.arange(ny, dtype=np.float64)
    typical = float(np.median(rows.variance[known]))
    values = rows.level.astype(np.float64)
    if not known.all():
        values = np.interp(y, y[known], values[known])
    if how == "row":
        return Levels(values.astype(np.float32), np.where(known, rows.variance, np.float32(2.0 * typical)))
    if how == "constant":
        level, share = np.full(ny, np.median(values[known])), MEDIAN_LOSS / known.sum()
    elif how == "running":
        level, share = _running_median(values, window), min(1.0, MEDIAN_LOSS / min(window, ny))
    elif how in {"spline", "polynomial"}:
        basis = _spline_basis(ny, order) if how == "spline" else _polynomial_basis(ny, order)
        level, share = _clipped_fit(basis, values, known, kappa), basis.shape[1] / known.sum()
    else:
        raise ValueError(f"overscan is {how!r}, not row, spline, polynomial, running or constant")
    return Levels(level.astype(np.float32), np.full(ny, share * typical, dtype=np.float32))


def _running_median(values: Float64, window: int) -> Float64:
    """Median of `window` (odd) values about each, the ends mirrored."""
    half = min(window // 2, values.size - 1)
    padded = np.pad(values, half, mode="reflect")
    smooth: Float64 = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
    return smooth


def _polynomial_basis(ny: int, degree: int) -> Float64:
    return np.asarray(np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, ny), min(degree, ny - 1)), np.float64)


def _spline_basis(ny: int, pieces: int) -> Float64:
    """Cubic B-splines on even pieces, by the recursion of de Boor (1972, J. Approx. Theory 6, 50)."""
    pieces = max(1, min(pieces, ny - 3))
    step = (ny - 1) / pieces
    knots = step * np.arange(-3, pieces + 4)
    y = np.minimum(np.arange(ny, dtype=np.float64), (ny - 1) * (1 - 1e-12))[:, None]
    basis = ((knots[:-1] <= y) & (y < knots[1:])).astype(np.float64)
    for degree in range(1, 4):
        left, right = knots[: -degree - 1], knots[degree + 1 :]
        up = (y - left) / (degree * step) * basis[:, :-1]
        basis = up + (right - y) / (degree * step) * basis[:, 1:]
    return basis


def _clipped_fit(basis: Float64, values: Float64, known: Numbers, kappa: float) -> Float64:
    """Least squares that leaves out outliers, at most five times; what is left stays more than the parameters are."""
    used = np.array(known)
    model = np.zeros(values.size)
    for _ in range(5):
        found, *_ = np.linalg.lstsq(basis[used], values[used], rcond=None)
        model = basis @ found
        residual = np.abs(values - model)
        keep = known & (residual <= kappa * MAD_TO_SIGMA * max(float(np.median(residual[used])), 1e-6))
        if np.array_equal(keep, used) or keep.sum() <= basis.shape[1]:
            break
        used = keep
    return np.asarray(model)
