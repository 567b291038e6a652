"""`spica init`, `spica doctor`, `spica demo`: before there is a survey, and whether all is well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, examples
from spica.cli.render import duration, facts, print_json, say, show_table
from spica.cli.watching import watching

if TYPE_CHECKING:
    from spica.services.demo import Report

INIT = examples(
    "spica init survey",
    'spica init survey --name "Southern Sky" --database postgresql://me@db.example.org/southern',
)
DOCTOR = examples("spica doctor", "spica doctor --compile          compile all kernels now", "spica doctor --json")
DEMO = examples("spica demo build/demo", "spica demo build/demo --workers 2 --json")


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new survey; made where it is missing.")],
    database: Annotated[
        str | None, typer.Option("--database", help="Address of the registry; SQLite in the folder by default.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The survey's name; the folder's by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a survey: its folder, its settings file survey.toml and its registry."""
    from spica.services import initialise

    made = initialise.initialise(folder, database, name)
    if as_json:
        print_json(made)
        return
    say(f"survey {made.name} in {made.folder}", "bold green")
    facts({"settings": made.settings, "registry": made.registry}, indent="  ")
    say(f"next: cd {folder} && spica ingest PATH…   (spica simulate DIR makes frames to try it with)")


def doctor(
    survey: SurveyOption = None,
    compile_kernels: Annotated[bool, typer.Option("--compile", help="Compile and cache all kernels now.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the installation and the survey here, and say what to do about what is wrong."""
    from spica.services import doctor as service

    with watching() as watcher:
        found = service.examine(survey, compile_kernels=compile_kernels, watcher=watcher)
    if as_json:
        print_json(found)
    else:
        marks = {"good": "ok", "note": "note", "bad": "BAD"}
        show_table("", ("", "what", "found"), [(marks[str(c.verdict)], c.name, c.found) for c in found.checks])
        for check in found.checks:
            if check.advice:
                say(f"{check.name}: {check.advice}", "red" if str(check.verdict) == "bad" else "")
        say("all is well" if found.well else "something is wrong: see above", "green" if found.well else "bold red")
    if not found.well:
        raise typer.Exit(ExitCode.SETUP)


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the demonstration; what an earlier one left is replaced.")],
    workers: Annotated[int, typer.Option("--workers", min=0, help="Worker processes; 0: one per core.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same sky.")] = 20261120,
    as_json: JsonOption = False,
) -> None:
    """Simulate a small survey, reduce it, and judge every result against the known truth."""
    from spica.services import demo as service

    with watching() as watcher:
        report = service.demonstrate(folder, workers=workers, seed=seed, watcher=watcher)
    if as_json:
        print_json(report)
    else:
        _show_report(report)
    if not report.good:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _show_report(report: Report) -> None:
    say(f"Demonstration survey in {report.folder}", "bold")
    show_table("", ("stage", "done", "seconds"), [(s.name, s.count, round(s.seconds, 1)) for s in report.stages])
    say("")
    rows = [(f.group, f.name, f"{f.value:.4g}", f.unit, f.expected, "yes" if f.good else "NO") for f in report.findings]
    show_table("Judged against the truth", ("of", "what", "value", "unit", "expected", "good"), rows)
    say("")
    for picture in report.pictures:
        say(f"{picture.title}: {picture.path}")
    say(f"finished in {duration(report.seconds)}; look around: spica status --survey {report.survey}")
    if not report.good:
        say("some results are not as expected: see NO above", "bold red")
