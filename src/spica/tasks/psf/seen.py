"""The stars of a model: their places and light, and their stamps without their neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.kernels.pairs import pairs_within
from spica.kernels.psf_cut import HALF_LIGHT, Neighbours, cut_stars

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_ABOUT = 0.75
"""Of a stamp's radius: beyond lies what is about the star, and little of itself."""


class Stars(NamedTuple):
    """Accepted stars: places [pixel], light, signal-to-noise, variance of the sky, brightest first."""

    source_id: npt.NDArray[np.int64]
    x: Float64
    y: Float64
    flux: Float64
    snr: Float64
    noise: Float64


def accepted(science: Image, background: Image, stars: Catalogue) -> Stars:
    """Accepted stars whose surroundings have a noise, brightest first."""
    rows = np.flatnonzero(stars["accepted"] == 1)
    rows = rows[np.argsort(-stars["snr"][rows], kind="stable")]
    x, y = stars["x"][rows].astype(np.float64), stars["y"][rows].astype(np.float64)
    spread = science.variance if background.variance is None else background.variance
    if spread is None:
        raise DataFault("data.bad-value", "neither image nor background carries a variance", need="background")
    near = np.clip(np.rint([y, x]).astype(np.int64), 0, np.array([[science.shape[0] - 1], [science.shape[1] - 1]]))
    noise = spread[near[0], near[1]].astype(np.float64)
    known = np.isfinite(noise) & (noise > 0)
    chosen = [stars[name][rows][known] for name in ("source_id", "flux", "snr")]
    return Stars(
        chosen[0], x[known], y[known], chosen[1].astype(np.float64), chosen[2].astype(np.float64), noise[known]
    )


def first_of(seen: Stars, most: int) -> Stars:
    """The brightest."""
    return Stars(seen.source_id[:most], *(column[:most] for column in seen[1:]))


def cut_out(
    science: Image,
    background: Image,
    mask: npt.NDArray[np.int32],
    sources: Catalogue,
    seen: Stars,
    profile: tuple[float, float],
    reach: float,
) -> tuple[Float32, Float32, npt.NDArray[np.int64]]:
    """Light and errors of the stars (n, side, side) and the corners of their stamps, as `cut_stars`; `profile` is that of neighbours."""
    haze = sources.header.get("HAZE")
    return cut_stars(
        (science.pixels, background.pixels, mask),
        int(Mask.unusable()),
        (seen.x, seen.y),
        _around(sources, seen, reach),
        profile,
        reach,
        haze=float(haze) if isinstance(haze, int | float) else 0.0,
    )


def _around(sources: Catalogue, seen: Stars, reach: float) -> Neighbours:
    """All other sources whose light may reach into the stamps."""
    mine, other = pairs_within((seen.x, seen.y), (sources["x"], sources["y"]), 2.0 * reach + 2.0)
    alien = sources["source_id"][other] != seen.source_id[mine]
    mine, other = mine[alien], other[alien]
    flux = np.maximum(np.nan_to_num(sources["flux_auto"][other].astype(np.float64)), 0.0)
    size = np.nan_to_num(sources["half_light_radius"][other].astype(np.float64))
    x, y = (sources[name][other].astype(np.float64) for name in ("x", "y"))
    return Neighbours(mine, x, y, flux, size, seen.noise[mine])


def gathered_by(science: Image) -> float:
    """Photons per electron of the image: of the mean of several read-outs both have less noise."""
    gain = science.header.get("GAIN")
    return float(gain) if isinstance(gain, int | float) and gain > 0 else 1.0


def none_of(stars: Catalogue, number: int, needed: int) -> DataFault:
    """The fault of too few stars, with what became of the candidates."""
    why = np.bincount(stars["reason"].astype(np.int64), minlength=10) if len(stars) else np.zeros(10, np.int64)
    return DataFault(
        "psf.too-few-stars",
        f"{number} stars of {len(stars)} candidates are no model of the point spread function ({needed} needed)",
        stars=number,
        candidates=len(stars),
        saturated=int(why[1]),
        needed=needed,
    )


def seeing_of(sources: Catalogue, stars: Catalogue) -> float:
    """Full width of stars as the catalogues know it, NaN where they do not."""
    size, filtered = stars.header.get("STARSIZE"), sources.header.get("FILTFWHM")
    if isinstance(size, int | float) and np.isfinite(size) and size > 0:
        return float(size) / HALF_LIGHT
    return float(filtered) if isinstance(filtered, int | float) and filtered > 0 else float("nan")


def above_haze(light: Float32, reach: float) -> Float32:
    """Stamps (n, side, side) less what lies about each star as a haze, such as the galaxy before which it stands; 0 is bad and stays."""
    half = light.shape[1] // 2
    v, u = np.indices(light.shape[1:]) - half
    about = (np.hypot(u, v) > _ABOUT * reach) & (light != 0)
    haze = [float(np.median(stamp[good])) if good.any() else 0.0 for stamp, good in zip(light, about, strict=True)]
    return np.where(light != 0, light - np.array(haze, np.float32)[:, None, None], np.float32(0))
