"""From raw numbers of one amplifier to electrons, variance and mask in their place in the detector: one fused pass."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Int32, Int64, Numbers, as_plain, compiled, inner


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


class Amplifier(NamedTuple):
    """An amplifier in a raw array: how it is read, and the overscan level of each raw row of its data section.

    ``levels`` [ADU] and their variance ``level_variance`` [ADU²]: (data rows,), or one number for all rows.
    """

    readout: Readout
    levels: Numbers | float = 0.0
    level_variance: Numbers | float = 0.0


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


@inner
def _load_line(raw: Numbers, y: Any, x0: Any, n: Any, flip: Any, line: Float32) -> None:
    """Copy a piece of a row of raw numbers as float32, mirrored when asked."""
    if flip:
        last = np.uint64(x0 + n - 1)
        for i in range(n):
            line[i] = raw[np.uint64(y), last - np.uint64(i)]
    else:
        for i in range(n):
            line[i] = raw[np.uint64(y), np.uint64(x0 + i)]


@inner
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


# Indices are unsigned: those are never counted from the end, so that there is no test for that and loops can be
# vectorised. Planes are indexed in place, since a view of each line of each plane costs as much as its pixels.


@inner
def _electrons_line(electrons: Float32, line: Float32, level: Any, gain: Any, bias: Float32, y: Any, x0: Any) -> None:
    """Electrons above the bias."""
    for i in range(electrons.size):
        electrons[i] = (line[i] - level) * gain - bias[np.uint64(y), np.uint64(x0 + i)]


@inner
def _finish_line(
    x0: Any,
    rows: Numbers,
    line: Float32,
    electrons: Float32,
    noise: Any,
    numbers: Float32,
    bits: Int32,
    dark: Float32,
    flat: Float32,
    bias_variance: Float32,
    dark_variance: Float32,
    flat_variance: Float32,
    defects: Int32,
    science: Float32,
    variance: Float32,
    mask: Int32,
) -> int:
    """Science, variance and mask of a piece of a row; returns the saturated bit if it was set.

    `rows` (unsigned) are those of dark, flat, the three variances, defects, and of what is written. A pixel's own electrons stand for their mean, below zero too,
    so that a dark frame's variance is right on the average; the floor keeps it positive.
    """
    seconds, saturation, limit, least, share = numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    full_bit, suspect_bit, no_data_bit, bad_bit = bits[0], bits[1], bits[2], bits[3]
    nothing, zero, one, endless = np.int32(0), np.float32(0.0), np.float32(1.0), np.float32(np.inf)
    floor, squared = np.float32(0.25) * noise, seconds * seconds
    # Read here, not in the loop: there they might change with every pixel that is written, as far as a compiler sees.
    in_dark, in_flat, in_bias_variance, in_dark_variance = rows[0], rows[1], rows[2], rows[3]
    in_flat_variance, in_defects, y = rows[4], rows[5], rows[6]
    for i in range(line.size):
        x = np.uint64(x0 + i)
        response = flat[in_flat, x]
        factor = one / response if response > zero else zero
        value = (electrons[i] - dark[in_dark, x] * seconds) * factor
        good = abs(value) < endless
        # 1 / response, 0 where there is no value.
        inverse = factor if good else zero
        science[y, x] = value if good else zero
        spread = max(electrons[i] * share + noise, floor) + bias_variance[in_bias_variance, x]
        spread += squared * dark_variance[in_dark_variance, x]
        spread = (spread + value * value * flat_variance[in_flat_variance, x]) * inverse * inverse
        variance[y, x] = spread if inverse > zero else zero
        found = defects[in_defects, x]
        found |= bad_bit if response < least else nothing
        found |= no_data_bit if inverse <= zero else nothing
        found |= full_bit if line[i] >= saturation else nothing
        found |= suspect_bit if line[i] > limit else nothing
        mask[y, x] = found
    # Not in the loop above: it would not be vectorised.
    found = nothing
    for i in range(line.size):
        found |= mask[y, np.uint64(x0 + i)]
    return int(found & full_bit)


@compiled
def _detrend(
    raw: Numbers,
    levels: Float32,
    noise: Float32,
    corners: Int64,
    numbers: Float32,
    curves: Float32,
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
    """Work all lines of the detector, one after the other: the memory is read along, not in leaps.

    `corners` is (amplifiers, 8): raw y0, raw x0, place y0, y1, x0, x1, flips in x and y; `levels` and `noise` are
    (amplifiers, rows). A master of one row stands for all rows.
    """
    buffers = np.empty((3, science.shape[1]), dtype=np.float32)
    rows = np.empty(7, np.uint64)
    for y in range(science.shape[0]):
        rows[0] = min(y, dark.shape[0] - 1)
        rows[1] = min(y, flat.shape[0] - 1)
        rows[2] = min(y, bias_variance.shape[0] - 1)
        rows[3] = min(y, dark_variance.shape[0] - 1)
        rows[4] = min(y, flat_variance.shape[0] - 1)
        rows[5] = min(y, defects.shape[0] - 1)
        rows[6] = y
        for a in range(corners.shape[0]):
            raw_y, raw_x, y0, y1, x0, x1, flip_x, flip_y = corners[a]
            if y < y0 or y >= y1:
                continue
            row = y1 - 1 - y if flip_y else y - y0
            line, electrons = buffers[0, : x1 - x0], buffers[1, : x1 - x0]
            _load_line(raw, raw_y + row, raw_x, x1 - x0, flip_x, line)
            _electrons_line(electrons, line, levels[a, row], numbers[a, 0], bias, min(y, bias.shape[0] - 1), x0)
            if curves.shape[1] > 0:
                _bend_line(electrons, curves[a], buffers[2, : x1 - x0])
            full[y] |= _finish_line(
                x0,
                rows,
                line,
                electrons,
                noise[a, row],
                numbers[a],
                bits,
                dark,
                flat,
                bias_variance,
                dark_variance,
                flat_variance,
                defects,
                science,
                variance,
                mask,
            )


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


def _curves(readouts: Sequence[Readout]) -> Float32:
    """Coefficients of linearity in electrons, a row per amplifier; those that are not given are 0."""
    most = max(len(readout.linearity) for readout in readouts)
    curves = np.zeros((len(readouts), most), np.float32)
    for curve, readout in zip(curves, readouts, strict=True):
        curve[: len(readout.linearity)] = [c / readout.gain ** (k + 1) for k, c in enumerate(readout.linearity)]
    return curves


def detrend_amplifiers(
    raw: Numbers,
    amplifiers: Sequence[Amplifier],
    out: Planes,
    *,
    masters: Masters | None = None,
    slices: int = 1,
    dark_seconds: float = 0.0,
    least_response: float = 0.0,
    bits: Bits | None = None,
    full_rows: Int32 | None = None,
) -> None:
    """Write the amplifiers of a raw array, in electrons, into their places in the assembled detector.

    e = linear((raw - level) gain - bias), science = (e - dark t) / flat; its variance is that of the photons and dark
    electrons (e itself), of the read-out, of the level, and of the masters:
    (e + read noise² + gain² level variance + bias variance + t² dark variance + science² flat variance) / flat², where
    e and read noise² count over the number of slices.
    Where the flat is not positive and finite, or the value not finite, science and variance are 0 and the no-data bit
    is set. The saturated bit is set where raw ≥ saturation; defect bits are taken as they are.

    Parameters
    ----------
    raw : (my, mx) array, uint16 or any number that float32 holds exactly [ADU]
        The raw array that contains the data sections.
    amplifiers : sequence of Amplifier
        Sections, orientation, constants and levels of each; all that lie in one array are worked together, row by row.
    out : Planes
        Planes of the detector, (ny, nx) and C-ordered; only the amplifiers' places are written.
    masters : Masters, optional
        Calibration planes in the frame of the detector.
    slices : int
        Read-outs that the raw numbers are the mean of.
    dark_seconds : float [s]
        Dark time of this exposure.
    least_response : float
        Below this flat the bad bit is set.
    bits : Bits, optional
        Mask bits to set.
    full_rows : (ny,) int32, optional
        Gets the saturated bit in every row of the detector that has a saturated pixel.
    """
    if not amplifiers:
        return
    masters, bits = masters or Masters(), bits or Bits()
    for amplifier in amplifiers:
        _check(raw, amplifier.readout, masters, out)
    ny, nx = out.science.shape
    # From left to right, as they lie in memory.
    ordered = sorted(amplifiers, key=lambda amplifier: amplifier.readout.place.x0)
    shape = (len(ordered), max(amplifier.readout.data.shape[0] for amplifier in ordered))
    levels, noise, numbers = (
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        np.empty((shape[0], 6), np.float32),
    )
    corners = np.empty((shape[0], 8), np.int64)
    for k, (readout, level, level_variance) in enumerate(ordered):
        rows, gain = readout.data.shape[0], readout.gain
        levels[k, :rows] = level
        noise[k, :rows] = np.asarray(level_variance, np.float32) * np.float32(gain**2)
        noise[k, :rows] += np.float32(readout.read_noise**2 / slices)
        limits = (readout.saturation, readout.linear_limit, least_response)
        numbers[k] = (gain, dark_seconds, *limits, 1.0 / slices)
        corners[k] = (readout.data.y0, readout.data.x0, *readout.place, readout.flip_x, readout.flip_y)
    _detrend(
        as_plain(raw, np.uint16 if raw.dtype == np.uint16 else np.float32),
        levels,
        noise,
        corners,
        numbers,
        _curves([amplifier.readout for amplifier in ordered]),
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
