"""An image convolved with a kernel that varies over it, by overlapping blocks, so that room does not grow with the image.

A block is transformed once and multiplied by each pattern of the kernels; the amplitudes are cubic between the places where they are
known, on every pixel of its own: where blocks meet, nothing shows.
"""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Bools, Float32, Int32, Numbers
from spica.kernels.homogenise import Kernels

BLOCK = 512
"""Pixels along a block that come out at a time."""
_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Widths of the Gaussians that fill pixels without a value, one after the other [pixel]."""
_LEAST = 0.05
"""Part of the weight of such a Gaussian that has to lie on pixels with a value."""


class Convolved(NamedTuple):
    """``pixels``, ``variance`` (ny, nx), and ``lost``: what part of each pixel's kernel lies on pixels of no use."""

    pixels: Float32
    variance: Float32
    lost: Float32


def convolve(pixels: Float32, variance: Float32, unfit: Bools, unknown: Bools, kernels: Kernels) -> Convolved:
    """Convolve an image with varying kernels.

    Parameters
    ----------
    pixels, variance : (ny, nx)
        Values, and variances as those of independent pixels.
    unfit : (ny, nx)
        Pixels that count as lost; so do those beyond the edge, where the image is continued as in a mirror.
    unknown : (ny, nx)
        Pixels without a value: they are given one of those about them.
    kernels : of sum 1 everywhere, so that light is conserved, and even skies are what they were.

    Returns
    -------
    Convolved
        Variances are those of the mean kernel's squares, scaled to the sum of the local kernel's squares.
    """
    work = _Block(kernels, min(BLOCK, max(pixels.shape)), pixels.shape)
    half, side = work.half, work.side
    values, spread = (np.pad(each, half, mode="symmetric") for each in (pixels, variance))
    none, lost = np.pad(unknown, half, mode="symmetric"), np.pad(unfit, half, constant_values=True)
    out = Convolved(*(np.empty(pixels.shape, np.float32) for _ in range(3)))
    for y0 in range(0, pixels.shape[0], side):
        for x0 in range(0, pixels.shape[1], side):
            around = slice(y0, y0 + side + 2 * half), slice(x0, x0 + side + 2 * half)
            known = _known(values[around], none[around]), _known(spread[around], none[around])
            for plane, part in zip(out, work.of(*known, lost[around], (y0, x0)), strict=True):
                plane[y0 : y0 + side, x0 : x0 + side] = part
    return out


class _Block:
    """Kernels as transforms, with room for a block."""

    def __init__(self, kernels: Kernels, side: int, shape: tuple[int, ...]) -> None:
        from scipy.fft import next_fast_len
        from scipy.interpolate import make_interp_spline

        self.side, self.half = side, kernels.mean.shape[0] // 2
        self._size = (next_fast_len(side + 2 * self.half, real=True),) * 2
        weight, square = np.abs(kernels.mean), kernels.mean**2
        self._mean, *self._patterns = (self._transform(each) for each in (kernels.mean, *kernels.patterns))
        self._weight, self._square = (self._transform(each / each.sum()) for each in (weight, square))
        self._amplitudes, self._squares = kernels.amplitudes, kernels.squares
        # What each place along an axis has to do with each pixel there.
        self._rows, self._columns = (
            make_interp_spline(at, np.eye(at.size), k=3)(np.arange(size, dtype=np.float64))
            for at, size in zip((kernels.y, kernels.x), shape, strict=True)
        )

    def of(self, values: Float32, spread: Float32, lost: Bools, corner: tuple[int, int]) -> Convolved:
        """A block from what is within and about it; `corner` is its first pixel."""
        height, width = (size - 2 * self.half for size in values.shape)
        shape = height, width
        rows, columns = self._rows[corner[0] : corner[0] + height], self._columns[corner[1] : corner[1] + width].T
        # Sums of small numbers lose least to rounding.
        level, usual = np.float32(np.median(values)), np.float32(np.median(spread))
        light = self._transform(values - level)
        total = self._product(light, self._mean, shape)
        for pattern, amplitude in zip(self._patterns, self._amplitudes, strict=True):
            total += (rows @ amplitude @ columns).astype(np.float32) * self._product(light, pattern, shape)
        noise = self._product(self._transform(spread - usual), self._square, shape) + usual
        noise = np.maximum(noise, spread.min()) * (rows @ self._squares @ columns).astype(np.float32)
        part = np.zeros(shape, np.float32)
        if lost.any():
            part = np.clip(self._product(self._transform(lost), self._weight, shape), 0.0, 1.0)
        return Convolved(total + level, noise, part)

    def _transform(self, plane: Numbers) -> Numbers:
        from scipy.fft import rfft2

        return np.asarray(rfft2(np.asarray(plane, np.float32), self._size))

    def _product(self, one: Numbers, two: Numbers, shape: tuple[int, int]) -> Float32:
        """Of transforms, as an image without what is about the block: both begin at their first pixel."""
        from scipy.fft import irfft2

        begin = 2 * self.half
        made = irfft2(one * two, self._size)[begin : begin + shape[0], begin : begin + shape[1]]
        return np.array(made, np.float32)


def _known(values: Float32, unknown: Bools) -> Float32:
    """Values with those that are not known from the ones about them, the near ones first."""
    if not unknown.any():
        return values
    from scipy.ndimage import gaussian_filter

    good = (~unknown).astype(np.float32)
    level = np.float32(np.median(values[~unknown])) if good.any() else np.float32(0.0)
    out = np.where(unknown, level, values)
    light, left = np.where(unknown, np.float32(0.0), values - level), unknown.copy()
    for width in _WIDTHS:
        if not left.any():
            break
        weight = gaussian_filter(good, width)
        near = left & (weight > _LEAST)
        out[near] = level + gaussian_filter(light, width)[near] / weight[near]
        left &= ~near
    return np.asarray(out, np.float32)


def windowed_or(bits: Int32, half: int) -> Int32:
    """Bits that any pixel has within the square of 2 half + 1 pixels about each."""
    for axis in (0, 1):
        reached, line = 0, np.asarray(bits, np.int32)
        # What is known of r pixels to both sides is known of up to 2r + 1 by a step of that.
        while reached < half:
            step = min(2 * reached + 1, half - reached)
            line = line | _moved(line, step, axis) | _moved(line, -step, axis)
            reached += step
        bits = line
    return bits


def _moved(plane: Int32, step: int, axis: int) -> Int32:
    """The plane moved along an axis, zeros where nothing came from."""
    out = np.zeros_like(plane)
    size = plane.shape[axis]
    if abs(step) < size:
        to, of = [slice(None)] * 2, [slice(None)] * 2
        to[axis], of[axis] = slice(max(step, 0), size + min(step, 0)), slice(max(-step, 0), size - max(step, 0))
        out[tuple(to)] = plane[tuple(of)]
    return out
