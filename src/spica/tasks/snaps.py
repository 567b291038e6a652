"""Snaps: the exposures of one visit become one image; what is in one snap alone is a cosmic ray, what moved is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from spica.core.faults import DataFault
from spica.core.images import Float32, Image, Int32
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.robust import MAD_TO_SIGMA

Bools = npt.NDArray[np.bool_]

_SQUARE = np.ones((3, 3), dtype=bool)
_FULL = int(Mask.SATURATED | Mask.BLEED)


class SnapsSettings(Settings):
    """How snaps are compared and combined."""

    first_only: bool = setting(False, "take the first snap alone")
    kappa: float = setting(5.0, "a pixel brighter than in the other snap by this much is a hit", "sigma", gt=0)
    faint: float = setting(2.5, "neighbours of a hit that are brighter by this much belong to it", "sigma", gt=0)
    change: float = setting(0.25, "part of a source's light that seeing and tracking may move between snaps", ge=0)
    most_shift: float = setting(
        0.5, "snaps that lie farther apart are not added: the first counts alone", "pixel", gt=0
    )
    reach: float = setting(30.0, "how far a source may move from snap to snap", "pixel", gt=0)
    least_area: int = setting(5, "fewest pixels of a source that moved", "pixel", ge=2)
    least_width: float = setting(
        0.2, "least median of the 3 × 3 pixels about its brightest, over that: cosmic rays are narrow", gt=0, lt=1
    )


class _Blob(NamedTuple):
    """Connected pixels that are brighter in one snap."""

    y: float
    x: float
    flux: float
    area: int
    width: float
    """Median of the 3 × 3 pixels about the brightest, over it: near 0 for a track one pixel wide."""
    label: int


def snaps(settings: SnapsSettings, frames: tuple[Member, ...]) -> Products:
    """Combine the snaps of a visit.

    Parameters
    ----------
    frames : the detrended Images [electron] of a visit's snaps, in order of time, on one pixel grid.

    Returns
    -------
    science : the sum of both snaps [electron] where both are good; where one is a hit, saturated or a defect the other,
        scaled to the whole time, with its variance scaled alike. Pixels of sources that moved are SUSPECT. Where the
        snaps lie too far apart, or one is asked for, the first snap as it is.
    snap_figures : `snaps_used`; `snap_shift_x`, `snap_shift_y` [pixel], second against first; `snap_hits`, pixels
        replaced; `snap_movers`; `snap_ratio`, sky of second over first.

    Raises
    ------
    DataFault
        ``data.bad-value`` for more than two snaps, or snaps of different shapes.
    """
    images = [member.value for member in frames]
    if len(images) > 2:
        raise DataFault("data.bad-value", f"a visit of {len(images)} snaps: two can be combined", snaps=len(images))
    if settings.first_only or len(images) == 1:
        return _alone(images[0], {})
    first, second = images
    if first.shape != second.shape:
        raise DataFault(
            "data.bad-value",
            f"the snaps have {first.shape[1]} × {first.shape[0]} and {second.shape[1]} × {second.shape[0]} pixels",
            first=frames[0].unit,
            second=frames[1].unit,
        )
    skies = [_sky(each) for each in images]
    shift = _shift(first, second, skies)
    told = {
        "snap_shift_x": Measured(shift[0], "pixel"),
        "snap_shift_y": Measured(shift[1], "pixel"),
        "snap_ratio": Measured(skies[1] / skies[0] if skies[0] else float("nan"), ""),
    }
    if float(np.hypot(*shift)) > settings.most_shift:
        return _alone(first, told)
    return _combined(settings, images, skies, told)


def _alone(image: Image, told: dict[str, Measured]) -> Products:
    return {"science": image, "snap_figures": {**told, "snaps_used": Measured(1.0, "")}}


def _bits(image: Image) -> Int32:
    return np.zeros(image.shape, np.int32) if image.mask is None else image.mask


def _good(image: Image) -> Bools:
    return np.asarray((_bits(image) & int(Mask.unusable()) == 0) & np.isfinite(image.pixels))


def _variance(image: Image) -> Float32:
    return np.ones(image.shape, np.float32) if image.variance is None else image.variance


def _sky(image: Image) -> float:
    good = _good(image)
    return float(np.median(image.pixels[good])) if good.any() else 0.0


def _shift(first: Image, second: Image, skies: Sequence[float]) -> tuple[float, float]:
    """How far the second snap's sources lie from the first's, along x and y [pixel]; 0, 0 where there are none.

    The peak of the cross-correlation of what stands out of the sky, by a parabola through its neighbours; pixels beyond
    a hundred times the noise count no more than that, and single ones (cosmic rays) are taken out by medians.
    """
    planes = []
    for image, sky in zip((first, second), skies, strict=True):
        noise = np.sqrt(float(np.median(_variance(image))))
        plane = np.where(_good(image), image.pixels - np.float32(sky), np.float32(0.0))
        plane = ndimage.median_filter(plane, size=3)
        plane = np.where(plane > 3.0 * noise, plane, 0.0)
        planes.append(np.minimum(plane, 100.0 * noise))
    if not (planes[0].any() and planes[1].any()):
        return 0.0, 0.0
    transforms = [np.fft.rfft2(plane) for plane in planes]
    correlation = np.fft.irfft2(np.conj(transforms[0]) * transforms[1], s=planes[0].shape)
    y, x = (int(place) for place in np.unravel_index(int(np.argmax(correlation)), correlation.shape))
    ny, nx = correlation.shape
    dx = x + _vertex(*(float(correlation[y, (x + step) % nx]) for step in (-1, 0, 1)))
    dy = y + _vertex(*(float(correlation[(y + step) % ny, x]) for step in (-1, 0, 1)))
    return (dx + nx / 2.0) % nx - nx / 2.0, (dy + ny / 2.0) % ny - ny / 2.0


def _vertex(before: float, middle: float, after: float) -> float:
    bend = before - 2.0 * middle + after
    return 0.5 * (before - after) / bend if bend < 0.0 else 0.0


def _combined(
    settings: SnapsSettings, images: Sequence[Image], skies: Sequence[float], told: dict[str, Measured]
) -> Products:
    goods = [_good(image) for image in images]
    excess = _excess(settings, images, skies, goods)
    blobs = [_blobs(settings, excess, sign) for sign in (1, -1)]
    moved = _movers(settings, [found for _, found in blobs])
    suspect = np.zeros(images[0].shape, dtype=bool)
    hits = []
    for which, (labels, found) in enumerate(blobs):
        movers = np.array([pair[which] for pair in moved], dtype=int)
        suspect |= np.isin(labels, movers)
        hits.append(np.isin(labels, [blob.label for blob in found if blob.label not in set(movers.tolist())]))
    usable = [good & ~hit for good, hit in zip(goods, hits, strict=True)]
    science = _sum(images, usable, suspect)
    figures = {
        **told,
        "snaps_used": Measured(2.0, ""),
        "snap_hits": Measured(float(sum(int(hit.sum()) for hit in hits)), "pixel"),
        "snap_movers": Measured(float(len(moved)), ""),
    }
    return {"science": science, "snap_figures": figures}


def _excess(
    settings: SnapsSettings, images: Sequence[Image], skies: Sequence[float], goods: Sequence[Bools]
) -> Float32:
    """First snap less second above their skies, in errors that hold seeing's change; 0 where one of them is no good.

    The error is what the fainter of both would have: a cosmic ray's own photons must not hide it.
    """
    both = goods[0] & goods[1]
    planes = [np.where(both, image.pixels - np.float32(sky), 0) for image, sky in zip(images, skies, strict=True)]
    difference = np.where(both, planes[0] - planes[1], 0).astype(np.float32)
    variances = [_variance(image) for image in images]
    fainter = np.minimum(variances[0], variances[1])
    around = ndimage.maximum_filter(np.minimum(planes[0], planes[1]), footprint=_SQUARE)
    error = np.sqrt(2.0 * fainter + np.square(settings.change * np.maximum(around, 0.0)))
    middle = np.median(difference[both]) if both.any() else 0.0
    ratio = np.where(both, (difference - middle) / np.maximum(error, 1e-6), 0.0)
    # Where the sky is dark the variance of detrending is that of the model; what is seen must not be less.
    seen = MAD_TO_SIGMA * float(np.median(np.abs(ratio[both]))) if both.any() else 1.0
    return np.asarray(ratio / max(seen, 1.0), dtype=np.float32)


def _blobs(settings: SnapsSettings, excess: Float32, sign: int) -> tuple[Int32, list[_Blob]]:
    """Connected pixels that stand out faintly and hold one that stands out clearly."""
    plane = excess * np.float32(sign)
    labels, count = ndimage.label(plane > settings.faint, structure=_SQUARE)
    if count == 0:
        return labels.astype(np.int32), []
    index = np.arange(1, count + 1)
    peaks = ndimage.maximum(plane, labels, index)
    clear = index[np.asarray(peaks) > settings.kappa]
    if len(clear) == 0:
        return np.zeros_like(labels, dtype=np.int32), []
    labels = np.where(np.isin(labels, clear), labels, 0).astype(np.int32)
    fluxes = np.atleast_1d(ndimage.sum_labels(plane, labels, clear))
    areas = np.atleast_1d(ndimage.sum_labels(labels > 0, labels, clear))
    centres = ndimage.center_of_mass(plane, labels, clear)
    tops = ndimage.maximum_position(plane, labels, clear)
    widths = [float(np.median(plane[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]) / plane[y, x]) for y, x in tops]
    return labels, [
        _Blob(float(y), float(x), float(flux), int(area), width, int(label))
        for (y, x), flux, area, width, label in zip(centres, fluxes, areas, widths, clear, strict=True)
    ]


def _movers(settings: SnapsSettings, found: Sequence[Sequence[_Blob]]) -> list[tuple[int, int]]:
    """Labels of a blob of the first snap and one of the second that are the same source at two places.

    Nearest first, within the reach, of like light and extent, and as wide as the image of a star: two cosmic rays are
    hardly ever that.
    """
    pairs = sorted(
        (float(np.hypot(a.y - b.y, a.x - b.x)), a, b)
        for a in found[0]
        for b in found[1]
        if min(a.area, b.area) >= settings.least_area
        and min(a.width, b.width) >= settings.least_width
        and np.hypot(a.y - b.y, a.x - b.x) <= settings.reach
        and 0.5 < a.flux / b.flux < 2.0
        and 0.5 < a.area / b.area < 2.0
    )
    taken: tuple[set[int], set[int]] = (set(), set())
    moved = []
    for _, a, b in pairs:
        if a.label not in taken[0] and b.label not in taken[1]:
            moved.append((a.label, b.label))
            taken[0].add(a.label)
            taken[1].add(b.label)
    return moved


def _sum(images: Sequence[Image], usable: Sequence[Bools], suspect: Bools) -> Image:
    """Sum of the snaps; where only one is usable that one, scaled to the time of both."""
    known = [image.header.get("EXPTIME") for image in images]
    times = [float(time) if isinstance(time, int | float) and time > 0 else 1.0 for time in known]
    total = sum(times)
    pixels = images[0].pixels + images[1].pixels
    variance = _variance(images[0]) + _variance(images[1])
    mask = _bits(images[0]) | _bits(images[1])
    # A level that only one read-out passed says nothing against the other's.
    for which, (image, time) in enumerate(zip(images, times, strict=True)):
        alone = usable[which] & ~usable[1 - which]
        factor = np.float32(total / time)
        pixels[alone] = image.pixels[alone] * factor
        variance[alone] = _variance(image)[alone] * factor**2
        mask[alone] = _bits(image)[alone]
    neither = ~usable[0] & ~usable[1]
    clash = neither & (mask & int(Mask.unusable()) == 0)
    mask[clash] |= np.int32(Mask.COSMIC)
    mask[suspect] |= np.int32(Mask.SUSPECT)
    header: dict[str, Scalar] = {**images[0].header, "NSNAPS": 2}
    if all(known):
        header["EXPTIME"] = total
    levels = [level for image in images if isinstance(level := image.header.get("SATURATE"), int | float)]
    if levels:
        header["SATURATE"] = 2.0 * min(levels)
    return Image(pixels.astype(np.float32), variance.astype(np.float32), mask.astype(np.int32), header)


TASK = Task(
    name="snaps",
    version=1,
    grain=Grain.DETECTOR,
    settings=SnapsSettings,
    needs=(Need("frames", among="visit"),),
    gives=(
        Give("science", Form.IMAGE, meaning="one image of a visit's snaps"),
        Give("snap_figures", Form.METRICS, meaning="motion between snaps, hits, movers"),
    ),
    run=snaps,
)
