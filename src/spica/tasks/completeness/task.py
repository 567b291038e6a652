"""Completeness: stars and galaxies put into a stack and found again; reliability by its negative; depth map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.core.records import Grain, Scalar
from spica.core.settings import setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.dual import light_gain
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_sources import blurred
from spica.kernels.recovery import recovery, wilson
from spica.tasks.completeness.finding import FindSettings, Found, find, recovered

Values = npt.NDArray[Any]

DISK = 1.67835
"""Half-light radius of an exponential disk in units of its scale length."""
DEPTH = 5.0
"""Depth is the magnitude of a point source that many times its error."""
KINDS = ("star", "galaxy")


class CompletenessSettings(FindSettings):
    """What is put in, and how often."""

    seed: int = setting(1, "of the random places and magnitudes", ge=0)
    passes: int = setting(4, "times that the stack is filled and searched", ge=1, le=1000)
    spacing: float = setting(10.0, "sources that are put in are this far apart, in units of the seeing", ge=4, le=100)
    brighter: float = setting(2.5, "the brightest are so much brighter than the depth", "mag", gt=0, le=10)
    fainter: float = setting(1.2, "the faintest are so much fainter", "mag", gt=0, le=10)
    galaxies: float = setting(0.5, "part of them that are galaxies: exponential disks", ge=0, le=1)
    sizes: tuple[float, ...] = setting((1.5, 3.0), "half-light radii of the galaxies", "pixel")
    radius: float = setting(0.6, "found within this distance, in units of the seeing", gt=0, le=3)
    bin_size: float = setting(0.2, "bins of the table", "mag", gt=0)
    cell: int = setting(32, "side of a cell of the depth map", "pixel", ge=4)


@dataclass(frozen=True, eq=False)
class _Put:
    """Sources that are put in, (n,): place [pixel], magnitude, half-light radius (0: a star) [pixel]."""

    x: Values
    y: Values
    magnitude: Values
    size: Values


def completeness(
    settings: CompletenessSettings,
    honest: Image,
    sky: Image,
    psf: Catalogue,
    noise: Mapping[str, Any],
) -> Products:
    """Put stars and galaxies of the stack's own PSF at random places into it, with their photons' noise; find them as sources are found.

    Returns
    -------
    completeness : Catalogue: by half-light radius and magnitude, how many were put in and found, with bounds of one standard deviation.
    injected : Catalogue of all that was put in, and whether it was found.
    depth_map : Image of the magnitude of a point source of 5 sigma in cells.
    completeness_figures : metrics: magnitudes at which 80 % and 50 % are found, with errors; reliability; median depth.

    Raises
    ------
    DataFault
        ``psf.missing``, ``zero-point.none``, ``data.bad-value`` without variances.
    """
    if honest.variance is None or sky.variance is None:
        raise DataFault("data.bad-value", "neither stack nor background may lack its variance", need="honest")
    if len(psf) == 0:
        raise DataFault("psf.missing", "the stack has no PSF model")
    zero = honest.header.get("MAGZERO")
    if not isinstance(zero, int | float):
        raise DataFault("zero-point.none", "the stack has no zero point MAGZERO")
    model, fwhm = PsfModel.from_catalogue(psf), float(noise["fwhm"])
    width = _effective(model)
    depth = _depths(sky.variance, honest.mask, width, float(zero), settings.cell)
    middle = float(np.nanmedian(depth))
    level = sky.pixels, sky.variance
    before = find(settings, honest.pixels, honest.variance, level, honest.mask, fwhm)
    rng = np.random.default_rng(settings.seed)
    put, hits = [], []
    for _ in range(settings.passes):
        made = _choose(settings, rng, honest.shape, middle, fwhm)
        snr = DEPTH * 10.0 ** (-0.4 * (made.magnitude - middle))
        pixels, variance = _drawn(settings, rng, honest, honest.variance, made, model, float(zero))
        now = find(settings, pixels, variance, level, honest.mask, fwhm)
        put.append(made)
        hits.append(recovered((made.x, made.y, snr), now, before, settings.radius * fwhm))
    whole = _Put(*(np.concatenate([getattr(each, name) for each in put]) for name in ("x", "y", "magnitude", "size")))
    found = np.concatenate(hits) & _on_image(whole, honest)
    seen = _on_image(whole, honest)
    whole, found = _Put(*(getattr(whole, name)[seen] for name in ("x", "y", "magnitude", "size"))), found[seen]
    negative = find(settings, 2.0 * sky.pixels - honest.pixels, honest.variance, level, honest.mask, fwhm)
    figures = _limits(whole, found) | _reliability(before, negative) | {"completeness_depth": Measured(middle, "mag")}
    cards: dict[str, Scalar] = {"SEED": settings.seed, "MAGZERO": float(zero)}
    return {
        "completeness": _table(settings, whole, found, cards),
        "injected": _injected(whole, found, cards),
        "depth_map": Image(depth, None, None, _coarse(honest.header, settings.cell) | {"BUNIT": "mag"}),
        "completeness_figures": figures,
    }


def _effective(model: PsfModel) -> float:
    """Pixels that the noise of a fit to a point source comes from: 1 / Σ p²."""
    stamp = psf_stamps(
        model.coefficients, model.values(*model.centre), model.sampling, [0.0], [0.0], 2 * int(3 * model.fwhm) + 1
    )
    return float(1.0 / np.sum(stamp[0, 0].astype(np.float64) ** 2))


def _depths(variance: Values, mask: Values | None, width: float, zero: float, cell: int) -> Values:
    """Magnitude of a point source of 5 sigma in each cell, NaN without data."""
    good = np.isfinite(variance) & (variance > 0)
    if mask is not None:
        good &= mask & int(Mask.unusable()) == 0
    ny, nx = (-(-size // cell) for size in variance.shape)
    depth = np.full((ny, nx), np.nan, np.float32)
    for j in range(ny):
        for i in range(nx):
            here = slice(j * cell, (j + 1) * cell), slice(i * cell, (i + 1) * cell)
            values = variance[here][good[here]]
            if values.size:
                depth[j, i] = zero - 2.5 * np.log10(DEPTH * np.sqrt(width * float(np.median(values))))
    if np.all(np.isnan(depth)):
        raise DataFault("data.no-pixels", "no pixel of the stack has a variance", need="honest")
    return depth


def _choose(
    settings: CompletenessSettings, rng: np.random.Generator, shape: tuple[int, int], depth: float, fwhm: float
) -> _Put:
    """One source at a random place of each square of a lattice that lies at random."""
    step = settings.spacing * fwhm
    ny, nx = shape
    starts = [np.arange(rng.uniform(-step, 0.0), size, step) for size in (nx, ny)]
    x, y = (grid.ravel() for grid in np.meshgrid(*starts))
    # Not nearer to its neighbours than half of the distance.
    x, y = x + rng.uniform(0.0, 0.5 * step, x.size), y + rng.uniform(0.0, 0.5 * step, y.size)
    inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    x, y = x[inside], y[inside]
    magnitude = rng.uniform(depth - settings.brighter, depth + settings.fainter, x.size)
    wide = (rng.random(x.size) < settings.galaxies) & (len(settings.sizes) > 0)
    size = np.where(wide, rng.choice(np.array(settings.sizes or (0.0,)), x.size), 0.0)
    return _Put(x, y, magnitude, size)


def _drawn(
    settings: CompletenessSettings,
    rng: np.random.Generator,
    stack: Image,
    variance: Values,
    put: _Put,
    model: PsfModel,
    zero: float,
) -> tuple[Values, Values]:
    """The stack and its variance with the sources in them."""
    light = np.zeros(stack.shape, np.float32)
    side = 2 * int(model.size * model.sampling / 2) - 1
    cube = model.coefficients[: model.values(0.0, 0.0).shape[1]]
    for size in (0.0, *settings.sizes):
        rows = np.flatnonzero(put.size == size)
        shape = cube if size == 0.0 else blurred(cube, size / DISK / model.sampling)
        for part in np.array_split(rows, max(rows.size // 500, 1)):
            stamps = psf_stamps(
                shape, model.values(put.x[part], put.y[part]), model.sampling, put.x[part], put.y[part], side
            )
            for stamp, row in zip(stamps[:, 0], part, strict=True):
                flux = 10.0 ** (0.4 * (zero - put.magnitude[row]))
                _add(light, stamp * np.float32(flux / stamp.sum()), put.x[row], put.y[row])
    gain = np.float32(light_gain(stack.pixels, variance))
    own = np.maximum(gain * light, np.float32(0.0))
    noise = rng.normal(size=stack.shape).astype(np.float32) * np.sqrt(own)
    return stack.pixels + light + noise, variance + own


def _add(light: Values, stamp: Values, x: float, y: float) -> None:
    half = stamp.shape[0] // 2
    x0, y0 = int(np.floor(x + 0.5)) - half, int(np.floor(y + 0.5)) - half
    ny, nx = light.shape
    v0, v1, u0, u1 = max(0, -y0), min(stamp.shape[0], ny - y0), max(0, -x0), min(stamp.shape[0], nx - x0)
    light[y0 + v0 : y0 + v1, x0 + u0 : x0 + u1] += stamp[v0:v1, u0:u1]


def _on_image(put: _Put, stack: Image) -> npt.NDArray[np.bool_]:
    """Whether there are data where a source was put."""
    y, x = (
        np.clip(np.rint(at).astype(np.int64), 0, size - 1) for at, size in zip((put.y, put.x), stack.shape, strict=True)
    )
    seen = np.isfinite(stack.pixels[y, x])
    if stack.variance is not None:
        seen &= stack.variance[y, x] > 0
    return np.asarray(seen, np.bool_)


def _kinds(put: _Put) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    for name, rows in zip(KINDS, (put.size == 0, put.size > 0), strict=True):
        if rows.any():
            yield name, rows


def _limits(put: _Put, found: npt.NDArray[np.bool_]) -> dict[str, Measured]:
    figures: dict[str, Measured] = {}
    for kind, rows in _kinds(put):
        curve = recovery(put.magnitude[rows], found[rows])
        if curve is None:
            continue
        figures[f"completeness_{kind}_plateau"] = Measured(curve.plateau)
        for part in (80, 50):
            limit, error = curve.limit(part / 100)
            if np.isfinite(limit):
                figures[f"completeness_{kind}_{part}"] = Measured(limit, "mag")
                figures[f"completeness_{kind}_{part}_err"] = Measured(error, "mag")
    return figures


def _reliability(before: Found, negative: Found) -> dict[str, Measured]:
    """Part of the detections that are not chance: noise makes as many dark ones."""
    made, false = before.x.size, negative.x.size
    if made == 0:
        return {"false_detections": Measured(float(false))}
    return {"reliability": Measured(max(1.0 - false / made, 0.0)), "false_detections": Measured(float(false))}


def _table(
    settings: CompletenessSettings, put: _Put, found: npt.NDArray[np.bool_], cards: Mapping[str, Scalar]
) -> Catalogue:
    low = np.floor(put.magnitude.min() / settings.bin_size) if put.size.size else 0.0
    number = np.floor(put.magnitude / settings.bin_size) - low
    rows = []
    for size in np.unique(put.size):
        for step in np.unique(number[put.size == size]):
            here = (put.size == size) & (number == step)
            rows.append((size, (low + step) * settings.bin_size, np.count_nonzero(here), np.count_nonzero(found[here])))
    size, faint, many, hits = np.array(rows, np.float64).reshape(-1, 4).T
    bounds = wilson(hits, many)
    columns = {
        "size": size, "mag_low": faint, "mag_high": faint + settings.bin_size, "injected": many, "found": hits,
        "completeness": hits / np.maximum(many, 1.0), "completeness_low": bounds[0], "completeness_high": bounds[1],
    }  # fmt: skip
    return Catalogue({name: columns[name].astype(each.dtype) for name, each in _TABLE.items()}, cards, _TABLE)


def _injected(put: _Put, found: npt.NDArray[np.bool_], cards: Mapping[str, Scalar]) -> Catalogue:
    columns = {"x": put.x, "y": put.y, "mag": put.magnitude, "size": put.size, "found": found}
    return Catalogue({name: columns[name].astype(each.dtype) for name, each in _INJECTED.items()}, cards, _INJECTED)


def _coarse(header: Mapping[str, Scalar], cell: int) -> dict[str, Scalar]:
    """Sky solution of cells from that of pixels."""
    cards = {name: value for name, value in header.items() if name.startswith(("CTYPE", "CRVAL", "CUNIT", "RADESYS", "EQUINOX", "PV", "LONPOLE", "LATPOLE"))}  # fmt: skip
    for name, value in header.items():
        if name.startswith("CRPIX") and isinstance(value, int | float):
            cards[name] = (value - 0.5) / cell + 0.5
        elif name.startswith("CD") and "_" in name and isinstance(value, int | float):
            cards[name] = value * cell
    return cards


_SIZE = Column("size", "f4", "pixel", "phys.angSize", "half-light radius before the PSF, 0 for a star")
_TABLE = {
    column.name: column
    for column in (
        _SIZE,
        Column("mag_low", "f4", "mag", "phot.mag;stat.min", "bright end of the bin, AB"),
        Column("mag_high", "f4", "mag", "phot.mag;stat.max", "faint end of the bin, AB"),
        Column("injected", "i4", "", "meta.number", "sources that were put in"),
        Column("found", "i4", "", "meta.number", "how many of them were found"),
        Column("completeness", "f4", "", "stat.probability", "part that was found"),
        Column("completeness_low", "f4", "", "stat.probability;stat.min", "lower bound, one standard deviation"),
        Column("completeness_high", "f4", "", "stat.probability;stat.max", "upper bound, one standard deviation"),
    )
}
_INJECTED = {
    column.name: column
    for column in (
        Column("x", "f8", "pixel", "pos.cartesian.x;instr.det", "where it was put, 0-based pixel centres"),
        Column("y", "f8", "pixel", "pos.cartesian.y;instr.det", "where it was put, 0-based pixel centres"),
        Column("mag", "f4", "mag", "phot.mag", "its AB magnitude"),
        _SIZE,
        Column("found", "i4", "", "meta.code", "1 where it was found"),
    )
}

TASK = Task(
    name="completeness",
    version=1,
    grain=Grain.TILE_BAND,
    settings=CompletenessSettings,
    needs=(Need("honest"), Need("sky"), Need("psf"), Need("noise")),
    gives=(
        Give("completeness", Form.CATALOGUE, meaning="part of the sources that is found, by magnitude and size"),
        Give("injected", Form.CATALOGUE, meaning="sources that were put in, and whether they were found"),
        Give("depth_map", Form.IMAGE, meaning="magnitude of a point source of 5 sigma over the tile"),
        Give("completeness_figures", Form.METRICS, meaning="magnitudes of 80 % and 50 % completeness, reliability"),
    ),
    run=completeness,
)
