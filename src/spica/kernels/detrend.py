"""From raw numbers of one amplifier to electrons, variance and mask in their place in the detector: one fused pass."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Int32, Numbers, as_plain, compiled


class Box(NamedTuple):
    """A rectangle of pixels, half open, 0-based: rows y0 ≤ y < y1, columns x0 ≤ x < x1."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.y1 - self.y0, self.x1 - self.x0


class Readout(NamedTuple):
    """How one amplifier is read.

    ``data`` is its section of the raw array, ``place`` its section of the assembled detector (same shape); the flips
    turn raw order into detector order. ``gain`` [electron/ADU], ``read_noise`` [electron], ``saturation`` [ADU, raw];
    above ``linear_limit`` [ADU, raw] the response is doubtful. ``linearity``: true = x (1 + c0 x + c1 x² …), with x the
    signal above the bias [ADU].
    """

    data: Box
    place: Box
    flip_x: bool
    flip_y: bool
    gain: float
    read_noise: float
    saturation: float
    linear_limit: float = np.inf
    linearity: tuple[float, ...] = ()


class Masters(NamedTuple):
    """Calibration planes of the assembled detector, each (ny, nx) or None.

    ``bias`` [electron], ``dark`` [electron per second], ``flat`` [relative response, about 1], their variances in the
    squares of these units, ``defects`` [mask bits].
    """

    bias: Float32 | None = None
    dark: Float32 | None = None
    flat: Float32 | None = None
    bias_variance: Float32 | None = None
    dark_variance: Float32 | None = None
    flat_variance: Float32 | None = None
    defects: Int32 | None = None


class Bits(NamedTuple):
    """Mask bits to set: saturated, above the range of linearity, without a value, of too small a response."""

    saturated: int = 0
    suspect: int = 0
    no_data: int = 0
    bad: int = 0


class Planes(NamedTuple):
    """The assembled detector: science [electron] and variance [electron²] float32, mask int32, each (ny, nx)."""

    science: Float32
    variance: Float32
    mask: Int32


def empty_planes(shape: tuple[int, int], no_data_bit: int) -> Planes:
    """Return planes of zeros in which every pixel is marked as having no data."""
    mask = np.full(shape, no_data_bit, dtype=np.int32)
    return Planes(np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32), mask)


def planes_for(places: Sequence[Box], shape: tuple[int, int], no_data_bit: int) -> Planes:
    """Return planes to be written by amplifiers at these places: as `empty_planes` where these leave pixels out.

    Where they fill the detector, each pixel once, the planes hold anything: filling them takes as long as detrending.
    """
    apart = all(
        a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0 for a, b in itertools.combinations(places, 2)
    )
    if not apart or sum(place.shape[0] * place.shape[1] for place in places) != shape[0] * shape[1]:
        return empty_planes(shape, no_data_bit)
    return Planes(np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32))


@compiled
def _load_line(raw: Numbers, y: int, x0: int, flip: int, line: Float32) -> None:
    """Copy one row of raw numbers as float32, mirrored when asked."""
    nx = line.size
    source = raw[y, x0 : x0 + nx]
    if flip:
        for i in range(nx):
            # An unsigned index is never counted from the end: no test for that, and the loop can be vectorised.
            line[i] = source[np.uint64(nx - 1 - i)]
    else:
        for i in range(nx):
            line[i] = source[i]


@compiled
def _bend_line(electrons: Float32, curve: Float32, factor: Float32) -> None:
    """Undo non-linearity in place: x (1 + c0 x + c1 x² …) by Horner's rule; `factor` is room to work in."""
    one = np.float32(1.0)
    factor[:] = curve[curve.size - 1]
    for k in range(curve.size - 2, -1, -1):
        c = curve[k]
        for i in range(factor.size):
            factor[i] = factor[i] * electrons[i] + c
    for i in range(factor.size):
        electrons[i] *= one + factor[i] * electrons[i]


def all_alike(data: Numbers) -> bool:
    """Whether all values are one: no camera reads that from a living amplifier."""
    first = data[0, 0]
    # A few rows of a living one tell at once.
    return not np.any(data[:: max(1, len(data) // 64)] != first) and not np.any(data != first)


def median_light(planes: Planes, place: Box, bad_bits: int) -> float:
    """Median of a section [electron] from some thousands of its pixels; NaN where none of them is good."""
    step = max(1, place.shape[0] // 64), max(1, place.shape[1] // 64)
    some = np.s_[place.y0 : place.y1 : step[0], place.x0 : place.x1 : step[1]]
    good = planes.mask[some] & bad_bits == 0
    return float(np.median(planes.science[some][good])) if np.any(good) else np.nan


# A line is worked in several short loops, each over few arrays: compilers turn those into vector instructions, but not
# one long loop over a dozen arrays that might overlap. Lines stay in the innermost cache between them.


@compiled
def _electrons_line(electrons: Float32, line: Float32, level: float, gain: float, bias: Float32) -> None:
    """Electrons above the bias."""
    for i in range(electrons.size):
        electrons[i] = (line[i] - level) * gain - bias[i]


@compiled
def _science_line(
    science: Float32, inverse: Float32, electrons: Float32, dark: Float32, seconds: float, flat: Float32
) -> None:
    """Electrons less the dark over the response; `inverse` gets 1 / response, 0 where there is no value."""
    zero, one, endless = np.float32(0.0), np.float32(1.0), np.float32(np.inf)
    for i in range(science.size):
        response = flat[i]
        factor = one / response if response > zero else zero
        value = (electrons[i] - dark[i] * seconds) * factor
        good = abs(value) < endless
        inverse[i] = factor if good else zero
        science[i] = value if good else zero


@compiled
def _variance_line(
    variance: Float32,
    electrons: Float32,
    noise: float,
    share: float,
    seconds: float,
    bias_variance: Float32,
    dark_variance: Float32,
    flat_variance: Float32,
    science: Float32,
    inverse: Float32,
) -> None:
    """Variance of photons, dark electrons, read-out and masters.

    A pixel's own electrons stand for their mean, below zero too, so that a dark frame's variance is right on the
    average; the floor keeps it positive. `share` is 1 over the read-outs that they are the mean of.
    """
    floor, squared, zero = np.float32(0.25) * noise, seconds * seconds, np.float32(0.0)
    for i in range(variance.size):
        spread = max(electrons[i] * share + noise, floor) + bias_variance[i] + squared * dark_variance[i]
        spread = (spread + science[i] * science[i] * flat_variance[i]) * inverse[i] * inverse[i]
        variance[i] = spread if inverse[i] > zero else zero


@compiled
def _mask_line(
    mask: Int32, defects: Int32, line: Float32, flat: Float32, inverse: Float32, limits: Float32, bits: Int32
) -> int:
    """Mask bits; returns the saturated bit if it was set. `limits`: saturation, linearity, least response."""
    saturation, limit, least = limits[0], limits[1], limits[2]
    full_bit, suspect_bit, no_data_bit, bad_bit = bits[0], bits[1], bits[2], bits[3]
    nothing, zero = np.int32(0), np.float32(0.0)
    found = nothing
    for i in range(mask.size):
        low = (bad_bit if flat[i] < least else nothing) | (no_data_bit if inverse[i] <= zero else nothing)
        high = (full_bit if line[i] >= saturation else nothing) | (suspect_bit if line[i] > limit else nothing)
        mask[i] = defects[i] | low | high
        found |= mask[i]
    return int(found & full_bit)


@compiled
def _detrend(
    raw: Numbers,
    levels: Float32,
    noise: Float32,
    corner: Int32,
    flips: Int32,
    numbers: Float32,
    curve: Float32,
    bits: Int32,
    bias: Float32,
    dark: Float32,
    flat: Float32,
    bias_variance: Float32,
    dark_variance: Float32,
    flat_variance: Float32,
    defects: Int32,
    science: Float32,
    variance: Float32,
    mask: Int32,
    full: Int32,
) -> None:
    """Work all lines; `corner` is raw y0, raw x0, place y0, y1, x0, x1. A master of one row stands for all rows."""
    raw_y, raw_x, y0, y1, x0, x1 = corner[0], corner[1], corner[2], corner[3], corner[4], corner[5]
    buffers = np.empty((3, x1 - x0), dtype=np.float32)
    line, electrons, inverse = buffers[0], buffers[1], buffers[2]
    gain, seconds = numbers[0], numbers[1]
    for y in range(y0, y1):
        row = y1 - 1 - y if flips[1] else y - y0
        _load_line(raw, raw_y + row, raw_x, flips[0], line)
        _electrons_line(electrons, line, levels[row], gain, bias[min(y, bias.shape[0] - 1), x0:x1])
        if curve.size > 0:
            _bend_line(electrons, curve, inverse)
        response = flat[min(y, flat.shape[0] - 1), x0:x1]
        _science_line(science[y, x0:x1], inverse, electrons, dark[min(y, dark.shape[0] - 1), x0:x1], seconds, response)
        _variance_line(
            variance[y, x0:x1],
            electrons,
            noise[row],
            numbers[5],
            seconds,
            bias_variance[min(y, bias_variance.shape[0] - 1), x0:x1],
            dark_variance[min(y, dark_variance.shape[0] - 1), x0:x1],
            flat_variance[min(y, flat_variance.shape[0] - 1), x0:x1],
            science[y, x0:x1],
            inverse,
        )
        defect = defects[min(y, defects.shape[0] - 1), x0:x1]
        full[y] |= _mask_line(mask[y, x0:x1], defect, line, response, inverse, numbers[2:], bits)


def _check(raw: Numbers, readout: Readout, masters: Masters, out: Planes) -> None:
    """Refuse sections that leave their arrays and planes that differ in shape, with all the numbers."""
    ny, nx = out.science.shape
    for name, box, shape in (("data", readout.data, raw.shape), ("place", readout.place, (ny, nx))):
        if not (0 <= box.y0 < box.y1 <= shape[0] and 0 <= box.x0 < box.x1 <= shape[1]):
            raise ValueError(f"{name} section {tuple(box)} lies outside of an array of shape {shape}")
    if readout.data.shape != readout.place.shape:
        raise ValueError(f"data section {readout.data.shape} and place {readout.place.shape} differ in shape")
    planes = {**out._asdict(), **masters._asdict()}
    for name, plane in planes.items():
        if plane is not None and plane.shape != (ny, nx):
            raise ValueError(f"{name} has shape {plane.shape}, the detector {(ny, nx)}")


def _plane_or_row(plane: Numbers | None, nx: int, value: float, dtype: type) -> Numbers:
    """A plane in the dtype of the kernel, or one row of `value` that stands for every row."""
    if plane is None:
        return np.full((1, nx), value, dtype=dtype)
    return as_plain(plane, dtype)


def detrend_amplifier(
    raw: Numbers,
    readout: Readout,
    out: Planes,
    *,
    levels: Numbers | float = 0.0,
    level_variance: Numbers | float = 0.0,
    masters: Masters | None = None,
    slices: int = 1,
    dark_seconds: float = 0.0,
    least_response: float = 0.0,
    bits: Bits | None = None,
    full_rows: Int32 | None = None,
) -> None:
    """Write one amplifier, in electrons, into its place in the assembled detector.

    e = linear((raw - level) gain - bias), science = (e - dark t) / flat; its variance is that of the photons and dark
    electrons (e itself), of the read-out, of the level, and of the masters:
    (e + read noise² + gain² level variance + bias variance + t² dark variance + science² flat variance) / flat², where
    e and read noise² count over the number of slices.
    Where the flat is not positive and finite, or the value not finite, science and variance are 0 and the no-data bit
    is set. The saturated bit is set where raw ≥ saturation; defect bits are taken as they are.

    Parameters
    ----------
    raw : (my, mx) array, uint16 or any number that float32 holds exactly [ADU]
        The raw array that contains the data section.
    readout : Readout
        Sections, orientation and constants of the amplifier.
    out : Planes
        Planes of the detector, (ny, nx) and C-ordered; only the amplifier's place is written.
    levels, level_variance : (data rows,) array or float [ADU], [ADU²]
        Overscan level of each raw row of the data section, or one for all, and its variance.
    slices : int
        Read-outs that the raw numbers are the mean of.
    masters : Masters, optional
        Calibration planes in the frame of the detector.
    dark_seconds : float [s]
        Dark time of this exposure.
    least_response : float
        Below this flat the bad bit is set.
    bits : Bits, optional
        Mask bits to set.
    full_rows : (ny,) int32, optional
        Gets the saturated bit in every row of the detector that has a saturated pixel.
    """
    masters, bits = masters or Masters(), bits or Bits()
    _check(raw, readout, masters, out)
    native = as_plain(raw, np.uint16 if raw.dtype == np.uint16 else np.float32)
    rows = readout.data.shape[0]
    ny, nx = out.science.shape
    gain, place = readout.gain, readout.place
    noise = np.full(rows, level_variance, dtype=np.float32) * np.float32(gain**2)
    noise += np.float32(readout.read_noise**2 / slices)
    numbers = [gain, dark_seconds, readout.saturation, readout.linear_limit, least_response, 1.0 / slices]
    _detrend(
        native,
        np.full(rows, levels, dtype=np.float32),
        noise,
        np.array([readout.data.y0, readout.data.x0, *place], dtype=np.int32),
        np.array([readout.flip_x, readout.flip_y], dtype=np.int32),
        np.array(numbers, dtype=np.float32),
        np.array([c / gain ** (k + 1) for k, c in enumerate(readout.linearity)], dtype=np.float32),
        np.array(bits, dtype=np.int32),
        _plane_or_row(masters.bias, nx, 0.0, np.float32),
        _plane_or_row(masters.dark, nx, 0.0, np.float32),
        _plane_or_row(masters.flat, nx, 1.0, np.float32),
        _plane_or_row(masters.bias_variance, nx, 0.0, np.float32),
        _plane_or_row(masters.dark_variance, nx, 0.0, np.float32),
        _plane_or_row(masters.flat_variance, nx, 0.0, np.float32),
        _plane_or_row(masters.defects, nx, 0, np.int32),
        out.science,
        out.variance,
        out.mask,
        np.zeros(ny, dtype=np.int32) if full_rows is None else full_rows,
    )
