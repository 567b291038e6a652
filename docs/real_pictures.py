"""Make the pictures of docs/pictures.md from published frames of three cameras.

    python docs/real_pictures.py DATA      # folder of the real frames; see tests/support/groups.py

Writes docs/images/real-colour.png.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from astropy.io import fits
from PIL import Image as PilImage

from spica.services.pictures import ColourOrder, paint

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
FIELDS: dict[str, tuple[str, tuple[str, str, str]]] = {
    "Mosaic-3 z, 90Prime r and g": (
        "legacy_mzlsbass2",
        (
            "k4m_160319_075112_ooi_zd_ls9.CCD3",
            "ksb_170430_055945_ooi_r_ls9.CCD4",
            "ksb_180313_081856_ooi_g_ls9.CCD4",
        ),
    ),
    "DECam z, r, g: a saturated star": (
        "legacy_testcase6",
        (
            "c4d_150110_053718_ooi_z_ls9.S4",
            "c4d_171113_061941_ooi_r_ls9.S4",
            "c4d_181104_072440_ooi_g_ls9.S4",
        ),
    ),
}
"""Title, folder, and the frames drawn red, green and blue."""


def zero_points(folder: Path, names: tuple[str, ...]) -> tuple[float, ...]:
    """Magnitude of one unit of each frame, by the table that was published with them."""
    with fits.open(folder / "survey-ccds-1.fits.gz") as hdus:
        table = hdus[1].data
    files = [Path(str(name).strip()).name for name in table["image_filename"]]
    found = []
    for name in names:
        stem, _, detector = name.rpartition(".")
        row = next(
            k for k, file in enumerate(files) if file.startswith(stem) and str(table["ccdname"][k]).strip() == detector
        )
        # Pixels of Mosaic-3 and 90Prime are per second.
        seconds = float(table["exptime"][row]) if stem.startswith("c4d") else 1.0
        found.append(float(table["ccdzpt"][row]) + 2.5 * float(np.log10(seconds)))
    return tuple(found)


def main() -> None:
    """Draw both fields, each with the colours of AB magnitudes and with white balance."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    data: Path = parser.parse_args().data
    figure, axes = plt.subplots(1, 2 * len(FIELDS), figsize=(13, 3.9))
    with tempfile.TemporaryDirectory() as scratch:
        drawn = Path(scratch) / "x.png"
        for number, (title, (folder, names)) in enumerate(FIELDS.items()):
            files = [data / folder / f"{name}.fits" for name in names]
            told = zero_points(data / folder, names)
            for k, (weights, word) in enumerate((((1.0, 1.0, 1.0), "AB is white"), ((), "balanced"))):
                paint(files, drawn, ColourOrder(zero_points=told, weights=weights))
                with PilImage.open(drawn) as picture:
                    axes[2 * number + k].imshow(np.asarray(picture), interpolation="nearest")
                axes[2 * number + k].set_title(f"{title}\n{word}", fontsize=8)
                axes[2 * number + k].axis("off")
    figure.tight_layout(rect=(0, 0, 1, 0.9))
    path = HERE / "images" / "real-colour.png"
    figure.savefig(path, dpi=66, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    with PilImage.open(path) as picture:
        colours = picture.convert("RGB")
    # Dithered: smooth halos would show steps.
    colours.quantize(palette=colours.quantize(256)).save(path, optimize=True)


if __name__ == "__main__":
    main()
