"""The four grades of a verdict, best first, and their places as a metric (1 to 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GRADES = "ABCD"
MEANINGS: dict[str, str] = {
    "A": "as good as the camera gives",
    "B": "good",
    "C": "of limited use",
    "D": "look at it before it is used",
}


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
    """A verdict's reason in words: ``C: seeing 2.13 arcsec, B ends at 2`` (``of 3 detectors`` for an exposure)."""
    value = reason["value"]
    unit = f" {reason['units']}" if reason["units"] else ""
    many = f" of {reason['detectors']} detectors" if "detectors" in reason else ""
    if value is None:
        return f"{reason['grade']}: {reason['metric']}{many} could not be measured"
    better = GRADES[max(GRADES.index(reason["grade"]) - 1, 0)]
    return f"{reason['grade']}: {reason['metric']}{many} {value:.4g}{unit}, {better} ends at {reason['limit']:g}"
