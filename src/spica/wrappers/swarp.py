"""SWarp as a task: the stack of a tile in a band, in place of `stack`.

Source: Bertin et al. 2002, ASP Conf. 281, 228. Each image's sky solution and its factor of light (FLXSCALE, FLXSCALE² for weights) are those
that our stack would take, told in a header beside it; where there are none, its own header's hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io import fits

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import setting
from spica.core.task import Form, Give, Need, Products
from spica.files import cards
from spica.wrappers import configuration, results
from spica.wrappers.form import Paths, ProgramSettings, wrapped
from spica.wrappers.programs import Program, call

SWARP = Program(
    "SWarp", ("SWarp", "swarp"), least="2.38", below="3", install="install it (Debian: apt-get install swarp)"
)


class SwarpSettings(ProgramSettings):
    """The keys of SWarp's configuration that people change; others by `more`."""

    combine_type: str = setting(
        "WEIGHTED", "how images are combined: WEIGHTED, MEDIAN, AVERAGE, CLIPPED, CHI2, MIN, MAX"
    )
    clip_sigma: float = setting(4.0, "threshold of the clipped mean", "", gt=0)
    resampling_type: str = setting("LANCZOS3", "kernel: NEAREST, BILINEAR, LANCZOS2, LANCZOS3, LANCZOS4")
    rescale_weights: bool = setting(False, "fit the weights to the noise that is seen; ours are inverse variances")
    weights: Literal["sky", "pixel"] = setting(
        "sky", "an image's weight: 1 / variance of its blank sky where pixels are good, as ours; or that of each pixel"
    )
    magzero: float = setting(30.0, "AB magnitude of one unit of the stack, where there are zero points", "mag")
    subtract_back: bool = setting(True, "subtract the background of each image")
    back_size: int = setting(128, "mesh of the background", "pixel", ge=4)
    back_filtersize: int = setting(3, "meshes over which the background is smoothed", "", ge=1)
    more: dict[str, str | float | bool] = setting({}, "further keys of the configuration")


def swarp(settings: SwarpSettings, paths: Paths, folder: Path) -> Products:
    """The stack of a tile in a band by SWarp.

    Raises
    ------
    DataFault
        ``stack.no-solution``, ``stack.no-zero-point`` where others have one; ``stack.mixed-scales``; ``program.*``.
    """
    tile = json.loads(paths["tile"].read_text(encoding="utf-8"))
    _write_head(folder / "out.head", {"NAXIS": 2, "NAXIS1": tile["nx"], "NAXIS2": tile["ny"], **tile["cards"]})
    told = _heads(settings, paths)
    if settings.weights == "sky":
        _level(paths)
    fixed: dict[str, Any] = {
        "IMAGEOUT_NAME": "out.fits", "WEIGHTOUT_NAME": "out.weight.fits", "HEADER_ONLY": False, "COMBINE": True,
        "WEIGHT_TYPE": "MAP_WEIGHT", "WEIGHT_SUFFIX": ".weight.fits", "RESAMPLE": True, "RESAMPLE_DIR": ".",
        "DELETE_TMPFILES": True, "GAIN_KEYWORD": "NOGAIN", "GAIN_DEFAULT": 1.0, "WRITE_XML": True, "XML_NAME": "out.xml",
        "NTHREADS": 1, "VERBOSE_TYPE": "NORMAL", "WRITE_FILEINFO": False,
    }  # fmt: skip
    plain = configuration.configuration(settings, **fixed)
    lines = [line for line in plain.splitlines() if line.split()[0] not in {"WEIGHTS", "MAGZERO"}]
    (folder / "task.swarp").write_text("\n".join(lines) + "\n", encoding="ascii")
    command = [SWARP.path(), f"@{paths['science'].name}", "-c", "task.swarp"]
    call(SWARP.name, command, folder, settings.time_limit)
    made = results.read_image(SWARP.name, folder / "out.fits")
    weight = results.read_image(SWARP.name, folder / "out.weight.fits").pixels
    seen = weight > 0
    variance = np.where(seen, 1 / np.where(seen, weight, 1), np.inf).astype(np.float32)
    mask = np.where(seen, 0, int(Mask.NO_DATA)).astype(np.int32)
    stack = Image(np.where(seen, made.pixels, np.float32(np.nan)), variance, mask, {**made.header, **told})
    return {"stack": stack, "swarp_quality": results.read_metrics(SWARP.name, folder / "out.xml", prefix="swarp")}


def _write_head(path: Path, head: Mapping[str, Scalar]) -> None:
    lines = [cards.card(key, value).rstrip() for key, value in head.items()]
    path.write_text("\n".join([*lines, "END", ""]), encoding="ascii")


def _images(paths: Paths) -> dict[str, Path]:
    """The images by the units that they are of."""
    units = paths["science.units"].read_text(encoding="utf-8").split()
    return dict(zip(units, map(Path, paths["science"].read_text(encoding="utf-8").split()), strict=True))


def _heads(settings: SwarpSettings, paths: Paths) -> dict[str, Scalar]:
    """Write the header beside each image: its sky solution and factor of light; what the stack's own says of light."""
    solutions, lights = (
        json.loads(paths[name].read_text(encoding="utf-8")) if name in paths else None
        for name in ("sky_solution", "light")
    )
    systems = {}
    for unit, image in _images(paths).items():
        head: dict[str, Scalar] = {}
        if solutions is not None:
            if unit not in solutions:
                raise DataFault("stack.no-solution", f"{unit} has no sky solution", unit=unit)
            head |= solutions[unit]["cards"]
        if lights is not None:
            light = lights.get(unit) or {}
            seconds = ((solutions or {}).get(unit) or {}).get("exposure_time") or fits.getheader(image).get("EXPTIME")
            zero = light.get("zero")
            if zero is None or not math.isfinite(zero) or not seconds:
                raise DataFault("stack.no-zero-point", f"{unit} has no zero point, or no exposure time", unit=unit)
            head["FLXSCALE"] = 10.0 ** (0.4 * (settings.magzero - zero)) / float(seconds)
            systems[str(light.get("scale") or "AB")] = unit
        if head:
            _write_head(image.with_suffix(".head"), head)
    if len(systems) > 1:
        told = "; ".join(f"{unit}: {system}" for system, unit in sorted(systems.items()))
        raise DataFault(
            "stack.mixed-scales", f"zero points of different systems cannot be stacked ({told})", systems=told
        )
    return {"MAGZERO": settings.magzero, "MAGSYS": next(iter(systems))} if systems else {}


def _level(paths: Paths) -> None:
    """Put the weight of blank sky at every good pixel: bright stars would weigh less by their own light."""
    for image in _images(paths).values():
        path = image.with_suffix(".weight.fits")
        with fits.open(path, mode="update", memmap=False) as hdus:
            weight = hdus[0].data
            good = weight > 0
            if good.any():
                hdus[0].data = np.where(good, np.median(weight[good]), 0).astype(np.float32)


TASK = wrapped(
    name="swarp",
    version=2,
    grain=Grain.TILE_BAND,
    settings=SwarpSettings,
    program=SWARP,
    needs=(
        Need("tile", source="tile"),
        Need("science", grain=Grain.DETECTOR, stream=True, quorum=1),
        Need("sky_solution", grain=Grain.DETECTOR, quorum=1, optional=True),
        Need("light", grain=Grain.DETECTOR, quorum=1, optional=True),
    ),
    gives=(
        Give("stack", Form.IMAGE, meaning="the sky of the tile in the band, by SWarp"),
        Give("swarp_quality", Form.METRICS, meaning="what SWarp's XML says"),
    ),
    run=swarp,
)
