"""Examining an installation and a survey: what is well, what is not, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil

from spica import __version__
from spica.core.faults import Fault, SetupFault
from spica.files import atomic, dust
from spica.files.dust import installed
from spica.files.survey import Survey
from spica.services import kernels
from spica.services.progress import Watcher, unwatched
from spica.services.surveys import camera_folders, locate_if_any, opened, pipeline_folders

LITTLE_DISK = 2 * 1000**3
"""Bytes free below which a survey's disk is named as a danger."""

PROGRAMS = {
    "fitsverify": "checks FITS conformance on ingest; Debian: apt-get install fitsverify",
    "psql": "PostgreSQL for a team's registry; Debian: apt-get install postgresql-client",
}
EXTRAS = {
    "psycopg": "a registry on PostgreSQL; pip install 'spica[postgres]'",
    "pyvo": "catalogues from online services; pip install 'spica[online]'",
    "distributed": "the Dask executor; pip install 'spica[dask]'",
}


class Verdict(StrEnum):
    """How a check ended; only BAD makes the whole bad."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `advice` says what to do where there is something to do."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Findings:
    """All checks, and whether none is bad."""

    version: str
    checks: tuple[Check, ...]
    well: bool


def examine(folder: Path | None, *, compile_kernels: bool = False, watcher: Watcher = unwatched) -> Findings:
    """Examine this installation, and the survey in `folder` (or here) where there is one.

    Parameters
    ----------
    folder : a survey's folder; None looks here and above, and is content where there is none.
    compile_kernels : compile and cache every kernel now.
    watcher : told of the kernels compiled so far.
    """
    checks = [*_python(), *_packages(), *_machine(), *_kernels(watcher, compile_now=compile_kernels), *_tables()]
    try:
        survey = locate_if_any(folder)
    except SetupFault as fault:
        checks.append(_bad("survey", fault))
    else:
        checks.extend(_survey(survey) if survey else _no_survey())
    checks.extend(_optional())
    return Findings(__version__, tuple(checks), all(check.verdict is not Verdict.BAD for check in checks))


def _bad(name: str, fault: Fault) -> Check:
    return Check(name, Verdict.BAD, f"{fault.code}: {fault.message}", fault.advice)


def _python() -> Iterator[Check]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.prefix}"
    yield Check("python", Verdict.GOOD, found)
    yield Check("spica", Verdict.GOOD, __version__)


def _packages() -> Iterator[Check]:
    """Each declared dependency: its version, or that it is absent."""
    from packaging.requirements import Requirement

    for line in requires("spica") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Check(requirement.name, Verdict.BAD, "absent", f"pip install '{requirement}'")
            continue
        if requirement.specifier.contains(found, prereleases=True):
            yield Check(requirement.name, Verdict.GOOD, found)
        else:
            advice = f"pip install '{requirement}'"
            yield Check(requirement.name, Verdict.BAD, f"{found}, needed {requirement.specifier}", advice)


def _machine() -> Iterator[Check]:
    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    per_core = memory.total / cores / 1e9
    found = f"{cores} cores, {memory.total / 1e9:.1f} GB memory, {memory.available / 1e9:.1f} GB free"
    if per_core < 1.0:
        yield Check("machine", Verdict.NOTE, found, "little memory per core: set engine.workers in survey.toml")
    else:
        yield Check("machine", Verdict.GOOD, found)


def _kernels(watcher: Watcher, *, compile_now: bool) -> Iterator[Check]:
    if compile_now:
        yield Check("kernels", Verdict.GOOD, f"all compiled and cached ({kernels.compile_all(watcher):.1f} s)")
        return
    folder = kernels.cache_folder()
    count = kernels.cached(folder)
    if kernels.ready():
        yield Check("kernels", Verdict.GOOD, f"{count} compiled functions cached in {folder}")
    else:
        advice = "the next run compiles them (about a minute); now: spica doctor --compile"
        yield Check("kernels", Verdict.NOTE, "some are not compiled yet" if count else "none compiled yet", advice)


def _tables() -> Iterator[Check]:
    """The shipped cameras, tasks and pipelines, and those of outside packages."""
    yield from _cameras(None)
    yield from _pipelines(None)


def _cameras(survey: Survey | None) -> Iterator[Check]:
    from spica.instruments import tables

    what = "cameras of the survey" if survey else "cameras"
    try:
        names = tables.names(camera_folders(survey))
        for name in names:
            tables.load(name, camera_folders(survey))
    except SetupFault as fault:
        yield _bad(what, fault)
    else:
        yield Check(what, Verdict.GOOD, f"{len(names)}: {' '.join(names)}")


def _pipelines(survey: Survey | None) -> Iterator[Check]:
    from spica.pipelines import catalogue

    what = "pipelines of the survey" if survey else "pipelines"
    try:
        names = catalogue.names(pipeline_folders(survey))
        for name in names:
            catalogue.load(name, pipeline_folders(survey))
    except SetupFault as fault:
        yield _bad(what, fault)
    else:
        yield Check(what, Verdict.GOOD, f"{len(names)}: {' '.join(names)}; {len(catalogue.tasks())} tasks")


def _no_survey() -> Iterator[Check]:
    yield Check("survey", Verdict.NOTE, "none here", "make one: spica init DIR")


def _survey(survey: Survey) -> Iterator[Check]:
    yield Check("survey", Verdict.GOOD, f"{survey.settings.name} in {survey.root}")
    if any(survey.folder("cameras").glob("*.toml")):
        yield from _cameras(survey)
    if any(survey.folder("pipelines").glob("*.toml")):
        yield from _pipelines(survey)
    yield from _areas(survey)
    yield _registry(survey)
    yield _dust(survey)
    left = [path for path in survey.folder("scratch").rglob("*") if path.is_file()]
    if left:
        advice = "left by an interrupted run; the same run uses and then deletes them"
        yield Check("scratch", Verdict.NOTE, f"{len(left)} files", advice)


def _dust(survey: Survey) -> Check:
    found = installed(survey.references)
    if found is None:
        advice = f"objects have no extinction; put {dust.NORTH} and {dust.SOUTH} (SFD) into {survey.references / dust.FOLDER}"
        return Check("dust map", Verdict.NOTE, "none installed", advice)
    return Check("dust map", Verdict.GOOD, f"{found.north.name} and {found.south.name}")


def _areas(survey: Survey) -> Iterator[Check]:
    for name, root in survey.areas.items():
        if "://" in root:
            yield Check(f"area {name}", Verdict.GOOD, root)
            continue
        if not Path(root).is_dir():
            advice = "mount it, or mend [areas] in survey.toml"
            yield Check(f"area {name}", Verdict.BAD, f"{root} is not there", advice)
            continue
        free = atomic.free_space(Path(root))
        if not os.access(root, os.W_OK):
            yield Check(f"area {name}", Verdict.BAD, f"{root} cannot be written", "remount it or mend its permissions")
        elif free < LITTLE_DISK:
            found = f"{root}: {free / 1e9:.2f} GB free"
            yield Check(f"area {name}", Verdict.NOTE, found, "free space, or add a storage area in survey.toml")
        else:
            yield Check(f"area {name}", Verdict.GOOD, f"{root}: {free / 1e9:.1f} GB free")


def _registry(survey: Survey) -> Check:
    try:
        with opened(survey.root) as house:
            counts = house.registry.counts()
    except Fault as fault:
        return _bad("registry", fault)
    return Check(
        "registry",
        Verdict.GOOD,
        f"{survey.settings.registry}: {counts.detectors} detectors, {counts.products} products",
    )


def _optional() -> Iterator[Check]:
    for program, purpose in PROGRAMS.items():
        path = shutil.which(program)
        yield (
            Check(program, Verdict.GOOD, path)
            if path
            else Check(program, Verdict.NOTE, "absent", f"optional: {purpose}")
        )
    yield from _wrapped()
    for package, purpose in EXTRAS.items():
        try:
            yield Check(package, Verdict.GOOD, version(package))
        except PackageNotFoundError:
            yield Check(package, Verdict.NOTE, "absent", f"optional: {purpose}")


def _wrapped() -> Iterator[Check]:
    """The programs that shipped tasks run, with their versions."""
    from spica.pipelines import catalogue

    for task in catalogue.tasks().values():
        if task.external is None:
            continue
        try:
            yield Check(task.external.name, Verdict.GOOD, f"{task.external.version()}, for the task {task.name}")
        except SetupFault as fault:
            yield Check(task.external.name, Verdict.NOTE, f"{fault.code}: {fault.message}", f"optional: {fault.advice}")
