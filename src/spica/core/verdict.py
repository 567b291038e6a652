"""The four grades of a verdict, best first, and their places as a metric (1 to 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

GRADES = "ABCD"
MEANINGS: dict[str, str] = {
    "A": "as good as the camera gives",
    "B": "good",
    "C": "of limited use",
    "D": "look at it before it is used",
}


class Figure(Protocol):
    """A metric's value and unit: `spica.core.task.Measured`."""

    @property
    def value(self) -> float:
        """The value."""

    @property
    def units(self) -> str:
        """The unit."""


def place_of(value: float, limits: Sequence[float]) -> int:
    """How many of the limits a value passes: 0 for A … 3 for D; rising limits are of a figure's size, either sign."""
    rising = limits[-1] >= limits[0]
    return sum(abs(value) > limit if rising else value < limit for limit in limits)


def reasons_of(
    figures: Mapping[str, Figure], grading: Mapping[str, Sequence[float]], required: Sequence[str]
) -> list[dict[str, Any]]:
    """Every graded figure that is no A, the worst first: its name, value, unit, grade, and the limit that it passes.

    Parameters
    ----------
    grading : metric to the limits of A, B and C; beyond the last is D. Where they rise, less is better.
    required : metrics that have to be there: one that is graded and missing is a D.
    """
    found: list[dict[str, Any]] = []
    for name, limits in sorted(grading.items()):
        if name not in figures:
            if name in required:
                found.append({"metric": name, "value": None, "units": "", "grade": GRADES[-1], "limit": limits[-1]})
            continue
        value = figures[name].value
        place = place_of(value, limits)
        if place:
            grade, limit = GRADES[place], limits[place - 1]
            units = figures[name].units
            found.append({"metric": name, "value": value, "units": units, "grade": grade, "limit": limit})
    return sorted(found, key=lambda reason: -GRADES.index(reason["grade"]))


def shared_grade(grades: Mapping[str, int], share: float) -> str:
    """The best grade that at least this share of all reaches; `grades` says how many have which."""
    total = sum(grades.values())
    reached = 0
    for grade in GRADES:
        reached += grades.get(grade, 0)
        if reached >= share * total:
            return grade
    return GRADES[-1]


def gathered_reasons(lists: Iterable[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What keeps detectors from an A: figure, how many detectors, the grade and value of the worst; the worst first.

    Parameters
    ----------
    lists : of each detector its reasons, as `reasons_of` gives them.
    """
    held: dict[str, list[Mapping[str, Any]]] = {}
    for reasons in lists:
        for reason in reasons:
            held.setdefault(str(reason["metric"]), []).append(reason)
    found = []
    for name, reasons in sorted(held.items()):
        worst = max(reasons, key=_badness)
        found.append(
            {
                "metric": name,
                "detectors": len(reasons),
                "grade": worst["grade"],
                "limit": worst["limit"],
                "value": worst["value"],
                "units": worst["units"],
            }
        )
    return sorted(found, key=lambda line: (-GRADES.index(line["grade"]), -line["detectors"]))


def _badness(reason: Mapping[str, Any]) -> tuple[int, float]:
    """Grade, and within it how far beyond its limit the value is; what could not be measured is the worst."""
    value = reason["value"]
    away = float("inf") if value is None else abs(float(value) - float(reason["limit"]))
    return GRADES.index(reason["grade"]), away


def number_of(grade: str) -> float:
    """A grade as the metric `verdict`: A 1 … D 4."""
    return 1.0 + GRADES.index(grade)


def grade_of(number: float) -> str:
    """The grade of a metric `verdict`; ValueError for a number that is none."""
    place = round(number) - 1
    if not 0 <= place < len(GRADES):
        msg = f"{number} is no verdict"
        raise ValueError(msg)
    return GRADES[place]


def said(reason: Mapping[str, Any]) -> str:
    """A verdict's reason in words: ``C: seeing 2.13 arcsec, B ends at 2`` (``in the worst of 3 detectors`` for an exposure)."""
    value = reason["value"]
    unit = f" {reason['units']}" if reason["units"] else ""
    number = int(reason.get("detectors", 0))
    if value is None:
        many = f" of {number} detector{'s'[: number != 1]}" if number else ""
        return f"{reason['grade']}: {reason['metric']}{many} could not be measured"
    many = f" in the worst of {number} detectors" if number > 1 else " in one detector" if number else ""
    better = GRADES[max(GRADES.index(reason["grade"]) - 1, 0)]
    return f"{reason['grade']}: {reason['metric']} {value:.4g}{unit}{many}, {better} ends at {reason['limit']:g}"
