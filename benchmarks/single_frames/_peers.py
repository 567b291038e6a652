"""The two sides of the comparison: the shipped tasks in this process, and source-extractor as a program."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from benchmarks.measure import run_program
from benchmarks.single_frames._scene import Scene
from spica.kernels.detect import gaussian_kernel
from spica.pipelines.catalogue import load
from spica.pipelines.model import Step

APERTURES = (3.0, 5.0, 8.0)
"""Radii, pixels."""
THRESHOLD = 5.0
"""Signal-to-noise in the filtered image."""
AREA = 3
BOX = 64
PROGRAM = "source-extractor"

Column = npt.NDArray[Any]

_CONFIG = """
CATALOG_TYPE FITS_1.0
DETECT_TYPE CCD
DETECT_MINAREA {area}
THRESH_TYPE ABSOLUTE
DETECT_THRESH {threshold:.5f}
ANALYSIS_THRESH {threshold:.5f}
FILTER Y
FILTER_NAME {folder}/gauss.conv
DEBLEND_NTHRESH 32
DEBLEND_MINCONT 0.005
CLEAN Y
CLEAN_PARAM 1.0
MASK_TYPE CORRECT
WEIGHT_TYPE MAP_WEIGHT
WEIGHT_IMAGE {folder}/weight.fits
WEIGHT_GAIN N
PHOT_APERTURES {diameters}
PHOT_AUTOPARAMS 2.5,3.5
PHOT_FLUXFRAC 0.5
SATUR_LEVEL 1e9
GAIN 1.0
PIXEL_SCALE 1.0
SEEING_FWHM {fwhm:.3f}
BACK_TYPE AUTO
BACK_SIZE {box}
BACK_FILTERSIZE 3
BACKPHOTO_TYPE GLOBAL
MEMORY_OBJSTACK 10000
MEMORY_PIXSTACK 1000000
MEMORY_BUFSIZE 4096
NTHREADS 1
VERBOSE_TYPE QUIET
WRITE_XML N
PARAMETERS_NAME {folder}/names.param
"""

_PARAMETERS = """
NUMBER X_IMAGE Y_IMAGE ERRX2_IMAGE ERRY2_IMAGE ERRXY_IMAGE
XWIN_IMAGE YWIN_IMAGE ERRX2WIN_IMAGE ERRY2WIN_IMAGE ERRXYWIN_IMAGE
XMIN_IMAGE YMIN_IMAGE XMAX_IMAGE YMAX_IMAGE ISOAREA_IMAGE
FLUX_ISO FLUXERR_ISO FLUX_APER({n}) FLUXERR_APER({n}) FLUX_AUTO FLUXERR_AUTO KRON_RADIUS FLUX_RADIUS FLUX_MAX
BACKGROUND X2_IMAGE Y2_IMAGE XY_IMAGE A_IMAGE B_IMAGE THETA_IMAGE ELONGATION FWHM_IMAGE FLAGS
"""


@dataclass(frozen=True, eq=False)
class Found:
    """What one side made of one detector.

    Attributes
    ----------
    columns : x, y [0-based pixel], flux_auto, flux_aper [electron], parallel; snr_peak where the side has it.
    cpu : seconds, by task where the side has tasks.
    background : level of the sky at each pixel, where it was asked for.
    """

    columns: Mapping[str, Column]
    cpu: Mapping[str, float]
    background: npt.NDArray[np.float32] | None = None

    @property
    def seconds(self) -> float:
        """CPU seconds of everything."""
        return sum(self.cpu.values())

    @property
    def number(self) -> int:
        """Detections."""
        return len(self.columns["x"])


def chain() -> list[Step]:
    """The steps of `reduce` that lead from a detrended image to its catalogue."""
    wanted, chosen = {"sources"}, []
    for step in reversed(load("reduce").steps):
        gives = {step.product(give.name) for give in step.task.gives}
        if gives & wanted and "science" not in gives:
            chosen.append(step)
            wanted |= {step.product(need.name) for need in step.needs()}
    return chosen[::-1]


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def ours(scene: Scene, steps: list[Step]) -> Found:
    """Run the chain on a detector, task by task as the engine does."""
    cpu: dict[str, float] = {}
    held = measured(scene, steps, cpu)
    columns = {name: np.asarray(held["sources"][name]) for name in ("x", "y", "flux_auto", "flux_aper", "snr_peak")}
    return Found(columns, cpu, held["background"].pixels)


def measured(scene: Scene, steps: list[Step], cpu: dict[str, float] | None = None) -> dict[str, Any]:
    """All that the chain makes of a detector, by name; `cpu` receives the seconds of each step."""
    common = {
        "threshold": THRESHOLD,
        "filter_fwhm": scene.fwhm,
        "minimum_area": AREA,
        "apertures": APERTURES,
        "box": BOX,
    }
    held: dict[str, Any] = {"science": scene.image, "exposure": scene.exposure, "detector": scene.detector}
    for step in steps:
        known = step.task.settings.model_fields
        chosen = {name: value for name, value in common.items() if name in known}
        needs = {need.name: held.get(step.product(need.name)) for need in step.needs()}
        began = _cpu()
        made = step.task.run(step.task.settings(**{**step.settings, **chosen}), **needs)
        if cpu is not None:
            cpu[step.label] = _cpu() - began
        held |= {step.product(name): product for name, product in made.items()}
    return held


def write_inputs(scene: Scene, folder: Path) -> None:
    """What source-extractor reads: image, weight map, filter, list of columns."""
    _write(folder / "image.fits", scene.image.pixels)
    mask = np.zeros(scene.image.shape, np.int32) if scene.image.mask is None else scene.image.mask
    _write(folder / "weight.fits", np.where(mask != 0, 0.0, 1.0 / scene.noise**2))
    kernel = np.outer(*[_filter(scene.fwhm)] * 2)
    rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in kernel)
    (folder / "gauss.conv").write_text(f"CONV NORM\n{rows}\n")
    (folder / "names.param").write_text("\n".join(_PARAMETERS.format(n=len(APERTURES)).split()) + "\n")
    settings = _CONFIG.format(
        folder=folder,
        area=AREA,
        # Of the true noise, so that both go equally deep: the light of faint sources lifts the noise that it measures,
        # and what it calls 5 sigma is up to 6.5.
        threshold=THRESHOLD * scene.noise * float(np.sqrt(np.sum(kernel**2)) / np.sum(kernel)),
        diameters=",".join(f"{2 * radius:g}" for radius in APERTURES),
        fwhm=scene.fwhm,
        box=BOX,
    )
    (folder / "run.sex").write_text(settings.strip() + "\n")


def _filter(fwhm: float) -> npt.NDArray[np.float32]:
    """Profile of a filter as source-extractor ships them: 7 pixels up to a FWHM of 4, 9 pixels for 5."""
    whole = gaussian_kernel(fwhm, reach=1.5)
    half = 3 if fwhm < 4.5 else 4
    middle = whole.size // 2
    return whole[middle - half : middle + half + 1]


def _write(path: Path, values: npt.NDArray[Any]) -> None:
    fits.PrimaryHDU(np.asarray(values, dtype=np.float32)).writeto(path, overwrite=True)


def source_extractor(folder: Path, *, background: bool = False) -> Found:
    """Run source-extractor on what `write_inputs` wrote; with `background`, keep the level it subtracted."""
    command: list[str | Path] = [PROGRAM, folder / "image.fits", "-c", folder / "run.sex"]
    command += ["-CATALOG_NAME", folder / "made.fits"]
    if background:
        command += ["-CHECKIMAGE_TYPE", "BACKGROUND", "-CHECKIMAGE_NAME", folder / "back.fits"]
    used = run_program(command, cwd=folder)
    with fits.open(folder / "made.fits") as hdus:
        rows = hdus[1].data
        columns = {
            "x": np.asarray(rows["XWIN_IMAGE"], dtype=float) - 1.0,
            "y": np.asarray(rows["YWIN_IMAGE"], dtype=float) - 1.0,
            "flux_auto": np.asarray(rows["FLUX_AUTO"], dtype=float),
            "flux_aper": np.asarray(rows["FLUX_APER"], dtype=float),
        }
    level = fits.getdata(folder / "back.fits").astype(np.float32) if background else None
    return Found(columns, {"all": used.cpu}, level)
