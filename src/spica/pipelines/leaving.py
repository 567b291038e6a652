"""Steps that a release leaves out of its pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spica.core.faults import SetupFault
from spica.pipelines.graph import TILED
from spica.pipelines.model import Pipeline, Step
from spica.pipelines.reading import nearest


def leave_out(pipeline: Pipeline, labels: Sequence[str], release: str) -> Pipeline:
    """The pipeline without some of its steps on tiles, and without their rungs of the rescue ladder.

    Raises
    ------
    SetupFault
        ``release.invalid`` for what is no such step, or what a step that stays needs.
    """
    if not labels:
        return pipeline
    gone = set(labels)
    tiled = {step.label: step for step in pipeline.steps if step.task.grain in TILED}
    for label in labels:
        if label not in tiled:
            near = nearest(label, tiled)
            hint = f"; did you mean {near!r}?" if near else f"; there are {', '.join(tiled)}"
            message = f"pipeline {pipeline.name!r} has no step {label!r} that works on tiles{hint}"
            raise _invalid(release, message, step=label, nearest=near)
    stay = tuple(step for step in pipeline.steps if step.label not in gone)
    for label in labels:
        needed = [(step.label, name) for step in stay for name in _taken(step, tiled[label])]
        if needed:
            told = ", ".join(f"{step} needs its {name!r}" for step, name in dict.fromkeys(needed))
            raise _invalid(release, f"{label!r} cannot be left out alone: {told}", step=label)
    rescues = tuple(rung for rung in pipeline.rescues if rung.step not in gone)
    return replace(pipeline, steps=stay, rescues=rescues)


def _taken(step: Step, maker: Step) -> list[str]:
    """Products of another step without which this one cannot run."""
    given = {maker.product(give.name) for give in maker.task.gives}
    wanted = [step.product(need.name) for need in step.needs() if need.source == "product" and not step.optional(need)]
    return [name for name in wanted if name in given]


def _invalid(release: str, message: str, **evidence: str) -> SetupFault:
    advice = "mend 'without' in the release's file; what others need goes with those others or stays"
    return SetupFault("release.invalid", f"release {release!r}: {message}", advice=advice, release=release, **evidence)
