"""Zero point: an exposure's detectors against the magnitudes of a reference catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue, Flag
from spica.core.faults import DataFault
from spica.core.records import Exposure, Grain, Scalar, Unit
from spica.core.reference import ReferenceFlag
from spica.core.settings import Settings, setting
from spica.core.systems import Magnitudes, Systems, magnitudes_in
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.associate import unit_vectors
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.kernels.zero_point import Pairs, ZeroPoints, fit_zero_points

_PER_MAG = 2.5 / np.log(10.0)
_SPOILT = Flag.SATURATED | Flag.TRUNCATED | Flag.BAD_PIXELS | Flag.APERTURE_INCOMPLETE | Flag.NEIGHBOUR
_DOUBTFUL = ReferenceFlag.VARIABLE | ReferenceFlag.DUPLICATED | ReferenceFlag.EXTENDED | ReferenceFlag.POOR_PHOTOMETRY
_ARCSEC = np.pi / 648_000.0
Floats = npt.NDArray[np.float64]


class ZeroPointSettings(Settings):
    """Which stars count, what is fitted, and when it is not believed."""

    radius: float = setting(1.5, "a source and a star of the reference nearer than this are one", "arcsec", gt=0)
    least_snr: float = setting(20.0, "signal-to-noise of sources that are used", ge=5)
    magnitude: str = setting("", "column of the reference's magnitudes; '': as the photometric systems say")
    magnitude_error: float = setting(0.02, "taken for a magnitude of the reference without an error", "mag", gt=0)
    brightest: float = setting(-99.0, "stars of the reference brighter than this are left out", "mag")
    colour: tuple[str, str] | None = setting(
        None, "two columns whose difference is a star's colour, instead of its system's"
    )
    colour_term: bool = setting(default=True, meaning="fit what a star's colour still changes")
    least_coloured: int = setting(30, "stars with a colour, for a colour term to be fitted", ge=5)
    degree: int = setting(0, "degree of the polynomial over a detector", ge=0, le=4)
    clip: float = setting(4.0, "stars farther off do not count", "sigma", ge=2)
    least_stars: int = setting(10, "stars that count, of all detectors together", ge=3)
    least_own: int = setting(5, "stars that count, for a detector to have a zero point of its own", ge=2)
    least_share: float = setting(0.4, "part of the matched stars that has to count", gt=0, le=1)
    largest_scatter: float = setting(0.2, "scatter about the fit beyond which no match is believed", "mag", gt=0)
    slope: float = setting(0.03, "by how much the slope of magnitudes may differ from 1", gt=0)


class _Chip(NamedTuple):
    number: int
    size: tuple[float, float]
    rows: dict[str, Floats]


def zero_point(
    settings: ZeroPointSettings,
    exposure: Exposure,
    wcs: Mapping[int, Mapping[str, Scalar]],
    sources: tuple[Member, ...],
    pointing: Mapping[str, Any] | None,
    reference: Catalogue,
    systems: Systems,
    passband: Mapping[str, Any],
) -> Products:
    """A zero point for each detector, the scatter of the two systems fitted with it.

    Returns
    -------
    zero_points : value: by detector `zero`, `error` [mag at 1 electron per second], `stars`, `own` (whether from its own
        stars; otherwise the exposure's median, with the scatter of the others in the error), `nx`, `ny`; `flat` (what a place
        on a detector adds, without the constant: `spica.kernels.illumination`); `colour` (term), `colour_of`
        and `pivot` (the colour at which the zero points hold), `scatter`, `slope`, `scale` ('AB', 'Vega', 'unknown'),
        `statement` (what the magnitudes are).
    photometry : metrics; `zero_point` and what follows from it only on the AB scale.

    Raises
    ------
    DataFault
        ``zero-point.no-magnitudes``, ``zero-point.too-few``, ``zero-point.all-bad``, ``zero-point.slope``.
    """
    known = magnitudes_in(systems, exposure.band, reference, column=settings.magnitude, colour=settings.colour)
    if known is None:
        wanted = settings.magnitude or exposure.band
        raise DataFault(
            "zero-point.no-magnitudes",
            f"{exposure.name}: the reference has no magnitudes that tell of {wanted!r} here",
            wanted=wanted,
            columns=", ".join(name for name in reference.columns if name.startswith("mag_")),
            stars=len(reference),
            exposure=exposure.name,
        )
    stars = _stars(settings, known, reference)
    chips = [_chip(settings, exposure, member, wcs, pointing) for member in sources]
    pairs = _pairs(settings, chips, stars)
    matched = pairs.mag.size
    if matched < settings.least_stars:
        raise DataFault(
            "zero-point.too-few",
            f"{exposure.name}: {matched} sources are stars of the reference, {settings.least_stars} are asked for",
            matched=matched,
            reference=stars["mag"].size,
            exposure=exposure.name,
        )
    coloured = settings.colour_term and int(np.isfinite(pairs.colour).sum()) >= settings.least_coloured
    pairs = _only(pairs, np.isfinite(pairs.colour)) if coloured else replace(pairs, colour=np.zeros(matched))
    scatter = max(known.scatter, 0.02)
    found = fit_zero_points(pairs, colour=coloured, degree=settings.degree, clip=settings.clip, scatter=scatter)
    _believed(settings, exposure, found)
    return _products(settings, chips, found, (known, _expected(exposure, passband)))


def _stars(settings: ZeroPointSettings, known: Magnitudes, reference: Catalogue) -> dict[str, Floats]:
    """Directions, magnitudes with errors, colours (NaN where not known) of the stars of the reference that can be used."""
    rows = np.isfinite(known.mag) & (known.mag > settings.brightest) & np.isfinite(reference["ra"])
    if "flags" in reference.columns:
        rows &= (reference["flags"].astype(np.int64) & int(_DOUBTFUL)) == 0
    given = np.isfinite(known.error) & (known.error > 0.0)
    return {
        "direction": unit_vectors(reference["ra"][rows], reference["dec"][rows]),
        "mag": known.mag[rows],
        "error": np.where(given, known.error, settings.magnitude_error)[rows],
        "colour": known.colour[rows],
    }


def _only(pairs: Pairs, rows: npt.NDArray[np.bool_]) -> Pairs:
    """Some of the pairs."""
    each = {name: getattr(pairs, name)[rows] for name in ("detector", "x", "y", "mag", "sigma", "known", "known_sigma")}
    return replace(pairs, **each, colour=pairs.colour[rows])


def _expected(exposure: Exposure, passband: Mapping[str, Any]) -> float:
    """Zero point by the camera's table, with its extinction at the exposure's airmass [mag]; NaN where it names none."""
    if not passband:
        return float("nan")
    return float(passband["zero_point"]) - float(passband["extinction"]) * ((exposure.airmass or 1.0) - 1.0)


def _chip(
    settings: ZeroPointSettings,
    exposure: Exposure,
    member: Member,
    wcs: Mapping[int, Mapping[str, Scalar]],
    pointing: Mapping[str, Any] | None,
) -> _Chip:
    """Clean sources of a detector: place on the sky, magnitude of zero point 0."""
    number = int(Unit.parse(member.unit).keys["detector"])
    cards = ((pointing or {}).get("detectors", {}).get(str(number)) or {}).get("cards") or wcs[number]
    size = float(wcs[number]["NAXIS1"] or 0), float(wcs[number]["NAXIS2"] or 0)
    sources: Catalogue = member.value
    flux, error = sources["flux_auto"].astype(np.float64), sources["flux_auto_err"].astype(np.float64)
    good = (sources["flags"].astype(np.int64) & int(_SPOILT)) == 0
    good &= (error > 0.0) & (flux > settings.least_snr * error)
    x, y = (sources[name][good].astype(np.float64) for name in ("x", "y"))
    light = flux[good] / max(exposure.exposure_time, 1e-3)
    rows = {"x": x, "y": y, "mag": -2.5 * np.log10(light), "sigma": _PER_MAG * error[good] / flux[good]}
    try:
        rows["direction"] = unit_vectors(*pixel_to_sky(from_cards(cards), x, y))
    except ValueError:
        # Without a place on the sky none of its sources is matched.
        rows = {name: values[:0] for name, values in rows.items()} | {"direction": np.zeros((0, 3))}
    return _Chip(number, size, rows)


def _pairs(settings: ZeroPointSettings, chips: list[_Chip], stars: dict[str, Floats]) -> Pairs:
    """Each other's nearest."""
    tree = cKDTree(stars["direction"]) if stars["mag"].size else None
    parts: list[list[Floats]] = []
    for place, chip in enumerate(chips):
        if tree is None or chip.rows["x"].size == 0:
            continue
        here = chip.rows["direction"]
        away, there = tree.query(here, distance_upper_bound=settings.radius * _ARCSEC)
        rows = np.flatnonzero(np.isfinite(away))
        _, back = cKDTree(here).query(stars["direction"][there[rows]])
        rows = rows[back == rows]
        other = there[rows]
        own = [chip.rows[name][rows] for name in ("x", "y", "mag", "sigma")]
        parts.append([np.full(rows.size, place), *own, *(stars[name][other] for name in ("mag", "error", "colour"))])
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 8
    size = np.array([chip.size for chip in chips])
    return Pairs(joined[0].astype(np.int64), joined[1], joined[2], size, *joined[3:])


def _believed(settings: ZeroPointSettings, exposure: Exposure, found: ZeroPoints) -> None:
    """Raise what is wrong with a fit."""
    used, matched = int(found.used.sum()), found.used.size
    told: dict[str, Any] = {
        "matched": matched,
        "used": used,
        "scatter": round(found.scatter, 4),
        "exposure": exposure.name,
    }
    if used < settings.least_share * matched or found.scatter > settings.largest_scatter:
        message = f"{exposure.name}: {used} of {matched} matched stars agree, with a scatter of {found.scatter:.3f} mag"
        raise DataFault("zero-point.all-bad", message, **told)
    if used < settings.least_stars:
        message = f"{exposure.name}: {used} stars count, {settings.least_stars} are asked for"
        raise DataFault("zero-point.too-few", message, **told)
    away = abs(found.slope - 1.0)
    if away > settings.slope and away > 4.0 * found.slope_error:
        message = f"{exposure.name}: magnitudes follow the reference with a slope of {found.slope:.4f}"
        raise DataFault("zero-point.slope", message, **told, slope=round(found.slope, 5))


def _products(
    settings: ZeroPointSettings, chips: list[_Chip], found: ZeroPoints, against: tuple[Magnitudes, float]
) -> Products:
    known, expected = against
    own = found.count >= settings.least_own
    sure = own if np.any(own) else found.count > 0
    middle, apart = float(np.median(found.zero[sure])), float(np.std(found.zero[sure]))
    shared = float(np.hypot(apart, np.median(found.error[sure])))
    detectors = {}
    for place, chip in enumerate(chips):
        zero, error = (found.zero[place], found.error[place]) if own[place] else (middle, shared)
        detectors[str(chip.number)] = {
            "zero": float(zero),
            "error": float(error),
            "stars": int(found.count[place]),
            "own": bool(own[place]),
            "nx": chip.size[0],
            "ny": chip.size[1],
        }
    value = {
        "detectors": detectors,
        "zero": middle,
        "colour": found.colour,
        "colour_error": found.colour_error,
        "colour_of": list(known.colour_of),
        "pivot": known.pivot,
        "flat": found.flat.tolist(),
        "scatter": found.scatter,
        "slope": found.slope,
        "scale": known.scale,
        "statement": known.statement,
    }
    figures = {
        "zero_point_range": Measured(float(np.ptp(found.zero[sure])), "mag"),
        "zero_point_scatter": Measured(found.scatter, "mag"),
        "zero_point_stars": Measured(float(found.used.sum())),
        "zero_point_rejected": Measured(float(found.used.size - found.used.sum())),
        "zero_point_slope": Measured(found.slope),
        "zero_point_colour": Measured(found.colour),
    }
    return {"zero_points": value, "photometry": figures | _on_scale(known, middle, shared, expected)}


def _on_scale(known: Magnitudes, zero: float, error: float, expected: float) -> dict[str, Measured]:
    """The zero point by the name of its scale; on AB also how much of the light came through."""
    name = "zero_point" if known.scale == "AB" else f"zero_point_{known.scale.lower()}"
    figures = {name: Measured(zero, "mag"), f"{name}_err": Measured(error, "mag")}
    if known.scale == "AB" and np.isfinite(expected):
        figures["clouds"] = Measured(expected - zero, "mag")
        figures["transparency"] = Measured(float(10.0 ** (0.4 * (zero - expected))))
    return figures


TASK = Task(
    name="zero_point",
    version=3,
    grain=Grain.EXPOSURE,
    settings=ZeroPointSettings,
    needs=(
        Need("exposure", source="exposure"),
        Need("wcs", source="wcs"),
        Need(
            "sources",
            grain=Grain.DETECTOR,
            columns=("x", "y", "flux_auto", "flux_auto_err", "flags"),
            where="snr > 10",
            quorum=1,
        ),
        Need("pointing", optional=True),
        Need("reference", source="reference", section="photometry", placed="pointing"),
        Need("systems", source="systems", section="photometry"),
        Need("passband", source="camera", section="filter"),
    ),
    gives=(
        Give("zero_points", Form.VALUE, meaning="zero point of each detector, colour term, scatter"),
        Give("photometry", Form.METRICS, meaning="zero point, its error and what it rests on"),
    ),
    run=zero_point,
)
