"""Real frames that are bare images, measured by the tasks alone: for the tests and for the pictures of the documentation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astroscrappy
import numpy as np
from astropy.io import fits
from scipy import ndimage

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.keys import exposure_id
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, FrameType
from spica.instruments import tables
from spica.kernels.robust import robust_statistics
from spica.tasks.background import BackgroundSettings, background
from spica.tasks.cosmics import CosmicsSettings, cosmics
from spica.tasks.detect import DetectSettings, detect
from spica.tasks.measure import MeasureSettings, measure

Plane = np.ndarray
EXPOSURE = Exposure(exposure_id("bare", "bare-1"), "bare-1", "bare", FrameType.OBJECT, "2000-01-01", 51544.0, 1.0)
AROUND = np.ones((3, 3), bool)
BARE = """
name = "bare"
title = "As reduce, with the masters that there are"
extends = "reduce"

[[step]]
as = "detrend"
require = []
"""


@dataclass(frozen=True)
class Marked:
    """A frame with the cosmic rays that spica and astroscrappy mark, and the charge of known ones (or none)."""

    image: Image
    ours: Plane
    theirs: Plane
    charge: Plane

    def shared(self, first: Plane, second: Plane) -> tuple[int, int]:
        """Connected sets of pixels of the first mask, and how many of them the second one touches."""
        sets, number = ndimage.label(first, AROUND)
        return number, int(np.count_nonzero(ndimage.maximum(second, sets, np.arange(1, number + 1)) > 0))

    def told(self, marked: Plane) -> tuple[float, float]:
        """Completeness (pixels of more than 5 sigma that are marked) and purity (marked pixels of more than 1 sigma)."""
        assert self.image.variance is not None
        noise = np.sqrt(self.image.variance)
        hit = self.charge > 5.0 * noise
        return float(np.mean(marked[hit])), float(np.mean(self.charge[marked] > noise[marked]))


def real_rays(data: Path) -> tuple[Plane, float, float]:
    """A frame of Hyper Suprime-Cam that holds nothing but cosmic rays: pixels, level and noise of the sky [adu]."""
    pixels = fits.getdata(data / "hsc_small/hsc_crs.fits").astype(np.float32)
    sky = robust_statistics(pixels)
    return pixels, sky.median, sky.sigma


def rays_alone(data: Path) -> Marked:
    """That frame, searched by both; its noise is that of its sky, since its gain is not told."""
    pixels, level, sigma = real_rays(data)
    variance = np.full_like(pixels, sigma**2)
    return mark(Image(pixels, variance, np.zeros(pixels.shape, np.int32)), pixels - np.float32(level))


def star_field(data: Path) -> Image:
    """A field of stars and galaxies of the same camera, its sky and its rays removed by the LSST stack."""
    with fits.open(data / "hsc_small/HSC-0908120-056-small.fits") as hdus:
        pixels, variance = (np.asarray(hdus[n].data, np.float32) for n in (1, 3))
    return Image(pixels, variance, np.zeros(pixels.shape, np.int32))


def rays_on_stars(data: Path, shift: tuple[int, int] = (0, 0)) -> Marked:
    """The charge of the real rays (all within a pixel of 5 sigma) put on the real stars, moved by so much."""
    pixels, level, sigma = real_rays(data)
    near = ndimage.binary_dilation(pixels - level > 5.0 * sigma, AROUND)
    field = star_field(data)
    assert field.variance is not None
    ny, nx = field.shape
    charge = np.roll(np.where(near, pixels - np.float32(level), np.float32(0)), shift, (0, 1))[:ny, :nx]
    variance = (field.variance + np.maximum(charge, 0) * _photons(field)).astype(np.float32)
    return mark(Image(field.pixels + charge, variance, field.mask), charge)


def _photons(field: Image) -> np.float32:
    """Variance per unit of light: the slope of the delivered variance plane."""
    assert field.variance is not None
    bright = field.pixels > 300
    return np.float32(np.polyfit(field.pixels[bright], field.variance[bright], 1)[0])


def mark(image: Image, charge: Plane) -> Marked:
    assert image.variance is not None
    defaults = CosmicsSettings.model_validate(tables.load("hsc").settings["cosmics"])
    found = cosmics(defaults, image)["science"]
    assert isinstance(found, Image)
    assert found.mask is not None
    theirs, _ = astroscrappy.detect_cosmics(
        image.pixels, invar=image.variance, gain=1.0, readnoise=0.0, satlevel=np.inf, sepmed=False, niter=4
    )
    return Marked(image, found.mask & int(Mask.COSMIC) != 0, np.asarray(theirs, bool), charge)


def sources_of(image: Image, apertures: tuple[float, float, float] = (3.0, 5.0, 8.0), **words: Any) -> Catalogue:
    """Catalogue of a bare image by the usual tasks; other words are settings of `detect`."""
    ny, nx = image.shape
    sky = background(BackgroundSettings(), image)["background"]
    segments = detect(DetectSettings(**words), image, sky)["segments"]
    where = Detector("bare-1", 1, "0" * 40, (0,), (), nx, ny)
    found = measure(MeasureSettings(apertures=apertures), image, sky, segments, EXPOSURE, where)["sources"]
    assert isinstance(found, Catalogue)
    return found


@dataclass(frozen=True)
class Sextracted:
    """Our catalogue of a frame beside that of SExtractor, and the rows that belong together."""

    image: Image
    ours: Catalogue
    theirs: dict[str, Plane]
    pairs: tuple[Plane, Plane]

    def clean(self) -> tuple[Plane, Plane]:
        """Pairs without any flag on either side."""
        i, j = self.pairs
        good = (self.ours["flags"][i] == 0) & (self.theirs["flags"][j] == 0) & (self.theirs["auto"][j] > 0)
        return i[good], j[good]

    def differences(self) -> dict[str, Plane]:
        """Ours less theirs of clean pairs in units of standard errors (ours of positions and radii), or as ratios."""
        (i, j), ours, theirs = self.clean(), self.ours, self.theirs
        auto = ours["flux_auto"][i] * ours["auto_fraction"][i]
        return {
            "x [pixel]": ours["x"][i] - theirs["x_win"][j],
            "y [pixel]": ours["y"][i] - theirs["y_win"][j],
            "x / error": (ours["x"][i] - theirs["x_win"][j]) / ours["x_err"][i],
            "y / error": (ours["y"][i] - theirs["y_win"][j]) / ours["y_err"][i],
            "flux_aper / error": (ours["flux_aper"][i, 1] - theirs["aper"][j]) / theirs["aper_err"][j],
            "flux_aper_err, ratio": ours["flux_aper_err"][i, 1] / theirs["aper_err"][j],
            "flux_auto / error": (auto - theirs["auto"][j]) / theirs["auto_err"][j],
            "flux_auto, ratio": auto / theirs["auto"][j],
            "half_light_radius / error": (ours["half_light_radius"][i] - theirs["r50"][j])
            / ours["half_light_radius_err"][i],
            "half_light_radius, ratio": ours["half_light_radius"][i] / theirs["r50"][j],
        }


def sextracted(data: Path) -> Sextracted:
    """The frame and catalogue that SEP is tested with; errors from SExtractor's map of the noise, without photons."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a header of 1993
        pixels, noise = (fits.getdata(data / f"sep/{name}.fits").astype(np.float32) for name in ("image", "rms"))
    image = Image(pixels, noise**2, np.zeros(pixels.shape, np.int32))
    table = np.loadtxt(data / "sep/image.cat")
    names = {"x": 1, "y": 2, "x_win": 3, "y_win": 4, "aper": 12, "aper_err": 13, "kron": 14}
    names |= {"auto": 15, "auto_err": 16, "r50": 18, "flags": 20}
    theirs = {name: table[:, column] for name, column in names.items()}
    for name in ("x", "y", "x_win", "y_win"):
        theirs[name] = theirs[name] - 1.0
    ours = sources_of(image)
    # By barycentres: SExtractor's windowed centroids of two faint sources wander off to brighter ones.
    distance = np.hypot(ours["x_iso"][:, None] - theirs["x"], ours["y_iso"][:, None] - theirs["y"])
    i = distance.argmin(0)
    mutual = (distance.min(0) < 1.5) & (distance.argmin(1)[i] == np.arange(i.size))
    return Sextracted(image, ours, theirs, (i[mutual], np.flatnonzero(mutual)))


def middle_and_scatter(values: Plane) -> tuple[float, float]:
    """Median and 1.4826 times the median deviation."""
    found = robust_statistics(np.asarray(values, np.float64))
    return found.median, found.sigma
