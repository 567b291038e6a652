"""Opening a survey: the folder, its settings and its registry, for every other service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spica.core.faults import SetupFault
from spica.files.survey import Survey

if TYPE_CHECKING:
    from spica.registry.store import Registry


@dataclass(frozen=True)
class Opened:
    """A survey that is open: its folder with settings, and its registry."""

    survey: Survey
    registry: Registry


def locate(folder: Path | None) -> Survey:
    """The survey in this folder or above it; the present folder where none is named.

    Raises
    ------
    SetupFault
        ``survey.missing``, ``survey.invalid``.
    """
    return Survey.open(folder or Path())


def locate_if_any(folder: Path | None) -> Survey | None:
    """As `locate`, but None where no folder is named and there is no survey here: what is shipped serves then."""
    if folder is not None:
        return locate(folder)
    try:
        return Survey.open(Path())
    except SetupFault as fault:
        if fault.code != "survey.missing":
            raise
        return None


@contextmanager
def opened(folder: Path | None) -> Iterator[Opened]:
    """Open a survey and its registry, and close the registry in the end.

    Raises
    ------
    SetupFault
        ``survey.*`` and ``registry.*``.
    """
    from spica.registry.store import Registry  # here: listing cameras or pipelines needs no database library

    survey = locate(folder)
    registry = Registry.open(survey.registry_url)
    try:
        yield Opened(survey, registry)
    finally:
        registry.close()


def camera_folders(survey: Survey | None) -> tuple[Path, ...]:
    """Folders with camera tables of the survey's own."""
    return (survey.folder("cameras"),) if survey else ()


def pipeline_folders(survey: Survey | None) -> tuple[Path, ...]:
    """Folders with pipelines of the survey's own."""
    return (survey.folder("pipelines"),) if survey else ()
