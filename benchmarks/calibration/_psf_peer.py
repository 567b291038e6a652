"""Source-extractor with a model of PSFEx: PSF magnitudes, positions and SPREAD_MODEL of a simulated detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.calibration._psfex import psfex, write_catalogue
from benchmarks.measure import run_program
from benchmarks.single_frames._peers import PROGRAM, Column, Found
from benchmarks.single_frames._scene import Scene

DEGREE = 2
_NAMES = """
X_IMAGE Y_IMAGE XPSF_IMAGE YPSF_IMAGE ERRX2PSF_IMAGE ERRY2PSF_IMAGE FLUX_PSF FLUXERR_PSF MAG_PSF SPREAD_MODEL
SPREADERR_MODEL FLAGS FLUX_RADIUS
"""


def make_model(scene: Scene, folder: Path) -> None:
    """What PSFEx makes of the detector's stars, from a catalogue of source-extractor."""
    psfex(write_catalogue(scene, folder), scene.fwhm, DEGREE)


def source_extractor(folder: Path) -> Found:
    """All sources with PSF photometry, by the model that `make_model` left in the folder."""
    (folder / "psf.param").write_text("\n".join(_NAMES.split()) + "\n")
    used = run_program(
        [
            PROGRAM, folder / "image.fits", "-c", folder / "run.sex", "-CATALOG_NAME", folder / "psf.fits",
            "-PARAMETERS_NAME", folder / "psf.param", "-PSF_NAME", folder / "stars.psf",
        ],
        cwd=folder,
    )  # fmt: skip
    with fits.open(folder / "psf.fits") as hdus:
        rows = hdus[1].data
        columns: dict[str, Column] = {
            ours: np.asarray(rows[theirs], dtype=float)
            for ours, theirs in (
                ("x", "XPSF_IMAGE"),
                ("y", "YPSF_IMAGE"),
                ("x_start", "X_IMAGE"),
                ("y_start", "Y_IMAGE"),
                ("flux", "FLUX_PSF"),
                ("flux_err", "FLUXERR_PSF"),
                ("spread", "SPREAD_MODEL"),
                ("spread_err", "SPREADERR_MODEL"),
            )
        }
    for name in ("x", "y", "x_start", "y_start"):
        columns[name] = columns[name] - 1.0
    return Found(columns, {"all": used.cpu})
