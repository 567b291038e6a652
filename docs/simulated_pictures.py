"""Make the pictures of docs/pictures.md and docs/hips.md from a simulated field.

    python docs/simulated_pictures.py FOLDER      # for the survey and its sky; empty, or to be

Writes docs/images/before-after-detrended.png, before-after-stack.png and hips-preview.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image as PilImage

from spica.services import ingest, initialise, references, run, simulation
from spica.services.before_after import BeforeAfterOrder, before_after, before_after_unit
from spica.services.hips import ColourHipsOrder, HipsOrder, colour_hips, make_hips

IMAGES = Path(__file__).parent / "images"
SKY = {
    "bands": "g,r,i", "exposures": "5", "biases": "3", "darks": "0", "flats": "3", "detectors": "1", "density": "6000",
    "trail_rate": "1.0",
}  # fmt: skip
RELEASE = """
name = "dr1"
[tiles]
grid = "overlap"
scale = 0.4
overlap = 0.0
[[rule]]
name = "verdict"
where = "detector > 0"
"""


def surveyed(root: Path) -> Path:
    """A survey with the stacks of a simulated field."""
    home = root / "survey"
    initialise.initialise(home)
    simulation.simulate(root / "sky", "demo", SKY, home)
    ingest.ingest(ingest.Order((str(root / "sky" / "raw"),)), home)
    run.run(run.Order("calibrations", executor="inprocess"), home)
    references.bring_in("truth", [root / "sky" / "reference.parquet"], home)
    run.run(run.Order("calibrate", executor="inprocess"), home)
    (home / "releases" / "dr1.toml").write_text(RELEASE)
    run.run(run.Order("deep", executor="inprocess", release="dr1"), home)
    return home


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    root: Path = parser.parse_args().folder
    home = surveyed(root)
    *_, single = sorted((home / "products" / "science").rglob("*_1_science.*.fits"))
    unit = f"{single.name.partition('_')[0]}/1"
    detrended = BeforeAfterOrder(box=(0, 232, 512, 512))
    before_after_unit(home, unit, IMAGES / "before-after-detrended.png", detrended)
    stacks = {band: next((home / "products" / "stack").rglob(f"*_{band}_stack.*.fits")) for band in "gri"}
    part = BeforeAfterOrder(box=(96, 400, 608, 688))
    before_after(single, stacks["i"], IMAGES / "before-after-stack.png", part)
    for band, stack in stacks.items():
        make_hips([stack], root / "hips" / band, HipsOrder(f"Simulated field, {band}", "2026-11-20"))
    colours = root / "hips" / "colour"
    colour_hips([root / "hips" / band for band in "irg"], colours, ColourHipsOrder("Simulated field", "2026-11-20"))
    with PilImage.open(colours / "preview.jpg") as preview:
        preview.quantize(256).save(IMAGES / "hips-preview.png", optimize=True)


if __name__ == "__main__":
    main()
