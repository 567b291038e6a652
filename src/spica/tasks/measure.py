"""Measure: positions, fluxes and shapes of detected sources, each with its error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import SOURCE_COLUMNS, Catalogue, Flag
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.keys import exposure_id, source_id
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, Grain, Scalar, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.aperture import circular_photometry
from spica.kernels.detect import Segments
from spica.kernels.measure import Measures, Photometry, measure_sources
from spica.kernels.moments import Shapes, shapes
from spica.kernels.placed import placed
from spica.kernels.robust import MAD_TO_SIGMA, half_sample_mode

Column = npt.NDArray[Any]
BAD = int(Mask.BAD | Mask.NO_DATA | Mask.COSMIC | Mask.TRAIL)
"""Replaced in photometry; saturated pixels are not: they hold most of a bright star's light."""
CROWDED = 0.1
"""Neighbours on more than this part of the Kron ellipse are flagged."""
GROWN = 3.5
"""The light of a point source is what is within this many times the seeing."""
FEWEST_STARS, FEWEST_ALIKE, MOST_STARS = 4, 8, 200
"""Fewer stars give no growth curve, fewer sources of one size are no stars where that is not the seeing's; more are not needed."""
COMPACT, HALF_LIGHT, BETA = (0.4, 0.75), 0.58, 3.0
"""Half-light radii of point sources in units of the seeing: of any profile, of the usual one; exponent of that Moffat profile."""
NARROWER = 0.8
"""Where a quarter of the bright sources is narrower than the seeing by this factor, it is theirs."""
WIDER = 1.05
"""A source whose half-light radius is larger than that of stars by this factor is extended."""
ENOUGH, ENOUGH_SKY = 1 << 18, 1000
"""Pixels that tell the haze; fewer that are of no source tell none."""


class MeasureSettings(Settings):
    """What is measured, and how far out."""

    apertures: tuple[float, float, float] = setting((3.0, 5.0, 8.0), "radii of the circular apertures", "pixel")
    kron_factor: float = setting(2.5, "ellipse of flux_auto in units of the Kron radius", gt=0)
    kron_smallest: float = setting(2.5, "least size of that ellipse in units of the rms axes", ge=0)
    kron_floor: float = setting(1.0, "a smaller ellipse is a circle of this radius, in units of the seeing", ge=0)
    whole_light: bool = setting(True, "correct flux_auto for the light that sources have outside of its ellipse")
    haze: bool = setting(True, "take away the mean light of sources unseen and of wings from all but the apertures")
    largest_reach: int = setting(200, "no pixel farther than this is looked at", "pixel", ge=16, le=2000)
    largest_error: float = setting(1.0, "position errors above this are flagged as absurd", "pixel", gt=0)


def measure(
    settings: MeasureSettings,
    science: Image,
    background: Image,
    segments: Segments,
    exposure: Exposure,
    detector: Detector,
) -> Products:
    """Isophotal, aperture, Kron and half-light photometry, moments, windowed positions, flags.

    A detection without a single good pixel is no source and is left out.

    Returns
    -------
    sources : Catalogue, one row per source in the order of their first pixels; pixel positions 0-based, sky positions
        by the WCS of the record (NaN without a usable one; the card WCSNOTE says why).
    """
    columns, cards = _measured(settings, science, background, segments, detector.wcs)
    number = len(columns["x"])
    # The last one shows that all of them fit into an identifier.
    last = source_id(exposure.id, detector.detector, max(number - 1, 0))
    return {"sources": _catalogue(columns, last - np.arange(number)[::-1], cards)}


def measure_deep(
    settings: MeasureSettings, science: Image, background: Image, segments: Segments, unit: Unit
) -> Products:
    """The same on a stack, whose header says where its pixels are.

    Returns
    -------
    sources : Catalogue, as `measure` has it; identifiers count within the tile and band.
    """
    columns, cards = _measured(settings, science, background, segments, science.header)
    number = len(columns["x"])
    last = source_id(exposure_id(*unit.values), 0, max(number - 1, 0))
    return {"sources": _catalogue(columns, last - np.arange(number)[::-1], cards)}


def _catalogue(columns: Mapping[str, Column], identifiers: Column, cards: Mapping[str, Scalar]) -> Catalogue:
    columns = {**columns, "source_id": identifiers}
    return Catalogue({name: columns[name].astype(column.dtype) for name, column in SOURCE_COLUMNS.items()}, cards)


def _measured(
    settings: MeasureSettings, science: Image, background: Image, segments: Segments, wcs: Mapping[str, Scalar]
) -> tuple[dict[str, Column], dict[str, Scalar]]:
    """Columns but for the identifiers, and header cards."""
    seen = _Seen(science, background, segments)
    haze = seen.haze() if settings.haze else 0.0
    found = measure_sources(
        *seen.planes,
        segments,
        seen.labels,
        Photometry(
            settings.apertures,
            settings.kron_factor,
            settings.kron_smallest,
            settings.kron_floor * segments.fwhm,
            largest=settings.largest_reach,
            fwhm=segments.fwhm,
            inverse_gain=seen.inverse_gain,
            haze=haze,
        ),
        science.mask,
        bad_bits=BAD,
    )
    form = shapes(found.reals)
    columns = _isophotal(found, form) | _photometry(found) | _positions(found)
    if segments.count:
        columns["snr_peak"] = np.maximum.reduceat(segments.values, segments.start[:-1])
    else:
        columns["snr_peak"] = np.zeros(0, np.float32)
    columns["flags"] = _flags(settings, found, columns, segments, science.shape)
    light, stars = _light_within(seen, columns, haze) if settings.whole_light else (np.ones(segments.count), 0)
    for name in ("flux_auto", "flux_auto_err"):
        columns[name] = columns[name] / light
    columns["auto_fraction"] = light
    rows = np.flatnonzero(found.wholes["good"] > 0)
    columns = {name: values[rows] for name, values in columns.items()}
    sky, cards = _sky(columns, wcs)
    return columns | sky, _header(settings, science, segments, stars, haze) | cards


class _Seen:
    """What every measurement looks at: planes, labels, and what makes a variance complete."""

    def __init__(self, science: Image, background: Image, segments: Segments) -> None:
        self.segments, self.mask, self.labels = segments, science.mask, segments.labels()
        self.inverse_gain = 0.0
        variance = science.variance
        if variance is None:
            if background.variance is None:
                raise DataFault("data.bad-value", "neither image nor background carries a variance", need="background")
            # A delivered image without weights: the measured sky noise plus the sources' own photons.
            variance = background.variance
            self.inverse_gain = 1.0 / float(science.header.get("GAIN") or 1.0)
        self.planes = science.pixels, background.pixels, variance

    def haze(self) -> float:
        """Mean light above the sky of pixels of no source: of sources too faint to be seen, and of wings.

        The sky is what shines behind all sources. What a source of the catalogue stands on is brighter, by this on
        average. From rows evenly apart where the image is large; pixels beyond 5 sigma of them count for none.
        """
        image, sky, variance = self.planes
        rows = slice(None, None, max(image.size // ENOUGH, 1))
        free = (self.labels[rows] == 0) & (image[rows] > -np.inf) & (variance[rows] > 0.0)
        if self.mask is not None:
            free &= self.mask[rows] == 0
        above = (image[rows] - sky[rows])[free].astype(np.float64)
        if above.size < ENOUGH_SKY:
            return 0.0
        away = np.abs(above - np.median(above))
        return float(np.mean(above[away <= 5.0 * MAD_TO_SIGMA * np.median(away)]))


def _isophotal(found: Measures, form: Shapes) -> dict[str, Column]:
    reals, wholes = found.reals, found.wholes
    error = np.sqrt(reals["var_iso"])
    return {
        "x_iso": reals["x_iso"],
        "y_iso": reals["y_iso"],
        "x_iso_err": np.sqrt(reals["var_x"]),
        "y_iso_err": np.sqrt(reals["var_y"]),
        **{name: wholes[name] for name in ("x_min", "x_max", "y_min", "y_max", "area")},
        "flux_iso": reals["flux_iso"],
        "flux_iso_err": error,
        "snr": np.divide(reals["flux_iso"], error, out=np.zeros_like(error), where=error > 0),
        "peak": reals["peak"],
        "peak_err": np.sqrt(reals["var_peak"]),
        "background": reals["background"],
        "x2": reals["xx"],
        "y2": reals["yy"],
        "xy": reals["xy"],
        "x2_err": np.sqrt(reals["var_xx"]),
        "y2_err": np.sqrt(reals["var_yy"]),
        "xy_err": np.sqrt(reals["var_xy"]),
        **form._asdict(),
        "theta": np.degrees(form.theta),
        "theta_err": np.minimum(np.degrees(form.theta_err), 90.0),
        "mask_bits": wholes["bits"],
    }


def _photometry(found: Measures) -> dict[str, Column]:
    reals = found.reals
    return {
        "flux_aper": found.flux,
        "flux_aper_err": np.sqrt(found.variance),
        "flux_auto": reals["flux_auto"],
        "flux_auto_err": np.sqrt(reals["var_auto"]),
        "kron_radius": reals["kron_radius"],
        "auto_radius": reals["kron_size"],
        "half_light_radius": reals["radius_50"],
        "half_light_radius_err": reals["radius_50_err"],
        "radius_80": reals["radius_80"],
        "radius_80_err": reals["radius_80_err"],
        "fwhm": reals["fwhm"],
        "fwhm_err": reals["fwhm_err"],
    }


def _positions(found: Measures) -> dict[str, Column]:
    """Windowed centroids, isophotal ones where the window fails (and the flag says so)."""
    reals, good = found.reals, found.wholes["converged"] > 0
    return {
        "x": np.where(good, reals["x_win"], reals["x_iso"]),
        "y": np.where(good, reals["y_win"], reals["y_iso"]),
        "x_err": np.sqrt(np.where(good, reals["var_x_win"], reals["var_x"])),
        "y_err": np.sqrt(np.where(good, reals["var_y_win"], reals["var_y"])),
        "xy_cov": np.where(good, reals["cov_win"], reals["cov_xy"]),
    }


def _light_within(seen: _Seen, columns: Mapping[str, Column], haze: float) -> tuple[Column, int]:
    """Fraction of its light that each source has within its Kron ellipse, and the number of stars that tell it.

    That of a point source is from the growth curves of the frame's bright, clean, isolated stars; where there are too few,
    from a Moffat profile of the seeing's width: a frame without stars is then on the scale of its neighbours to some 0.03 mag,
    not 0.1. Of an extended source it is that of an exponential disk, whose Kron radius is twice its scale length (Graham & Driver
    2005, PASA 22, 118, section 3.2), in proportion to how much of its size is its own.
    """
    size = columns["half_light_radius"]
    width, seeing, stars = _stars(columns, seen.segments.fwhm)
    radii = np.linspace(0.3, GROWN, 17) * seeing
    curve = _profile(radii, seeing)
    if stars.size:
        image, sky, variance = seen.planes
        places = columns["x"][stars], columns["y"][stars], radii, seen.mask
        grown = circular_photometry(
            image, variance, *places, bad_bits=BAD, sky=sky, labels=seen.labels, own=stars + 1
        ).flux
        grown -= haze * np.pi * radii**2
        curve = np.maximum.accumulate(np.median(grown / grown[:, -1:], axis=0))
    point = np.interp(columns["auto_radius"], radii, curve)
    scale = 0.5 * columns["kron_radius"] * np.sqrt(columns["a"] * columns["b"])
    known = (size > WIDER * width) & (scale > 0.0)
    lengths = np.divide(columns["auto_radius"], scale, out=np.ones_like(point), where=known)
    disk = 1.0 - (1.0 + lengths) * np.exp(-lengths)
    own = 1.0 - np.divide(WIDER * width, size, out=np.ones_like(point), where=known) ** 2
    return np.maximum(point + own * (disk - point), 0.2), int(stars.size)


def _stars(columns: Mapping[str, Column], fwhm: float) -> tuple[float, float, npt.NDArray[np.int64]]:
    """Half-light radius and width of point sources [pixel], and rows of the brightest of them; none where they are too few.

    Galaxies often outnumber the bright stars of a small frame, so the mode is looked for where the seeing says that stars are;
    among all only where none are there and half of all are alike (images that are trailed, a seeing that was not measured).
    """
    size = columns["half_light_radius"]
    bright = (columns["snr"] > 50.0) & np.isfinite(size)
    clean = bright & (columns["flags"] == 0)
    # A seeing of few peaks may be that of what is no star: hardly a source is narrower than the true one.
    least = float(np.quantile(size[bright], 0.25)) / HALF_LIGHT if np.any(bright) else fwhm
    seeing = least if least < NARROWER * fwhm else fwhm
    narrow = clean & (size > COMPACT[0] * seeing) & (size < COMPACT[1] * seeing)
    few = np.count_nonzero(narrow) < FEWEST_STARS
    among, fewest = (clean, max(FEWEST_ALIKE, int(np.count_nonzero(clean)) // 2)) if few else (narrow, FEWEST_STARS)
    if np.count_nonzero(among) >= fewest:
        width = half_sample_mode(size[among])
        stars = np.flatnonzero(among & (np.abs(size - width) < 0.15 * width))
        if stars.size >= fewest:
            stars = stars[np.argsort(-columns["snr"][stars], kind="stable")[:MOST_STARS]]
            return width, seeing, np.sort(stars)
    return HALF_LIGHT * seeing, seeing, np.zeros(0, np.int64)


def _profile(radii: Column, fwhm: float) -> Column:
    """Part of a Moffat profile's light within radii, of that within the last."""
    alpha = 0.5 * fwhm / np.sqrt(2.0 ** (1.0 / BETA) - 1.0)
    within = 1.0 - (1.0 + (radii / alpha) ** 2) ** (1.0 - BETA)
    return np.asarray(within / within[-1])


def _sky(columns: Mapping[str, Column], cards: Mapping[str, Scalar]) -> tuple[dict[str, Column], dict[str, Scalar]]:
    """ICRS positions by the delivered WCS, and a header card that says why there are none where it cannot be used."""
    try:
        ra, dec = placed(cards).pixel_to_sky(columns["x"], columns["y"])
    except ValueError as reason:
        nowhere = np.full(len(columns["x"]), np.nan)
        return {"ra": nowhere, "dec": nowhere}, {"WCSNOTE": str(reason) if cards else "no solution was delivered"}
    return {"ra": ra, "dec": dec}, {}


def _flags(
    settings: MeasureSettings,
    found: Measures,
    columns: Mapping[str, Column],
    segments: Segments,
    shape: tuple[int, int],
) -> Column:
    """Flags from mask bits, apertures, neighbours, edges and errors."""
    ny, nx = shape
    wholes = found.wholes
    bits = wholes["bits"]
    edge = (wholes["x_min"] == 0) | (wholes["y_min"] == 0) | (wholes["x_max"] == nx - 1) | (wholes["y_max"] == ny - 1)
    incomplete = (wholes["bad_auto"] > 0) | (found.bad.max(axis=1, initial=0) > 0)
    sure = np.maximum(columns["x_err"], columns["y_err"]) <= settings.largest_error
    flags = np.zeros(bits.size, np.int64)
    for is_so, flag in (
        (found.reals["neighbours"] > CROWDED, Flag.NEIGHBOUR),
        (segments.blended, Flag.DEBLENDED),
        (bits & int(Mask.SATURATED | Mask.BLEED) != 0, Flag.SATURATED),
        (edge, Flag.TRUNCATED),
        (incomplete, Flag.APERTURE_INCOMPLETE),
        (wholes["converged"] == 0, Flag.CENTROID_FAILED),
        (bits & BAD != 0, Flag.BAD_PIXELS),
        (~sure, Flag.POSITION_UNSURE),
        (bits & int(Mask.SUSPECT | Mask.CROSSTALK) != 0, Flag.SUSPECT),
        (bits & int(Mask.INTERPOLATED) != 0, Flag.INTERPOLATED),
    ):
        flags |= np.where(is_so, flag, 0)
    return flags


def _header(
    settings: MeasureSettings, science: Image, segments: Segments, stars: int, haze: float
) -> dict[str, Scalar]:
    cards: dict[str, Scalar] = {f"APER{n + 1}": radius for n, radius in enumerate(sorted(settings.apertures))}
    cards |= {"FILTFWHM": round(segments.fwhm, 4), "HAZE": round(haze, 5), "AUTOSTAR": stars}
    for name in ("EXPTIME", "GAIN", "SATURATE"):
        if name in science.header:
            cards[name] = science.header[name]
    return cards


TASK = Task(
    name="measure",
    version=5,
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

DEEP = Task(
    name="deep_measure",
    version=3,
    grain=Grain.TILE_BAND,
    settings=MeasureSettings,
    needs=(Need("science"), Need("background"), Need("segments"), Need("unit", source="unit")),
    gives=(Give("sources", Form.CATALOGUE, meaning="positions, fluxes and shapes of the sources of a stack"),),
    run=measure_deep,
)
