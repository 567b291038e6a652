"""Settings that tables give to tasks and steps by name: a misspelt name would be passed over without a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spica.core.faults import SetupFault
from spica.core.settings import unknown
from spica.pipelines import catalogue
from spica.pipelines.model import Pipeline
from spica.pipelines.reading import nearest


def refuse_strangers(
    given: Mapping[str, Mapping[str, Any]], where: str, folders: Iterable[Path], pipeline: Pipeline | None = None
) -> None:
    """Refuse settings for what is neither a task nor a step of any pipeline, and names that no such task knows.

    Parameters
    ----------
    given : owner (a task, or the label of a step) to its settings.
    where : where they stand, as ``file: [settings.{}]`` with braces for the owner.
    folders : with pipelines of the survey's own.
    pipeline : looked at first; the others are read only for owners that it does not know.

    Raises
    ------
    SetupFault
        ``settings.unknown``, with the nearest name.
    """
    places = tuple(folders)
    known = {name: set(task.settings.model_fields) for name, task in catalogue.tasks_of(places).items()}
    if pipeline is not None:
        _add(known, pipeline)
    if not set(given) <= set(known):
        for name in catalogue.names(places):
            _add(known, catalogue.load(name, places))
    for owner, settings in given.items():
        if owner not in known:
            near = nearest(owner, known)
            hint = f"; did you mean {near!r}?" if near else ""
            message = f"{where.format(owner)} is neither a task nor a step of any pipeline{hint}"
            raise SetupFault("settings.unknown", message, setting=owner, nearest=near)
        for name in settings:
            if name not in known[owner]:
                raise unknown(name, known[owner], owner, where.format(owner))


def _add(known: dict[str, set[str]], pipeline: Pipeline) -> None:
    for step in pipeline.steps:
        known.setdefault(step.label, set()).update(step.task.settings.model_fields)
