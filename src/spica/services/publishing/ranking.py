"""Stacks and exposures of a release, the best first, with reasons; what people say of one wins over its figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spica.core.records import Grain, Unit
from spica.core.verdict import GRADES
from spica.files import releases
from spica.registry.store import Registry
from spica.services.grades import verdict_of
from spica.services.publishing.compare import Side, sides_of
from spica.services.publishing.parts import PIPELINE, State, band_of
from spica.services.releases import preview
from spica.services.surveys import opened

_MAD = 1.4826
LIMITS = (1.5, 3.0, 5.0)
"""A figure that is so many scatters worse than the median of its band is no A, no B, no C."""
_MOST = 5.0


@dataclass(frozen=True)
class Merit:
    """A figure by which stacks are ranked: `sign` 1 where more is better; `least` is the scatter that counts at least."""

    figure: str
    sign: float
    least: float


MERITS = (
    Merit("completeness_star_80", 1.0, 0.05),
    Merit("deep_depth", 1.0, 0.05),
    Merit("deep_fwhm", -1.0, 0.1),
    Merit("stack_coverage", 1.0, 0.02),
    Merit("stack_clipped", -1.0, 0.01),
    Merit("reliability", 1.0, 0.01),
)


@dataclass(frozen=True)
class Ranked:
    """A stack or exposure at its place: `grade` counts, by `person` where one gave it; `reasons` from the worst on."""

    place: int
    unit: str
    band: str
    grade: str
    person: str
    score: float
    reasons: tuple[str, ...]
    comments: tuple[str, ...] = ()


def stacks(release: str, folder: Path | None, pipeline: str = PIPELINE) -> tuple[Ranked, ...]:
    """The stacks of a release that are made, band by band, the best first.

    Each figure is held against the median of the release's stacks in that band, in units of their scatter.

    Raises
    ------
    SetupFault
        ``release.*``, ``pipeline.*``.
    """
    with opened(folder) as house:
        sides = sides_of(house, release, pipeline)
        found = []
        for band in sorted({band_of(Unit.parse(name)) for name in sides} - {""}):
            made = {
                name: side
                for name, side in sides.items()
                if band_of(Unit.parse(name)) == band and side.state == State.COMPLETED
            }
            found += placed(noted(house.registry, each) for each in judged(band, made))
    return tuple(found)


def judged(band: str, sides: Mapping[str, Side]) -> list[Ranked]:
    """Stacks of one band by their figures alone."""
    marks: dict[str, list[tuple[float, str]]] = {name: [] for name in sides}
    for merit in MERITS:
        values = {
            name: side.figures[merit.figure][0]
            for name, side in sides.items()
            if merit.figure in side.figures and math.isfinite(side.figures[merit.figure][0])
        }
        if len(values) < 2:
            continue
        middle = float(np.median(list(values.values())))
        scatter = max(_MAD * float(np.median(np.abs(np.array(list(values.values())) - middle))), merit.least)
        for name, value in values.items():
            away = merit.sign * (value - middle) / scatter
            units = sides[name].figures[merit.figure][1]
            told = (
                f"{merit.figure} {value:.4g}{f' {units}' if units else ''}: {-away:.1f} scatters worse than the median "
                f"{middle:.4g} of {len(values)} stacks"
            )
            marks[name].append((float(np.clip(away, -_MOST, _MOST)), told))
    return [_ranked(name, band, given) for name, given in marks.items()]


def _ranked(name: str, band: str, marks: Sequence[tuple[float, str]]) -> Ranked:
    worst = min((mark for mark, _ in marks), default=0.0)
    place = sum(-worst >= limit for limit in LIMITS)
    score = sum(mark for mark, _ in marks) / len(marks) if marks else 0.0
    reasons = tuple(told for mark, told in sorted(marks) if -mark >= LIMITS[0])
    return Ranked(0, name, band, GRADES[place], "", score, reasons)


def noted(registry: Registry, ranked: Ranked) -> Ranked:
    """With what people said of it: their last grade is the one that counts."""
    notes = registry.notes_of(Unit.parse(ranked.unit))
    grades = [note for note in notes if note.kind == "grade" and note.text]
    comments = tuple(f"{note.text} ({note.who})" if note.who else note.text for note in notes if note.kind == "comment")
    if not grades:
        return replace(ranked, comments=comments)
    return replace(ranked, grade=grades[-1].text, person=grades[-1].who or "a person", comments=comments)


def placed(given: Iterable[Ranked]) -> list[Ranked]:
    """By grade, what has none last; then by score; of equals by name."""
    places = {grade: place for place, grade in enumerate(GRADES)}
    order = sorted(given, key=lambda each: (places.get(each.grade, len(places)), -each.score, each.unit))
    return [replace(each, place=place) for place, each in enumerate(order, 1)]


def exposures(release: str, folder: Path | None, pipeline: str = PIPELINE) -> tuple[Ranked, ...]:
    """The exposures that a release's rules may take, band by band, by their verdicts and the metric that it chooses by.

    Raises
    ------
    SetupFault
        As `stacks`.
    """
    told = preview(release, folder, pipeline)
    bands = {name: each.band for each in told.stacks for name in each.exposures}
    bands |= {each.exposure: each.band for each in told.left if each.exposure not in bands}
    left = {each.exposure: f"left out by rule {each.rule} ({each.why})" for each in told.left if not each.tile}
    with opened(folder) as house:
        by = releases.load(house.survey, release).choose.by
        rank = _means(house.registry, by.removeprefix("-"), -1.0 if not by.startswith("-") else 1.0)
        found: list[Ranked] = []
        for band in sorted(set(bands.values())):
            lines = []
            for name in sorted(name for name, each in bands.items() if each == band):
                unit = Unit(Grain.EXPOSURE, (name,))
                verdict = verdict_of(house.registry, unit)
                reasons = (*((left[name],) if name in left else ()), *(verdict.reasons if verdict else ()))
                grade = verdict.grade if verdict else ""
                line = Ranked(0, str(unit), band, grade, "", rank.get(name, -math.inf), reasons)
                lines.append(noted(house.registry, line))
            found += placed(lines)
    return tuple(found)


def _means(registry: Registry, metric: str, sign: float) -> dict[str, float]:
    """Mean of a metric over the detectors of each exposure, the more the better."""
    values: dict[str, list[float]] = {}
    if metric not in registry.metric_names():
        return {}
    for row in registry.search(columns=(metric,)):
        if row[metric] is not None:
            values.setdefault(row["exposure"], []).append(sign * float(row[metric]))
    return {name: sum(given) / len(given) for name, given in values.items()}
