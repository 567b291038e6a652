"""Pointing: where an exposure truly points, from its stars and reference stars, however wrong its header is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Flag
from spica.core.faults import DataFault, SetupFault
from spica.core.records import Exposure, Grain
from spica.core.settings import Settings, setting
from spica.core.streams import Places
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.finding import Climb, Judge, climb, ladder
from spica.kernels.indexes import Index
from spica.kernels.lost import BLIND, Aid, regained
from spica.kernels.mosaic import (
    Chip,
    Field,
    Placed,
    Search,
    best_words,
    by_one,
    each_alone,
    field_of,
    settled,
)
from spica.kernels.placing import apart, circle, solution, stand_in
from spica.kernels.pointing import Reference
from spica.kernels.wcs import TangentWcs, pixel_to_sky
from spica.kernels.wcs_cards import from_cards, to_cards

Float64 = npt.NDArray[np.float64]

DOUBTFUL = Flag.BAD_PIXELS | Flag.CENTROID_FAILED | Flag.POSITION_UNSURE | Flag.TRUNCATED
"""Sources with these flags come after all others."""


class PointingSettings(Settings):
    """How far the header may be wrong, and when an alignment is believed."""

    search: float = setting(3.0, "offset of the header that is expected", "arcmin", gt=0, le=60)
    reach: float = setting(0.5, "offset that is looked for in the end", "degree", gt=0, le=10)
    opposite: bool = setting(
        False, "the header's declination may have the wrong sign: stars of the other place take part"
    )
    blur: float = setting(1.5, "error of a place", "pixel", gt=0, le=20)
    least_error: float = setting(0.6, "least error of a place against the reference", "arcsec", gt=0, le=60)
    confidence: float = setting(6.0, "-log10 of the greatest false-alarm probability", "", ge=3, le=30)
    matches: int = setting(5, "stars that have to match", "", ge=4, le=1000)
    stars: int = setting(3000, "brightest sources of a detector that are used", "", ge=10, le=100_000)
    blind: bool = setting(False, "the header is not believed: the whole sky is searched, by index files")
    blind_scale: float = setting(
        2.0, "how many times larger or smaller the scale may be than the header's", ge=1.01, le=1e6
    )
    blind_most: int = setting(1_500_000, "hypotheses that a blind search may test", "", ge=1000)


def pointing(
    settings: PointingSettings,
    sources: tuple[Member, ...],
    headers: Mapping[int, Mapping[str, Any]],
    exposure: Exposure,
    reference: Catalogue,
    indexes: tuple[Index, ...] | None = None,
    everywhere: Places | None = None,
) -> Products:
    """The linear correction of each detector's sky solution: shift, turn, scale and parity found by pattern matching.

    Parameters
    ----------
    sources : catalogues of the detectors: `x`, `y`, `flux_iso` (or `flux`), `flags`.
    headers : cards of each detector's first solution by its number, `NAXIS1` and `NAXIS2` among them.
    reference : `ra`, `dec`, magnitudes; ICRS at the time of the exposure.
    indexes : of the sky, for a blind search.
    everywhere : the same reference at any place, for stars where a blind search ends.

    Returns
    -------
    pointing : value: of the exposure `cone` (right ascension, declination, radius about all its detectors), `rung`, `shift` [arcsec], `angle` [degree], `scale`, `mirrored`, `matches`,
        `log_false` (decimal logarithm of the false-alarm probability), `rms` [arcsec], `attempts`; by detector `how` it was
        found ('own' stars, the focal 'plane' of the others, 'alone' on a rung of its own, 'lost'), `cards` of its solution,
        `matches`, `log_false`, `rms`, `shift`, `reason`.
    pointing_quality : metrics `pointing_shift`, `pointing_angle`, `pointing_scale`, `pointing_matches`, `pointing_rms`,
        `pointing_log_false`, `pointing_detectors`, `pointing_lost`, `pointing_rung` (0 for the first).

    Raises
    ------
    DataFault
        ``pointing.no-sources``, ``pointing.no-reference``, ``pointing.no-wcs``, ``pointing.no-match``.
    """
    chips, reasons, nowhere = _chips(settings, sources, headers)
    if settings.blind:
        if not indexes:
            raise SetupFault("index.none", "a blind search needs index files: [catalogues] indexes in survey.toml")
        return _blind(settings, exposure, (chips, reasons, nowhere), indexes, everywhere)
    stars, told = _reference(reference, exposure.band)
    if stars.ra.size < settings.matches:
        raise DataFault(
            "pointing.no-reference",
            f"{exposure.name}: {stars.ra.size} usable reference stars of {len(reference)}, {settings.matches} are needed",
            exposure=exposure.name,
            **told,
        )
    error = max(settings.least_error / 3600.0, settings.blur * _scale(chips))
    judge = Judge(error, settings.confidence, settings.matches)
    rungs = ladder(settings.search / 60.0, settings.reach)
    field, how = field_of(chips), Search(stars, judge, rungs, {})
    end = climb(field.places, stars, field.centre, rungs, judge)
    if end.found is None and len(chips) > 1:
        end = by_one(chips, field, how, end)
    if end.found is not None:
        chips, placed = settled(chips, field, end.found.alignment, end, how)
    else:
        placed = each_alone(chips, how) if len(chips) > 1 else {}
    if not any(one.alignment is not None for one in placed.values()):
        raise _no_match(exposure, chips, field, stars, end)
    names = [rung.name for rung in rungs]
    return _products(chips, placed, field, end, names, {**told, "without": reasons})


def _blind(
    settings: PointingSettings,
    exposure: Exposure,
    seen: tuple[list[Chip], dict[str, str], bool],
    indexes: tuple[Index, ...],
    everywhere: Places | None,
) -> Products:
    """The same, wherever on the sky it is."""
    chips, reasons, nowhere = seen

    def around(ra: float, dec: float, radius: float) -> tuple[Reference, dict[str, Any]]:
        none = Catalogue({"ra": np.zeros(0), "dec": np.zeros(0)})
        return _reference(none if everywhere is None else everywhere.around(ra, dec, radius), exposure.band)

    blur = settings.blur * _scale(chips)
    how = settings.blind_scale, settings.blind_most, blur, settings.least_error / 3600.0
    made = regained(chips, Aid(indexes, around, *how, settings.confidence, settings.matches), nowhere=nowhere)
    if not any(one.alignment is not None for one in made.placed.values()):
        looked = made.end.attempts
        raise DataFault(
            "pointing.no-match",
            f"{exposure.name}: nowhere on the sky do {made.field.places.size} stars fit the asterisms of {len(indexes)} index files "
            f"beyond chance, after {sum(one.candidates for one in looked)} hypotheses",
            exposure=exposure.name,
            stars=int(made.field.places.size),
            detectors=len(chips),
            indexes=len(indexes),
            asterisms=sum(one.reference for one in looked),
            hypotheses=sum(one.candidates for one in looked),
            log_false=min((one.log_false for one in looked), default=0.0),
            rung=BLIND,
        )
    names = [*(rung.name for rung in ladder(settings.search / 60.0, settings.reach)), BLIND]
    return _products(made.chips, made.placed, made.field, made.end, names, {**made.told, "without": reasons})


def _chips(
    settings: PointingSettings, sources: tuple[Member, ...], headers: Mapping[int, Mapping[str, Any]]
) -> tuple[list[Chip], dict[str, str], bool]:
    """Detectors with stars and a solution to begin with, why others have none, and whether one stands in for none."""
    chips, reasons, problems = _usable(settings, sources, headers)
    if settings.blind and not chips and problems:
        chips, few, _ = _usable(settings, sources, {number: stand_in(cards) for number, cards in headers.items()})
        if chips:
            return chips, few, True
    if not chips:
        code = "pointing.no-wcs" if problems and len(problems) == len(sources) else "pointing.no-sources"
        listed = "; ".join(f"detector {number}: {why}" for number, why in list(reasons.items())[:5])
        raise DataFault(
            code,
            f"no detector of {len(sources)} has {settings.matches} stars and a solution to begin with ({listed})",
            detectors=len(sources),
            minimum=settings.matches,
        )
    return chips, reasons, False


def _usable(
    settings: PointingSettings, sources: tuple[Member, ...], headers: Mapping[int, Mapping[str, Any]]
) -> tuple[list[Chip], dict[str, str], list[str]]:
    """Detectors with stars and a solution, why others have none, and what is wrong with solutions."""
    chips: list[Chip] = []
    reasons: dict[str, str] = {}
    problems: list[str] = []
    for member in sources:
        number = _number(member.unit)
        x, y, flux = _stars(member.value, settings.stars)
        cards = headers.get(number, {})
        wcs, problem = _solution(cards)
        if wcs is None:
            reasons[str(number)] = problem
            problems.append(problem)
            continue
        if x.size < settings.matches:
            reasons[str(number)] = f"{x.size} stars"
            continue
        ra, dec = pixel_to_sky(wcs, x, y)
        chips.append(Chip(number, int(cards["NAXIS1"]), int(cards["NAXIS2"]), x, y, flux, wcs, ra, dec))
    return chips, reasons, problems


def _number(unit: str) -> int:
    return int(unit.rpartition("/")[2])


def _stars(catalogue: Catalogue, most: int) -> tuple[Float64, Float64, Float64]:
    """Places and fluxes of the brightest sources, those in doubt last."""
    x, y = (np.asarray(catalogue[name], np.float64) for name in ("x", "y"))
    flux = np.asarray(catalogue["flux_iso" if "flux_iso" in catalogue.columns else "flux"], np.float64)
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    doubt = np.zeros(x.size, bool)
    if "flags" in catalogue.columns:
        doubt = (np.asarray(catalogue["flags"]) & DOUBTFUL) != 0
    # Ties are settled by a hash of the place: the order of the rows is no matter, and stars without fluxes are not
    # taken from one side alone.
    seat = np.nan_to_num(np.abs(x) * 64.0).astype(np.uint64) * np.uint64(2654435761)
    seat = (seat + np.nan_to_num(np.abs(y) * 64.0).astype(np.uint64) * np.uint64(2246822519)) % np.uint64(4294967291)
    order = np.lexsort((y, x, seat, -flux, doubt))
    order = order[good[order]][:most]
    return x[order], y[order], np.where(doubt[order], 0.0, flux[order])


def _solution(cards: Mapping[str, Any]) -> tuple[TangentWcs | None, str]:
    """The first solution, or what is wrong with it."""
    if "CTYPE1" not in cards:
        return None, "the header has no sky solution, and no pointing"
    try:
        wcs = from_cards(cards)
    except ValueError as error:
        return None, str(error)
    corners = pixel_to_sky(wcs, [0.0, float(cards["NAXIS1"])], [0.0, float(cards["NAXIS2"])])
    return (wcs, "") if np.isfinite(corners).all() else (None, "the sky solution is not finite on the detector")


def _scale(chips: Sequence[Chip]) -> float:
    """Degrees per pixel, of the middle one."""
    return float(np.median([np.sqrt(abs(np.linalg.det(chip.wcs.cd))) for chip in chips]))


def _reference(catalogue: Catalogue, band: str) -> tuple[Reference, dict[str, Any]]:
    """Reference stars brightest first, without those that have no place, once each; and how many were left out."""
    ra, dec = (np.asarray(catalogue[name], np.float64) for name in ("ra", "dec"))
    usable = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90.0)
    bands = [name for name in catalogue.columns if name.startswith("mag_") and not name.endswith("_err")]
    bands.sort(key=lambda name: (name != f"mag_{band}", int(np.isnan(np.asarray(catalogue[name])).sum()), name))
    bright = np.asarray(catalogue[bands[0]], np.float64) if bands else np.zeros(ra.size)
    bright = np.where(np.isfinite(bright), bright, np.inf)
    order = np.lexsort((dec, ra, bright))
    order = order[usable[order]]
    # One star twice would match twice: places are compared to a tenth of an arcsecond.
    key = np.round(np.stack([ra[order] * np.cos(np.radians(dec[order])), dec[order]]) * 36000.0).astype(np.int64)
    first = np.sort(np.unique(key, axis=1, return_index=True)[1]) if order.size else np.zeros(0, np.int64)
    told: dict[str, Any] = {
        "unusable": int((~usable).sum()),
        "duplicates": int(order.size - first.size),
        "reference": int(first.size),
    }
    order = order[first]
    return Reference(ra[order] % 360.0, dec[order]), told


def _no_match(exposure: Exposure, chips: Sequence[Chip], field: Field, stars: Reference, end: Climb) -> DataFault:
    tried = [one for one in end.attempts if one.candidates]
    told: dict[str, Any] = {
        "exposure": exposure.name,
        "stars": int(field.places.size),
        "detectors": len(chips),
        "reference": int(stars.ra.size),
        "ra": field.centre[0],
        "dec": field.centre[1],
        "rungs": len(tried),
    }
    if not tried:
        where = f"ra {field.centre[0]:.4f} dec {field.centre[1]:+.4f}"
        return DataFault(
            "pointing.no-reference",
            f"{exposure.name}: none of {stars.ra.size} reference stars lies within reach of {where}",
            **told,
        )
    best = min(tried, key=lambda one: one.log_false)
    told |= {"matches": best.matches, "chance": best.chance, "log_false": best.log_false, "rung": best.rung}
    return DataFault(
        "pointing.no-match",
        f"{exposure.name}: no alignment of {field.places.size} stars with {stars.ra.size} reference stars is beyond chance: "
        f"{best_words(tried)}",
        **told,
    )


def _products(
    chips: Sequence[Chip],
    placed: Mapping[int, Placed],
    field: Field,
    end: Climb,
    names: Sequence[str],
    told: Mapping[str, Any],
) -> Products:
    detectors = {str(chip.number): _detector(chip, placed[chip.number]) for chip in chips}
    good = [one for one in detectors.values() if one["cards"]]
    found = end.found
    shift = float(np.median([one["shift"] for one in good]))
    rms = float(np.median([one["rms"] for one in good if one["rms"] is not None] or [np.nan]))
    matches = sum(one["matches"] for one in good)
    log_false = found.log_false if found is not None else min(one["log_false"] for one in good)
    alignment = found.alignment if found is not None else next(p.alignment for p in placed.values() if p.alignment)
    assert alignment is not None  # noqa: S101 - some detector was found
    rung = end.rung if found is not None else next(p.rung for p in placed.values() if p.alignment)
    value = {
        "cone": circle(chips, placed, alignment),
        "rung": rung,
        "centre": [alignment.ra, alignment.dec],
        "header_centre": list(field.centre),
        "shift": shift,
        "angle": alignment.angle,
        "scale": alignment.scale,
        "mirrored": alignment.mirrored,
        "matches": matches,
        "log_false": log_false,
        "rms": rms,
        "attempts": [one._asdict() for one in end.attempts],
        "reference": dict(told),
        "detectors": detectors,
    }
    figures = {
        "pointing_shift": Measured(shift, "arcsec"),
        "pointing_angle": Measured(alignment.angle, "deg"),
        "pointing_scale": Measured(alignment.scale),
        "pointing_matches": Measured(float(matches)),
        "pointing_rms": Measured(rms, "arcsec"),
        "pointing_log_false": Measured(log_false),
        "pointing_detectors": Measured(float(len(good))),
        "pointing_lost": Measured(float(len(detectors) - len(good))),
        "pointing_rung": Measured(float(names.index(rung.partition(", by detector")[0]))),
    }
    return {"pointing": value, "pointing_quality": figures}


def _detector(chip: Chip, one: Placed) -> dict[str, Any]:
    """What is told of a detector: its corrected solution as cards."""
    plain: dict[str, Any] = {
        "how": one.how,
        "rung": one.rung,
        "stars": int(chip.x.size),
        "matches": 0 if one.matched is None else int(one.matched.stars.size),
        "log_false": 0.0 if one.matched is None else one.matched.log_false,
        "rms": None if one.matched is None or not one.matched.stars.size else 3600.0 * one.matched.rms,
        "shift": 0.0,
        "reason": one.reason,
        "cards": {},
    }
    if one.alignment is None:
        return plain
    moved = 3600.0 * float(apart(one.alignment.ra, one.alignment.dec, *one.centre))
    return plain | {"cards": to_cards(solution(chip, one)), "shift": moved}


TASK = Task(
    name="pointing",
    version=5,
    grain=Grain.EXPOSURE,
    settings=PointingSettings,
    needs=(
        Need("sources", grain=Grain.DETECTOR, columns=("x", "y", "flux_iso", "flags"), quorum=1),
        Need("headers", source="wcs"),
        Need("exposure", source="exposure"),
        Need(
            "reference",
            source="reference",
            section="astrometry",
            margin="reach",
            opposite="opposite",
            nowhere=True,
            columns=("ra", "dec", "flags", "mag_*"),
        ),
        Need("indexes", source="indexes", optional=True),
        Need(
            "everywhere",
            source="reference",
            section="astrometry",
            nowhere=True,
            stream=True,
            columns=("ra", "dec", "flags", "mag_*"),
            optional=True,
        ),
    ),
    gives=(
        Give("pointing", Form.VALUE, meaning="corrected sky solution of each detector, with the odds of chance"),
        Give("pointing_quality", Form.METRICS, meaning="how the pointing was found"),
    ),
    run=pointing,
)
