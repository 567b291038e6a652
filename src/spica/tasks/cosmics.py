"""Cosmics: the pixels that cosmic rays hit, by sharpness that no light through the telescope has."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.background import filter_grid
from spica.kernels.coarse import CoarseSky, coarse_sky
from spica.kernels.cosmics import Barred, Cosmics, Limits, find_cosmics
from spica.kernels.robust import MAD_TO_SIGMA
from spica.kernels.sharpness import peak_widths

Plane = npt.NDArray[Any]

BAD = int(Mask.BAD | Mask.SATURATED | Mask.BLEED | Mask.NO_DATA)
BARRED = Barred(int(Mask.BAD | Mask.NO_DATA), int(Mask.SATURATED | Mask.BLEED))

NOISE_TOLERANCE = 1.05
"""Noise over that of the variance which is put down to pixels' own responses and to faint sources."""


class CosmicsSettings(Settings):
    """What counts as a cosmic ray."""

    search: bool = setting(True, "look for cosmic rays (off: the image passes as it is)")
    threshold: float = setting(5.0, "least signal-to-noise of a ray's brightest pixel", "sigma", gt=0)
    sharpness: float = setting(4.0, "how far beyond light's own sharpness that pixel is", "sigma", gt=0)
    track: float = setting(5.5, "the same of the pixels of a faint track together", "sigma", gt=0)
    growth: float = setting(2.8, "signal-to-noise of pixels that join a ray next to them", "sigma", gt=0)
    sharpest: float = setting(1.5, "narrowest star that the camera can make, full width at half maximum", "pixel", ge=1)
    measure_seeing: bool = setting(True, "use the frame's own narrowest stars where they are wider than `sharpest`")
    safety: float = setting(0.9, "stars may be so much narrower than those measured on the frame", gt=0, le=1)
    least_peaks: int = setting(20, "fewer bright peaks than this tell no width", ge=1)
    maximum_fraction: float = setting(0.1, "more hit pixels than this are a fault, not cosmic rays", gt=0, le=1)


def cosmics(settings: CosmicsSettings, image: Image) -> Products:
    """Laplacian edges along four directions against the sharpness of stars; sets the bit COSMIC, changes no pixel.

    The method is in `spica.kernels.cosmics`. Saturated, bled and bad pixels neither start nor join a ray.

    Returns
    -------
    science : the image with the bit set; the very object where nothing was found.
    cosmics : metrics: rays and pixels, per Mpix and second of exposure where that is known, and the width assumed.

    Raises
    ------
    DataFault
        ``data.bad-value`` for an image without variance, ``data.too-many-cosmics``.
    """
    if not settings.search:
        return {"science": image, "cosmics": {}}
    if image.variance is None:
        raise DataFault(
            "data.bad-value", "the image carries no variance, by which cosmic rays are judged", need="image"
        )
    mask = np.zeros(image.shape, np.int32) if image.mask is None else image.mask
    sky = lowest_sky(image, image.variance, mask)
    if sky is None:
        # Nothing can be known about a frame without a good pixel; other tasks tell why.
        return {"science": image, "cosmics": _figures(image, None, settings.sharpest)}
    fwhm = narrowest(settings, image, mask, sky)
    found = find_cosmics(
        image.pixels,
        image.variance,
        mask,
        sky,
        fwhm,
        barred=BARRED,
        cosmic_bit=int(Mask.COSMIC),
        limits=_limits(settings, noise_ratio(image, image.variance, mask)),
        most=max(int(settings.maximum_fraction * mask.size), 1),
    )
    if found.overflow:
        raise DataFault(
            "data.too-many-cosmics",
            f"more than {settings.maximum_fraction:.0%} of the pixels look like cosmic rays",
            limit=settings.maximum_fraction,
            fwhm=round(fwhm, 3),
        )
    marked = image if found.pixels == 0 else Image(image.pixels, image.variance, found.mask, image.header)
    return {"science": marked, "cosmics": _figures(image, found, fwhm)}


def lowest_sky(image: Image, variance: Plane, mask: Plane) -> CoarseSky | None:
    """Level of the sky, not raised by crowded sources, and the noise that the variance promises; None without pixels.

    The lowest tenth of the pixels of a cell lies 1.2816σ below the sky's level where there are few sources, and less
    is known to be light where there are many.
    """
    sky = coarse_sky(image.pixels, mask, bad_bits=BAD)
    spread = coarse_sky(variance, mask, bad_bits=BAD, step=8)
    if not np.any(np.isfinite(sky.level)) or not np.any(np.isfinite(spread.level)):
        return None
    promised = np.sqrt(np.maximum(filter_grid(spread.level), 0.0))
    level = np.minimum(filter_grid(sky.level), filter_grid(sky.low) + 1.2816 * promised)
    return sky._replace(level=level)


def narrowest(settings: CosmicsSettings, image: Image, mask: Plane, sky: CoarseSky) -> float:
    """Width [pixel] that no star of the frame falls below.

    The lower end of the widths of bright peaks, not their mode: galaxies and blends do not widen it, and cosmic rays
    among them only make it smaller, which spares stars.
    """
    if not settings.measure_seeing or image.variance is None:
        return settings.sharpest
    widths = peak_widths(image.pixels, image.variance, mask, sky, bad_bits=BAD)
    widths = widths[widths >= settings.sharpest]
    if widths.size < settings.least_peaks:
        return settings.sharpest
    return max(settings.sharpest, settings.safety * float(np.percentile(widths, 10)))


def noise_ratio(image: Image, variance: Plane, mask: Plane) -> float:
    """Noise from pixel to pixel over that of the variance: of second differences along some rows, NaN without pixels.

    Smooth light does not raise it, however crowded the frame is.
    """
    rows = slice(None, None, 16)
    pixels, spread = image.pixels[rows], variance[rows]
    bad = (mask[rows] & BAD != 0) | ~(spread > 0)
    good = ~(bad[:, 1:-1] | bad[:, :-2] | bad[:, 2:])
    difference = (pixels[:, 1:-1] - 0.5 * (pixels[:, :-2] + pixels[:, 2:]))[good]
    expected = (spread[:, 1:-1] + 0.25 * (spread[:, :-2] + spread[:, 2:]))[good]
    return MAD_TO_SIGMA * float(np.median(np.abs(difference) / np.sqrt(expected))) if difference.size else np.nan


def _limits(settings: CosmicsSettings, noisier: float) -> Limits:
    """Thresholds, raised where pixels are noisier than the variance promises."""
    factor = max(1.0, noisier / NOISE_TOLERANCE)
    return Limits(
        pixel=settings.threshold * factor,
        sharp=settings.sharpness * factor,
        weak=0.6 * settings.threshold * factor,
        weak_sharp=0.425 * settings.sharpness * factor,
        track=settings.track * factor,
        grow=settings.growth * factor,
    )


def _figures(image: Image, found: Cosmics | None, fwhm: float) -> dict[str, Measured]:
    hits, pixels = (0, 0) if found is None else (found.hits, found.pixels)
    figures = {
        "cosmic_rays": Measured(float(hits)),
        "cosmic_pixels": Measured(float(pixels)),
        "cosmic_fraction": Measured(pixels / image.pixels.size),
        "cosmic_sharpest": Measured(fwhm, "pixel"),
    }
    seconds = image.header.get("EXPTIME")
    if isinstance(seconds, int | float) and seconds > 0:
        area = image.pixels.size / 1e6
        whole = float(seconds) * float(image.header.get("NSLICES") or 1)
        figures["cosmic_rate"] = Measured(hits / area / whole, "1/Mpix/s")
    return figures


TASK = Task(
    name="cosmics",
    version=1,
    grain=Grain.DETECTOR,
    settings=CosmicsSettings,
    needs=(Need("image"),),
    gives=(
        Give("science", Form.IMAGE, meaning="the image with cosmic rays marked"),
        Give("cosmics", Form.METRICS, meaning="cosmic rays: number, pixels, rate"),
    ),
    run=cosmics,
)
