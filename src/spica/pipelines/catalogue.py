"""What there is: tasks (shipped and of outside packages) and pipelines (shipped, of outside packages, of the survey)."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint
from importlib.resources import files
from pathlib import Path

import spica.tasks
import spica.wrappers
from spica.core.faults import Fault, SetupFault
from spica.core.outside import entry_points
from spica.core.task import Task
from spica.pipelines.check import check
from spica.pipelines.model import Pipeline
from spica.pipelines.reading import Source, fold, nearest, read_file
from spica.wrappers import generic

TASKS = "spica.tasks"
PIPELINES = "spica.pipelines"
WRAPPERS = "spica.wrappers"


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by name: modules (or packages) of `spica.tasks` and `spica.wrappers` with a ``TASK`` (and ``DEEP``, the same of a stack), then entry points ``spica.tasks``.

    Raises
    ------
    SetupFault
        ``task.invalid`` where two have one name, ``plugin.broken`` where an outside package cannot be loaded.
    """
    found: dict[str, tuple[Task, str]] = {}
    for task, origin in (*_shipped(), *_outside()):
        if task.name in found:
            raise SetupFault(
                "task.invalid",
                f"two tasks are called {task.name!r}: {found[task.name][1]} and {origin}",
                task=task.name,
            )
        found[task.name] = (task, origin)
    return {name: found[name][0] for name in sorted(found)}


def _shipped() -> Iterator[tuple[Task, str]]:
    for package in (spica.tasks, spica.wrappers):
        for module in pkgutil.iter_modules(package.__path__):
            origin = f"{package.__name__}.{module.name}"
            loaded = importlib.import_module(origin)
            for task in (getattr(loaded, name, None) for name in ("TASK", "DEEP")):
                if isinstance(task, Task):
                    yield task, origin


def _outside() -> Iterator[tuple[Task, str]]:
    for point in sorted(entry_points(TASKS), key=lambda point: point.name):
        loaded = _load(point)
        task = getattr(loaded, "TASK", loaded)
        if not isinstance(task, Task):
            raise SetupFault(
                "plugin.broken", f"entry point {point.name} ({point.value}) holds no task", package=point.value
            )
        yield task, point.value


def tasks_of(folders: Iterable[Path | str]) -> Mapping[str, Task]:
    """All tasks: those of `tasks`, of the packages' and of the survey's wrappers.

    Parameters
    ----------
    folders : the survey's own folders of pipelines; its wrappers lie in ``wrappers`` beside each.

    Raises
    ------
    SetupFault
        ``wrapper.invalid`` for a file that cannot be one; ``task.invalid`` where its name is taken.
    """
    found = dict(tasks())
    points = sorted(entry_points(WRAPPERS), key=lambda point: point.name)
    places = [_folder(point) for point in points] + [Path(folder).parent / "wrappers" for folder in folders]
    for path in (path for place in dict.fromkeys(places) for path in sorted(place.glob("*.toml"))):
        task = generic.read_file(path)
        if task.name in found:
            message = f"two tasks are called {task.name!r}, one of them in {path}"
            raise SetupFault("task.invalid", message, task=task.name)
        found[task.name] = task
    return found


def _folder(point: EntryPoint) -> Path:
    """The folder that an entry point names: a package, or a path."""
    loaded = _load(point)
    paths = getattr(loaded, "__path__", None)
    return Path(next(iter(paths))) if paths else Path(str(loaded))


def _load(point: EntryPoint) -> object:
    try:
        return point.load()
    except (ImportError, AttributeError, SyntaxError, Fault) as error:
        raise SetupFault(
            "plugin.broken", f"entry point {point.name} ({point.value}): {error}", package=point.value
        ) from error


def _places(folders: Iterable[Path | str]) -> Iterator[Path]:
    """Folders that hold pipelines; a later one's file hides an earlier one's of the same name."""
    yield Path(str(files("spica.pipelines") / "shipped"))
    for point in sorted(entry_points(PIPELINES), key=lambda point: point.name):
        yield _folder(point)
    for folder in folders:
        yield Path(folder)


def _sources(folders: Iterable[Path | str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in _places(folders):
        found |= {path.stem: path for path in sorted(place.glob("*.toml"))}
    return found


def names(folders: Iterable[Path | str] = ()) -> list[str]:
    """Names of all pipelines; `folders` are the survey's own."""
    return sorted(_sources(folders))


def load(name: str, folders: Iterable[Path | str] = (), task_catalogue: Mapping[str, Task] | None = None) -> Pipeline:
    """Read and check a pipeline.

    Parameters
    ----------
    name : its name, the stem of its file.
    folders : the survey's own folders of pipelines.
    task_catalogue : tasks by name, all that are installed by default.

    Raises
    ------
    SetupFault
        ``pipeline.unknown`` with the nearest name, ``pipeline.invalid``, ``task.unknown``, ``settings.*``.
    """
    folders = tuple(folders)
    places = _sources(folders)

    def find(wanted: str) -> Source:
        if wanted not in places:
            near = nearest(wanted, places)
            hint = f"; did you mean {near!r}?" if near else f"; there are {', '.join(sorted(places))}"
            raise SetupFault(
                "pipeline.unknown", f"there is no pipeline {wanted!r}{hint}", pipeline=wanted, nearest=near
            )
        return read_file(places[wanted])

    pipeline = fold(name, find, tasks_of(folders) if task_catalogue is None else task_catalogue)
    check(pipeline)
    return pipeline
