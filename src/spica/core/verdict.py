"""The four grades of a verdict, best first, and their places as a metric (1 to 4)."""

from __future__ import annotations

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
