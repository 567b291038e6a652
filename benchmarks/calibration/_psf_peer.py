"""Source-extractor with a model of PSFEx: PSF magnitudes, positions and SPREAD_MODEL of a simulated detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.ndimage import zoom

from benchmarks.measure import run_program
from benchmarks.single_frames._peers import Column, Found, write_inputs
from benchmarks.single_frames._scene import Scene
from spica.core.psf import PsfModel

_FINE = 8
"""Steps per sample in which the width is counted."""
_STARS = "X_IMAGE Y_IMAGE FLUX_RADIUS FLUX_APER(1) FLUXERR_APER(1) ELONGATION SNR_WIN FLAGS VIGNET(35,35)"
_NAMES = """
X_IMAGE Y_IMAGE XPSF_IMAGE YPSF_IMAGE ERRX2PSF_IMAGE ERRY2PSF_IMAGE FLUX_PSF FLUXERR_PSF MAG_PSF SPREAD_MODEL
SPREADERR_MODEL FLAGS FLUX_RADIUS
"""
_PSFEX = """
BASIS_TYPE PIXEL_AUTO
PSF_SAMPLING 0.0
PSF_SIZE 35,35
PSFVAR_KEYS X_IMAGE,Y_IMAGE
PSFVAR_GROUPS 1,1
PSFVAR_DEGREES 2
SAMPLE_AUTOSELECT Y
SAMPLE_MINSN 50
CHECKPLOT_DEV NULL
CHECKIMAGE_TYPE NONE
NTHREADS 1
VERBOSE_TYPE QUIET
WRITE_XML N
"""


def make_model(scene: Scene, folder: Path) -> Path:
    """What PSFEx makes of the detector's stars, from a catalogue of source-extractor: the path of its model."""
    write_inputs(scene, folder)
    (folder / "stars.param").write_text("\n".join(_STARS.split()) + "\n")
    (folder / "run.psfex").write_text(_PSFEX.strip() + "\n")
    aperture = f"{2 * round(3.0 * scene.fwhm):d}"
    run_program(
        [
            "source-extractor", folder / "image.fits", "-c", folder / "run.sex", "-CATALOG_NAME", folder / "stars.cat",
            "-CATALOG_TYPE", "FITS_LDAC", "-PARAMETERS_NAME", folder / "stars.param", "-PHOT_APERTURES", aperture,
        ],
        cwd=folder,
    )  # fmt: skip
    run_program(["psfex", folder / "stars.cat", "-c", folder / "run.psfex"], cwd=folder)
    return folder / "stars.psf"


def source_extractor(folder: Path) -> Found:
    """All sources with PSF photometry, by the model that `make_model` left in the folder."""
    (folder / "psf.param").write_text("\n".join(_NAMES.split()) + "\n")
    used = run_program(
        [
            "source-extractor", folder / "image.fits", "-c", folder / "run.sex", "-CATALOG_NAME", folder / "psf.fits",
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


def read_model(path: Path) -> PsfModel:
    """PSFEx's model as ours: of unit light, with the width that it has."""
    with fits.open(path) as hdus:
        header = hdus[1].header
        cube = np.asarray(hdus[1].data["PSF_MASK"][0], dtype=np.float64)
    centre = header["POLZERO1"] - 1.0, header["POLZERO2"] - 1.0
    sampling = float(header["PSF_SAMP"])
    cube /= cube[0].sum() * sampling**2
    peak = zoom(cube[0], _FINE, order=3)
    fwhm = 2.0 * np.sqrt(np.count_nonzero(peak > 0.5 * peak.max()) / np.pi) * sampling
    fwhm *= (cube.shape[1] - 1) / (peak.shape[0] - 1)
    return PsfModel(
        cube.astype(np.float32), int(header["POLDEG1"]), centre, (header["POLSCAL1"], header["POLSCAL2"]), sampling,
        float(fwhm), float(header["CHI2"]), int(header["ACCEPTED"]),
    )  # fmt: skip
