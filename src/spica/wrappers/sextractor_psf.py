"""SExtractor's second pass, with a model of the point spread function: MAG_PSF and SPREAD_MODEL, in place of `psf_measure`.

Source: Bertin and Arnouts 1996, A&AS 117, 393; Desai et al. 2012, ApJ 757, 83 (SPREAD_MODEL). The model may be PSFEx's or ours.
On a stack sources may be found on another image of the tile (dual-image mode), that of all bands: its pixels count in sigma.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from spica.core.columns import COLUMNS, DEEP_COLUMNS, PSF_COLUMNS, Catalogue, Column
from spica.core.records import Grain
from spica.core.settings import setting
from spica.core.task import Form, Give, Need, Products
from spica.kernels.ab import ab_magnitudes
from spica.wrappers.form import Paths, wrapped
from spica.wrappers.sextractor import SEXTRACTOR, SExtractorSettings, extracted

_OURS = {
    "xpsf_image": "x_psf", "ypsf_image": "y_psf", "flux_psf": "flux_psf", "fluxerr_psf": "flux_psf_err",
    "chi2_psf": "chi2_psf", "spread_model": "spread_model", "spreaderr_model": "spread_model_err",
}  # fmt: skip
_DUAL = {"thresh_type": "ABSOLUTE", "back_type": "MANUAL,AUTO", "back_value": "0.0,0.0"}
"""The detection image is flat, and counts in sigma already."""


class SExtractorPsfSettings(SExtractorSettings):
    """As those of the first pass."""

    detection_thresh: float = setting(5.0, "threshold on the image of detection, where there is one", "sigma", gt=0)
    psf_nmax: int = setting(1, "point spread functions fitted at once", "", ge=1, le=11)


def sextractor_psf(settings: SExtractorPsfSettings, paths: Paths, folder: Path) -> Products:
    """Sources of one image by SExtractor, their light by a model of the point spread function.

    Returns
    -------
    psf_sources : Catalogue with the columns of the first pass, and `x_psf`, `y_psf`, `flux_psf`, `flux_psf_err`, `chi2_psf`, `spread_model`,
        `spread_model_err`; `mag_psf`, `mag_psf_err` and `mag_auto`, `mag_auto_err` where the image has MAGZERO.
    sextractor_psf_quality : metrics.
    """
    told = settings
    if "detection" in paths:
        more = {**_DUAL, **settings.more}
        limits = {"detect_thresh": settings.detection_thresh, "analysis_thresh": settings.detection_thresh}
        told = settings.model_copy(update={"more": more, **limits})
    # DETECTION_THRESH is a key of ours, not of the program's.
    plain = SExtractorSettings(**{name: getattr(told, name) for name in SExtractorSettings.model_fields})
    fixed = {"PSF_NAME": paths["psf"].name, "PSF_NMAX": settings.psf_nmax}
    made = extracted(plain, paths, folder, [name.upper() for name in _OURS], fixed)
    zero = fits.getheader(paths["science"]).get("MAGZERO")
    return {
        "psf_sources": _named(made["sources"], float(zero) if isinstance(zero, int | float) else None),
        "sextractor_psf_quality": {
            name.replace("sextractor", "sextractor_psf", 1): each for name, each in made["sextractor_quality"].items()
        },
    }


def _named(sources: Catalogue, zero: float | None) -> Catalogue:
    """The program's columns of the fit under our names, magnitudes beside them; places from 0, zero or less is no light."""
    columns: dict[str, Any] = {name: values for name, values in sources.columns.items() if name not in _OURS}
    for theirs, name in _OURS.items():
        one = 1.0 if name in {"x_psf", "y_psf"} else 0.0
        values = np.asarray(sources[theirs], np.float64) - one
        columns[name] = values.astype(PSF_COLUMNS[name].dtype)
    declared: dict[str, Column] = {name: one for name, one in sources.extra.items() if name in columns}
    if zero is not None:
        for name in ("auto", "psf"):
            found = ab_magnitudes(columns[f"flux_{name}"], columns[f"flux_{name}_err"], zero)
            columns[f"mag_{name}"], columns[f"mag_{name}_err"] = found
            declared |= {f"mag_{name}{tail}": DEEP_COLUMNS[f"mag_{name}{tail}"] for tail in ("", "_err")}
    known = {name: declared.get(name) or COLUMNS[name] for name in columns}
    typed = {name: np.asarray(values).astype(known[name].dtype) for name, values in columns.items()}
    return Catalogue(typed, sources.header, declared)


_GIVES = (
    Give("psf_sources", Form.CATALOGUE, meaning="sources of one image with PSF magnitudes, by SExtractor"),
    Give("sextractor_psf_quality", Form.METRICS, meaning="what SExtractor's XML says of its second pass"),
)

TASK = wrapped(
    name="sextractor_psf",
    version=1,
    grain=Grain.DETECTOR,
    settings=SExtractorPsfSettings,
    program=SEXTRACTOR,
    needs=(Need("science"), Need("psf"), Need("exposure", source="exposure"), Need("detector", source="detector")),
    gives=_GIVES,
    run=sextractor_psf,
)

DEEP = wrapped(
    name="deep_sextractor_psf",
    version=1,
    grain=Grain.TILE_BAND,
    settings=SExtractorPsfSettings,
    program=SEXTRACTOR,
    needs=(Need("science"), Need("psf"), Need("detection", grain=Grain.TILE, optional=True)),
    gives=_GIVES,
    run=sextractor_psf,
)
"""On a stack, and where there is an image of all bands, of what is found on that."""
