"""Make the pictures and the table of docs/real-frames.md from real frames, through the command line as a user would.

    python docs/real_frames.py DATA      # folder of the real frames; see tests/support/groups.py

Writes docs/images/real-*.png and docs/real-frames-figures.txt.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from astropy.io import fits
from PIL import Image as PilImage

from spica.core.columns import Catalogue
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.kernels.robust import robust_statistics

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
MINIMA = [word for name in ("bias", "dark", "flat") for word in ("--set", f"combine_{name}.minimum=1")]


@dataclass(frozen=True)
class Survey:
    """A survey in a scratch folder."""

    root: Path

    def spica(self, *words: str | Path) -> None:
        """Give an order; stop with what it says when it fails."""
        print("spica", *words)  # noqa: T201 - a script that says what it does
        subprocess.run([sys.executable, "-m", "spica", *map(str, words)], check=True, cwd=self.root)  # noqa: S603

    def find(self, pattern: str) -> list[Path]:
        """Products by the pattern of their names, in order."""
        return sorted((self.root / "products").rglob(pattern))


def survey(folder: Path, pipeline: str, frames: list[Path], *words: str) -> Survey:
    """Make a survey of these frames and run a pipeline over it."""
    made = Survey(folder)
    folder.mkdir()
    made.spica("init", folder)
    made.spica("ingest", *frames)
    made.spica("run", pipeline, *words)
    return made


def show(axes: Any, pixels: np.ndarray, title: str, reach: tuple[float, float] = (-3, 15)) -> None:
    """Draw an image about its sky."""
    sky = robust_statistics(pixels)
    low, high = (sky.median + factor * sky.sigma for factor in reach)
    axes.imshow(pixels, origin="lower", cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7)


def circle(axes: Any, sources: Catalogue) -> None:
    """Mark the sources."""
    axes.scatter(sources["x"], sources["y"], s=30, facecolors="none", edgecolors="red", linewidths=0.9)


def save(figure: Any, name: str) -> None:
    """Write a small picture (128 greys and colours) without anything that differs from run to run."""
    figure.tight_layout()
    path = HERE / "images" / f"real-{name}.png"
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)
    with PilImage.open(path) as picture:
        picture.convert("RGB").quantize(128).save(path, optimize=True)


def sinistro(work: Path, data: Path) -> str:
    """Raw mosaic of four amplifiers."""
    raw = data / "raw_lco/mef_raw_test_frame.fits"
    made = survey(work / "sinistro", "quick", [raw])
    image = read_image(made.find("*_science.*.fits")[0])
    sources = read_catalogue(made.find("*_sources.*.parquet")[0])
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2))
    with fits.open(raw) as hdus:
        show(axes[0], np.asarray(hdus[1].data, float), "raw: one of four amplifiers [ADU]")
    show(axes[1], image.pixels, "assembled, overscan and gain applied [electron]")
    part = np.s_[300:600, 100:400]
    show(axes[2], image.pixels[part], "part of it, with the sources found")
    near = sources.select((sources["x"] > 100) & (sources["x"] < 400) & (sources["y"] > 300) & (sources["y"] < 600))
    moved = dict(near.columns) | {"x": near["x"] - 100, "y": near["y"] - 300}
    circle(axes[2], Catalogue(moved))
    save(figure, "sinistro")
    return row("Sinistro raw mosaic, 2 × 2 binned, w, 95 s", sources)


def huntsman(work: Path, data: Path) -> str:
    """Raw calibrations and science of a CMOS camera."""
    frames = sorted((data / "huntsman").glob("*_0.fits"))
    made = survey(work / "huntsman", "night", frames, *MINIMA)
    sources = read_catalogue(made.find("*_sources.*.parquet")[0])
    figure, axes = plt.subplots(1, 4, figsize=(15, 4.2))
    show(axes[0], fits.getdata(data / "huntsman/science_0.fits").astype(float), "raw science [ADU]")
    show(axes[1], read_image(made.find("*_dark.*.fits")[0]).pixels, "master dark [electron/s]", (-3, 8))
    show(axes[2], read_image(made.find("*_flat.*.fits")[0]).pixels, "master flat", (-3, 3))
    show(axes[3], read_image(made.find("*_science.*.fits")[0]).pixels, "detrended, with its sources [electron]")
    circle(axes[3], sources)
    save(figure, "huntsman")
    return row("Huntsman raw, g, 300 s, own bias, dark and flat", sources)


def delivered(work: Path, data: Path) -> list[str]:
    """Frames that were reduced elsewhere."""
    frames = sorted(path for path in data.glob("legacy_*/*_oo[iwd]_*ls9.*.fits"))
    made = survey(work / "delivered", "catalogue", [*frames, data / "lco_calibrated/banzai_test_frame.fits.fz"])
    found = {path.name.partition("_sources")[0]: read_catalogue(path) for path in made.find("*_sources.*.parquet")}
    pictures = {path.name.partition("_quicklook")[0]: path for path in made.find("*_quicklook.*.png")}
    figure, axes = plt.subplots(2, 7, figsize=(15, 5))
    for place, (name, path) in zip(axes.flat, sorted(pictures.items()), strict=True):
        place.imshow(plt.imread(path), cmap="gray", vmin=0, vmax=1)
        place.set_title(f"{name}: {len(found[name])}", fontsize=6)
        place.set_axis_off()
    save(figure, "delivered")
    return [row(name, catalogue) for name, catalogue in sorted(found.items())]


def row(name: str, sources: Catalogue) -> str:
    """A line of the table of figures."""
    bright = (sources["snr"] > 20) & (sources["flags"] == 0) & (sources["fwhm"] > 0)
    width = f"{float(np.median(sources['fwhm'][bright])):.2f}" if np.count_nonzero(bright) > 2 else "–"
    return f"| {name} | {len(sources)} | {int(np.count_nonzero(bright))} | {width} |"


def main() -> None:
    """Run the three surveys and write what the page shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        lines = [sinistro(work, data), huntsman(work, data), *delivered(work, data)]
    head = ["| frame | sources | clean, S/N > 20 | median FWHM [pixel] |", "| --- | --- | --- | --- |"]
    (HERE / "real-frames-figures.txt").write_text("\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    main()
