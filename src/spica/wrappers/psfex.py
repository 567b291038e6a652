"""PSFEx as a task: the model of the point spread function of one detector, or of a stack, in place of `psf`.

Source: Bertin 2011, ASP Conf. 442, 435. What comes out is a `spica.core.psf.PsfModel` as ours, for all tasks that take one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spica.core.faults import DataFault
from spica.core.psf import PsfModel
from spica.core.records import Grain
from spica.core.settings import setting
from spica.core.task import Form, Give, Need, Products
from spica.files.psfex import read_psfex
from spica.kernels.psf_look import shapes_at
from spica.wrappers import configuration, results
from spica.wrappers.form import Paths, ProgramSettings, wrapped
from spica.wrappers.programs import Program, call

PSFEX = Program("PSFEx", ("psfex",), least="3.17", below="4", install="install it (Debian: apt-get install psfex)")


class PsfexSettings(ProgramSettings):
    """The keys of PSFEx's configuration that people change; others by `more`."""

    psf_size: tuple[int, int] = setting((25, 25), "samples of the model", "sample")
    psf_sampling: float = setting(0.0, "detector pixels per sample, 0 for automatic", "pixel", ge=0)
    psfvar_degrees: int = setting(2, "degree of the variation over the detector", "", ge=0, le=10)
    sample_autoselect: bool = setting(True, "choose the stars by their radius")
    sample_fwhmrange: tuple[float, float] = setting((1.0, 20.0), "widths of the stars", "pixel")
    sample_variability: float = setting(0.3, "how far widths of stars may vary", "", gt=0)
    sample_minsn: float = setting(20.0, "least signal-to-noise of a star", "", gt=0)
    sample_maxellip: float = setting(0.3, "greatest ellipticity of a star", "", gt=0)
    more: dict[str, str | float | bool] = setting({}, "further keys of the configuration")


def psfex(settings: PsfexSettings, paths: Paths, folder: Path) -> Products:
    """The point spread function of one image by PSFEx."""
    fixed: dict[str, Any] = {
        "PSF_SUFFIX": ".psf", "PSF_DIR": ".", "PSFVAR_KEYS": "XWIN_IMAGE,YWIN_IMAGE", "PSFVAR_GROUPS": "1,1",
        "CENTER_KEYS": "XWIN_IMAGE,YWIN_IMAGE", "PHOTFLUX_KEY": "FLUX_AUTO", "PHOTFLUXERR_KEY": "FLUXERR_AUTO",
        "CHECKPLOT_DEV": "NULL", "CHECKPLOT_TYPE": "NONE", "CHECKIMAGE_TYPE": "NONE", "WRITE_XML": True,
        "XML_NAME": "out.xml", "NTHREADS": 1, "OUTCAT_TYPE": "NONE", "VERBOSE_TYPE": "NORMAL",
    }  # fmt: skip
    configuration.write(folder / "task.psfex", settings, **fixed)
    call(PSFEX.name, [PSFEX.path(), paths["sources"].name, "-c", "task.psfex"], folder, settings.time_limit)
    out = paths["sources"].with_suffix(".psf")
    if not out.is_file():
        raise results.no_output(PSFEX.name, out)
    try:
        model = read_psfex(out)[0]
    except DataFault as fault:
        raise results.no_output(PSFEX.name, out, f"cannot be read: {fault.message}") from fault
    metrics = results.read_metrics(PSFEX.name, folder / "out.xml", table="PSF_Fields", prefix="psfex")
    return {"psf": _with_own_width(model).to_catalogue(), "psfex_quality": metrics}


def _with_own_width(model: PsfModel) -> PsfModel:
    """With the full width of what it draws: PSFEx's card PSF_FWHM is the diameter of half of the stars' light, which wings widen."""
    middle = model.values(*model.centre)
    width = float(shapes_at(model.coefficients, middle, model.sampling, model.fwhm).fwhm[0])
    return replace(model, fwhm=width) if np.isfinite(width) else model


TASK = wrapped(
    name="psfex",
    version=2,
    grain=Grain.DETECTOR,
    settings=PsfexSettings,
    program=PSFEX,
    needs=(Need("science"), Need("sources"), Need("exposure", source="exposure"), Need("detector", source="detector")),
    gives=(
        Give("psf", Form.CATALOGUE, meaning="model of the point spread function, by PSFEx"),
        Give("psfex_quality", Form.METRICS, meaning="what PSFEx's XML says"),
    ),
    run=psfex,
)

DEEP = wrapped(
    name="deep_psfex",
    version=1,
    grain=Grain.TILE_BAND,
    settings=PsfexSettings,
    program=PSFEX,
    needs=(Need("science"), Need("sources")),
    gives=TASK.gives,
    run=psfex,
)
"""Of a stack."""
