"""Small frames that were reduced elsewhere, with sky solution, zero point and weight map: a delivery to be stacked, or spoilt first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from spica.kernels.wcs import pixel_to_sky, tangent_wcs
from spica.kernels.wcs_cards import to_cards

SIDE, SCALE, NOISE, ZERO = 120, 0.5 / 3600.0, 10.0, 26.0
CAMERA = """
name = "mine"
title = "One CCD on a hill, reduced elsewhere"
telescope = "Hill 0.5-m"
pixel_scale = 0.5
pixel_size = 15.0
layout = "detector"
night_offset = 0.0
position_angle = 0.0
parity = -1
site = { name = "Hill", longitude = 0.0, latitude = 45.0, height = 300.0 }
recognise = { INSTRUME = "^One CCD" }
reduced = { PROCTYPE = "." }
[delivered]
hdus = { science = "SCI", weight = "WHT" }
[types.ccd]
nx = 120
ny = 120
hdus = ["SCI"]
amplifiers = [{ name = "A", data = [0, 120, 0, 120], detector = [0, 120, 0, 120], gain = 1.0, read_noise = 4.0, saturation = 60000.0 }]
[[detectors]]
type = "ccd"
columns = ["id", "name"]
rows = [[1, "ccd"]]
[[filters]]
band = "r"
names = ["R"]
[frame_types]
light = "object"
[header]
name = { keyword = ["OBSID"] }
date = { keyword = ["DATE-OBS"], unit = "isot utc" }
exposure_time = { keyword = ["EXPTIME"], unit = "s" }
frame_type = { keyword = ["OBSTYPE"] }
filter = { keyword = ["FILTER"] }
ra = { keyword = ["RA"], unit = "deg" }
dec = { keyword = ["DEC"], unit = "deg" }
"extra.zero_point" = { keyword = ["MAGZPT"], default = "none" }
"""
PIPELINE = """
name = "stacks"
title = "Stacks of delivered frames, and no more"
extends = "delivered-deep"
remove = [
  "detect", "measure", "quality", "quicklook", "merge", "grade", "summary", "focal_plane", "deep_background", "deep_noise", "deep_detect",
  "deep_measure", "deep_stars", "deep_psf", "psf_map", "deep_psf_measure", "deep_sources", "completeness", "detection", "forced", "bright_stars", "objects",
  "thumbnail",
  "colour",
]
[[step]]
task = "delivered"
keep = { science = "always" }
[[step]]
task = "stack"
settings = { method = "clipped" }
"""
RELEASE = """
name = "{name}"
mode = "pre"
[tiles]
grid = "{grid}"
scale = 0.5
overlap = 0.0
{more}
"""


@dataclass
class Frame:
    """One frame on its way: what stands in its headers, its pixels and weights; what is done to them is written."""

    header: dict[str, Any]
    science: np.ndarray
    weight: np.ndarray
    end: int | None = None
    """Bytes of the file that are delivered."""


Spoil = Callable[[Frame], object]


@dataclass(frozen=True)
class Delivery:
    """Frames about a place on the sky, each shifted a little, of the same stars."""

    place: tuple[float, float] = (20.0, 30.0)
    date: str = "2026-11-20T21:00:00"
    spoilt: dict[int, Spoil] = field(default_factory=dict)

    def write(self, folder: Path, count: int) -> None:
        """Write so many frames."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            frame = self.frame(number)
            if number in self.spoilt:
                self.spoilt[number](frame)
            hdus = fits.HDUList(
                [fits.PrimaryHDU(), fits.ImageHDU(frame.science, name="SCI"), fits.ImageHDU(frame.weight, name="WHT")]
            )
            hdus[0].header.update({key: value for key, value in frame.header.items() if key in PRIMARY})
            hdus[1].header.update({key: value for key, value in frame.header.items() if key not in PRIMARY})
            path = folder / f"f{number:04d}.fits"
            hdus.writeto(path)
            if frame.end is not None:
                path.write_bytes(path.read_bytes()[: frame.end])

    def frame(self, number: int) -> Frame:
        """One of them, unspoilt."""
        rng = np.random.default_rng(number)
        middle = (SIDE - 1) / 2.0 + np.array([0.0, 0.0] if number == 0 else rng.uniform(-4.0, 4.0, 2))
        wcs = tangent_wcs(self.place, middle, SCALE * np.array([[-1.0, 0.0], [0.0, 1.0]]))
        stars = np.random.default_rng(99).uniform(-0.4, 0.4, (2, 12)) * SIDE
        v, u = np.indices((SIDE, SIDE))
        science = rng.normal(500.0, NOISE, (SIDE, SIDE))
        for x, y in (stars + middle[:, None]).T:
            science += 2000.0 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 8.0)
        ra, dec = pixel_to_sky(wcs, *((SIDE - 1) / 2.0,) * 2)
        header = {
            "INSTRUME": "One CCD", "PROCTYPE": "reduced", "OBSID": f"{number:04d}", "DATE-OBS": self.date, "EXPTIME": 10.0,
            "OBSTYPE": "light", "FILTER": "R", "RA": float(ra), "DEC": float(dec), "MAGZPT": ZERO, **to_cards(wcs),
        }  # fmt: skip
        header["DATE-OBS"] = f"{self.date[:14]}{number % 60:02d}:{number // 60:02d}"
        return Frame(header, science.astype(np.float32), np.full((SIDE, SIDE), 1.0 / NOISE**2, np.float32))


PRIMARY = {"INSTRUME", "PROCTYPE", "OBSID", "DATE-OBS", "EXPTIME", "OBSTYPE", "FILTER", "RA", "DEC", "MAGZPT"}


def prepare(folder: Path, grid: str = "overlap", more: str = "") -> None:
    """Put the camera, the pipeline and a release into a survey."""
    (folder / "cameras" / "mine.toml").write_text(CAMERA)
    (folder / "pipelines" / "stacks.toml").write_text(PIPELINE)
    (folder / "releases" / "dr1.toml").write_text(RELEASE.format(name="dr1", grid=grid, more=more))
