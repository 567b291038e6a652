"""What is found on a stack as the step `deep_detect` finds it, and which of it is what was put in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.mask import Mask
from spica.core.settings import Settings, setting
from spica.kernels.clean import clean
from spica.kernels.deblend import deblend
from spica.kernels.detect import find_segments
from spica.kernels.pairs import pairs_within

Values = npt.NDArray[Any]

BAD = int(Mask.unusable() & ~(Mask.SATURATED | Mask.BLEED))


class FindSettings(Settings):
    """What counts as found; as `deep_detect` has it."""

    threshold: float = setting(5.0, "signal-to-noise of a point source in the filtered image", "sigma", gt=0)
    minimum_area: int = setting(3, "fewest connected pixels", "pixel", ge=1)
    deblend_levels: int = setting(1024, "steps of brightness in which peaks are told apart", ge=2, le=4096)
    deblend_contrast: float = setting(0.005, "least part of the light where two peaks meet", ge=0, le=1)
    deblend_rise: float = setting(2.0, "least rise of a peak above its saddle", "sigma", ge=0)
    clean_beta: float = setting(2.0, "exponent of wings that undo detections", gt=0.5, le=10)


class Found(NamedTuple):
    """Barycentres [pixel] and highest signal-to-noise of the filtered image."""

    x: Values
    y: Values
    snr: Values


def find(settings: FindSettings, pixels: Values, variance: Values, sky: tuple[Values, Values], mask: Values | None, fwhm: float) -> Found:  # fmt: skip
    """Sources of an image; `sky` is its level and variance."""
    limit, area = settings.threshold, settings.minimum_area
    sets = find_segments(pixels, *sky, fwhm, limit, mask, bad_bits=BAD, min_area=area)
    divided = deblend(
        sets,
        (variance, sky[1]),
        levels=settings.deblend_levels,
        contrast=settings.deblend_contrast,
        rise=settings.deblend_rise,
        min_area=area,
    )
    parts = clean(divided, limit, beta=settings.clean_beta, min_area=area)
    if parts.count == 0:
        return Found(*np.zeros((3, 0)))
    first = parts.start[:-1]
    weight = parts.values.astype(np.float64)
    total = np.add.reduceat(weight, first)
    x, y = (np.add.reduceat(weight * at, first) / total for at in (parts.pixels % parts.nx, parts.pixels // parts.nx))
    return Found(x, y, np.maximum.reduceat(parts.values, first))


def recovered(put: tuple[Values, Values, Values], now: Found, before: Found, radius: float) -> npt.NDArray[np.bool_]:
    """Which of the sources put in (x, y, signal-to-noise) are found.

    Something is found within the radius, and it is not what was there before: nothing that was brighter than the source lies within the
    radius of what is found.
    """
    mine, other = pairs_within((put[0], put[1]), (now.x, now.y), radius)
    old, new = pairs_within((before.x, before.y), (now.x, now.y), radius)
    known = np.full(now.x.size, -np.inf)
    np.maximum.at(known, new, before.snr[old])
    hit = np.zeros(put[0].size, np.bool_)
    hit[mine[known[other] < put[2][mine]]] = True
    return hit
