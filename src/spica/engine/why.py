"""What changed: why a unit that was done before is to be worked on again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from spica.core.faults import Outcome
from spica.core.jobs import InputRecord, JobReport
from spica.engine.plan import Plan, PlannedJob, Standing
from spica.engine.standing import NEVER_MADE
from spica.registry.store import Registry


def explain(plan: Plan, registry: Registry, limit: int = 2000) -> int:
    """Say in the reasons of jobs that were never made what differs from the unit's last job of the same steps.

    Two questions to the registry for each job: `limit` keeps the patience of whoever waits for a dry run. The others
    keep "never made", which is true of their keys.

    Returns
    -------
    Number of jobs that were looked at.
    """
    looked = 0
    fresh = (job for _, job in plan.standing(Standing.RUN) if job.reason == NEVER_MADE)
    for job in islice(fresh, limit):
        looked += 1
        last = _last(job, registry)
        if last is not None:
            job.reason = "; ".join(changes(last, job)) or "the steps are wired, kept or rescued in another way"
    return looked


def _last(job: PlannedJob, registry: Registry) -> JobReport | None:
    labels = tuple(step.label for step in job.recipe.chain.steps)
    done = [
        row
        for row in registry.jobs_of(job.unit)
        if row.outcome is Outcome.DONE and row.labels == labels and row.key != job.key
    ]
    if not done:
        return None
    return registry.job(max(done, key=lambda row: (row.recorded, row.key)).key)


def changes(last: JobReport, job: PlannedJob) -> Iterator[str]:
    """What a planned job has that the last one of the same steps had not, in words."""
    for old, new in zip(last.steps, job.recipe.step_records(), strict=True):
        if old.version != new.version:
            yield f"task {new.task} is version {new.version}, was {old.version}"
        for name, value in new.settings.items():
            before = old.settings.get(name)
            if before != value and not last.rungs:
                yield f"{new.label}.{name} is {value!r}, was {before!r}"
    here, there = _by_need(job.input_records()), _by_need(last.inputs)
    for need, keys in here.items():
        before_keys = there.get(need, {})
        if keys != before_keys:
            yield _input(need, before_keys, keys)
    for need in there:
        if need not in here:
            yield f"input {need} is left out"


def _by_need(inputs: tuple[InputRecord, ...]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for each in inputs:
        found.setdefault(each.need, {})[each.key] = each.unit
    return found


def _input(need: str, before: Mapping[str, str], now: Mapping[str, str]) -> str:
    new = sorted({unit for key, unit in now.items() if key not in before})
    gone = sorted({unit for key, unit in before.items() if key not in now} - set(new))
    words = [f"changed: {', '.join(new[:3])}{' …' if len(new) > 3 else ''}"] if new else []
    words += [f"without {', '.join(gone[:3])}{' …' if len(gone) > 3 else ''}"] if gone else []
    return f"input {need} {'; '.join(words)}"
