"""Before a production begins: what it will write and take, whether there is room for it, and what it lacks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from spica.core.catalogue import CODES
from spica.core.faults import SetupFault
from spica.engine.plan import Plan, Standing
from spica.files.atomic import free_space
from spica.files.survey import Survey
from spica.registry.queue import steps_key
from spica.registry.store import Registry

GIBIBYTE = 1 << 30


@dataclass(frozen=True)
class Forecast:
    """What the jobs of a plan are expected to cost, by what done ones did; jobs unlike any done one are `unknown`.

    Bytes that are written and that are free, seconds of one worker.
    """

    written: float
    free: int
    seconds: float
    unknown: int


def forecast(plan: Plan, registry: Registry, survey: Survey) -> Forecast:
    """What a plan will cost."""
    usual = registry.queue.usual(plan.order.pipeline.name)
    counts = Counter(
        steps_key([step.label for step in job.recipe.chain.steps]) for _, job in plan.standing(Standing.RUN)
    )
    known = [(usual[key], count) for key, count in counts.items() if key in usual]
    return Forecast(
        written=sum(each.written * count for each, count in known),
        free=free_space(survey.folder("products")),
        seconds=sum(each.seconds * count for each, count in known),
        unknown=sum(count for key, count in counts.items() if key not in usual),
    )


def refuse_hopeless(plan: Plan, registry: Registry, survey: Survey) -> None:
    """Refuse a plan that cannot come to a good end, with all reasons at once.

    Units that are refused do not stop the others: only where nothing else is left they are a reason.

    Raises
    ------
    SetupFault
        ``production.hopeless``.
    """
    counts, reasons = plan.counts(), []
    if not counts[Standing.RUN]:
        found = Counter(each.fault.code for each in plan.refusals)
        for code, count in found.most_common() if not counts[Standing.DONE] else ():
            first = next(each for each in plan.refusals if each.fault.code == code)
            meaning = CODES[code].meaning if code in CODES else first.fault.message
            reasons.append(f"{count} units cannot run: {code}, {meaning} (for example {first.unit})")
    else:
        expected = forecast(plan, registry, survey)
        reserve = survey.settings.engine.reserve * GIBIBYTE
        if expected.written > max(expected.free - reserve, 0.0):
            reasons.append(
                f"{expected.written / GIBIBYTE:.1f} GiB will be written, {expected.free / GIBIBYTE:.1f} GiB are free, of which "
                f"{survey.settings.engine.reserve:g} GiB are to stay so"
            )
    if reasons:
        raise SetupFault("production.hopeless", "; ".join(reasons), reasons=len(reasons))
