"""Quality: the figures of one detector, in pixels and electrons, for people and for rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Flag
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.robust import half_sample_mode
from spica.kernels.skynoise import SkyNoise, sky_noise
from spica.kernels.stars import fit_moffats, noise_area

Figures = dict[str, Measured]
PIXEL_WIDTH = 8.0 * np.log(2.0) / 12.0
"""A pixel widens a profile by this in the square of its full width at half maximum [pixel²]: a box of side 1 has the
variance 1/12, and a Gaussian of variance σ² the squared width 8 ln 2 σ²."""
SHARES: Mapping[str, Mask] = {
    "saturated_fraction": Mask.SATURATED | Mask.BLEED,
    "bad_fraction": Mask.BAD | Mask.NO_DATA,
    "cosmic_fraction": Mask.COSMIC,
    "trail_fraction": Mask.TRAIL,
    "interpolated_fraction": Mask.INTERPOLATED,
    "suspect_fraction": Mask.SUSPECT,
    "crosstalk_fraction": Mask.CROSSTALK,
}
_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")
_SAMPLED = 4
"""Every such pixel along each axis speaks for medians over the whole detector."""


class QualitySettings(Settings):
    """Which sources count as stars, and how far the noise is followed."""

    least_snr: float = setting(40.0, "signal-to-noise of sources that the seeing is measured from", gt=0)
    faintest_snr: float = setting(12.0, "the same where there are fewer than `enough_stars` of them", gt=0)
    enough_stars: int = setting(25, "as many of the brightest sources tell stars from galaxies by their sizes", ge=5)
    least_stars: int = setting(5, "fewer such sources give no seeing", ge=1)
    most_stars: int = setting(150, "the brightest so many stars are fitted", ge=5)
    locus: float = setting(0.2, "half-light radii this near to the stars' own, as a part of it, are stars'", gt=0, lt=1)
    lags: int = setting(4, "largest lag of the autocorrelation of the sky's noise", "pixel", ge=1, le=32)
    border: int = setting(12, "columns or rows beside an amplifier's border that tell its step", "pixel", ge=2)


class Shape(NamedTuple):
    """The point spread function: medians over stars; `angle` of the long axis from +x towards +y [deg]."""

    fwhm: float
    beta: float
    ellipticity: float
    angle: float
    scatter: float
    stars: int


def quality(settings: QualitySettings, science: Image, background: Image, sources: Catalogue) -> Products:
    """Width and shape of stars, sky and its noise, depth, lost pixels, read-out: what is wrong with a detector shows.

    `fwhm` is that of the point spread function as the pixels show it (a Moffat profile fitted to the stellar locus),
    `fwhm_sky` the same without the pixel's own width. The depth is the light of a point source of 5σ for an optimal
    filter on the median sky. A figure that cannot be had is left out.

    Returns
    -------
    quality : metrics [pixel, electron, ADU, fraction].
    figures : the same as a value: name to [value, unit].
    """
    mask = np.zeros(science.shape, np.int32) if science.mask is None else science.mask
    figures: Figures = {"sources": Measured(float(len(sources)))}
    variance = np.ones(science.shape, np.float32) if background.variance is None else background.variance
    sky = sky_noise(
        science.pixels,
        background.pixels,
        variance,
        mask,
        np.stack([sources[name] for name in ("x_min", "x_max", "y_min", "y_max")]),
        bad_bits=int(Mask.unusable()),
        sets=[int(bits) for bits in (*SHARES.values(), Mask.unusable())],
        grouped=int(Mask.COSMIC),
        lags=settings.lags,
    )
    figures |= _losses(sky)
    figures |= _noise(science, background, sky)
    shape = star_shape(settings, science, background, sources, mask)
    if shape is not None:
        figures |= _shape(shape)
        if background.variance is not None:
            noise = float(np.sqrt(np.median(background.variance[::_SAMPLED, ::_SAMPLED])))
            area = noise_area(shape.fwhm, shape.beta)
            figures["depth_5sigma"] = Measured(5.0 * noise * float(np.sqrt(area)), "electron")
    figures |= _readout(science)
    seconds = science.header.get("EXPTIME")
    if isinstance(seconds, int | float):
        # What the light was gathered in: two snaps have one record's time each, and their sum both.
        figures["exposure_time"] = Measured(float(seconds), "s")
    step = _steps(settings, science, sky)
    figures["amplifier_step"] = Measured(step, "electron")
    if "sky_noise" in figures:
        figures["amplifier_step_sigma"] = Measured(abs(step) / max(figures["sky_noise"].value, 1e-6))
    figures = {name: figure for name, figure in figures.items() if np.isfinite(figure.value)}
    return {"quality": figures, "figures": {name: [figure.value, figure.units] for name, figure in figures.items()}}


def _losses(sky: SkyNoise) -> Figures:
    """Parts of the pixels that are lost, and why; how many cosmic rays hit."""
    size = sky.plane.size
    figures: Figures = {"sky_fraction": Measured(sky.share)}
    for name, count in zip((*SHARES, "lost_fraction"), sky.counts.tolist(), strict=True):
        figures[name] = Measured(count / size)
    figures["cosmic_hits"] = Measured(float(sky.groups))
    return figures


def _noise(science: Image, background: Image, sky: SkyNoise) -> Figures:
    """Level, noise, whether the noise is what photons and read-out explain, and whether it is independent."""
    step = (slice(None, None, _SAMPLED), slice(None, None, _SAMPLED))
    level = float(np.median(background.pixels[step]))
    figures: Figures = {"sky_level": Measured(level, "electron")}
    full = science.header.get("SATURATE")
    if isinstance(full, int | float) and full > 0:
        figures["sky_fill"] = Measured(level / float(full))
    here = sky.plane[step] != 0
    if background.variance is not None and np.any(here):
        measured = float(np.median(background.variance[step][here]))
        figures["sky_noise"] = Measured(float(np.sqrt(measured)), "electron")
        if science.variance is not None:
            figures["noise_ratio"] = Measured(float(np.sqrt(measured / np.median(science.variance[step][here]))))
    for axis, values in (("x", sky.along_x), ("y", sky.along_y)):
        for lag, value in enumerate(values, 1):
            figures[f"noise_correlation_{axis}{lag}"] = Measured(float(value))
    both = np.concatenate([sky.along_x, sky.along_y])
    if np.any(np.isfinite(both)):
        figures["noise_correlation"] = Measured(float(np.nanmax(np.abs(both))))
    return figures


def star_shape(
    settings: QualitySettings,
    science: Image,
    background: Image,
    sources: Catalogue,
    mask: npt.NDArray[np.int32],
) -> Shape | None:
    """Moffat profiles of the brightest stars; None where there are too few."""
    stars = np.flatnonzero(star_like(settings, sources))
    if stars.size < settings.least_stars:
        return None
    size = sources["half_light_radius"][stars].astype(np.float64)
    own = half_sample_mode(size)
    stars = stars[np.abs(size - own) < settings.locus * own]
    stars = stars[np.argsort(-sources["snr"][stars], kind="stable")][: settings.most_stars]
    near = np.rint([sources["y"][stars], sources["x"][stars]]).astype(np.int64)
    spread = science.variance if background.variance is None else background.variance
    noise = np.ones(stars.size) if spread is None else spread[near[0], near[1]].astype(np.float64)
    # Only the ratio of sky and photons counts in the fit: of the mean of several read-outs both have less noise.
    gathered = float(science.header.get("GAIN") or 1.0)
    found = fit_moffats(
        science.pixels,
        background.pixels,
        noise * gathered,
        sources["x"][stars],
        sources["y"][stars],
        # A Moffat profile with β = 3 holds half of its light within 0.64 of its full width.
        np.full(stars.size, own / 0.64),
        mask,
        bad_bits=int(Mask.unusable()),
    )
    good = np.isfinite(found.fwhm)
    if np.count_nonzero(good) < settings.least_stars:
        return None
    width = found.fwhm[good]
    e1, e2 = float(np.median(found.e1[good])), float(np.median(found.e2[good]))
    distortion = min(float(np.hypot(e1, e2)), 0.999)
    shear = distortion / (1.0 + np.sqrt(1.0 - distortion**2))
    return Shape(
        float(np.median(width)),
        float(np.median(found.beta[good])),
        float(2.0 * shear / (1.0 + shear)),
        float(np.degrees(0.5 * np.arctan2(e2, e1))),
        1.4826 * float(np.median(np.abs(width - np.median(width)))),
        int(np.count_nonzero(good)),
    )


def _shape(shape: Shape) -> Figures:
    return {
        "fwhm": Measured(shape.fwhm, "pixel"),
        "fwhm_sky": Measured(float(np.sqrt(max(shape.fwhm**2 - PIXEL_WIDTH, 0.0))), "pixel"),
        "fwhm_scatter": Measured(shape.scatter, "pixel"),
        "moffat_beta": Measured(shape.beta),
        "ellipticity": Measured(shape.ellipticity),
        "ellipticity_angle": Measured(shape.angle, "deg"),
        "stars": Measured(float(shape.stars)),
    }


def star_like(settings: QualitySettings, sources: Catalogue) -> npt.NDArray[np.bool_]:
    """Bright, whole, unsaturated sources with a width: where they are few, fainter ones too."""
    spoilt = Flag.SATURATED | Flag.TRUNCATED | Flag.BAD_PIXELS | Flag.CENTROID_FAILED
    clean = sources["flags"].astype(np.int64) & spoilt == 0
    fit = np.asarray(clean & (sources["snr"] >= settings.faintest_snr) & (sources["half_light_radius"] > 0.5), bool)
    bright = fit & (sources["snr"] >= settings.least_snr)
    if np.count_nonzero(bright) >= settings.enough_stars:
        return bright
    chosen = np.flatnonzero(fit)
    chosen = chosen[np.argsort(-sources["snr"][chosen], kind="stable")][: settings.enough_stars]
    few = np.zeros(fit.size, bool)
    few[chosen] = True
    return few


def _readout(science: Image) -> Figures:
    """What the header says of the read-out: gain, noise, overscan and its drift since the master bias."""
    header = science.header
    figures: Figures = {}
    for card, name, unit in (("RDNOISE", "read_noise", "electron"), ("GAINRAW", "gain", "electron/adu")):
        value = header.get(card)
        if isinstance(value, int | float):
            figures[name] = Measured(float(value), unit)
    level, usual = (_numbered(header, prefix) for prefix in ("OVSC", "OVMA"))
    figures["dead_amplifiers"] = Measured(float(sum(card.startswith("DEAD") and card[4:].isdigit() for card in header)))
    if level:
        figures["overscan_level"] = Measured(float(np.mean(list(level.values()))), "adu")
    drifts = [level[number] - usual[number] for number in sorted(set(level) & set(usual))]
    if drifts:
        figures["bias_drift"] = Measured(max(drifts, key=abs), "adu")
    return figures


def _numbered(header: Mapping[str, object], prefix: str) -> dict[int, float]:
    """Values of the cards ``prefix00``, ``prefix01`` … by their number."""
    return {
        int(card[len(prefix) :]): float(value)
        for card, value in header.items()
        if card.startswith(prefix) and card[len(prefix) :].isdigit() and isinstance(value, int | float)
    }


def _steps(settings: QualitySettings, science: Image, sky: SkyNoise) -> float:
    """The largest step of the sky across a border between amplifiers [electron]; NaN where there is no border.

    Border by border the sky pixels of both sides are compared, row by row (or column by column), so that a gradient
    along the border and stars upon it do no harm.
    """
    boxes = [
        tuple(map(int, found.groups()))
        for card, text in sorted(science.header.items())
        if card.startswith("AMPS") and card[4:].isdigit() and (found := _SECTION.fullmatch(str(text)))
    ]
    steps = []
    for x1, x2, y1, y2 in boxes:
        for u1, u2, v1, v2 in boxes:
            low, high = max(y1, v1), min(y2, v2)
            if u1 == x2 + 1 and low <= high:
                rows = slice(low - 1, high)
                steps.append(_step(science.pixels[rows], sky.plane[rows], x2, settings.border))
            low, high = max(x1, u1), min(x2, u2)
            if v1 == y2 + 1 and low <= high:
                columns = slice(low - 1, high)
                steps.append(_step(science.pixels[:, columns].T, sky.plane[:, columns].T, y2, settings.border))
    known = [step for step in steps if np.isfinite(step)]
    return max(known, key=abs) if known else float("nan")


def _step(pixels: npt.NDArray[np.float32], plane: npt.NDArray[np.float32], border: int, width: int) -> float:
    """Median over the rows of the difference of the medians right and left of a border; NaN where no row has both."""
    low, high = max(border - width, 0), border + width
    near = np.where(plane[:, low:high] != 0, pixels[:, low:high], np.nan)
    left, right = near[:, : border - low], near[:, border - low :]
    both = np.isfinite(left).any(axis=1) & np.isfinite(right).any(axis=1)
    if not np.any(both):
        return float("nan")
    return float(np.median(np.nanmedian(right[both], axis=1) - np.nanmedian(left[both], axis=1)))


TASK = Task(
    name="quality",
    version=4,
    grain=Grain.DETECTOR,
    settings=QualitySettings,
    needs=(Need("science"), Need("background"), Need("sources")),
    gives=(
        Give("quality", Form.METRICS, meaning="width of stars, sky, depth, losses, read-out"),
        Give("figures", Form.VALUE, meaning="the same figures, for the verdict"),
    ),
    run=quality,
)
"""`figures` are what `grade` judges, in a job of its own: a changed threshold does not touch the pixels again."""
