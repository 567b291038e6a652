"""Trails: what satellites and aircraft draw across a detector, found as straight lines of even light."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Float32, Image, Int32
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.coarse import CoarseSky, coarse_sky
from spica.kernels.robust import MAD_TO_SIGMA
from spica.kernels.trails import Line, best_line, binned, mark, profiles

Floats = npt.NDArray[np.float64]
Planes: TypeAlias = tuple[Float32, Float32, Int32, CoarseSky]
"""Pixels, variance and mask, (ny, nx) each, and the sky's level."""

BAD = int(Mask.unusable())
"""Pixels of defects, bleeding and saturation, cosmic rays: they draw no trails."""
_CELLS = 512
"""Cells along the longer side of the binned frame, at most."""
_CAP = 1.5
"""A quarter of a cell counts for no more than so many standard deviations."""
_PIECE = 48
"""Pixels along a line that make one cross-section."""
_STEADY = 0.75
"""Of the pieces of a trail are lit, each by itself."""
_FEWEST = 8
"""Pieces of the shortest trail: fewer are no evidence."""
_LONG = 24
"""Pieces of a trail for which `threshold` will do; of a shorter one the line has to be surer."""
_CORE = 2
"""Pixels to either side of the middle whose light is a piece's."""
_RIM = 6
"""Pixels at both ends of a cross-section that are its zero."""
_SMOOTH = 5
"""Pieces of a running median."""
_ERROR = 1.318
"""Of the quantile that a section shows, in units of that of a mean of as many pixels of Gaussian noise."""


class TrailsSettings(Settings):
    """What counts as a trail, and how much of it is masked."""

    search: bool = setting(True, "look for trails (off: the image passes as it is)")
    threshold: float = setting(
        7.5, "least signal-to-noise of the sum along a line; shorter ones need more", "sigma", gt=0
    )
    least_light: float = setting(
        0.25, "least light of a pixel in the middle, in units of the sky's noise", "sigma", gt=0
    )
    least_length: float = setting(0.12, "least length, as a part of the detector's longer side", gt=0, le=1)
    evenness: float = setting(1.2, "spread of the light along a trail, as a part of it, that is allowed", gt=0)
    prominence: float = setting(
        7.0, "least light of the middle over that beside it, in its scatter, for a line at `threshold`", gt=0
    )
    faintest: float = setting(0.2, "the mask reaches to where the light falls to this", "sigma", gt=0)
    margin: float = setting(1.0, "and so much farther", "pixel", ge=0)
    widest: int = setting(32, "but no farther than this from the middle", "pixel", ge=8)
    most_trails: int = setting(8, "more of them are no trails: none is masked", ge=1)
    most_masked: float = setting(0.1, "the same if more than this part of the pixels would be masked", gt=0, le=1)


class Trail(NamedTuple):
    """A trail: its ends [0-based pixel], light in the middle [sigma], width [pixel], and the pixels that were marked."""

    x0: float
    y0: float
    x1: float
    y1: float
    light: float
    width: float
    pixels: int

    @property
    def length(self) -> float:
        """From end to end [pixel]."""
        return float(np.hypot(self.x1 - self.x0, self.y1 - self.y0))


def trails(settings: TrailsSettings, image: Image) -> Products:
    """Lines of even light; sets the bit TRAIL, changes no pixel.

    The frame is binned, each pixel's light clipped, and summed along all lines. Across the most significant line
    sections are taken piece by piece, in which stars hardly show; the line is fitted through their peaks. It is
    a trail if the light goes on evenly for long enough, which that of spikes of bright stars and of rows of stars does
    not. Then the next line is looked for.

    Returns
    -------
    science : the image with the bit set; the very object where no trail was found.
    trails : metrics: number, length of all [pixel], masked fraction, and the brightest one's light [sigma].
    trail_list : value: ends, light and width of each.

    Raises
    ------
    DataFault
        ``data.bad-value`` for an image without variance.
    """
    if not settings.search:
        return {"science": image, "trails": {}, "trail_list": {"trails": []}}
    if image.variance is None:
        raise DataFault("data.bad-value", "the image carries no variance, by which trails are judged", need="image")
    mask = np.zeros(image.shape, np.int32) if image.mask is None else image.mask
    sky = coarse_sky(image.pixels, mask, bad_bits=BAD, step=8)
    found: list[Trail] = []
    marked = mask
    if np.any(np.isfinite(sky.level)):
        sky = sky._replace(level=np.where(np.isfinite(sky.level), sky.level, np.nanmedian(sky.level)))
        found, marked = _search(settings, (image.pixels, image.variance, mask, sky))
    masked = sum(trail.pixels for trail in found) / mask.size
    refused = len(found) > settings.most_trails or masked > settings.most_masked
    if refused:
        found, masked = [], 0.0
    science = image if not found else Image(image.pixels, image.variance, marked, image.header)
    figures = {
        "trails": Measured(float(len(found))),
        "trail_length": Measured(float(sum(trail.length for trail in found)), "pixel"),
        "trail_masked": Measured(masked),
        "trails_refused": Measured(float(refused)),
    }
    if found:
        figures["trail_light"] = Measured(max(trail.light for trail in found))
    names = ("x0", "y0", "x1", "y1", "light", "width")
    listed = [{name: round(float(getattr(trail, name)), 3) for name in names} for trail in found]
    return {"science": science, "trails": figures, "trail_list": {"trails": listed}}


def _search(settings: TrailsSettings, planes: Planes) -> tuple[list[Trail], Int32]:
    """All trails, the most significant first, and a mask in which they are marked."""
    ny, nx = planes[0].shape
    side = 2 * max(2, -(-max(ny, nx) // (2 * _CELLS)))
    value = binned(*planes, bad_bits=BAD, side=side, cap=_CAP)
    least = max(settings.least_length * max(ny, nx), float(_FEWEST * _PIECE))
    marked = planes[2]
    found: list[Trail] = []
    # As many again may turn out to be none.
    for _ in range(2 * settings.most_trails + 2):
        line = best_line(value, side, least=least / side)
        if line is None or line.snr < settings.threshold:
            break
        trail, path, part, reach = _judged(settings, planes, line, least)
        if trail is not None:
            marked = marked.copy() if not found else marked
            pixels = mark(marked, path[:, part], -reach, reach, bit=int(Mask.TRAIL))
            found.append(trail._replace(pixels=pixels))
            if len(found) > settings.most_trails:
                break
        _forget(value, path, side, reach)
        # And where it was seen, should the fit have led elsewhere.
        _forget(value, _path(line, (ny, nx), np.zeros(3)), side, 0.0)
    return found, marked


def _judged(
    settings: TrailsSettings, planes: Planes, line: Line, least: float
) -> tuple[Trail | None, Floats, slice, float]:
    """The trail along a line, or None where there is none; path, its part that is lit, reach to both sides [pixel]."""
    shape = planes[0].shape
    path = _path(line, shape, np.zeros(3))
    bend = np.zeros(3)
    rough = max(4.0, 1.5 * max(shape) / _CELLS)
    if path.shape[1] < least:
        return None, path, slice(0), rough
    # From where the binned frame has it to within a pixel, in two steps.
    for half in (int(3 * rough) + _RIM, 8 + _RIM):
        across = profiles(*planes, path, bad_bits=BAD, half=half, piece=_PIECE)
        places = path[4, : len(across) * _PIECE].reshape(-1, _PIECE).mean(axis=1)
        turn = _bend(across, half, places)
        if turn is None:
            return None, path, slice(0), rough
        bend = bend + turn
        path = _path(line, shape, bend)
    half = settings.widest + _RIM
    across = profiles(*planes, path, bad_bits=BAD, half=half, piece=_PIECE)
    clear = across - _zero(across)[:, None]
    single = np.mean(clear[:, half - _CORE : half + _CORE + 1], axis=1)
    light = _smoothed(single)
    run = _run(settings, light)
    if run is None or (run[1] - run[0]) * _PIECE < least:
        return None, path, slice(0), rough
    first, last = run
    # In a dense field there are many more short lines than long ones that are made by chance.
    if line.snr < settings.threshold * np.sqrt(max(_LONG / (last - first), 1.0)):
        return None, path, slice(0), rough
    section = _middle_of(clear[first:last])
    aside = _spread_aside(clear[first:last], half)
    even = _is_even(settings, light[first:last], single[first:last], aside)
    # The surer the line, the less its section has to say.
    prominence = settings.prominence * settings.threshold / line.snr
    if not even or not _stands_out(section, half, prominence) or _is_column(section, half, path):
        return None, path, slice(0), rough
    dim = np.flatnonzero(~(section > settings.faintest))
    inner = min(np.min(np.abs(dim - half), initial=settings.widest), settings.widest)
    part = slice(first * _PIECE, last * _PIECE if last < light.size else path.shape[1])
    whole = float(np.sum(section[half - inner : half + inner + 1]))
    middle = float(np.max(section[half - _CORE : half + _CORE + 1]))
    x, y = path[0, [part.start, part.stop - 1]], path[1, [part.start, part.stop - 1]]
    return (
        Trail(float(x[0]), float(y[0]), float(x[1]), float(y[1]), middle, whole / middle, 0),
        path,
        part,
        float(inner) + settings.margin,
    )


def _path(line: Line, shape: tuple[int, int], bend: Floats) -> Floats:
    """Steps of a pixel along a line within the frame: x, y, cosine, sine; moved across it by a parabola.

    `bend`: across the line [pixel] in powers of the place along it, -1 at the ends of the diagonal's length about the
    line's middle, 1 at the other.
    """
    ny, nx = shape
    length = float(np.hypot(line.x1 - line.x0, line.y1 - line.y0))
    c, s = (line.x1 - line.x0) / length, (line.y1 - line.y0) / length
    # Through the whole frame: a trail goes on where the binned line stopped.
    reach = float(np.hypot(nx, ny))
    middle = 0.5 * (line.x0 + line.x1), 0.5 * (line.y0 + line.y1)
    t = np.arange(-reach, reach)
    u = t / reach
    across = bend[0] + bend[1] * u + bend[2] * u * u
    slope = (bend[1] + 2 * bend[2] * u) / reach
    x, y = middle[0] + c * t - s * across, middle[1] + s * t + c * across
    inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    norm = np.sqrt(1 + slope**2)
    return np.stack([x, y, (c - s * slope) / norm, (s + c * slope) / norm, u])[:, inside]


def _zero(across: Float32) -> Floats:
    """Level at both rims of each cross-section."""
    rims = np.concatenate([across[:, :_RIM], across[:, -_RIM:]], axis=1).astype(np.float64)
    known = np.isfinite(rims).any(axis=1)
    level = np.full(len(across), np.nan)
    level[known] = np.nanmean(rims[known], axis=1)
    return level


def _middle_of(sections: Floats) -> Floats:
    """Median of cross-sections, NaN where none has a value."""
    known = np.isfinite(sections).any(axis=0)
    middle = np.full(sections.shape[1], np.nan)
    middle[known] = np.nanmedian(sections[:, known], axis=0)
    return middle


def _smoothed(light: Floats) -> Floats:
    """Running medians of an odd number of pieces: what sources do to single ones is gone."""
    reach = _SMOOTH // 2
    padded = np.pad(light, reach, constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTH)
    known = np.isfinite(views).sum(axis=1) > reach
    smooth = np.full(light.size, np.nan)
    smooth[known] = np.nanmedian(views[known], axis=1)
    return smooth


def _run(settings: TrailsSettings, light: Floats) -> tuple[int, int] | None:
    """First piece of the longest run of lit ones, and the one after its last; unknown pieces and short gaps go with it."""
    known = np.isfinite(light)
    if not np.any(known):
        return None
    typical = float(np.percentile(light[known], 75))
    lit = np.flatnonzero(known & (light > max(settings.least_light, 0.3 * typical)))
    if not lit.size:
        return None
    gaps = np.diff(np.cumsum(known)[lit])
    parts = np.split(lit, np.flatnonzero(gaps > _SMOOTH) + 1)
    longest = max(parts, key=len)
    first, last = int(longest[0]), int(longest[-1]) + 1
    return (first, last) if longest.size >= 0.75 * np.count_nonzero(known[first:last]) else None


def _spread_aside(sections: Floats, half: int) -> float:
    """From the 16th to the 84th percentile of pieces' light beside the line: what noise and sources make of none."""
    beside = np.concatenate([sections[:, : half // 2], sections[:, -(half // 2) :]], axis=1)
    wide = 2 * _CORE + 1
    blocks = beside[:, : beside.shape[1] // wide * wide].reshape(len(beside), -1, wide).mean(axis=2)
    known = blocks[np.isfinite(blocks)]
    return float(np.subtract(*np.percentile(known, [84, 16]))) if known.size else 0.0


def _is_even(settings: TrailsSettings, light: Floats, single: Floats, aside: float) -> bool:
    """Whether the light goes on as it is: neither that of spikes, which fall off, nor of sources in a row.

    `light` is the smoothed light of the pieces, `single` each piece's own, `aside` how that of pieces beside scatters.
    """
    known = light[np.isfinite(light)]
    middle = float(np.median(known))
    ends = np.array_split(known, 3)
    slope = abs(float(np.median(ends[0])) - float(np.median(ends[-1])))
    # Of sources in a row every other piece is dark.
    pieces = single[np.isfinite(single)]
    steady = np.count_nonzero(pieces > 0.3 * middle) >= _STEADY * pieces.size
    low, high = np.percentile(pieces, [16, 84])
    allowed = settings.evenness * middle
    return bool(steady and slope < allowed and high - low < float(np.hypot(allowed, aside)))


def _stands_out(section: Floats, half: int, prominence: float) -> bool:
    """Whether the middle of a cross-section is beyond so many times what its sides scatter by, sources included."""
    sides = np.concatenate([section[: half // 2], section[-(half // 2) :]])
    sides = sides[np.isfinite(sides)]
    if sides.size < half // 2:
        return False
    level = float(np.median(sides))
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(sides - level)))
    middle = float(np.mean(section[half - _CORE : half + _CORE + 1]))
    return middle - level > prominence * scatter


def _is_column(section: Floats, half: int, path: Floats) -> bool:
    """Whether a line along the columns or rows is narrower than light is: a bad column that no mask knows."""
    aligned = min(abs(float(path[2].mean())), abs(float(path[3].mean()))) < 2.0 / path.shape[1]
    core = section[half - _CORE : half + _CORE + 1]
    return aligned and float(np.sum(core)) < 1.6 * float(np.max(core))


def _forget(value: Float32, path: Floats, side: int, reach: float) -> None:
    """Take the cells along a line out of the binned frame."""
    rows, columns = value.shape
    wide = int(np.ceil(reach / side)) + 1
    for across in range(-wide, wide + 1):
        x = np.floor((path[0] + 0.5 - across * side * path[3]) / side).astype(int)
        y = np.floor((path[1] + 0.5 + across * side * path[2]) / side).astype(int)
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        value[y[inside], x[inside]] = 0


def _bend(across: Float32, half: int, u: Floats) -> Floats | None:
    """How a line moves across itself to lie on the light: powers of the place `u` of each piece; None where all is dark.

    The straight line of the greatest sum first; then a parabola through the centres of the light near it.
    """
    lit = across - _zero(across)[:, None]
    dark = ~np.isfinite(lit)
    padded = np.pad(np.where(dark, 0.0, lit), ((0, 0), (_CORE, _CORE)))
    smooth = np.mean([padded[:, k : k + lit.shape[1]] for k in range(2 * _CORE + 1)], axis=0)
    # No star in a few pieces may outweigh a faint trail in all.
    smooth = np.clip(smooth, -1.0, max(3.0 * float(np.percentile(smooth.max(axis=1, initial=0), 50)), 0.5))
    offsets = np.arange(-(half - _RIM), half - _RIM + 1)
    tilts = offsets / max(float(np.abs(u).max()), 1e-9)
    rows = np.arange(u.size)
    sums = np.empty((tilts.size, offsets.size))
    for number, tilt in enumerate(tilts):
        columns = half + np.rint(offsets[:, None] + tilt * u).astype(int)
        inside = (columns >= 0) & (columns < lit.shape[1])
        sums[number] = np.where(inside, smooth[rows, np.where(inside, columns, 0)], 0).sum(axis=1)
    tilt, offset = np.unravel_index(int(np.argmax(sums)), sums.shape)
    if not sums[tilt, offset] > 0:
        return None
    straight = np.array([offsets[offset], tilts[tilt], 0.0])
    return straight + _curve(smooth, half, u, straight)


def _curve(smooth: Floats, half: int, u: Floats, straight: Floats) -> Floats:
    """What a parabola through the light's centres of the pieces adds to a straight line."""
    error = _ERROR / np.sqrt(_PIECE * (2 * _CORE + 1))
    middle = half + np.rint(straight[0] + straight[1] * u).astype(int)
    columns = middle[:, None] + np.arange(-2 * _CORE, 2 * _CORE + 1)
    near = np.take_along_axis(smooth, np.clip(columns, 0, smooth.shape[1] - 1), axis=1)
    height = near.max(axis=1)
    chosen = height > max(5.0 * error, 0.4 * float(np.percentile(height, 75)))
    if np.count_nonzero(chosen) < 3:
        return np.zeros(3)
    weights = np.clip(near[chosen] - 0.5 * height[chosen, None], 0, None)
    centre = (weights * columns[chosen]).sum(axis=1) / weights.sum(axis=1) - half
    residual = centre - straight[0] - straight[1] * u[chosen]
    order = 2 if np.count_nonzero(chosen) >= 10 else 1
    return np.pad(np.polynomial.polynomial.polyfit(u[chosen], residual, order), (0, 2 - order))


TASK = Task(
    name="trails",
    version=1,
    grain=Grain.DETECTOR,
    settings=TrailsSettings,
    needs=(Need("image"),),
    gives=(
        Give("science", Form.IMAGE, meaning="the image with trails of satellites marked"),
        Give("trails", Form.METRICS, meaning="trails: number, length, masked fraction, light"),
        Give("trail_list", Form.VALUE, meaning="ends, light and width of each trail"),
    ),
    run=trails,
)
