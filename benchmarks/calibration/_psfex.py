"""PSFEx as a program, on the catalogue that source-extractor makes for it, and its model as ours to be judged alike."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measure import Usage, run_program
from benchmarks.single_frames._peers import PROGRAM, write_inputs
from benchmarks.single_frames._scene import Scene

PSFEX = "psfex"
VIGNETTE = 41
"""Side of the stamps, pixels."""
_NAMES = (
    "NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "FLUX_RADIUS", "FLUX_APER(1)", "FLUXERR_APER(1)",
    "FLUX_AUTO", "FLUXERR_AUTO", "ELONGATION", "FLAGS", "SNR_WIN", f"VIGNET({VIGNETTE},{VIGNETTE})",
)  # fmt: skip


def write_catalogue(scene: Scene, folder: Path) -> Path:
    """The FITS_LDAC catalogue that PSFEx reads, made by source-extractor."""
    write_inputs(scene, folder)
    (folder / "psfex.param").write_text("\n".join(_NAMES) + "\n")
    made = folder / "stars.cat"
    command: list[str | Path] = [PROGRAM, folder / "image.fits", "-c", folder / "run.sex", "-CATALOG_NAME", made]
    command += ["-CATALOG_TYPE", "FITS_LDAC", "-PARAMETERS_NAME", folder / "psfex.param"]
    command += ["-PHOT_APERTURES", f"{5 * scene.fwhm:.2f}"]
    run_program(command, cwd=folder)
    return made


def psfex(catalogue: Path, fwhm: float, degree: int) -> Usage:
    """Run PSFEx; its model is beside the catalogue with the suffix .psf."""
    side = 2 * int(3.5 * fwhm) + 1
    command: list[str | Path] = [PSFEX, catalogue, "-c", "/dev/null", "-PSF_SIZE", f"{side},{side}"]
    command += ["-PSFVAR_KEYS", "X_IMAGE,Y_IMAGE", "-PSFVAR_GROUPS", "1,1", "-PSFVAR_DEGREES", str(degree)]
    command += ["-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N", "-NTHREADS", "1"]
    command += ["-PSF_DIR", catalogue.parent, "-VERBOSE_TYPE", "NORMAL"]
    return run_program(command, cwd=catalogue.parent)
