"""From an image to lists of the pixels of each source: matched filter, threshold and labelling in one pass over rows.

Filtered rows stay in the processor's cache; of the filtered image only the pixels above the threshold are kept.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from spica.kernels.compiled import Bools, Float32, Int32, Int64, Numbers, as_bits, as_pixels, compiled, inner


@dataclass(frozen=True)
class Segments:
    """Connected sets of pixels in the order of their first pixels (rows first).

    Attributes
    ----------
    start, pixels : the pixels of segment k are ``pixels[start[k] : start[k + 1]]``, flat indices (y nx + x) in rising
        order, int64 and int32.
    values : their signal-to-noise in the filtered image, float32, parallel to `pixels`.
    blended : whether a segment is a part of a connected set that was divided.
    count : how many segments; when it exceeds the limit asked for, ``overflow`` is true and the arrays are empty.
    ny, nx : size of the image.
    fwhm : width of the filter [pixel].
    """

    start: Int64
    pixels: Int32
    values: Float32
    blended: Bools
    count: int
    overflow: bool
    ny: int
    nx: int
    fwhm: float

    def labels(self) -> Int32:
        """The (ny, nx) int32 image of numbers from 1, 0 for none."""
        plane = np.zeros(self.ny * self.nx, dtype=np.int32)
        plane[self.pixels] = np.repeat(np.arange(1, self.start.size, dtype=np.int32), np.diff(self.start))
        return plane.reshape(self.ny, self.nx)


def gaussian_kernel(fwhm: float, *, reach: float = 1.5) -> Float32:
    """Return a one-dimensional Gaussian of unit sum, sampled at pixel centres.

    Parameters
    ----------
    fwhm : float [pixel]
        Full width at half maximum.
    reach : float
        Half length in units of the FWHM, rounded up.

    Returns
    -------
    (2 r + 1,) float32
        Kernel for each axis of a separable filter.
    """
    if not fwhm > 0.0:
        raise ValueError(f"a filter of FWHM {fwhm} pixel")
    radius = int(np.ceil(reach * fwhm))
    steps = np.arange(-radius, radius + 1)
    values = np.exp(-4.0 * np.log(2.0) * (steps / fwhm) ** 2)
    return as_pixels(values / values.sum())


@inner
def _load_row(
    image: Float32,
    sky: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    radius: int,
    signal: Float32,
    weight: Float32,
) -> None:
    """Weighted signal d/v and weight 1/v of one row, with margins of zeros."""
    zero = np.float32(0.0)
    one = np.float32(1.0)
    endless = np.float32(np.inf)
    bits = np.int32(bad_bits)
    for x in range(image.size):
        value = image[x] - sky[x]
        spread = variance[x]
        good = (spread > zero) & (value > -endless) & (value < endless) & (mask[x] & bits == 0)
        inverse = one / spread if good else zero
        weight[radius + x] = inverse
        signal[radius + x] = value * inverse if good else zero


@inner
def _weigh(factor: Any, line: Float32, out: Float32) -> None:
    for x in range(out.size):
        out[x] = factor * line[x]


@inner
def _add_one(factor: Any, a: Float32, b: Float32, out: Float32) -> None:
    for x in range(out.size):
        out[x] += factor * (a[x] + b[x])


@inner
def _add_two(one: Any, a: Float32, b: Float32, two: Any, c: Float32, d: Float32, out: Float32) -> None:
    for x in range(out.size):
        out[x] += one * (a[x] + b[x]) + two * (c[x] + d[x])


@inner
def _quotient(above: Float32, below: Float32) -> None:
    """Divide by the root; both are zero where nothing is good."""
    zero = np.float32(0.0)
    one = np.float32(1.0)
    for x in range(above.size):
        square = below[x] if below[x] > zero else one
        above[x] = above[x] / np.sqrt(square)


@inner
def _convolve_line(line: Float32, kernel: Float32, out: Float32) -> None:
    """Sum of the shifted line times the symmetric kernel, a pair of taps at a time."""
    size = kernel.size
    radius = size // 2
    # Slices, so that no index has to be checked for its sign and the loops are vectorised.
    line = line[: out.size + 2 * radius]
    _weigh(kernel[radius], line[radius:], out)
    for k in range(0, radius - 1, 2):
        one, two = kernel[k], kernel[k + 1]
        _add_two(one, line[k:], line[size - 1 - k :], two, line[k + 1 :], line[size - 2 - k :], out)
    if radius % 2 == 1:
        _add_one(kernel[radius - 1], line[radius - 1 :], line[radius + 1 :], out)


@inner
def _convolve_rows(rows: Float32, kernel: Float32, first: int, out: Float32) -> None:
    """The same across the rows of a ring whose oldest row is `first`."""
    size = kernel.size
    radius = size // 2
    _weigh(kernel[radius], rows[(first + radius) % size], out)
    for k in range(0, radius - 1, 2):
        a, b = rows[(first + k) % size], rows[(first + size - 1 - k) % size]
        c, d = rows[(first + k + 1) % size], rows[(first + size - 2 - k) % size]
        _add_two(kernel[k], a, b, kernel[k + 1], c, d, out)
    if radius % 2 == 1:
        a, b = rows[(first + radius - 1) % size], rows[(first + radius + 1) % size]
        _add_one(kernel[radius - 1], a, b, out)


@inner
def _root(parent: Int32, run: int) -> int:
    """Smallest run of the set, halving the path on the way."""
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@inner
def _join_rows(runs: Int32, parent: Int32, first: int, middle: int, last: int) -> None:
    """Unite the runs [middle, last) of a row with those [first, middle) of the row before that touch, corners too."""
    above = first
    for run in range(middle, last):
        while above < middle and runs[above, 2] < runs[run, 1]:
            above += 1
        other = above
        while other < middle and runs[other, 1] <= runs[run, 2]:
            a = _root(parent, other)
            b = _root(parent, run)
            parent[max(a, b)] = min(a, b)
            other += 1


@inner
def _row_runs(
    row: Float32, y: int, limit: float, runs: Int32, parent: Int32, values: Float32, runs_before: int, filled: int
) -> tuple[int, int]:
    """Append a row's runs above the limit (row, first column, column after the last) and the values in them."""
    level = np.float32(limit)
    count = runs_before
    inside = False
    for x in range(row.size):
        bright = row[x] > level
        if bright:
            if not inside:
                runs[count, 0] = y
                runs[count, 1] = x
                parent[count] = count
            values[filled] = row[x]
            filled += 1
        elif inside:
            runs[count, 2] = x
            count += 1
        inside = bright
    if inside:
        runs[count, 2] = row.size
        count += 1
    return count, filled


@inner
def _scan(
    image: Float32,
    sky: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    kernel: Float32,
    threshold: float,
    runs: Int32,
    parent: Int32,
    values: Float32,
) -> tuple[int, int]:
    """Filter row by row; fill runs and values, unite runs that touch. Returns how many runs and values there are."""
    ny, nx = image.shape
    size = kernel.size
    radius = size // 2
    squared = kernel * kernel
    signal = np.zeros(nx + 2 * radius, dtype=np.float32)
    weight = np.zeros(nx + 2 * radius, dtype=np.float32)
    # Rings of the last `size` rows, filtered along x; rows outside of the image are zeros.
    signals = np.zeros((size, nx), dtype=np.float32)
    weights = np.zeros((size, nx), dtype=np.float32)
    above = np.empty(nx, dtype=np.float32)
    below = np.empty(nx, dtype=np.float32)
    zero = np.float32(0.0)
    before = 0
    count = 0
    filled = 0
    for y in range(ny + radius):
        ring = y % size
        if y < ny:
            bits = mask[min(y, mask.shape[0] - 1)]
            _load_row(image[y], sky[y], variance[y], bits, bad_bits, radius, signal, weight)
            _convolve_line(signal, kernel, signals[ring])
            _convolve_line(weight, squared, weights[ring])
        else:
            signals[ring, :] = zero
            weights[ring, :] = zero
        if y < radius:
            continue
        _convolve_rows(signals, kernel, (y + 1) % size, above)
        _convolve_rows(weights, squared, (y + 1) % size, below)
        _quotient(above, below)
        own = count
        count, filled = _row_runs(above, y - radius, threshold, runs, parent, values, count, filled)
        _join_rows(runs, parent, before, own, count)
        before = own
    return count, filled


@inner
def _number(runs: Int32, parent: Int32, number: int, min_area: int) -> tuple[int, Int32, Int64]:
    """Number of segments large enough, segment of each run (-1: too small), and area of each segment."""
    area = np.zeros(number, dtype=np.int64)
    for run in range(number):
        parent[run] = _root(parent, run)
        area[parent[run]] += runs[run, 2] - runs[run, 1]
    owner = np.full(number, -1, dtype=np.int32)
    count = 0
    for run in range(number):
        root = parent[run]
        # A root is the first run of its segment, so the numbers follow the order of first pixels.
        if root == run and area[run] >= min_area:
            owner[run] = count
            area[count] = area[run]
            count += 1
        elif root != run:
            owner[run] = owner[root]
    return count, owner, area[:count].copy()


@inner
def _gather(runs: Int32, owner: Int32, values: Float32, nx: int, start: Int64, pixels: Int32, chosen: Float32) -> None:
    place = start[:-1].copy()
    source = 0
    for run in range(owner.size):
        segment = owner[run]
        first = runs[run, 1]
        length = runs[run, 2] - first
        if segment >= 0:
            flat = np.int64(runs[run, 0]) * nx + first
            spot = place[segment]
            for step in range(length):
                pixels[spot + step] = flat + step
                chosen[spot + step] = values[source + step]
            place[segment] = spot + length
        source += length


@compiled
def _find(
    image: Float32,
    sky: Float32,
    variance: Float32,
    mask: Int32,
    bad_bits: int,
    kernel: Float32,
    threshold: float,
    min_area: int,
    max_segments: int,
) -> tuple[int, Int64, Int32, Float32]:
    """Number of segments; start, pixels and values of each (empty where they are too many)."""
    ny, nx = image.shape
    # Room for the worst case: memory that is never written to is never taken.
    runs = np.empty((ny * (nx // 2 + 1), 3), dtype=np.int32)
    parent = np.empty(runs.shape[0], dtype=np.int32)
    values = np.empty(ny * nx, dtype=np.float32)
    number, _ = _scan(image, sky, variance, mask, bad_bits, kernel, threshold, runs, parent, values)
    count, owner, area = _number(runs, parent, number, min_area)
    if count > max_segments:
        return count, np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
    start = np.zeros(count + 1, dtype=np.int64)
    for k in range(count):
        start[k + 1] = start[k] + area[k]
    pixels = np.empty(start[count], dtype=np.int32)
    chosen = np.empty(start[count], dtype=np.float32)
    _gather(runs, owner, values, nx, start, pixels, chosen)
    return count, start, pixels, chosen


def find_segments(
    image: Numbers,
    sky: Numbers,
    variance: Numbers,
    fwhm: float,
    threshold: float,
    mask: Numbers | None = None,
    *,
    bad_bits: int = 0,
    min_area: int = 1,
    max_segments: int = 2_000_000,
) -> Segments:
    """Find the 8-connected sets of pixels where a point source would have a signal-to-noise above a threshold.

    The signal-to-noise is that of the matched filter for noise that varies: with kernel K (a Gaussian), data d above
    the sky and variance v it is Σ K d/v / √(Σ K²/v) (e.g. Zackay & Ofek 2017, ApJ 836, 187). Bad pixels, pixels of zero
    variance and the outside of the image carry no weight. Runs of a row are united with those of the row before.

    Parameters
    ----------
    image, sky : (ny, nx) arrays [electron]
        Pixels, and the level of the sky under them.
    variance : (ny, nx) array [electron²]
        Variance of the sky at each pixel (without the sources' own photons, so that the filter stays linear).
    fwhm : float [pixel]
        Width of the filter.
    threshold : float
        Pixels above it belong to a segment.
    mask : (ny, nx) array, optional
        Mask bits.
    bad_bits : int
        Bits that exclude a pixel.
    min_area : int
        Least number of pixels of a segment.
    max_segments : int
        When more segments than this are found nothing but their number is returned.

    Returns
    -------
    Segments
        Deterministic in number and order.
    """
    shapes = [None if plane is None else plane.shape for plane in (image, sky, variance, mask)]
    if any(shape not in (None, image.shape) for shape in shapes):
        raise ValueError(f"image, sky, variance and mask differ in shape: {shapes}")
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"an image of shape {image.shape} cannot be searched")
    bits = np.zeros((1, image.shape[1]), dtype=np.int32) if mask is None else as_bits(mask)
    planes = as_pixels(image), as_pixels(sky), as_pixels(variance), bits
    limits = float(threshold), int(min_area), int(max_segments)
    count, start, pixels, values = _find(*planes, int(bad_bits), gaussian_kernel(fwhm), *limits)
    blended = np.zeros(start.size - 1, dtype=np.bool_)
    ny, nx = image.shape
    return Segments(start, pixels, values, blended, count, count > max_segments, ny, nx, float(fwhm))
