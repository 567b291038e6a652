"""Make the figures and pictures of docs/real-stacks.md from real frames, through the pipelines.

    python docs/real_stacks.py DATA      # folder of the real frames; see tests/support/groups.py

Writes docs/real-series-figures.txt, docs/real-legacy-*.txt, docs/images/real-series.png and real-legacy.png.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1]))
from PIL import Image as PilImage

from docs.real_frames import save, write
from tests.support import legacy_stacks as legacy
from tests.support.series import DEPTHS, Stack, darkest, depth, hits, light, made

STARS = (
    *("field, camera, band", "Gaia's G", "PSF magnitude", "less Gaia's", "Kron less Gaia's", "PSF less the published"),
    "off Gaia's place [mas]",
)  # fmt: skip
NOISE = ("stack", "exposures", "PIXRATIO", "NOISECOR", "noise of a delivered pixel [10⁻³ nmgy]", "over the published")
GAIN = (
    "band",
    "noise of both by the weights, better one 1",
    "stated by the stack",
    "difference of both, stated noise 1",
)
ZOOM = np.s_[150:350, 100:300]


def series(stacks: Mapping[str, Stack]) -> None:
    """Depth of more and more frames, and what clipping leaves out."""
    dark = darkest(stacks["all"].image)
    rows = []
    each = [depth(stacks[f"a{n:02d}"], stacks[f"b{n:02d}"], dark, n) for n in DEPTHS]
    for one in each:
        gain = each[0].sky / one.sky
        stars = [f"{1e3 * scatter:.0f} ({number})" for scatter, number in (one.bright, one.faint)]
        rows.append(
            (str(one.frames), f"{one.sky:.2f}", f"{one.stated:.2f}", f"{gain:.2f}", f"{one.frames**0.5:.2f}", *stars)
        )
    halves = each[-1].sky / np.sqrt(2.0)
    stated = float(np.median(stacks["all"].noise[dark]))
    rows.append(("40", f"{halves:.2f}", f"{stated:.2f}", f"{each[0].sky / halves:.2f}", f"{40**0.5:.2f}", "–", "–"))
    head = ("frames", "noise of the sky", "stated", "gain", "√n", "stars of 15–17 [mmag]", "of 18–19 [mmag]")
    write("series", head, rows)
    mean, clipped, strict = (stacks[name] for name in ("mean", "all", "strict"))
    lost = [float(np.nanmedian(light(one, mean))) for one in (clipped, strict)]
    print(f"hits: {hits(mean, clipped).sum()} pixels; light: {lost[0]:+.3f}, {lost[1]:+.3f} mag")  # noqa: T201


def picture(stacks: Mapping[str, Stack]) -> None:
    """One frame, the mean, the clipped mean, and what the mean has beyond it."""
    figure, axes = plt.subplots(1, 4, figsize=(15, 4.1))
    sigma = float(np.median(stacks["all"].noise))
    shown = [stacks[name].image.pixels[ZOOM] for name in ("a01", "mean", "all")]
    for one, pixels, title in zip(axes, shown, ("one frame", "mean of 40", "clipped mean of 40"), strict=False):
        low, high = np.nanpercentile(shown[2], (1, 98))
        one.imshow(pixels, origin="lower", cmap="gray", vmin=low - 2 * sigma, vmax=high, interpolation="nearest")
        one.set_title(title, fontsize=9)
    axes[3].imshow(shown[1] - shown[2], origin="lower", cmap="gray", vmin=-3 * sigma, vmax=8 * sigma)
    axes[3].set_title("mean less clipped mean", fontsize=9)
    for one in axes:
        one.tick_params(labelsize=7)
    save(figure, "series")


def cameras(data: Path, folder: Path) -> None:
    """Cutouts of three cameras in one release: stars beside what is published, noise, pictures."""
    fields = legacy.made(data, folder)
    rows = [
        (
            *(f"{one.field}, {one.camera} {one.band}", f"{one.g:.2f}", f"{one.psf:.3f} ± {one.error:.3f}"),
            *(f"{off:+.3f}" for off in (one.psf - one.mag, one.auto - one.mag, one.psf - one.fitted)),
            f"{1e3 * one.east:+.0f}, {1e3 * one.north:+.0f}",
        )
        for one in legacy.lights(data, fields)
    ]
    write("legacy-stars", STARS, rows)
    known = list(legacy.frames(data))
    noise = []
    for name in legacy.FIELDS:
        for band, image in sorted(fields["all", name].stacks.items()):
            mine = [each for each in known if (each.field, each.band) == (name, band)]
            published = legacy.published_noise(mine)
            ratio = f"{image.header['PIXRATIO']:.3f}", f"{image.header['NOISECOR']:.3f}"
            ours = legacy.stated_noise(image)
            noise.append((f"{name} {band}", str(len(mine)), *ratio, f"{1e3 * ours:.2f}", f"{ours / published:.3f}"))
    write("legacy-noise", NOISE, noise)
    gains = legacy.gains(fields)
    both = [(one.band, f"{one.foretold:.3f}", f"{one.stated:.3f}", f"{one.scatter:.2f}") for one in gains]
    write("legacy-gain", GAIN, both)
    for band, mag, error, off in legacy.faint(data, fields):
        print(f"blank sky, {band}: {mag:.2f} +- {error:.3f}, less the published fit {off:+.3f}")  # noqa: T201
    figure, axes = plt.subplots(1, 4, figsize=(15, 4.1))
    for one, name in zip(axes, legacy.FIELDS, strict=True):
        path = min((folder / "products" / "colour" / name).glob("*.png"), key=lambda each: each.stat().st_mtime_ns)
        with PilImage.open(path) as shown:
            one.imshow(np.asarray(shown.convert("RGB")), interpolation="nearest")
        one.set_title(f"{name}: {' '.join(sorted(fields['all', name].stacks))}", fontsize=9)
        one.tick_params(labelsize=7)
    save(figure, "legacy")


def main() -> None:
    """Run the surveys and write what the page shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        stacks = made(data, Path(scratch) / "series")
        series(stacks)
        picture(stacks)
        cameras(data, Path(scratch) / "legacy")


if __name__ == "__main__":
    main()
