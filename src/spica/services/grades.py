"""Verdicts: how good each detector or exposure is, why, and what people said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.records import FrameType, Grain, Unit
from spica.core.verdict import number_of, said
from spica.registry.store import Registry
from spica.services.surveys import opened

PRODUCTS = {Grain.DETECTOR: ("verdict",), Grain.EXPOSURE: ("exposure_verdict", "calibration_verdict")}
"""What holds a verdict: of an exposure that of its images, or that of its calibration, whichever is newer."""


@dataclass(frozen=True)
class GradeLine:
    """One unit's verdict; `reasons` from the worst on, `people` what was noted by hand, the last note first."""

    unit: str
    grade: str
    reasons: tuple[str, ...]
    people: tuple[str, ...] = ()


def grades(folder: Path | None, where: str, limit: int, *, exposures: bool = False) -> tuple[GradeLine, ...]:
    """Verdicts of detectors (or exposures) that a selection takes, the worst first.

    Raises
    ------
    SetupFault
        ``where.invalid``; ``survey.*``, ``registry.*``.
    """
    with opened(folder) as house:
        registry = house.registry
        units = _exposures(registry, where) if exposures else _detectors(registry, where, limit)
        found = [line for unit in units if (line := verdict_of(registry, unit)) is not None]
    found.sort(key=lambda line: -number_of(line.grade))
    return tuple(found[:limit])


def verdict_of(registry: Registry, unit: Unit) -> GradeLine | None:
    """The latest verdict on a unit; None where there is none."""
    names = PRODUCTS.get(unit.grain, ())
    made = [product for product in registry.products_of(unit) if product.name in names]
    if not made:
        return None
    notes = [note for note in registry.notes_of(unit) if note.kind == "grade"]
    people = tuple(f"{note.text}{f' ({note.who})' if note.who else ''}" for note in reversed(notes))
    return GradeLine(str(unit), str(made[-1].value["grade"]), tuple(_told(made[-1].value)), people)


def _told(value: Mapping[str, Any]) -> Iterator[str]:
    """The reasons in words; of an exposure also how many detectors have which grade."""
    if "grades" in value:
        yield ", ".join(f"{count} {grade}" for grade, count in value["grades"].items())
    if value.get("lost"):
        yield f"{value['lost']} detectors without a verdict"
    for reason in value["reasons"]:
        yield said(reason)


def _detectors(registry: Registry, where: str, limit: int) -> Iterator[Unit]:
    if "verdict" not in registry.metric_names():
        # Nothing was graded yet: the selection is looked at all the same.
        registry.search(where, (), "", 1)
        return
    for row in registry.search(where, ("verdict",), "-verdict", limit):
        if row["verdict"] is not None:
            yield Unit(Grain.DETECTOR, (str(row["exposure"]), str(row["detector"])))


def _exposures(registry: Registry, where: str) -> Iterator[Unit]:
    names = dict.fromkeys(row.exposure for row in registry.detector_rows(where, (FrameType.OBJECT,)))
    for name in names:
        yield Unit(Grain.EXPOSURE, (name,))
