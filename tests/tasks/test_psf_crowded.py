"""A crowded field of the Galactic bulge, taken again and again: PSF photometry repeats where Kron ellipses overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue, PsfFlag
from spica.core.images import Image
from spica.core.keys import exposure_id
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, FrameType
from spica.tasks.background import BackgroundSettings, background
from spica.tasks.detect import DetectSettings, detect
from spica.tasks.measure import MeasureSettings, measure
from spica.tasks.psf import TASK as PSF
from spica.tasks.psf import PsfSettings
from spica.tasks.psf_measure import PsfMeasureSettings, psf_measure
from spica.tasks.stars import TASK as STARS

GAIN, READ_NOISE, FULL = 1.9, 5.0, 60_000.0
FRAMES = ("0007", "0013", "0027")
"""Three of the series, of seeings of 3.3 to 4.1 pixels."""

Floats = npt.NDArray[np.float64]


def frame(folder: Path, number: str) -> tuple[Catalogue, Catalogue, dict[str, float]]:
    """Sources, their PSF photometry and its metrics of one frame."""
    with fits.open(folder / f"AKB13475I{number}.fits", memmap=False) as hdus:
        pixels = np.asarray(hdus[0].data, np.float32)
    mask = np.where(pixels > FULL, np.int32(Mask.SATURATED), np.int32(0))
    pixels *= np.float32(GAIN)
    image = Image(pixels, pixels + np.float32(READ_NOISE**2), mask, {"BUNIT": "electron"})
    exposure = Exposure(exposure_id("saao", number), number, "saao", FrameType.OBJECT, "2013-06-27", 56470.0, 300.0)
    detector = Detector(number, 1, "c" * 40, (1,), (), *image.shape)
    sky = background(BackgroundSettings(box=32), image)["background"]
    segments = detect(DetectSettings(threshold=4.0), image, sky)["segments"]
    sources = measure(MeasureSettings(), image, sky, segments, exposure, detector)["sources"]
    stars = STARS.run(STARS.settings(), sources=sources)["stars"]
    needs = {"science": image, "background": sky, "sources": sources, "stars": stars}
    model = PSF.run(PsfSettings(degree=1), **needs)["psf"]
    made = psf_measure(PsfMeasureSettings(), image, sky, sources, model)
    return sources, made["psf_sources"], {name: each.value for name, each in made["psf_photometry"].items()}


def shift(one: Floats, other: Floats) -> Floats:
    """By how much most of the brightest of `other` lie away from those of `one`."""
    away = (one[:, None] - other[None]).reshape(-1, 2)
    counts, x, y = np.histogram2d(away[:, 0], away[:, 1], bins=160, range=[[-80.0, 80.0], [-80.0, 80.0]])
    best = np.unravel_index(int(np.argmax(counts)), counts.shape)
    middle = np.array([x[best[0]] + 0.5, y[best[1]] + 0.5])
    return np.asarray(np.median(away[np.hypot(*(away - middle).T) < 1.5], axis=0))


def test_psf_photometry_of_a_crowd_repeats(real_data: Path) -> None:
    made = [frame(real_data / "timeseries_saao_KB13475", number) for number in FRAMES]
    places = [np.column_stack([found["x_psf"], found["y_psf"]]) for _, found, _ in made]
    bright = [np.argsort(-np.nan_to_num(found["flux_psf"]))[:150] for _, found, _ in made]
    first = made[0][1]
    chosen = np.flatnonzero((first["snr_psf"] > 100) & (first["flags_psf"] & ~PsfFlag.BLENDED == 0))
    assert chosen.size > 100
    magnitudes: dict[str, list[Floats]] = {"psf": [], "auto": []}
    for (sources, found, figures), xy, top in zip(made, places, bright, strict=True):
        # Every source has its answer.
        assert figures["psf_failed"] == 0
        assert len(found) > 500
        moved = shift(xy[top], places[0][bright[0]])
        distance, row = cKDTree(xy - moved).query(places[0][chosen], distance_upper_bound=1.5)
        known = np.isfinite(distance)
        for name, flux in (("psf", found["flux_psf"]), ("auto", sources["flux_auto"])):
            with np.errstate(invalid="ignore"):
                magnitude = -2.5 * np.log10(np.where(known, flux[np.minimum(row, len(flux) - 1)], np.nan))
            magnitudes[name].append(magnitude)
    scatter = {}
    for name, several in magnitudes.items():
        table = np.array(several)
        table -= np.nanmedian(table - table[0], axis=1, keepdims=True)
        away = np.abs(table - np.nanmedian(table, axis=0))[1:]
        scatter[name] = 1.4826 * float(np.nanmedian(away))
    assert scatter["psf"] < 0.02
    assert scatter["psf"] < 0.6 * scatter["auto"]
