"""Make the pictures and the table of docs/real-frames.md from real frames, through the command line as a user would.

    python docs/real_frames.py DATA      # folder of the real frames; see tests/support/groups.py

Writes docs/images/real-*.png, docs/real-frames-figures.txt and docs/real-NAME-figures.txt.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from astropy.io import fits
from PIL import Image as PilImage

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.mask import Mask
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.kernels.detrend import Box, Planes
from spica.kernels.robust import robust_statistics
from spica.kernels.seams import seam_step

mpl.use("Agg")
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.real import BARE, Marked, middle_and_scatter, rays_alone, rays_on_stars, sextracted

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

    def ask(self, *words: str | Path) -> str:
        """What an order prints."""
        words = (sys.executable, "-m", "spica", *map(str, words))
        return subprocess.run(words, check=True, cwd=self.root, capture_output=True, text=True).stdout  # noqa: S603

    def find(self, pattern: str) -> list[Path]:
        """Products by the pattern of their names, in order."""
        return sorted((self.root / "products").rglob(pattern))


def survey(folder: Path, pipeline: str, frames: list[Path], *words: str, camera: str = "", own: str = "") -> Survey:
    """Make a survey of these frames and run a pipeline over it."""
    made = Survey(folder)
    folder.mkdir()
    made.spica("init", folder)
    if own:
        (folder / "pipelines").mkdir(exist_ok=True)
        (folder / "pipelines" / f"{pipeline}.toml").write_text(own)
    made.spica("ingest", *frames, *(("--camera", camera) if camera else ()))
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


def complete(path: Path) -> tuple[Image, np.ndarray, np.ndarray]:
    """An image that has a variance and a mask, and both."""
    image = read_image(path)
    if image.variance is None or image.mask is None:
        raise SystemExit(f"{path} has no variance or no mask")
    return image, image.variance, image.mask


def seams(made: Survey) -> None:
    """Steps between the amplifiers by the headers' gains alone and in the image, with their errors."""
    image, variance, mask = complete(made.find("*_science.*.fits")[0])
    ny, nx = image.shape
    edges = (0, ny // 2, ny), (0, nx // 2, nx)
    boxes = [Box(edges[0][j], edges[0][j + 1], edges[1][i], edges[1][i + 1]) for j in (0, 1) for i in (0, 1)]
    before = image.pixels.copy()
    for number, box in enumerate(boxes):
        before[box.y0 : box.y1, box.x0 : box.x1] /= np.float32(image.header[f"AMPFAC{number:02d}"])
    rows = []
    for one, other in ((0, 1), (2, 3), (0, 2), (1, 3)):
        steps = [
            seam_step(Planes(pixels, variance, mask), boxes[one], boxes[other], int(Mask.unusable()))
            for pixels in (before, image.pixels)
        ]
        rows.append((f"{one + 1} to {other + 1}", *(f"{100 * step:.3f} ± {100 * error:.3f}" for step, error in steps)))
    noise = 100 * float(np.sqrt(np.median(variance)) / np.median(image.pixels))
    rows.append(("noise of one pixel", f"{noise:.3f}", f"{noise:.3f}"))
    write("sinistro", ("step across a seam [% of the sky]", "by the gains of the header", "in the image"), rows)


def sinistro(work: Path, data: Path) -> str:
    """Raw mosaic of four amplifiers."""
    raw = data / "raw_lco/mef_raw_test_frame.fits"
    made = survey(work / "sinistro", "bare", [raw], own=BARE)
    seams(made)
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
    beside_lsst(made, data / "huntsman")
    return row("Huntsman raw, g, 300 s, own bias, dark and flat", sources)


def beside_lsst(made: Survey, data: Path) -> None:
    """Our masters beside those of the LSST stack: in the units of theirs, pixels that either left out apart."""
    gain = float(fits.getheader(data / "dark_0.fits")["EGAIN"])
    rows = []
    for name, unit, factor in (("bias", "adu", gain), ("dark", "adu/s", gain), ("flat", "1", 1.0)):
        ours, variance, mask = complete(made.find(f"*_{name}.*.fits")[0])
        with fits.open(next(data.glob(f"{name}_14*"))) as hdus:
            theirs, out = (np.asarray(hdus[plane].data, float)[:800, :800] for plane in (1, 2))
        good = (out == 0) & (mask == 0)
        pixels, noise = ours.pixels / factor, float(np.sqrt(np.median(variance))) / factor
        middle, scatter = middle_and_scatter((pixels - theirs)[good])
        same = np.corrcoef(pixels[good], theirs[good])[0, 1] if np.ptp(theirs) > 0 else np.nan
        figures = (float(np.median(pixels)), float(np.median(theirs)), middle, scatter, noise)
        rows.append((f"{name} [{unit}]", *(f"{value:.5f}" for value in figures), f"{same:.4f}"))
    write(
        "huntsman",
        ("master", "median", "of LSST", "difference", "its scatter", "noise of a pixel", "correlation"),
        rows,
    )


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


def asi120(work: Path, data: Path) -> None:
    """Masters of a small CMOS camera, and what its frames say of it."""
    made = survey(work / "asi120", "calibrations", [data / "cal_asi120"], "--executor", "inprocess", camera="asi120")
    told = json.loads(made.ask("camera", "measure", "asi120", "--executor", "inprocess", "--json"))
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    for place, name, reach in zip(axes, ("bias", "dark", "flat"), ((-3, 8), (-3, 20), (-3, 3)), strict=True):
        image = read_image(made.find(f"*_{name}.*.fits")[0])
        show(
            place,
            image.pixels[300:500, 500:780],
            f"master {name} [{image.header['BUNIT'] or 'relative'}], a part",
            reach,
        )
    save(figure, "asi120")
    rows = [
        (each["quantity"], f"{each['value']:.4g} ± {each['error']:.2g}", each["table"], each["verdict"])
        for each in told["figures"]
    ]
    write("asi120", ("figure", "measured", "table", "verdict"), rows)


def hsc(data: Path) -> None:
    """Real cosmic rays: alone, and put on real stars."""
    alone, crossed = rays_alone(data), rays_on_stars(data, (-60, -100))
    figure, axes = plt.subplots(2, 3, figsize=(11, 7.4))
    for places, each, title in zip(axes, (alone, crossed), ("rays alone", "rays put on stars"), strict=True):
        for place, marked, name in zip(
            places, (None, each.ours, each.theirs), ("", ": spica", ": astroscrappy"), strict=True
        ):
            show(place, each.image.pixels, title + name)
            if marked is not None:
                place.imshow(
                    np.ma.masked_equal(marked, 0), origin="lower", cmap="autumn", alpha=0.8, interpolation="nearest"
                )
    save(figure, "hsc")
    shifts = ((0, 0), (-100, 0), (-60, -100), (-150, -90), (80, 0))
    many = [rays_on_stars(data, shift) for shift in shifts]
    rows = [("the frame of rays", *told([alone])), (f"on stars, {len(many)} ways", *told(many))]
    names = (
        "frame",
        "deposits of spica, seen by astroscrappy",
        "the other way round",
        "complete: spica",
        "pure",
        "complete: astroscrappy",
        "pure",
    )
    write("hsc", names, rows)


def told(many: list[Marked]) -> tuple[str, ...]:
    """Deposits of either that the other one touches, completeness and purity of both."""
    pairs = [np.sum([each.shared(*masks(each)[::way]) for each in many], axis=0) for way in (1, -1)]
    parts = [np.mean([each.told(marked) for each, marked in zip(many, all_of, strict=True)], axis=0) for all_of in (
        [each.ours for each in many], [each.theirs for each in many],
    )]  # fmt: skip
    return *(f"{seen} of {number}" for number, seen in pairs), *(f"{value:.3f}" for part in parts for value in part)


def masks(each: Marked) -> tuple[np.ndarray, np.ndarray]:
    """Both masks."""
    return each.ours, each.theirs


def sextractor(data: Path) -> None:
    """The frame that SEP is tested with, beside its SExtractor catalogue."""
    both = sextracted(data)
    figure, axes = plt.subplots(1, 2, figsize=(12, 5.4))
    show(axes[0], both.image.pixels, "circles: spica, crosses: SExtractor")
    circle(axes[0], both.ours)
    axes[0].scatter(both.theirs["x"], both.theirs["y"], s=18, marker="x", c="cyan", linewidths=0.8)
    i, j = both.clean()
    found = both.differences()
    for name, mark in (("flux_aper / error", "o"), ("flux_auto / error", "^"), ("half_light_radius / error", "s")):
        axes[1].semilogx(both.theirs["aper"][j], np.clip(found[name], -6, 6), mark, ms=4, label=name)
    axes[1].set(xlabel="flux in the aperture [count]", ylabel="spica less SExtractor, ± 6 at most", ylim=(-6.3, 6.3))
    axes[1].axhline(0, color="grey", lw=0.8)
    axes[1].legend(fontsize=8)
    save(figure, "sep")
    rows = [(name, *(f"{value:.4f}" for value in middle_and_scatter(values))) for name, values in found.items()]
    rows.append(
        ("sources: spica, SExtractor, both", f"{len(both.ours)}, {len(both.theirs['x'])}", str(len(both.pairs[0])))
    )
    rows.append(("of these without any flag", str(len(i)), ""))
    write("sep", ("quantity", "median", "scatter"), rows)


def write(name: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table for the page."""
    lines = [head, ("---",) * len(head), *rows]
    text = "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)
    (HERE / f"real-{name}-figures.txt").write_text(text)


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
        asi120(work, data)
        hsc(data)
        sextractor(data)
        lines = [sinistro(work, data), huntsman(work, data), *delivered(work, data)]
    head = ["| frame | sources | clean, S/N > 20 | median FWHM [pixel] |", "| --- | --- | --- | --- |"]
    (HERE / "real-frames-figures.txt").write_text("\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    main()
