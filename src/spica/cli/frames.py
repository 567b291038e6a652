"""`spica simulate`, `spica ingest`, `spica inventory`: frames come in."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples, pairs
from spica.cli.render import duration, facts, print_json, say, show_table, size
from spica.cli.watching import watching

if TYPE_CHECKING:
    from spica.services.ingest import Summary

SIMULATE = examples(
    "spica simulate sky",
    "spica simulate sky --camera decam --set nights=1 --set bands=g,r --set detector_size=256,256",
    "spica simulate sky --list                what can be set",
)
INGEST = examples(
    "spica ingest /data/raw",
    "spica ingest night1/*.fits.fz night2.tar @list.txt --camera decam",
    "spica ingest /archive --mode inplace     leave the files where they are",
    "spica ingest --reload /data/raw/x.fits   read one file's record anew",
)
INVENTORY = examples(
    "spica inventory",
    "spica inventory --where \"night='2026-11-20'\"",
    "spica inventory --log observing_log.csv  also what the log has and the survey has not",
)

SHOWN = 20
"""Rows of a long list that are shown; --json has them all."""


class Mode(StrEnum):
    """How files come in."""

    COPY = "copy"
    LINK = "link"
    INPLACE = "inplace"


def simulate(
    folder: Annotated[Path | None, typer.Argument(help="Folder that the files are written into.")] = None,
    camera: Annotated[str, typer.Option("--camera", help="Camera that the sky is seen through.")] = "demo",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, repeated; --list shows the names.")
    ] = None,
    list_settings: Annotated[bool, typer.Option("--list", help="List what can be set.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw nights of raw frames of a sky with known truth, as a camera writes them."""
    from spica.services import simulation

    if list_settings or folder is None:
        options = simulation.options()
        if as_json:
            print_json({"settings": options})
            return
        show_table(
            "", ("setting", "default", "unit", "meaning"), [(o.name, o.default, o.unit, o.meaning) for o in options]
        )
        return
    with watching() as watcher:
        made = simulation.simulate(folder, camera, pairs(settings), survey, watcher=watcher)
    if as_json:
        print_json(made)
        return
    say(f"{made.files} files ({size(made.bytes)}) of {made.exposures} exposures with {made.camera}", "bold green")
    rate = f"{duration(made.seconds)} ({made.pixels / 1e6 / made.seconds:.1f} Mpix/s)"
    facts({"frames": made.raw, "truth": made.truth, "reference": made.reference, "took": rate}, indent="  ")
    if made.installed:
        say(f"this {made.camera} has other detectors than the shipped one: its table is in the survey's cameras/ now")
    elif made.table:
        say(f"this {made.camera} has other detectors than the shipped one: copy {made.table}")
        say(f"  to cameras/{made.camera}.toml of the survey that ingests the frames")
    say(f"next: spica ingest {made.raw}")


def ingest(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders, globs, tar bundles, or @LIST naming one path per line.", show_default=False
        ),
    ] = None,
    camera: Annotated[str, typer.Option("--camera", help="Camera of these files; recognised by default.")] = "",
    mode: Annotated[Mode | None, typer.Option("--mode", help="copy, link or inplace; survey.toml decides.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes that read files; 0: one per core.")] = 0,
    reload: Annotated[Path | None, typer.Option("--reload", help="Read this file's record anew.")] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take frames in: verify each file, read its header, record it. A bad file is put aside and stops nothing."""
    from spica.services import ingest as service

    with watching() as watcher:
        order = service.Order(tuple(paths or ()), camera, str(mode or ""), workers, reload)
        summary = service.ingest(order, survey, watcher=watcher)
    if as_json:
        print_json(summary)
    else:
        _show_summary(summary)
    if summary.quarantined or summary.changed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _show_summary(summary: Summary) -> None:
    say(
        f"{summary.files} files, {size(summary.bytes)}, {summary.detectors} detector records in "
        f"{duration(summary.seconds)} ({summary.rate:.0f} records/s)",
        "bold",
    )
    facts(
        {
            "new": summary.new,
            "known": summary.known,
            "completed": summary.completed,
            "reloaded": summary.reloaded or None,
            "changed": summary.changed or None,
            "quarantined": summary.quarantined or None,
        },
        indent="  ",
    )
    for problem in summary.problems[:SHOWN]:
        say(f"  {problem.code} {problem.path}", "red")
        say(f"    {problem.message}")
        say(f"    next: {problem.advice}")
    if len(summary.problems) > SHOWN:
        say(f"  … and {len(summary.problems) - SHOWN} more: spica faults")


def _whence(sources: Mapping[str, int]) -> str:
    """Whence calibrations come: the word alone where all come from one place."""
    return next(iter(sources)) if len(sources) == 1 else ", ".join(f"{count} {word}" for word, count in sources.items())


def inventory(
    where: WhereOption = "",
    log: Annotated[
        Path | None, typer.Option("--log", help="Observing log (CSV or Parquet) with a column exposure or sequence.")
    ] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is here and what is missing: detectors, exposures, calibrations; and what cannot be reduced so."""
    from spica.services import inventory as service

    found = service.take(survey, where=where, log=log)
    if as_json:
        print_json(found)
        return
    cubes = any(n.readouts != n.exposures for n in found.nights)
    rows = [
        (n.night, n.camera, n.frame_type, n.band, n.exposures, *((n.readouts,) if cubes else ()), n.detectors)
        for n in found.nights
    ]
    columns = ("night", "camera", "frames", "band", "exposures", *(("read-outs",) if cubes else ()), "detectors")
    show_table("What is here", columns, rows, "no exposures")
    coverage = [(c.night, c.camera, c.kind, c.band, c.detectors, c.wanted, _whence(c.sources)) for c in found.coverage]
    show_table("Calibrations", ("night", "camera", "kind", "band", "detectors", "of", "from"), coverage)
    for title, missing in (
        ("Detectors missing", found.missing_detectors),
        ("Exposures missing", found.missing_exposures),
        ("Cannot be reduced", found.irreducible),
    ):
        show_table(title, ("what", "why"), [(m.what, m.why) for m in missing[:SHOWN]])
        if len(missing) > SHOWN:
            say(f"… and {len(missing) - SHOWN} more (--json has all)")
    if found.complete:
        say("nothing is missing", "green")
