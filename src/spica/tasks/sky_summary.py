"""Sky summary: an exposure's outline, figures and verdict from the sky solutions of its detectors."""

from __future__ import annotations

from collections import Counter

import numpy as np

from spica.core.outline import hull
from spica.core.records import Grain
from spica.core.settings import NoSettings
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.core.verdict import GRADES, number_of

_LEFT = ("zero_point", "zero_point_err", "photometric")
"""An exposure's zero point is told by the tasks `zero_point` and `magnitudes`."""
_SUMS = ("astrometry_used", "astrometry_rejected", "astrometry_ties", "photometry_used")


def sky_summary(settings: NoSettings, sky_solution: tuple[Member, ...], members: tuple[int, ...]) -> Products:
    """Medians of the detectors' figures, sums of their counts; the smallest convex outline about all of them.

    Returns
    -------
    exposure_outline : vertices on the sky.
    exposure_astrometry : metrics under the names of the detectors' own; `astrometry_lost` detectors without a solution;
        `sky_verdict`: that of the median detector, those that were lost counted as D.
    """
    del settings
    found: dict[str, tuple[list[float], str]] = {}
    for member in sky_solution:
        for name, (value, units) in member.value["figures"].items():
            if name not in _LEFT:
                found.setdefault(name, ([], units))[0].append(float(value))
    figures = {
        name: Measured(float(np.sum(values) if name in _SUMS else np.median(values)), units)
        for name, (values, units) in sorted(found.items())
    }
    lost = max(len(members) - len(sky_solution), 0)
    grades = Counter(str(member.value["grade"]) for member in sky_solution)
    grades[GRADES[-1]] += lost
    ordered = sorted(grades.elements())
    figures["sky_verdict"] = Measured(number_of(ordered[(len(ordered) - 1) // 2]))
    figures["astrometry_lost"] = Measured(float(lost))
    outlines = [(member.value["outline"]["ra"], member.value["outline"]["dec"]) for member in sky_solution]
    ra, dec = hull(outlines)
    return {"exposure_outline": {"ra": list(ra), "dec": list(dec)}, "exposure_astrometry": figures}


TASK = Task(
    name="sky_summary",
    version=2,
    grain=Grain.EXPOSURE,
    settings=NoSettings,
    needs=(Need("sky_solution", grain=Grain.DETECTOR, quorum=1), Need("members", source="members")),
    gives=(
        Give("exposure_outline", Form.OUTLINE, meaning="the exposure's outline on the sky"),
        Give("exposure_astrometry", Form.METRICS, meaning="an exposure's sky solution: figures and verdict"),
    ),
    run=sky_summary,
)
