"""SExtractor as a task: sources of one detector, or of a stack, in place of `background`, `detect` and `measure`.

Source: Bertin and Arnouts 1996, A&AS 117, 393. Pixels are in electrons, hence a gain of 1; weights are 1 / variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from spica.core.columns import Catalogue
from spica.core.records import Grain
from spica.core.settings import setting
from spica.core.task import Form, Give, Need, Products
from spica.files.ldac import NAMES
from spica.wrappers import configuration, results
from spica.wrappers.form import Paths, ProgramSettings, wrapped
from spica.wrappers.programs import Program, call

SEXTRACTOR = Program(
    "SExtractor",
    ("source-extractor", "sex"),
    least="2.19",
    below="3",
    install="install it (Debian: apt-get install source-extractor)",
)
_ALSO = ("ERRX2WIN_IMAGE", "ERRY2WIN_IMAGE", "ERRXYWIN_IMAGE", "FLAGS_WEIGHT")
_FILTER = "CONV NORM\n1 2 1\n2 4 2\n1 2 1\n"
_STAR_GALAXY = 0.9
"""FWHM of the stars [arcsec] that the neural classifier takes, the column of which is not asked for."""


class SExtractorSettings(ProgramSettings):
    """The keys of SExtractor's configuration that people change; others by `more`."""

    detect_minarea: int = setting(5, "pixels above the threshold", "pixel", ge=1)
    detect_thresh: float = setting(1.5, "threshold of detection, in background noises", "", gt=0)
    analysis_thresh: float = setting(1.5, "threshold of measurement, in background noises", "", gt=0)
    deblend_nthresh: int = setting(32, "levels of deblending", "", ge=1)
    deblend_mincont: float = setting(0.005, "least part of the light of a branch", "", ge=0, le=1)
    clean: bool = setting(True, "take away false detections about bright sources")
    clean_param: float = setting(1.0, "efficiency of that", "", gt=0)
    weight_type: str = setting("MAP_WEIGHT", "what the weights are for SExtractor: NONE, MAP_WEIGHT, BACKGROUND")
    phot_apertures: tuple[float, float, float] = setting((5.0, 10.0, 20.0), "diameters of the apertures", "pixel")
    phot_autoparams: tuple[float, float] = setting((2.5, 3.5), "Kron factor and least radius")
    satur_level: float = setting(1e7, "level at which pixels are saturated", "electron", gt=0)
    back_size: int = setting(64, "mesh of the background", "pixel", ge=4)
    back_filtersize: int = setting(3, "meshes over which the background is smoothed", "", ge=1)
    more: dict[str, str | float | bool] = setting({}, "further keys of the configuration")


def sextractor(settings: SExtractorSettings, paths: Paths, folder: Path) -> Products:
    """Sources of one image by SExtractor."""
    return extracted(settings, paths, folder)


def extracted(
    settings: SExtractorSettings,
    paths: Paths,
    folder: Path,
    also: Sequence[str] = (),
    fixed: Mapping[str, Any] = MappingProxyType({}),
) -> Products:
    """Run SExtractor; `also` are further parameters of sources, `fixed` further keys that the task sets.

    Where the paths have a `detection`, sources are found on that image and measured on `science` (dual-image mode).
    """
    (folder / "default.conv").write_text(_FILTER, encoding="ascii")
    names = [name for name in NAMES.values() if "IMAFLAGS_ISO" not in name or "science.mask" in paths]
    vectors = {each: f"{each}({len(settings.phot_apertures)})" for each in ("FLUX_APER", "FLUXERR_APER")}
    wanted = [vectors.get(name, name) for name in (*names, *_ALSO, *also)]
    (folder / "default.param").write_text("\n".join(wanted) + "\n", encoding="ascii")
    images = [name for name in ("detection", "science") if name in paths]
    keys: dict[str, Any] = {
        "CATALOG_NAME": "out.ldac", "CATALOG_TYPE": "FITS_LDAC", "PARAMETERS_NAME": "default.param",
        "FILTER": len(images) == 1, "FILTER_NAME": "default.conv", "GAIN": 1.0, "GAIN_KEY": "NOGAIN", "SATUR_KEY": "NOSATUR",
        "PIXEL_SCALE": 0, "SEEING_FWHM": _STAR_GALAXY, "WRITE_XML": True, "XML_NAME": "out.xml",
        "CHECKIMAGE_TYPE": "NONE", "VERBOSE_TYPE": "NORMAL", **fixed,
    }  # fmt: skip
    if settings.weight_type != "NONE":
        keys["WEIGHT_IMAGE"] = ",".join(paths[f"{name}.weight"].name for name in images)
    keys |= {"FLAG_IMAGE": paths["science.mask"].name, "FLAG_TYPE": "OR"} if "science.mask" in paths else {}
    if len(images) == 2:
        settings = settings.model_copy(update={"weight_type": ",".join([settings.weight_type] * 2)})
    configuration.write(folder / "task.sex", settings, **keys)
    command = [SEXTRACTOR.path(), ",".join(paths[name].name for name in images), "-c", "task.sex"]
    call(SEXTRACTOR.name, command, folder, settings.time_limit)
    sources = _with_errors(results.read_catalogue(SEXTRACTOR.name, folder / "out.ldac"))
    metrics = results.read_metrics(SEXTRACTOR.name, folder / "out.xml", prefix="sextractor")
    return {"sources": sources, "sextractor_quality": metrics}


def _with_errors(sources: Catalogue) -> Catalogue:
    """The windowed variances of places as standard errors."""
    columns = dict(sources.columns)
    for axis in "xy":
        variance = np.asarray(columns.pop(f"err{axis}2win_image"), np.float64)
        columns[f"{axis}_err"] = np.sqrt(np.maximum(variance, 0)).astype(np.float32)
    columns["xy_cov"] = np.asarray(columns.pop("errxywin_image"), np.float32)
    extra = {name: one for name, one in sources.extra.items() if name in columns}
    return Catalogue(columns, sources.header, extra)


TASK = wrapped(
    name="sextractor",
    version=1,
    grain=Grain.DETECTOR,
    settings=SExtractorSettings,
    program=SEXTRACTOR,
    needs=(
        Need("science"),
        Need("exposure", source="exposure"),
        Need("detector", source="detector"),
    ),
    gives=(
        Give("sources", Form.CATALOGUE, meaning="sources of one image, by SExtractor"),
        Give("sextractor_quality", Form.METRICS, meaning="what SExtractor's XML says"),
    ),
    run=sextractor,
)

DEEP = wrapped(
    name="deep_sextractor",
    version=1,
    grain=Grain.TILE_BAND,
    settings=SExtractorSettings,
    program=SEXTRACTOR,
    needs=(Need("science"),),
    gives=TASK.gives,
    run=sextractor,
)
"""On a stack."""
