"""Summary: an exposure's figures and verdict from those of its detectors."""

from __future__ import annotations

from collections import Counter

import numpy as np

from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.core.verdict import GRADES, gathered_reasons, number_of, shared_grade

SUMS = ("sources", "stars", "cosmic_hits")
"""Figures that add up; of the others the median stands for the exposure."""


class SummarySettings(Settings):
    """When detectors make a verdict on their exposure."""

    share: float = setting(0.8, "part of the detectors that must be as good as the exposure's verdict says", gt=0, le=1)


def summary(settings: SummarySettings, verdict: tuple[Member, ...], members: tuple[int, ...]) -> Products:
    """Medians and ranges of the detectors' figures; the grade that most of the delivered detectors reach.

    A delivered detector without a verdict (it failed, or was refused) counts as a D.

    Returns
    -------
    exposure_quality : metrics under the names of the detectors' own (sums for `sources`, `stars`, `cosmic_hits`), the
        range over detectors (largest - smallest) as ``<name>_range``, `verdict`, `detectors`, `detectors_lost`.
    exposure_verdict : value: `grade`, `grades` (how many detectors have which), `reasons` (what keeps detectors back).
    """
    figures: dict[str, Measured] = {}
    for name, (values, units) in sorted(_gathered(verdict).items()):
        value = float(np.sum(values)) if name in SUMS else float(np.median(values))
        figures[name] = Measured(value, units)
        figures[f"{name}_range"] = Measured(float(np.ptp(values)), units)
    lost = max(len(members) - len(verdict), 0)
    grades = Counter(str(member.value["grade"]) for member in verdict)
    grades[GRADES[-1]] += lost
    worst = shared_grade(grades, settings.share)
    figures["verdict"] = Measured(number_of(worst))
    figures["detectors"] = Measured(float(len(verdict)))
    figures["detectors_lost"] = Measured(float(lost))
    told = {
        "grade": worst,
        "grades": {grade: grades[grade] for grade in GRADES if grades[grade]},
        "lost": lost,
        "reasons": gathered_reasons([member.value["reasons"] for member in verdict]),
    }
    return {"exposure_quality": figures, "exposure_verdict": told}


def _gathered(verdict: tuple[Member, ...]) -> dict[str, tuple[list[float], str]]:
    """Values of all detectors by figure, with the unit."""
    found: dict[str, tuple[list[float], str]] = {}
    for member in verdict:
        for name, (value, units) in member.value["figures"].items():
            found.setdefault(name, ([], str(units)))[0].append(float(value))
    return found


TASK = Task(
    name="summary",
    version=3,
    grain=Grain.EXPOSURE,
    settings=SummarySettings,
    needs=(Need("verdict", grain=Grain.DETECTOR, quorum=1), Need("members", source="members")),
    gives=(
        Give("exposure_quality", Form.METRICS, meaning="an exposure's figures and verdict from all its detectors"),
        Give("exposure_verdict", Form.VALUE, meaning="grade A to D with what keeps detectors back"),
    ),
    run=summary,
)
