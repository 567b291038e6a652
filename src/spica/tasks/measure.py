"""Measure: positions, fluxes and shapes of detected sources, each with its error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import COLUMNS, Catalogue, Flag
from spica.core.images import Image
from spica.core.keys import source_id
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.aperture import circular_photometry, light_radius
from spica.kernels.detect import Segments
from spica.kernels.kron import kron_photometry
from spica.kernels.measure import Isophotal, ellipses, measure_segments
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.kernels.windowed import core_fwhm, windowed_centroid

Column = npt.NDArray[Any]
BAD = int(Mask.BAD | Mask.NO_DATA | Mask.COSMIC | Mask.TRAIL)
"""Left out of photometry; saturated pixels are not: they hold most of a bright star's light."""


class MeasureSettings(Settings):
    """What is measured, and how far out."""

    apertures: tuple[float, float, float] = setting((3.0, 5.0, 8.0), "radii of the circular apertures", "pixel")
    kron_factor: float = setting(2.5, "ellipse of flux_auto in units of the Kron radius", gt=0)
    light_reach: float = setting(6.0, "largest radius of the half-light circle in units of a", gt=0)


class _Scene(NamedTuple):
    """What every measurement looks at: background-subtracted pixels, variance, mask."""

    image: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    mask: npt.NDArray[np.int32]


def measure(
    settings: MeasureSettings,
    science: Image,
    background: Image,
    segments: Segments,
    exposure: Exposure,
    detector: Detector,
) -> Products:
    """Isophotal, aperture, Kron and half-light photometry, moments, windowed positions, flags.

    Returns
    -------
    sources : Catalogue, one row per segment in the order of their first pixels; pixel positions 0-based, sky positions
        by the WCS of the record (NaN without a usable one; the card WCSNOTE says why).
    """
    scene = _scene(science, background)
    shapes = measure_segments(scene.image, scene.variance, segments.start, segments.pixels, scene.mask)
    a, b, theta = ellipses(shapes.xx, shapes.yy, shapes.xy)
    columns: dict[str, Column] = _isophotal(shapes, a, b, theta)
    columns |= _photometry(settings, scene, shapes, (a, b, theta))
    columns |= _positions(scene, shapes, columns)
    sky, cards = _sky(columns, detector.wcs)
    columns |= sky
    near = np.clip(np.rint([columns["y"], columns["x"]]).astype(np.int64), 0, np.array([science.shape]).T - 1)
    columns["background"] = background.pixels[near[0], near[1]]
    columns["flags"] = _flags(columns, science.shape)
    columns["source_id"] = np.array(
        [source_id(exposure.id, detector.detector, n) for n in range(segments.count)], np.int64
    )
    columns = {name: columns[name].astype(column.dtype) for name, column in COLUMNS.items()}
    return {"sources": Catalogue(columns, _header(settings, science) | cards)}


def _scene(science: Image, background: Image) -> _Scene:
    image = science.pixels - background.pixels
    mask = np.zeros(science.shape, np.int32) if science.mask is None else science.mask
    if science.variance is not None:
        return _Scene(image, science.variance, mask)
    # A delivered image without weights: the measured sky noise plus the sources' own photons.
    sky = np.zeros_like(image) if background.variance is None else background.variance
    gain = np.float32(science.header.get("GAIN") or 1.0)
    return _Scene(image, sky + np.maximum(image, np.float32(0)) / gain, mask)


def _isophotal(shapes: Isophotal, a: Column, b: Column, theta: Column) -> dict[str, Column]:
    error = np.sqrt(shapes.flux_variance)
    return {
        "x_iso": shapes.x,
        "y_iso": shapes.y,
        "x_min": shapes.x_min,
        "x_max": shapes.x_max,
        "y_min": shapes.y_min,
        "y_max": shapes.y_max,
        "area": shapes.area,
        "flux_iso": shapes.flux,
        "flux_iso_err": error,
        "snr": np.divide(shapes.flux, error, out=np.zeros_like(error), where=error > 0),
        "peak": shapes.peak,
        "x2": shapes.xx,
        "y2": shapes.yy,
        "xy": shapes.xy,
        "a": a,
        "b": b,
        "theta": np.degrees(theta),
        "elongation": np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0),
        "mask_bits": shapes.bits,
    }


def _photometry(
    settings: MeasureSettings, scene: _Scene, shapes: Isophotal, ellipse: tuple[Column, Column, Column]
) -> dict[str, Column]:
    circles = circular_photometry(
        scene.image, scene.variance, shapes.x, shapes.y, settings.apertures, scene.mask, bad_bits=BAD
    )
    kron = kron_photometry(
        scene.image, scene.variance, shapes.x, shapes.y, *ellipse, scene.mask, bad_bits=BAD, factor=settings.kron_factor
    )
    half = light_radius(
        scene.image,
        shapes.x,
        shapes.y,
        kron.flux,
        np.maximum(settings.light_reach * ellipse[0], 3.0),
        scene.mask,
        bad_bits=BAD,
    )
    return {
        "flux_aper": circles.flux,
        "flux_aper_err": np.sqrt(circles.flux_variance),
        "flux_auto": kron.flux,
        "flux_auto_err": np.sqrt(kron.flux_variance),
        "kron_radius": kron.radius,
        "half_light_radius": half,
        "touched": circles.masked.max(axis=1, initial=0),
    }


def _positions(scene: _Scene, shapes: Isophotal, columns: Mapping[str, Column]) -> dict[str, Column]:
    """Windowed centroids, isophotal ones where the window fails (and the flag says so)."""
    window = np.maximum(2 * np.nan_to_num(columns["half_light_radius"], nan=1.5), 1.5)
    found = windowed_centroid(scene.image, scene.variance, shapes.x, shapes.y, window, scene.mask, bad_bits=BAD)
    good = found.converged
    return {
        "x": np.where(good, found.x, shapes.x),
        "y": np.where(good, found.y, shapes.y),
        "x_err": np.sqrt(np.where(good, found.x_variance, shapes.x_variance)),
        "y_err": np.sqrt(np.where(good, found.y_variance, shapes.y_variance)),
        "fwhm": core_fwhm(scene.image, shapes.x, shapes.y, np.maximum(window, 2.0), scene.mask, bad_bits=BAD),
        "converged": good,
    }


def _sky(columns: Mapping[str, Column], cards: Mapping[str, Scalar]) -> tuple[dict[str, Column], dict[str, Scalar]]:
    """ICRS positions by the delivered WCS, and a header card that says why there are none where it cannot be used."""
    try:
        ra, dec = pixel_to_sky(from_cards(cards), columns["x"], columns["y"])
    except ValueError as reason:
        nowhere = np.full(len(columns["x"]), np.nan)
        return {"ra": nowhere, "dec": nowhere}, {"WCSNOTE": str(reason) if cards else "no solution was delivered"}
    return {"ra": ra, "dec": dec}, {}


def _flags(columns: Mapping[str, Column], shape: tuple[int, int]) -> Column:
    """Flags from mask bits, apertures and edges."""
    ny, nx = shape
    bits = columns["mask_bits"].astype(np.int64)
    edge = (
        (columns["x_min"] == 0) | (columns["y_min"] == 0) | (columns["x_max"] == nx - 1) | (columns["y_max"] == ny - 1)
    )
    flags = np.zeros(len(bits), np.int64)
    for is_so, flag in (
        (bits & int(Mask.SATURATED | Mask.BLEED) != 0, Flag.SATURATED),
        (bits & BAD != 0, Flag.BAD_PIXELS),
        (edge, Flag.TRUNCATED),
        (columns["touched"] > 0, Flag.APERTURE_INCOMPLETE),
        (~columns["converged"], Flag.CENTROID_FAILED),
    ):
        flags |= np.where(is_so, flag, 0)
    return flags


def _header(settings: MeasureSettings, science: Image) -> dict[str, Scalar]:
    cards: dict[str, Scalar] = {f"APER{n + 1}": radius for n, radius in enumerate(settings.apertures)}
    for name in ("EXPTIME", "GAIN", "SATURATE"):
        if name in science.header:
            cards[name] = science.header[name]
    return cards


TASK = Task(
    name="measure",
    version=1,
    grain=Grain.DETECTOR,
    settings=MeasureSettings,
    needs=(
        Need("science"),
        Need("background"),
        Need("segments"),
        Need("exposure", source="exposure"),
        Need("detector", source="detector"),
    ),
    gives=(Give("sources", Form.CATALOGUE, meaning="positions, fluxes and shapes of the sources of one detector"),),
    run=measure,
)
