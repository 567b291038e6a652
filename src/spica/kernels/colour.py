"""Three images as one colour picture, by Lupton et al. (2004, PASP 116, 133): brightness in an asinh scale, hue kept.

Fluxes of three bands are brought to one zero point and less their sky; with intensity I, their mean, each channel is its flux
times f(I)/I, f(I) = asinh(I/β) from black to white. Where a channel would exceed white, all three are divided by it, so that the
core of a bright star keeps the star's colour.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Numbers
from spica.kernels.robust import robust_statistics

Bools = npt.NDArray[np.bool_]

SAMPLED = 1 << 20
"""Levels are taken of about as many pixels, evenly spread."""
_BRIGHT = 10.0
"""Pixels so far [sigma] above the sky tell the colour of the mean source."""
_ENOUGH = 50
_LARGEST_BALANCE = 6.0
"""No channel is amplified more than this against another: one red star is no reason to paint the sky blue."""


class Channel(NamedTuple):
    """How one band becomes a channel: its flux less `sky` [unit of the image], times `factor` (common unit, balanced)."""

    sky: float
    factor: float


class Levels(NamedTuple):
    """How three bands become a picture.

    Attributes
    ----------
    channels : red, green, blue.
    sigma : noise of the intensity in one pixel [common unit].
    black, white : intensities that are drawn so [common unit].
    softening : intensity β where the scale turns from linear to logarithmic [common unit].
    """

    channels: tuple[Channel, Channel, Channel]
    sigma: float
    black: float
    white: float
    softening: float


def automatic(
    bands: Sequence[Float32],
    zero_points: Sequence[float],
    *,
    weights: Sequence[float] = (),
    faint: float = 1.5,
    bright: float = 0.0,
    softening: float = 3.0,
) -> Levels:
    """Levels from the images: sky from their robust level, black and stretch from their noise, white from their brightest.

    Parameters
    ----------
    bands : red, green, blue, ``(ny, nx)`` each; NaN where there is no value.
    zero_points : magnitude of one unit in each; flux in the common unit (that of red) is pixels times 10^(-0.4 (zp - zp_red)).
    weights : of the channels; where empty such that the middle colour of what is well above the noise is white.
    faint : black, below the sky [sigma of the intensity].
    bright : white, above the sky [sigma]; 0: the brightness that one pixel in 2000 exceeds, but 30 at least and 3000 at most.
    softening : β [sigma].

    Raises
    ------
    ValueError
        Where no pixel has a value in all three.
    """
    step = max(1, int(np.sqrt(bands[0].size / SAMPLED)))
    thin = [np.asarray(band[::step, ::step], dtype=np.float32) for band in bands]
    good = np.isfinite(thin[0]) & np.isfinite(thin[1]) & np.isfinite(thin[2])
    if not np.any(good):
        raise ValueError("no pixel has a value in all three bands")
    skies = [robust_statistics(band[good]).median for band in thin]
    units = [float(10.0 ** (-0.4 * (zero - zero_points[0]))) for zero in zero_points]
    fluxes: list[Numbers] = [(band[good] - sky) * unit for band, sky, unit in zip(thin, skies, units, strict=True)]
    gains = list(weights) if len(weights) else _balance(fluxes)
    intensity: Numbers = np.asarray(sum(gain * flux for gain, flux in zip(gains, fluxes, strict=True)) / 3.0)
    found = robust_statistics(intensity)
    sigma = found.sigma if found.sigma > 0 else max(found.deviation, 1e-30)
    top = bright
    if top <= 0:
        top = float(np.clip(np.quantile(intensity, 1 - 1 / 2000) / sigma, 30.0, 3000.0))
    red, green, blue = (Channel(sky, unit * gain) for sky, unit, gain in zip(skies, units, gains, strict=True))
    return Levels((red, green, blue), sigma, -faint * sigma, top * sigma, softening * sigma)


def _balance(fluxes: Sequence[Numbers]) -> list[float]:
    """Gains, 1 in the mean of their logarithms, that make the middle colour of bright pixels white; 1 where there are few."""
    scatters = [max(robust_statistics(flux).sigma, 1e-30) for flux in fluxes]
    bright = np.all([flux > _BRIGHT * scatter for flux, scatter in zip(fluxes, scatters, strict=True)], axis=0)
    if np.count_nonzero(bright) < _ENOUGH:
        return [1.0, 1.0, 1.0]
    middle = np.mean([flux[bright] for flux in fluxes], axis=0)
    gains = np.array([1.0 / float(np.median(flux[bright] / middle)) for flux in fluxes])
    gains = np.clip(gains / np.exp(np.mean(np.log(gains))), _LARGEST_BALANCE**-0.5, _LARGEST_BALANCE**0.5)
    return [float(gain) for gain in gains]


def composite(bands: Sequence[Float32], levels: Levels) -> tuple[Float32, Bools]:
    """The picture, and where it has one.

    Parameters
    ----------
    bands : red, green, blue, ``(ny, nx)`` each, in the units that the levels were taken of.

    Returns
    -------
    picture : ``(ny, nx, 3)`` float32, 0 black to 1; black where a band has no value.
    good : ``(ny, nx)``, where all three have one.
    """
    black, reach = levels.black, np.arcsinh((levels.white - levels.black) / levels.softening)
    picture = np.empty((*bands[0].shape, 3), np.float32)
    for k, (band, channel) in enumerate(zip(bands, levels.channels, strict=True)):
        np.multiply(np.asarray(band, np.float32) - np.float32(channel.sky), channel.factor, out=picture[..., k])
        picture[..., k] -= np.float32(black)
    good = np.all(np.isfinite(picture), axis=2)
    picture[~good] = 0.0
    intensity = picture.mean(axis=2)
    # Below black there is no hue to keep, and none is made up.
    dark = intensity <= 0.0
    intensity[dark] = 1.0
    picture *= (np.arcsinh(intensity / np.float32(levels.softening)) / (np.float32(reach) * intensity))[..., None]
    picture[dark] = 0.0
    np.maximum(picture, 0.0, out=picture)
    picture /= np.maximum(picture.max(axis=2), 1.0)[..., None]
    return picture, good


def grey(image: Float32, *, faint: float = 1.5, bright: float = 0.0, softening: float = 3.0) -> tuple[Float32, Bools]:
    """One image in the same scale with levels of its own: ``(ny, nx)`` float32 from 0 to 1, and where it has values."""
    if not np.any(np.isfinite(image)):
        return np.zeros(image.shape, np.float32), np.zeros(image.shape, bool)
    bands = (image, image, image)
    levels = automatic(bands, (0, 0, 0), weights=(1, 1, 1), faint=faint, bright=bright, softening=softening)
    picture, good = composite(bands, levels)
    return np.ascontiguousarray(picture[..., 0]), good


def shades(picture: Float32, bits: int = 8) -> npt.NDArray[Any]:
    """Brightness 0 to 1 as whole numbers of 8 or 16 bits."""
    kind = np.uint16 if bits == 16 else np.uint8
    return np.asarray(np.rint(np.clip(picture, 0, 1) * np.iinfo(kind).max).astype(kind))
