"""Judge: an exposure's verdict when it is calibrated: image, PSF, pointing, sky solution, zero point and depth together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from spica.core.columns import Catalogue, PsfFlag
from spica.core.psf import PsfModel
from spica.core.records import Exposure, Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.core.verdict import GRADES, gathered_reasons, number_of, reasons_of, shared_grade
from spica.kernels.psf_look import places_over, shapes_at
from spica.kernels.stars import noise_area

Limits = tuple[float, float, float]
Figures = dict[str, Measured]

_LOST = PsfFlag.INCOMPLETE | PsfFlag.CORE_LOST | PsfFlag.FAILED
_FAINT = (2.0, 10.0)
"""Signal-to-noise of sources whose PSF fits have the noise of the sky."""
_BETA = 3.0
"""Exponent of the profile that the table's depth is expected with."""
_SUMS = ("psf_stars",)


class JudgeSettings(Settings):
    """Where grades end; a camera's `[grading]` overrules these by the metric's name."""

    share: float = setting(0.8, "part of the detectors that must be as good as the exposure's verdict says", gt=0, le=1)
    required: tuple[str, ...] = setting(
        ("psf_stars", "astrometry_internal", "pointing_matches"), "figures that must be there: one that is not is a D"
    )
    psf_stars: Limits = setting((25.0, 10.0, 0.0), "stars of a detector's PSF model; A, B, C end")
    psf_chi2: Limits = setting((1.3, 2.0, 4.0), "their median chi2 per degree of freedom; A, B, C end")
    psf_ellipticity: Limits = setting((0.1, 0.15, 0.25), "median ellipticity of the model, 1 - b/a; A, B, C end")
    pointing_matches: Limits = setting((20.0, 10.0, 5.0), "stars that the pointing rests on; A, B, C end")
    pointing_odds: Limits = setting((15.0, 10.0, 7.0), "-log10 of its false-alarm probability; A, B, C end")
    pointing_rung: Limits = setting((2.0, 5.0, 40.0), "rung of the search that found it, 0 first; A, B, C end")
    zero_point_offset: Limits = setting((0.15, 0.5, 1.5), "zero point against the camera's usual; A, B, C end", "mag")
    photometry_scatter: Limits = setting((0.015, 0.03, 0.1), "scatter of bright stars seen again; A, B, C end", "mag")
    zero_point_err: Limits = setting((0.02, 0.05, 0.15), "error of the joint zero point; A, B, C end", "mag")
    zero_point_scatter: Limits = setting((0.06, 0.1, 0.2), "scatter about the reference; A, B, C end", "mag")
    depth_offset: Limits = setting((-0.5, -1.0, -2.0), "depth against the table's dark, clear sky; A, B, C end", "mag")


def judge(
    settings: JudgeSettings,
    exposure: Exposure,
    verdict: tuple[Member, ...] | None,
    psf: tuple[Member, ...] | None,
    psf_sources: tuple[Member, ...] | None,
    sky_solution: tuple[Member, ...] | None,
    pointing: Mapping[str, Any] | None,
    zero_points: Mapping[str, Any] | None,
    members: tuple[int, ...],
    geometry: Mapping[str, Any],
    passband: Mapping[str, Any],
    grading: Mapping[str, Sequence[float]],
) -> Products:
    """The verdict on an exposure by all that was made of it; what failed leaves its figures out, and that is judged too.

    Each detector has the worst grade of its image (task `grade`), its sky solution (`express`) and the figures here; the
    exposure has the grade that most of its delivered detectors reach, or that of its pointing and its photometry as a
    whole where they are worse.

    Depth: the light whose signal-to-noise is 5, by the noise of faint sources' PSF fits at the zero point that was
    measured. It is compared with what the camera's table promises: its zero point and dark sky, a seeing that ends an A, sky and
    read-out noise under the noise-equivalent area of a Moffat profile (King 1983, PASP 95, 163).

    Returns
    -------
    calibration_quality : metrics `psf_size` [arcsec], `psf_ellipticity`, `psf_chi2`, `psf_stars` (sum), `pointing_odds`,
        `zero_point_offset`, `point_depth`, `depth_offset` [mag], `verdict` (A 1 … D 4).
    calibration_verdict : value: `grade`, `grades`, `lost`, `reasons` as in `exposure_verdict`; `figures`.
    """
    limits = _limits(settings, grading)
    parts = [_by_number(each) for each in (verdict, psf, psf_sources, sky_solution)]
    ground = _Ground(exposure, geometry, passband, grading, zero_points)
    detectors: dict[int, Figures] = {}
    reasons: list[list[Mapping[str, Any]]] = []
    grades: Counter[str] = Counter()
    for number in sorted(set(members).union(*parts)):
        made = _Made(*(part.get(number) for part in parts))
        detectors[number] = _figures(ground, number, made)
        told = _told(settings, limits, detectors[number], made)
        worst = max((GRADES.index(reason["grade"]) for reason in told), default=0)
        # What its image is like is not known where the first steps failed: it is lost.
        grades[GRADES[-1 if made.image is None else worst]] += 1
        reasons.append(told)
    whole = _pointing_figures(pointing) | _photometric_figures(zero_points)
    own = reasons_of(whole, {name: limits[name] for name in _WHOLE}, settings.required)
    grade = max([shared_grade(grades, settings.share), *(reason["grade"] for reason in own)], key=GRADES.index)
    gathered = _gathered(detectors) | whole
    value = {
        "grade": grade,
        "grades": {each: grades[each] for each in GRADES if grades[each]},
        "lost": sum(number not in parts[0] for number in members),
        "reasons": sorted([*own, *gathered_reasons(reasons)], key=lambda reason: -GRADES.index(reason["grade"])),
        "figures": {name: [each.value, each.units] for name, each in gathered.items()},
    }
    new = {name: each for name, each in gathered.items() if name in _GIVEN}
    return {
        "calibration_quality": new | {"verdict": Measured(number_of(grade))},
        "calibration_verdict": value,
    }


class _Ground(NamedTuple):
    """What all detectors of the exposure share."""

    exposure: Exposure
    geometry: Mapping[str, Any]
    passband: Mapping[str, Any]
    grading: Mapping[str, Sequence[float]]
    zero_points: Mapping[str, Any] | None


class _Made(NamedTuple):
    """What was made of a detector; None where it was not."""

    image: Mapping[str, Any] | None
    model: Catalogue | None
    fits: Catalogue | None
    sky: Mapping[str, Any] | None


def _figures(ground: _Ground, number: int, made: _Made) -> Figures:
    """Figures of a detector beyond those of its image."""
    exposure, passband = ground.exposure, ground.passband
    figures = _psf_figures(made.model, exposure, ground.geometry) | _sky_figures(made.sky)
    zero, usual = _zero(made.sky, ground.zero_points, number), _usual(exposure, passband)
    if zero is not None and usual is not None:
        figures["zero_point_offset"] = Measured(zero - usual, "mag")
    if zero is not None and made.fits is not None:
        figures |= _depth(made.fits, exposure, zero, _promised(made.image, ground))
    return figures


def _told(
    settings: JudgeSettings, limits: Mapping[str, Sequence[float]], figures: Figures, made: _Made
) -> list[Mapping[str, Any]]:
    """Reasons against a detector: its image's, its sky solution's, and those found here."""
    told = [reason for part in (made.image, made.sky) if part is not None for reason in part["reasons"]]
    known = {str(reason["metric"]) for reason in told}
    # A detector that its neighbours place has no scatter of its own: `express` has judged it.
    required = [name for name in settings.required if made.sky is None or name not in _ELSEWHERE]
    return told + [each for each in reasons_of(figures, _own(limits), required) if each["metric"] not in known]


_WHOLE = ("pointing_matches", "pointing_odds", "pointing_rung", "zero_point_scatter")
"""Figures of an exposure as a whole; the others are of detectors."""
_ELSEWHERE = ("astrometry_internal",)
"""Figures of detectors that other tasks grade: here only whether they are there."""
_GIVEN = (
    "psf_size", "psf_ellipticity", "psf_chi2", "psf_stars", "pointing_odds", "zero_point_offset", "point_depth", "depth_offset",
)  # fmt: skip
"""Metrics that no other task gives an exposure."""


def _limits(settings: JudgeSettings, grading: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    named = settings.model_dump()
    limits: dict[str, Sequence[float]] = {
        name: tuple(each) for name, each in named.items() if name not in {"share", "required"}
    }
    return limits | {name: tuple(each) for name, each in grading.items() if name in limits}


def _own(limits: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    """Limits of the figures of a detector; infinitely far where another task grades."""
    far = dict.fromkeys(_ELSEWHERE, (np.inf, np.inf, np.inf))
    return {name: each for name, each in limits.items() if name not in _WHOLE} | far


def _by_number(gathered: tuple[Member, ...] | None) -> dict[int, Any]:
    return {int(member.unit.rpartition("/")[2]): member.value for member in gathered or ()}


def _psf_figures(model: Catalogue | None, exposure: Exposure, geometry: Mapping[str, Any]) -> Figures:
    """Of a detector's model; one that is no more than a profile has 0 stars."""
    if model is None or not len(model):
        return {}
    made = PsfModel.from_catalogue(model)
    middle = np.array(made.centre)
    shape = (round(2.0 * middle[1]) + 1, round(2.0 * middle[0]) + 1)
    found = shapes_at(made.coefficients, made.values(*places_over(shape, 3, 3)), made.sampling, made.fwhm)
    figures = {
        "psf_stars": Measured(float(made.stars)),
        "psf_size": Measured(float(np.nanmedian(found.fwhm)) * _pixel(exposure, geometry), "arcsec"),
        "psf_ellipticity": Measured(float(np.nanmedian(found.ellipticity))),
    }
    if made.stars:
        figures["psf_chi2"] = Measured(made.chi2)
    return {name: each for name, each in figures.items() if np.isfinite(each.value)}


def _pixel(exposure: Exposure, geometry: Mapping[str, Any]) -> float:
    """Side of a pixel [arcsec]."""
    return float(geometry["pixel_scale"]) * float(np.sqrt(exposure.binning[0] * exposure.binning[1]))


def _sky_figures(sky: Mapping[str, Any] | None) -> Figures:
    """Of a detector's joint solution."""
    if sky is None:
        return {}
    kept = ("astrometry_internal", "photometry_scatter", *(("zero_point_err",) if sky["photometric"] == 1 else ()))
    return {name: Measured(*sky["figures"][name]) for name in kept if name in sky["figures"]}


def _zero(sky: Mapping[str, Any] | None, alone: Mapping[str, Any] | None, number: int) -> float | None:
    """The zero point of the joint solution where reference magnitudes tie it, else the exposure's own.

    One of another scale than the table's (AB) cannot be compared with it.
    """
    if sky is not None and sky["photometric"] == 1 and sky["scale"] == "AB" and "zero_point" in sky["figures"]:
        return float(sky["figures"]["zero_point"][0])
    own = None if alone is None or alone["scale"] != "AB" else alone["detectors"].get(str(number))
    return None if own is None else float(own["zero"])


def _usual(exposure: Exposure, passband: Mapping[str, Any]) -> float | None:
    """What the camera's table says at this airmass."""
    if not passband:
        return None
    return float(passband["zero_point"]) - float(passband["extinction"]) * ((exposure.airmass or 1.0) - 1.0)


def _depth(fits: Catalogue, exposure: Exposure, zero: float, promised: float | None) -> Figures:
    """Light of 5 σ at this zero point, and against what is promised."""
    clean = (fits["flags_psf"].astype(np.int64) & _LOST == 0) & (fits["flux_psf_err"] > 0)
    faint = clean & (fits["snr_psf"] > _FAINT[0]) & (fits["snr_psf"] < _FAINT[1])
    if not np.any(faint) or exposure.exposure_time <= 0:
        return {}
    rate = 5.0 * float(np.median(fits["flux_psf_err"][faint])) / exposure.exposure_time
    limit = zero - 2.5 * float(np.log10(rate))
    figures = {"point_depth": Measured(limit, "mag")}
    if promised is not None:
        figures["depth_offset"] = Measured(limit - promised, "mag")
    return figures


def _promised(image: Mapping[str, Any] | None, ground: _Ground) -> float | None:
    """Depth [mag] under the table's dark sky, in the seeing where its A ends."""
    exposure, geometry, passband, grading, _ = ground
    if not passband or "seeing" not in grading or exposure.exposure_time <= 0:
        return None
    pixel, seconds = _pixel(exposure, geometry), exposure.exposure_time
    usual = float(passband["zero_point"])
    sky = seconds * pixel**2 * 10.0 ** (-0.4 * (float(passband["sky"]) - usual))
    read = (image or {"figures": {}})["figures"].get("read_noise", (0.0, ""))[0]
    area = noise_area(float(grading["seeing"][0]) / pixel, _BETA)
    noise = float(np.sqrt(area * (sky + float(read) ** 2)))
    slope = float(passband["extinction"]) * ((exposure.airmass or 1.0) - 1.0)
    return usual - slope - 2.5 * float(np.log10(5.0 * noise / seconds))


def _pointing_figures(pointing: Mapping[str, Any] | None) -> Figures:
    if pointing is None:
        return {}
    tried = [str(attempt["rung"]) for attempt in pointing["attempts"]]
    rung = str(pointing["rung"]).partition(", by detector")[0]
    figures = {
        "pointing_matches": Measured(float(pointing["matches"])),
        "pointing_odds": Measured(-float(pointing["log_false"])),
    }
    if rung in tried:
        figures["pointing_rung"] = Measured(float(list(dict.fromkeys(tried)).index(rung)))
    return figures


def _photometric_figures(alone: Mapping[str, Any] | None) -> Figures:
    return {} if alone is None else {"zero_point_scatter": Measured(float(alone["scatter"]), "mag")}


def _gathered(detectors: Mapping[int, Figures]) -> Figures:
    """Medians over detectors, sums of their counts."""
    names = sorted({name for figures in detectors.values() for name in figures})
    found = {}
    for name in names:
        known = [figures[name] for figures in detectors.values() if name in figures]
        values = [each.value for each in known]
        found[name] = Measured(float(np.sum(values) if name in _SUMS else np.median(values)), known[0].units)
    return found


TASK = Task(
    name="judge",
    version=4,
    grain=Grain.EXPOSURE,
    settings=JudgeSettings,
    needs=(
        Need("exposure", source="exposure"),
        Need("verdict", grain=Grain.DETECTOR, quorum=1, optional=True),
        Need("psf", grain=Grain.DETECTOR, quorum=1, optional=True),
        Need(
            "psf_sources",
            grain=Grain.DETECTOR,
            columns=("flux_psf_err", "snr_psf", "flags_psf"),
            quorum=1,
            optional=True,
        ),
        Need("sky_solution", grain=Grain.DETECTOR, quorum=1, optional=True),
        Need("pointing", optional=True),
        Need("zero_points", optional=True),
        Need("members", source="members"),
        Need("geometry", source="camera", section="geometry"),
        Need("passband", source="camera", section="filter"),
        Need("grading", source="camera", section="grading"),
    ),
    gives=(
        Give("calibration_quality", Form.METRICS, meaning="PSF, pointing, zero point, depth; the verdict on all of it"),
        Give("calibration_verdict", Form.VALUE, meaning="grade A to D of the calibrated exposure, with its reasons"),
    ),
    run=judge,
)
