"""Evaluation of a pixel-basis model of the point spread function at any place, on the detector's pixels.

The one evaluator of spica: what fits, subtracts, draws and measures with a PSF calls these. The model is a square of
samples per term of its variation (`spica.core.psf.PsfModel`); between samples interpolates the piecewise quintic of
Bernstein & Gruen (2014, PASP 126, 287), which passes through the samples, keeps a constant and all polynomials up to
the fourth degree, and reaches over six samples.
"""

import math

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Float64, Int64, as_coordinates, as_pixels, compiled, inner

TAPS = 6
"""Samples that one value is interpolated from."""


@inner
def _weight(a: int, x: float) -> tuple[float, float]:
    """Weight of a sample at a distance x between a and a + 1 [sample], and its derivative."""
    if a == 0:
        return (
            1.0 + x * x * x * (-95.0 + x * (138.0 - 55.0 * x)) / 12.0,
            x * x * (-285.0 + x * (552.0 - 275.0 * x)) / 12.0,
        )
    if a == 1:
        cubic = -138.0 + x * (348.0 + x * (-249.0 + 55.0 * x))
        rise = 348.0 + x * (-498.0 + 165.0 * x)
        product = (x - 1.0) * (x - 2.0)
        return product * cubic / 24.0, ((2.0 * x - 3.0) * cubic + product * rise) / 24.0
    square = -54.0 + x * (50.0 - 11.0 * x)
    product = (x - 2.0) * (x - 3.0) * (x - 3.0)
    return product * square / 24.0, ((x - 3.0) * (3.0 * x - 7.0) * square + product * (50.0 - 22.0 * x)) / 24.0


@inner
def combine_terms(coefficients: Float32, values: Float64, out: Float32) -> None:
    """``out = Σ_k values[k] · coefficients[k]``, (n, n); as many terms as there are values."""
    for j in range(out.shape[0]):
        line = out[j]
        for i in range(line.size):
            line[i] = np.float32(0.0)
        for k in range(values.size):
            value, term = np.float32(values[k]), coefficients[k, j]
            for i in range(line.size):
                line[i] += value * term[i]


@inner
def tap_weights(n: int, sampling: float, at: float, first: Int64, weight: Float32, slope: Float32) -> None:
    """Which samples, and with what weights, make the pixels of one axis of a stamp.

    Parameters
    ----------
    n : samples of the model on this axis; their middle one is the source's centre.
    sampling : pixels per sample.
    at : the source's centre [pixel of the stamp].
    first : (size,), filled with the first of six samples of each pixel.
    weight, slope : (size, 6), filled with their weights, and the derivatives of these by `at`.
    """
    inverse = 1.0 / sampling
    value, rise = np.empty(TAPS), np.empty(TAPS)
    last = -1.0
    for i in range(first.size):
        place = (i - at) * inverse + n // 2
        whole = math.floor(place)
        part = place - whole
        # With one sample per pixel all pixels share their weights.
        if part != last:
            for a in range(3):
                # The distances from 0 to 1, from 1 to 2 and from 2 to 3 of the samples before and after the pixel.
                for x, b in ((a + part, 2 - a), (a + 1.0 - part, 3 + a)):
                    value[b], rise[b] = _weight(a, x)
            last = part
        base = whole - 2
        # Samples beyond the model are zero: six that exist are taken, some with the weight 0.
        begin = min(max(base, 0), n - TAPS)
        first[i] = begin
        for a in range(TAPS):
            tap = begin + a - base
            known = 0 <= tap < TAPS
            weight[i, a] = np.float32(value[tap]) if known else np.float32(0.0)
            # The distance grows as the source moves down for the three samples before the pixel, and shrinks for the others.
            sign = -inverse if tap < 3 else inverse
            slope[i, a] = np.float32(sign * rise[tap]) if known else np.float32(0.0)


@inner
def place_model(model: Float32, sampling: float, x: float, y: float, size: int, out: Float32) -> None:
    """Interpolate samples onto the pixels of a stamp, for a source of unit light at (x, y) of the stamp.

    Parameters
    ----------
    model : (n, n) float32
        Samples at the source's place, of `combine_terms`; n at least 7.
    sampling : float
        Pixels per sample.
    x, y : float
        The source's centre [pixel of the stamp, 0-based].
    size : int
        Side of the stamp [pixel].
    out : (1 or 3, size or more, size or more) float32
        Its first pixels are filled with their light; where there are three planes, the others with its derivatives by x and y.
    """
    n = model.shape[0]
    first = np.empty((2, size), np.int64)
    weight, slope = np.empty((2, size, TAPS), np.float32), np.empty((2, size, TAPS), np.float32)
    tap_weights(n, sampling, x, first[0], weight[0], slope[0])
    tap_weights(n, sampling, y, first[1], weight[1], slope[1])
    place_with(model, first, weight, slope, np.empty((size, n), np.float32), out)


@inner
def place_with(model: Float32, first: Int64, weight: Float32, slope: Float32, work: Float32, out: Float32) -> None:
    """`place_model` with the samples and weights of x (0) and y (1) of `tap_weights`, and room for (size, n) numbers."""
    side = first.shape[1]
    _along_y(model, first[1], weight[1], work)
    _along_x(work, first[0], weight[0], side, out[0])
    if out.shape[0] == 3:
        _along_x(work, first[0], slope[0], side, out[1])
        _along_y(model, first[1], slope[1], work)
        _along_x(work, first[0], weight[0], side, out[2])


@inner
def _along_y(model: Float32, first: Int64, weight: Float32, work: Float32) -> None:
    """Rows of the stamp from rows of samples: (size, n)."""
    for j in range(first.size):
        rows = model[first[j] : first[j] + TAPS]
        r0, r1, r2, r3, r4, r5 = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
        w0, w1, w2, w3, w4, w5 = weight[j, 0], weight[j, 1], weight[j, 2], weight[j, 3], weight[j, 4], weight[j, 5]
        line = work[j]
        for k in range(line.size):
            line[k] = w0 * r0[k] + w1 * r1[k] + w2 * r2[k] + w3 * r3[k] + w4 * r4[k] + w5 * r5[k]


@inner
def _along_x(work: Float32, first: Int64, weight: Float32, size: int, out: Float32) -> None:
    """Pixels of the stamp from its rows at the samples: the first (size, size) of `out`."""
    for j in range(size):
        line, target = work[j], out[j, :size]
        for i in range(size):
            f = first[i]
            target[i] = (
                weight[i, 0] * line[f]
                + weight[i, 1] * line[f + 1]
                + weight[i, 2] * line[f + 2]
                + weight[i, 3] * line[f + 3]
                + weight[i, 4] * line[f + 4]
                + weight[i, 5] * line[f + 5]
            )


@compiled
def _stamps(coefficients: Float32, values: Float64, sampling: float, x: Float64, y: Float64, out: Float32) -> None:
    """Stamps (sources, planes, size, size), with the values of the terms of each source (sources, terms)."""
    n, half = coefficients.shape[1], out.shape[2] // 2
    model = np.empty((n, n), np.float32)
    for k in range(x.size):
        combine_terms(coefficients, values[k], model)
        at_x, at_y = x[k] - math.floor(x[k] + 0.5) + half, y[k] - math.floor(y[k] + 0.5) + half
        place_model(model, sampling, at_x, at_y, out.shape[2], out[k])


def psf_stamps(
    coefficients: npt.ArrayLike,
    values: npt.ArrayLike,
    sampling: float,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    size: int,
    *,
    slopes: bool = False,
) -> Float32:
    """Draw sources of unit light at the places of a detector, each about its nearest pixel.

    Parameters
    ----------
    coefficients : (terms, n, n) array
        Of the model, n odd and at least 7.
    values : (sources, terms) array
        Of the terms at each source: `spica.core.psf.PsfModel.values`.
    sampling : float
        Detector pixels per sample.
    x, y : (sources,) arrays [pixel]
        Places, 0-based pixel centres.
    size : int
        Odd side of the stamps [pixel].
    slopes : bool
        Whether the derivatives by x and y are wanted.

    Returns
    -------
    (sources, 1 or 3, size, size) float32
        Light in each pixel, and its derivatives by x and y [1/pixel].
    """
    cube, at_x, at_y = as_pixels(coefficients), as_coordinates(x), as_coordinates(y)
    known = np.ascontiguousarray(np.atleast_2d(np.asarray(values, np.float64)))
    if cube.ndim != 3 or cube.shape[1] < TAPS + 1 or known.shape != (at_x.size, cube.shape[0]):
        raise ValueError(f"coefficients {cube.shape} do not fit values {known.shape} of {at_x.size} sources")
    out = np.empty((at_x.size, 3 if slopes else 1, size, size), np.float32)
    _stamps(cube, known, float(sampling), at_x, at_y, out)
    return out


def stamp_at(
    coefficients: npt.ArrayLike,
    degree: int,
    centre: tuple[float, float],
    scale: tuple[float, float],
    sampling: float,
    x: float,
    y: float,
    size: int,
) -> Float32:
    """The light of a source of unit light at (x, y) of the detector: (size, size), whose middle is its nearest pixel.

    Compiled code calls `combine_terms` and `place_model`, of which this is made.
    """
    u, v = (x - centre[0]) / scale[0], (y - centre[1]) / scale[1]
    values = [u**i * v**j for j in range(degree + 1) for i in range(degree + 1 - j)]
    stamp: Float32 = psf_stamps(coefficients, [values], sampling, [x], [y], size)[0, 0]
    return stamp
