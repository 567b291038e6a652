"""Means in each cell of a mesh, clipped or of all pixels: what a frame looks like from afar."""

import numpy as np

from spica.kernels.compiled import Float32, Float64, Int32, Numbers, as_bits, as_pixels, compiled
from spica.kernels.robust import clipped_statistics


@compiled
def _cells(
    image: Float32, mask: Int32, bad_bits: int, sides: tuple[int, int], limits: tuple[float, int], out: Float64
) -> None:
    by, bx = sides
    buffer = np.empty(by * bx, dtype=np.float32)
    ny, nx = image.shape
    for j in range(out.shape[1]):
        for i in range(out.shape[2]):
            count = 0
            for y in range(j * by, min((j + 1) * by, ny)):
                for x in range(i * bx, min((i + 1) * bx, nx)):
                    value = image[y, x]
                    if np.isfinite(value) and mask[y, x] & bad_bits == 0:
                        buffer[count] = value
                        count += 1
            out[:, j, i] = np.nan
            if count > 0:
                _, _, mean, deviation, _ = clipped_statistics(buffer, count, limits[0], limits[1])
                out[0, j, i] = mean
                out[1, j, i] = deviation


def cell_means(
    image: Numbers, mask: Numbers, *, bad_bits: int, box: tuple[int, int], kappa: float = 4.0, iterations: int = 5
) -> tuple[Float64, Float64]:
    """Clipped mean and standard deviation of the good pixels of each cell.

    A mean moves smoothly with the light where a median or mode jumps: that of the three colours of a Bayer mosaic, say.

    Parameters
    ----------
    image, mask : (ny, nx) arrays
        Pixels in any unit (those that are not finite are left out) and mask bits; pixels with any of `bad_bits` are left
        out.
    box : (int, int)
        Rows and columns of a cell [pixel]; cells at the upper and right edge may be smaller.
    kappa, iterations : float, int
        As for `spica.kernels.robust.robust_statistics`.

    Returns
    -------
    mean, deviation : (gy, gx) float64
        In the unit of the image; NaN for a cell without a good pixel.
    """
    by, bx = box
    out = np.empty((2, -(-image.shape[0] // by), -(-image.shape[1] // bx)))
    _cells(as_pixels(image), as_bits(mask), int(bad_bits), (int(by), int(bx)), (float(kappa), int(iterations)), out)
    return out[0], out[1]


@compiled
def _binned(image: Float32, mask: Int32, bad_bits: int, step: int, out: Float64) -> None:
    zero = np.float32(0.0)
    width = out.shape[1] * step
    sums, counts = np.empty(width), np.empty(width, dtype=np.int32)
    for j in range(out.shape[0]):
        sums[:], counts[:] = 0.0, 0
        for y in range(j * step, (j + 1) * step):
            row, flags = image[y], mask[y]
            for x in range(width):
                good = flags[x] & bad_bits == 0
                sums[x] += row[x] if good else zero
                counts[x] += good
        for i in range(out.shape[1]):
            total, count = 0.0, 0
            for x in range(i * step, (i + 1) * step):
                total += sums[x]
                count += counts[x]
            out[j, i] = total / count if count else np.nan


def bin_mean(image: Numbers, mask: Numbers, *, bad_bits: int, step: int) -> Float64:
    """Mean of the good pixels in squares of `step` pixels.

    Parameters
    ----------
    image, mask : (ny, nx) arrays
        Pixels in any unit and mask bits; pixels with any of `bad_bits` are left out.
    step : int [pixel]
        Side of a square; a last partial one is cut.

    Returns
    -------
    (ny // step, nx // step) float64
        In the unit of the image; NaN where no pixel is good.
    """
    out = np.empty((image.shape[0] // step, image.shape[1] // step))
    _binned(as_pixels(image), as_bits(mask), int(bad_bits), int(step), out)
    return out
