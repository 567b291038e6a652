"""From raw numbers of one amplifier to electrons, variance and mask in their place in the detector: one fused pass."""

from typing import NamedTuple

import numpy as np

from spica.kernels.compiled import Float32, Int32, Numbers, as_pixels, as_plain, compiled
from spica.kernels.robust import MAD_TO_SIGMA, keep_between, mean_and_deviation, median_in_place


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
    turn raw order into detector order. ``gain`` [electron/ADU], ``read_noise`` [electron], ``saturation`` [ADU, raw].
    """

    data: Box
    place: Box
    flip_x: bool
    flip_y: bool
    gain: float
    read_noise: float
    saturation: float


class Masters(NamedTuple):
    """Calibration planes of the assembled detector, each (ny, nx) or None.

    ``bias`` [electron], ``dark`` [electron per second], ``flat`` [relative response, about 1], ``defects`` [mask bits].
    """

    bias: Float32 | None = None
    dark: Float32 | None = None
    flat: Float32 | None = None
    defects: Int32 | None = None


class Planes(NamedTuple):
    """The assembled detector: science [electron] and variance [electron²] float32, mask int32, each (ny, nx)."""

    science: Float32
    variance: Float32
    mask: Int32


def empty_planes(shape: tuple[int, int], no_data_bit: int) -> Planes:
    """Return planes of zeros in which every pixel is marked as having no data."""
    mask = np.full(shape, no_data_bit, dtype=np.int32)
    return Planes(np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32), mask)


@compiled
def _clipped_rows(section: Float32, use_median: int, kappa: float, iterations: int, levels: Float32) -> None:
    buffer = np.empty(section.shape[1], dtype=np.float32)
    deviations = np.empty(section.shape[1], dtype=np.float32)
    for y in range(section.shape[0]):
        count = 0
        for x in range(section.shape[1]):
            if np.isfinite(section[y, x]):
                buffer[count] = section[y, x]
                count += 1
        if count == 0:
            levels[y] = np.nan
            continue
        for _ in range(iterations):
            median = median_in_place(buffer, count)
            for i in range(count):
                deviations[i] = abs(float(buffer[i]) - median)
            # Raw numbers are integers: below half a step the MAD says nothing about the noise.
            reach = kappa * max(MAD_TO_SIGMA * median_in_place(deviations, count), 0.5)
            kept = keep_between(buffer, count, median - reach, median + reach)
            if kept == count:
                break
            count = kept
        levels[y] = median_in_place(buffer, count) if use_median else mean_and_deviation(buffer, count)[0]


def overscan_rows(section: Numbers, *, method: str = "median", kappa: float = 4.0, iterations: int = 3) -> Float32:
    """Level of the overscan in each row, free of outliers.

    Parameters
    ----------
    section : (ny, n) array [ADU]
        Overscan pixels of the raw array, rows along the first axis.
    method : {"median", "mean"}
        Estimate from the pixels that clipping keeps.
    kappa : float
        Clipping limit in units of 1.4826 MAD about the median of the row.
    iterations : int
        Upper limit of clipping passes; 0 keeps every finite pixel.

    Returns
    -------
    (ny,) float32 [ADU]
        Levels; NaN in a row that has no finite pixel.
    """
    if method not in {"median", "mean"}:
        raise ValueError(f"method is {method!r}, not 'median' or 'mean'")
    if section.ndim != 2 or section.shape[1] == 0:
        raise ValueError(f"overscan section of shape {section.shape} has no columns")
    levels = np.empty(section.shape[0], dtype=np.float32)
    _clipped_rows(as_pixels(section), int(method == "median"), float(kappa), int(iterations), levels)
    return levels


@compiled
def _load_line(raw: Numbers, y: int, x0: int, flip: int, line: Float32) -> None:
    """Copy one row of raw numbers as float32, mirrored when asked."""
    nx = line.size
    if flip:
        for i in range(nx):
            line[i] = raw[y, x0 + nx - 1 - i]
    else:
        for i in range(nx):
            line[i] = raw[y, x0 + i]


@compiled
def _detrend_line(
    line: Float32,
    numbers: Float32,
    bits: Int32,
    bias: Float32,
    dark: Float32,
    flat: Float32,
    defects: Int32,
    science: Float32,
    variance: Float32,
    mask: Int32,
) -> None:
    """Work one line; `numbers` are level, gain, read noise squared, saturation and dark time."""
    level, gain, noise2, saturation, seconds = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    saturated_bit, no_data_bit = bits[0], bits[1]
    zero = np.float32(0.0)
    one = np.float32(1.0)
    endless = np.float32(np.inf)
    nothing = np.int32(0)
    for i in range(line.size):
        raw = line[i]
        response = flat[i]
        good = (response > zero) & (response < endless) & (raw > -endless) & (raw < endless)
        inverse = one / response
        electrons = (raw - level) * gain - bias[i]
        # Dark electrons are subtracted from the signal but their shot noise stays.
        photons = max(electrons, zero)
        science[i] = (electrons - dark[i] * seconds) * inverse if good else zero
        variance[i] = (photons + noise2) * inverse * inverse if good else zero
        mask[i] = defects[i] | (saturated_bit if raw >= saturation else nothing) | (nothing if good else no_data_bit)


@compiled
def _detrend(
    raw: Numbers,
    levels: Float32,
    corner: Int32,
    flips: Int32,
    numbers: Float32,
    bits: Int32,
    bias: Float32,
    dark: Float32,
    flat: Float32,
    defects: Int32,
    science: Float32,
    variance: Float32,
    mask: Int32,
) -> None:
    """Work all lines; `corner` is raw y0, raw x0, place y0, y1, x0, x1. A master of one row stands for all rows."""
    raw_y, raw_x, y0, y1, x0, x1 = corner[0], corner[1], corner[2], corner[3], corner[4], corner[5]
    line = np.empty(x1 - x0, dtype=np.float32)
    own = numbers.copy()
    for y in range(y0, y1):
        row = y1 - 1 - y if flips[1] else y - y0
        _load_line(raw, raw_y + row, raw_x, flips[0], line)
        own[0] = levels[row]
        _detrend_line(
            line,
            own,
            bits,
            bias[min(y, bias.shape[0] - 1), x0:x1],
            dark[min(y, dark.shape[0] - 1), x0:x1],
            flat[min(y, flat.shape[0] - 1), x0:x1],
            defects[min(y, defects.shape[0] - 1), x0:x1],
            science[y, x0:x1],
            variance[y, x0:x1],
            mask[y, x0:x1],
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


def detrend_amplifier(
    raw: Numbers,
    readout: Readout,
    out: Planes,
    *,
    levels: Numbers | float = 0.0,
    masters: Masters | None = None,
    dark_seconds: float = 0.0,
    saturated_bit: int = 0,
    no_data_bit: int = 0,
) -> None:
    """Write one amplifier, in electrons, into its place in the assembled detector.

    science = ((raw - level) gain - bias - dark t) / flat; its variance is that of the photons and dark electrons,
    max((raw - level) gain - bias, 0), plus the read noise squared, both over flat². The noise of the masters is not
    in it. Where the flat is not positive and finite, or the raw number not finite, science and variance are 0 and the
    no-data bit is set. The saturation bit is set where raw ≥ saturation; defect bits are taken as they are.

    Parameters
    ----------
    raw : (my, mx) array, uint16 or any number that float32 holds exactly [ADU]
        The raw array that contains the data section.
    readout : Readout
        Sections, orientation and constants of the amplifier.
    out : Planes
        Planes of the detector, (ny, nx) and C-ordered; only the amplifier's place is written.
    levels : (data rows,) array or float [ADU]
        Overscan level of each raw row of the data section, or one for all.
    masters : Masters, optional
        Calibration planes in the frame of the detector.
    dark_seconds : float [s]
        Dark time of this exposure.
    saturated_bit, no_data_bit : int
        Mask bits to set.
    """
    masters = masters or Masters()
    _check(raw, readout, masters, out)
    native = as_plain(raw, np.uint16 if raw.dtype == np.uint16 else np.float32)
    rows = readout.data.shape[0]
    level = np.full(rows, levels, dtype=np.float32)
    place = readout.place
    numbers = [0.0, readout.gain, readout.read_noise**2, readout.saturation, dark_seconds]
    nx = out.science.shape[1]
    _detrend(
        native,
        level,
        np.array([readout.data.y0, readout.data.x0, *place], dtype=np.int32),
        np.array([readout.flip_x, readout.flip_y], dtype=np.int32),
        np.array(numbers, dtype=np.float32),
        np.array([saturated_bit, no_data_bit], dtype=np.int32),
        _plane_or_row(masters.bias, nx, 0.0, np.float32),
        _plane_or_row(masters.dark, nx, 0.0, np.float32),
        _plane_or_row(masters.flat, nx, 1.0, np.float32),
        _plane_or_row(masters.defects, nx, 0, np.int32),
        out.science,
        out.variance,
        out.mask,
    )
