"""Beginning a survey."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import Fault
from spica.files.survey import FILE_NAME, Survey
from spica.registry.store import Registry


@dataclass(frozen=True)
class Made:
    """A new survey."""

    name: str
    folder: Path
    settings: Path
    registry: str


def initialise(folder: Path, database: str | None = None, name: str | None = None) -> Made:
    """Make a survey folder with its settings and an empty registry.

    Where the registry cannot be made the settings file is taken away again, so that the same order can be given anew.

    Raises
    ------
    SetupFault
        ``survey.exists``, ``survey.invalid``, ``registry.*``.
    """
    survey = Survey.create(folder, database, name)
    try:
        Registry.create(survey.registry_url).close()
    except Fault:
        (survey.root / FILE_NAME).unlink()
        raise
    return Made(survey.settings.name, survey.root, survey.root / FILE_NAME, survey.settings.registry)
