"""What a report says in words and numbers: verdicts, figures, faults, what made it, where its products lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spica.core.records import Grain, Metric, Unit
from spica.core.verdict import GRADES, MEANINGS, number_of
from spica.registry.store import Registry
from spica.services.faults import FaultLine, line
from spica.services.grades import verdict_of
from spica.services.report.gather import Material
from spica.services.report.scope import NIGHT, Scope

FIGURES: tuple[tuple[str, str, str], ...] = (
    ("seeing", "seeing", ".2f"),
    ("ellipticity", "ellipticity", ".3f"),
    ("psf_size", "PSF width", ".2f"),
    ("psf_fwhm", "PSF width", ".2f"),
    ("psf_ellipticity", "PSF ellipticity", ".3f"),
    ("psf_chi2", "PSF χ²", ".3f"),
    ("psf_stars", "PSF stars", ".0f"),
    ("sky_mag", "sky", ".2f"),
    ("depth_mag", "depth, nominal", ".2f"),
    ("pointing_shift", "header off by", ".1f"),
    ("pointing_matches", "stars matched", ".0f"),
    ("pointing_odds", "odds against chance, log₁₀", ".0f"),
    ("pointing_rung", "rung of the search", ".0f"),
    ("astrometry_internal", "positions, internal", ".1f"),
    ("astrometry_external", "positions, external", ".1f"),
    ("astrometry_chi2", "positions χ²", ".3f"),
    ("astrometry_lost", "detectors unsolved", ".0f"),
    ("zero_point", "zero point", ".3f"),
    ("zero_point_offset", "against the usual", "+.3f"),
    ("zero_point_scatter", "scatter of stars", ".4f"),
    ("photometry_scatter", "fluxes, repeated", ".4f"),
    ("transparency", "transparency", ".3f"),
    ("point_depth", "depth, 5 σ", ".2f"),
    ("depth_offset", "against a dark sky", "+.2f"),
)
"""Metrics that a reader looks for first: name, what it is called here, how it is written."""


@dataclass(frozen=True)
class FigureLine:
    """One figure: its metric, what people call it, value and unit."""

    metric: str
    label: str
    value: float
    units: str
    text: str


@dataclass(frozen=True)
class UnitLine:
    """One unit with its verdict, figures and products (name to path in the survey's folder)."""

    unit: str
    band: str
    grade: str
    reasons: tuple[str, ...]
    people: tuple[str, ...]
    figures: tuple[FigureLine, ...]
    products: Mapping[str, str]


@dataclass(frozen=True)
class MadeLine:
    """One step of the jobs behind the report: versions of the task, settings that were changed, with whence they came."""

    pipeline: str
    step: str
    version: int
    changed: Mapping[str, str]
    units: int


@dataclass(frozen=True)
class Facts:
    """All of it; `grade` is '' where nothing was graded."""

    grade: str
    meaning: str
    reasons: tuple[str, ...]
    exposures: tuple[UnitLine, ...]
    detectors: tuple[UnitLine, ...]
    groups: tuple[UnitLine, ...]
    faults: tuple[FaultLine, ...]
    made: tuple[MadeLine, ...]
    versions: Mapping[str, str]


def facts_of(material: Material) -> Facts:
    """The facts of a scope's units."""
    registry, scope = material.house.registry, material.scope
    exposures = [
        _unit_line(material, Unit(Grain.EXPOSURE, (each.name,)), each.band, detail=len(scope.exposures) == 1)
        for each in scope.exposures
    ]
    bands = {each.name: each.band for each in scope.exposures}
    units = tuple(scope.units) if len(scope.exposures) == 1 else ()
    detectors = [_unit_line(material, unit, bands[unit.values[0]]) for unit in units]
    groups = [_unit_line(material, unit, "") for unit in scope.groups]
    judged = detectors if scope.kind == Grain.DETECTOR else exposures
    grade, reasons = _verdict(scope, judged)
    made, versions = _made(registry, material)
    return Facts(
        grade=grade,
        meaning=MEANINGS.get(grade, "not graded"),
        reasons=reasons,
        exposures=tuple(exposures),
        detectors=tuple(detectors),
        groups=tuple(groups),
        faults=tuple(_faults(registry, material)),
        made=made,
        versions=versions,
    )


def _unit_line(material: Material, unit: Unit, band: str, *, detail: bool = True) -> UnitLine:
    registry = material.house.registry
    verdict = verdict_of(registry, unit)
    metrics = {metric.name: metric for metric in registry.metrics_of(unit)}
    products = material.products.get(unit, {})
    return UnitLine(
        unit=str(unit) if unit.grain is Grain.GROUP else "/".join(unit.values),
        band=band,
        grade="" if verdict is None else verdict.grade,
        reasons=() if verdict is None else verdict.reasons,
        people=() if verdict is None else verdict.people,
        figures=tuple(_figures(metrics)),
        products={name: each.path for name, each in sorted(products.items()) if each.path} if detail else {},
    )


def _figures(metrics: Mapping[str, Metric]) -> Iterator[FigureLine]:
    for name, label, how in FIGURES:
        if name in metrics:
            value, units = metrics[name].value, metrics[name].units
            yield FigureLine(name, label, value, units, f"{value:{how}}{f' {units}' if units else ''}")


def _verdict(scope: Scope, lines: list[UnitLine]) -> tuple[str, tuple[str, ...]]:
    """The unit's own verdict with its reasons; of many exposures the grade that four fifths of them reach."""
    graded = [each for each in lines if each.grade]
    if not graded:
        return "", ("nothing was graded yet: spica run calibrate",)
    if scope.kind not in {NIGHT, Grain.GROUP}:
        return graded[0].grade, graded[0].reasons
    counts = Counter(each.grade for each in graded)
    told = [", ".join(f"{counts[grade]} {grade}" for grade in GRADES if counts[grade]) + f" of {len(lines)} exposures"]
    if len(graded) < len(lines):
        told.append(f"{len(lines) - len(graded)} exposures were not graded")
    worst = sorted((each for each in graded if each.grade != GRADES[0]), key=lambda each: -number_of(each.grade))
    told += [f"{each.unit}: {reason}" for each in worst[:5] for reason in _first(each)]
    reached = 0
    for grade in GRADES:
        reached += counts[grade]
        if reached >= 0.8 * len(graded):
            return grade, tuple(told)
    return GRADES[-1], tuple(told)


def _first(each: UnitLine) -> tuple[str, ...]:
    """What an exposure's grade comes from: the first reason that is no count."""
    return tuple(reason for reason in each.reasons if reason[:2] == f"{each.grade}:")[:1]


def _faults(registry: Registry, material: Material) -> Iterator[FaultLine]:
    for unit in material.products:
        for row in registry.faults(unit):
            yield line(str(row.unit), row.pipeline or "ingest", row.fault, row.recorded)


def _made(registry: Registry, material: Material) -> tuple[tuple[MadeLine, ...], Mapping[str, str]]:
    """Steps of the jobs that made the products, those with the same version and settings as one line."""
    counted: dict[tuple[Any, ...], int] = {}
    versions: dict[str, str] = {}
    jobs = dict.fromkeys(each.job for products in material.products.values() for each in products.values())
    for key in jobs:
        job = registry.job(key)
        versions |= job.versions
        for step in job.steps:
            changed = tuple(
                (name, f"{value} ({step.sources[name]})")
                for name, value in step.settings.items()
                if step.sources.get(name, "default") != "default"
            )
            told = (job.pipeline, step.label, step.version, changed)
            counted[told] = counted.get(told, 0) + 1
    made = [MadeLine(p, label, version, dict(changed), n) for (p, label, version, changed), n in counted.items()]
    return tuple(made), versions
