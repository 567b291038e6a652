"""The real series of SAAO as stacks of more and more frames: made by the pipeline, and how deep they are.

Each depth is of two stacks that share no frame: what differs between them is noise, in a field where hardly a pixel is blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.kernels.robust import robust_statistics
from spica.services import ingest, initialise, run

DEPTHS = (1, 5, 10, 20)
SCALE = 0.31
PIPELINE = """
name = "series-stacks"
title = "Stacks of a series and their catalogues, reduced images kept"
extends = "series-deep"
remove = ["completeness", "detection", "forced", "objects", "colour", "thumbnail"]
[[step]]
task = "delivered"
keep = { science = "always" }
"""
RELEASE = """
name = "{name}"
mode = "pre"
[tiles]
grid = "fields"
scale = 0.31
overlap = 0.0
[[tiles.field]]
name = "{name}"
ra = 273.8754
dec = -25.2841
width = 0.038
[[rule]]
name = "frames"
where = "exposure in ({frames})"
[settings.stack]
method = "{method}"
fraction = {fraction}
"""


def names(data: Path) -> list[str]:
    """The exposures, in the order of time."""
    headers = [fits.getheader(path) for path in (data / "timeseries_saao_KB13475").glob("*.fits")]
    return sorted(f"saao-{each['DATE-OBS']}-{each['UT'].strip().replace(':', '_')}" for each in headers)


def half(frames: Sequence[str], part: int, depth: int) -> list[str]:
    """Every other frame, evenly over the series."""
    mine = list(frames)[part::2]
    return [mine[round(k * len(mine) / depth)] for k in range(depth)]


def releases(folder: Path, frames: Sequence[str]) -> list[str]:
    """Write the pipeline and a release for each stack into a survey; their names."""
    (folder / "pipelines" / "series-stacks.toml").write_text(PIPELINE)
    plans = {f"{'ab'[part]}{depth:02d}": half(frames, part, depth) for depth in DEPTHS for part in (0, 1)}
    made = {name: (some, "clipped", 1.0) for name, some in plans.items()}
    whole = list(frames)
    made |= {"all": (whole, "clipped", 1.0), "mean": (whole, "mean", 1.0), "strict": (whole, "clipped", 0.3)}
    for name, (some, method, fraction) in made.items():
        told = ", ".join(f"'{each}'" for each in some)
        text = RELEASE.format(name=name, frames=told, method=method, fraction=fraction)
        (folder / "releases" / f"{name}.toml").write_text(text)
    return list(made)


@dataclass(frozen=True)
class Stack:
    """A stack of a release, with its catalogue."""

    image: Image
    sources: Catalogue
    number: np.ndarray

    @classmethod
    def of(cls, folder: Path, name: str) -> Stack:
        """Read the only stack of a release."""
        [path] = (folder / "products" / "stack" / name).glob("*.fits")
        [table] = (folder / "products" / "deep_sources" / name).glob("*.parquet")
        with fits.open(path) as hdus:
            number = np.asarray(next(hdu for hdu in hdus if hdu.name.upper() == "NUMBER").data)
        return cls(read_image(path), read_catalogue(table), number)

    @property
    def noise(self) -> np.ndarray:
        """The error of each pixel that the stack states."""
        if self.image.variance is None:
            raise ValueError("a stack has a variance")
        return np.sqrt(self.image.variance)


@dataclass(frozen=True)
class Depth:
    """What two stacks of as many frames say of their noise.

    Attributes
    ----------
    sky : scatter of pixels of one of them in the darkest fifth of the field; stated : what their variances say of it.
    bright, faint : scatter of the magnitudes of stars of 15 to 17 and 18 to 19 (relative scale), and how many there are.
    """

    frames: int
    sky: float
    stated: float
    bright: tuple[float, int]
    faint: tuple[float, int]


def depth(one: Stack, two: Stack, dark: np.ndarray, frames: int) -> Depth:
    """Compare two stacks; `dark` are the pixels without stars."""
    good = dark & (one.number == frames) & (two.number == frames)
    sky = robust_statistics((one.image.pixels - two.image.pixels)[good]).sigma / np.sqrt(2.0)
    stated = float(np.sqrt(np.median(0.5 * (one.noise[good] ** 2 + two.noise[good] ** 2))))
    i, j = pairs(one.sources, two.sources)
    mine, theirs = one.sources["mag_psf"][i], two.sources["mag_psf"][j]

    def scatter(least: float, most: float) -> tuple[float, int]:
        rows = np.abs(mine + theirs - (least + most)) < most - least
        return float(robust_statistics((mine - theirs)[rows]).sigma / np.sqrt(2.0)), int(rows.sum())

    return Depth(frames, float(sky), stated, scatter(15.0, 17.0), scatter(18.0, 19.0))


def pairs(one: Catalogue, two: Catalogue, radius: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of both that are nearest to each other, within a radius [pixel], unblended and unsaturated in both."""
    places = [np.stack([each["x_psf"], each["y_psf"]], 1) for each in (one, two)]
    clean = [
        np.flatnonzero((each["flags_psf"] == 0) & np.isfinite(each["mag_psf"]) & np.isfinite(place).all(1))
        for each, place in zip((one, two), places, strict=True)
    ]
    trees = [cKDTree(place[rows]) for place, rows in zip(places, clean, strict=True)]
    apart, there = trees[1].query(places[0][clean[0]])
    _, back = trees[0].query(places[1][clean[1]])
    mutual = (apart < radius) & (back[there] == np.arange(there.size))
    return clean[0][mutual], clean[1][there[mutual]]


def darkest(image: Image, share: float = 0.2) -> np.ndarray:
    """The pixels of a stack with the least light."""
    return np.asarray(image.pixels < np.nanpercentile(image.pixels, 100.0 * share))


def hits(mean: Stack, clipped: Stack) -> np.ndarray:
    """Pixels that the mean shows five sigma above the clipped mean, away from the light of stars."""
    faint = clipped.image.pixels < np.nanmedian(clipped.image.pixels)
    return np.asarray(faint & (mean.image.pixels - clipped.image.pixels > 5.0 * mean.noise))


def made(data: Path, folder: Path) -> dict[str, Stack]:
    """A survey of the series with all its stacks, by release."""
    initialise.initialise(folder)
    ingest.ingest(ingest.Order((str(data / "timeseries_saao_KB13475"),)), folder)
    found = releases(folder, names(data))
    for release in found:
        result = run.run(run.Order("series-stacks", executor="inprocess", release=release), folder)
        if result.failed or result.refused:
            raise RuntimeError(f"{release}: {result.failed} units failed, {result.refused} were refused")
    return {release: Stack.of(folder, release) for release in found}


def light(one: Stack, two: Stack, radius: float = 8.0, most: int = 25) -> np.ndarray:
    """Light of the brightest stars in one stack beside that in the other, within a radius [pixel]: magnitudes."""
    rows = np.argsort(one.sources["mag_psf"])[:most]
    v, u = np.indices(one.image.shape)
    found = []
    for row in rows:
        near = np.hypot(u - one.sources["x_psf"][row], v - one.sources["y_psf"][row]) < radius
        sums = [float(each.image.pixels[near].sum()) for each in (one, two)]
        found.append(-2.5 * np.log10(sums[0] / sums[1]) if min(sums) > 0 else np.nan)
    return np.array(found)
