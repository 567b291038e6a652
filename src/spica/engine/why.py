"""What changed: why a unit that was done before is to be worked on again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from spica.core.jobs import StepRecord
from spica.engine.collecting import uncollected
from spica.engine.plan import Plan, PlannedJob, Standing
from spica.engine.spec import RESCUE, Recipe
from spica.engine.standing import NEVER_MADE
from spica.registry.rows import LastDone
from spica.registry.store import Registry

REWIRED = "the steps are wired, kept or rescued in another way"
_NAMED = 3
"""Units named of an input that has changed."""


def explain(plan: Plan, registry: Registry) -> int:
    """Say in jobs that were never made what differs from the unit's last job of the same steps.

    The `reason` tells what changed (a setting, a task's version, an input) in the same words for all units of which
    the same holds; the `detail` names the inputs. Units that had no such job keep "never made".

    One that a rung of the ladder begins anew is compared too, with the last one that was done.

    Returns
    -------
    Number of jobs of which there was an earlier one.
    """
    fresh: dict[tuple[str, ...], dict[str, PlannedJob]] = {}
    for _, job in plan.standing(Standing.RUN):
        if job.reason == NEVER_MADE or job.rung >= 0:
            labels = tuple(step.label for step in job.recipe.chain.steps)
            fresh.setdefault(labels, {})[str(job.unit)] = job
    compared = 0
    for labels, planned in fresh.items():
        tell = _Teller()
        with uncollected():
            for last in registry.last_done(labels, (job.unit for job in planned.values())):
                tell(planned[last.unit], last)
                compared += 1
    return compared


class _Teller:
    """Compares jobs of the same steps with their last ones; what holds of many is put into words once."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, int, str], str] = {}
        self._needs: dict[int, tuple[str, ...]] = {}
        self._kept: list[object] = []

    def __call__(self, job: PlannedJob, last: LastDone) -> None:
        found = list(_inputs(self._needs_of(job.recipe), job, last))
        heads = "; ".join(head for head, _ in found)
        place = (id(job.recipe), id(last.steps), heads)
        if place not in self._said:
            self._kept.append(last.steps)
            sure, doubtful = changed_steps(last.steps, job.recipe)
            self._said[place] = "; ".join([*sure, *filter(None, [heads])] or doubtful) or REWIRED
        job.reason = self._said[place]
        job.detail = "; ".join(f"{head}{which}" for head, which in found)

    def _needs_of(self, recipe: Recipe) -> tuple[str, ...]:
        if id(recipe) not in self._needs:
            # Kept, so that nothing else comes to lie at its address.
            self._kept.append(recipe)
            self._needs[id(recipe)] = tuple(f"{each.step}.{each.need.name}" for each in recipe.chain.outside)
        return self._needs[id(recipe)]


def changed_steps(before: Iterable[StepRecord], recipe: Recipe) -> tuple[list[str], list[str]]:
    """What a recipe has that the steps of a job had not, in words; apart, what differs from what a rescue had set.

    What the order said before a rung of the ladder said otherwise was not kept: such a setting may be the same.
    """
    sure: list[str] = []
    doubtful: list[str] = []
    for old, new in zip(before, recipe.step_records(), strict=True):
        if old.version != new.version:
            sure.append(f"task {new.task} is version {new.version}, was {old.version}")
        for name, value in new.settings.items():
            if name not in old.settings:
                sure.append(f"{new.label}.{name} is {value!r}, a new setting")
            elif old.settings[name] != value:
                said = f"{new.label}.{name} is {value!r}, was {old.settings[name]!r}"
                if old.sources.get(name) == RESCUE:
                    doubtful.append(f"{said} (set by a rescue)")
                else:
                    sure.append(said)
    return sure, doubtful


def _inputs(needs: tuple[str, ...], job: PlannedJob, last: LastDone) -> Iterator[tuple[str, str]]:
    """Of each input that is another now: what changed, and of which units."""
    before: dict[str, dict[str, str]] = {}
    for need, key, unit in last.inputs:
        if key:  # else there was none
            before.setdefault(need, {})[key] = unit
    for need, binding, links in zip(needs, job.recipe.chain.outside, job.inputs, strict=True):
        there = before.pop(need, {})
        if binding.need.late and job.rung < 0:
            continue  # whether anything is lent to it is seen when it fails by itself
        now = {link.key: link.unit for link in links}
        if now.keys() != there.keys():
            yield f"input {need} changed", _which(there, now)
    for need in before:
        yield f"input {need} is left out", ""


def _which(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    new = sorted({unit for key, unit in now.items() if key not in before})
    gone = sorted({unit for key, unit in before.items() if key not in now} - set(new))
    words = [", ".join(new[:_NAMED]) + (" …" if len(new) > _NAMED else "")] if new else []
    words += [f"without {', '.join(gone[:_NAMED])}{' …' if len(gone) > _NAMED else ''}"] if gone else []
    return f": {'; '.join(words)}"
