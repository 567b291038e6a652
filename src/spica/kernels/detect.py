"""Matched filter, threshold and labelling: from an image to lists of the pixels of each source."""

from dataclasses import dataclass

import numpy as np

from spica.kernels.compiled import Float32, Int32, Int64, Numbers, as_bits, as_pixels, compiled


@dataclass(frozen=True)
class Segments:
    """Connected sets of pixels, numbered from 1 in the order of their first pixel (rows first).

    ``labels`` is the (ny, nx) int32 image of numbers, 0 for none. The pixels of segment k are
    ``pixels[start[k - 1] : start[k]]``, flat indices (y nx + x) in rising order. ``count`` is the number of segments;
    when it exceeds the limit asked for, ``overflow`` is true and the other fields are empty.
    """

    labels: Int32
    start: Int64
    pixels: Int64
    count: int
    overflow: bool


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


@compiled
def _load_rows(
    image: Float32, variance: Float32, mask: Int32, bad_bits: int, radius: int, signal: Float32, weight: Float32
) -> None:
    """Weighted signal d/v and weight 1/v of one row, with margins of zeros."""
    zero = np.float32(0.0)
    one = np.float32(1.0)
    endless = np.float32(np.inf)
    for x in range(image.size):
        value = image[x]
        spread = variance[x]
        good = (spread > zero) & (value > -endless) & (value < endless) & (mask[x] & bad_bits == 0)
        inverse = one / spread if good else zero
        weight[radius + x] = inverse
        signal[radius + x] = value * inverse if good else zero


@compiled
def _convolve_line(line: Float32, kernel: Float32, out: Float32) -> None:
    """Sum of the shifted line times the kernel, tap by tap."""
    for x in range(out.size):
        out[x] = kernel[0] * line[x]
    for k in range(1, kernel.size):
        factor = kernel[k]
        for x in range(out.size):
            out[x] += factor * line[x + k]


@compiled
def _add_line(factor: float, line: Float32, out: Float32) -> None:
    scale = np.float32(factor)
    for x in range(out.size):
        out[x] += scale * line[x]


@compiled
def _matched_filter(
    image: Float32, variance: Float32, mask: Int32, bad_bits: int, kernel: Float32, snr: Float32
) -> None:
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
    for y in range(ny + radius):
        if y < ny:
            _load_rows(image[y], variance[y], mask[min(y, mask.shape[0] - 1)], bad_bits, radius, signal, weight)
            _convolve_line(signal, kernel, signals[y % size])
            _convolve_line(weight, squared, weights[y % size])
        else:
            signals[y % size, :] = zero
            weights[y % size, :] = zero
        if y < radius:
            continue
        above[:] = zero
        below[:] = zero
        for k in range(size):
            ring = (y - size + 1 + k) % size
            _add_line(kernel[k], signals[ring], above)
            _add_line(squared[k], weights[ring], below)
        row = snr[y - radius]
        for x in range(nx):
            row[x] = above[x] / np.sqrt(below[x]) if below[x] > zero else zero


def matched_filter(
    image: Numbers, variance: Numbers, kernel: Numbers, mask: Numbers | None = None, *, bad_bits: int = 0
) -> Float32:
    """Signal-to-noise of a point source at each pixel: the matched filter for noise that varies.

    With kernel K, data d of variance v, the value is Σ K d/v / √(Σ K²/v) (e.g. Zackay & Ofek 2017, ApJ 836, 187).
    Bad pixels, pixels of zero variance and the outside of the image carry no weight.

    Parameters
    ----------
    image : (ny, nx) array [electron]
        Background-subtracted pixels.
    variance : (ny, nx) array [electron²]
        Variance of the background at each pixel (without the sources' own photons, so that the filter stays linear).
    kernel : (2 r + 1,) array
        Profile along each axis; the filter is its product in x and y. Its scale does not matter.
    mask : (ny, nx) array, optional
        Mask bits.
    bad_bits : int
        Bits that exclude a pixel.

    Returns
    -------
    (ny, nx) float32
        Signal-to-noise ratio; 0 where nothing within the kernel is good.
    """
    if variance.shape != image.shape or (mask is not None and mask.shape != image.shape):
        shapes = [None if plane is None else plane.shape for plane in (image, variance, mask)]
        raise ValueError(f"image, variance and mask differ in shape: {shapes}")
    if kernel.ndim != 1 or kernel.size % 2 == 0:
        raise ValueError(f"a kernel of shape {kernel.shape} is not one-dimensional and odd")
    bits = np.zeros((1, image.shape[1]), dtype=np.int32) if mask is None else as_bits(mask)
    snr = np.empty(image.shape, dtype=np.float32)
    _matched_filter(as_pixels(image), as_pixels(variance), bits, int(bad_bits), as_pixels(kernel), snr)
    return snr


@compiled
def _count_runs(values: Float32, threshold: float) -> int:
    limit = np.float32(threshold)
    runs = 0
    for y in range(values.shape[0]):
        row = values[y]
        runs += row[0] > limit
        for x in range(1, row.size):
            runs += (row[x] > limit) > (row[x - 1] > limit)
    return runs


@compiled
def _root(parent: Int32, run: int) -> int:
    """Smallest run of the set, halving the path on the way."""
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@compiled
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


@compiled
def _find_runs(values: Float32, threshold: float, runs: Int32, parent: Int32) -> None:
    """Fill the table of runs (row, first column, column after the last) and unite those that touch."""
    limit = np.float32(threshold)
    count = 0
    before = 0
    for y in range(values.shape[0]):
        row = values[y]
        own = count
        inside = False
        for x in range(row.size):
            bright = row[x] > limit
            if bright and not inside:
                runs[count, 0] = y
                runs[count, 1] = x
                parent[count] = count
            elif inside and not bright:
                runs[count, 2] = x
                count += 1
            inside = bright
        if inside:
            runs[count, 2] = row.size
            count += 1
        _join_rows(runs, parent, before, own, count)
        before = own


@compiled
def _number(runs: Int32, parent: Int32, min_area: int) -> tuple[int, Int32, Int64]:
    """Number of segments large enough, segment of each run (-1: too small), and area of each segment."""
    area = np.zeros(parent.size, dtype=np.int64)
    for run in range(parent.size):
        parent[run] = _root(parent, run)
        area[parent[run]] += runs[run, 2] - runs[run, 1]
    owner = np.full(parent.size, -1, dtype=np.int32)
    count = 0
    for run in range(parent.size):
        root = parent[run]
        # A root is the first run of its segment, so the numbers follow the order of first pixels.
        if root == run and area[run] >= min_area:
            owner[run] = count
            area[count] = area[run]
            count += 1
        elif root != run:
            owner[run] = owner[root]
    return count, owner, area[:count].copy()


@compiled
def _gather_pixels(runs: Int32, owner: Int32, start: Int64, labels: Int32, pixels: Int64) -> None:
    place = start[:-1].copy()
    nx = labels.shape[1]
    for run in range(owner.size):
        segment = owner[run]
        if segment < 0:
            continue
        y = runs[run, 0]
        for x in range(runs[run, 1], runs[run, 2]):
            labels[y, x] = segment + 1
            pixels[place[segment]] = np.int64(y) * nx + x
            place[segment] += 1


def label(values: Numbers, threshold: float, *, min_area: int = 1, max_segments: int = 2_000_000) -> Segments:
    """Find the 8-connected sets of pixels above a threshold, by one pass of runs and union-find.

    Parameters
    ----------
    values : (ny, nx) array
        Signal-to-noise image; NaN counts as below the threshold.
    threshold : float
        Pixels above it belong to a segment.
    min_area : int
        Least number of pixels of a segment.
    max_segments : int
        When more segments than this are found nothing but their number is returned.

    Returns
    -------
    Segments
        Deterministic in number and order.
    """
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"an image of shape {values.shape} cannot be labelled")
    image = as_pixels(values)
    limit = float(threshold)
    number = _count_runs(image, limit)
    runs = np.empty((number, 3), dtype=np.int32)
    parent = np.empty(number, dtype=np.int32)
    _find_runs(image, limit, runs, parent)
    count, owner, area = _number(runs, parent, int(min_area))
    if count > max_segments:
        empty = np.empty(0, dtype=np.int64)
        return Segments(np.empty((0, 0), dtype=np.int32), empty, empty, count, True)
    start = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(area)])
    labels = np.zeros(image.shape, dtype=np.int32)
    pixels = np.empty(start[-1], dtype=np.int64)
    _gather_pixels(runs, owner, start, labels, pixels)
    return Segments(labels, start, pixels, count, False)
