"""`spica run`, `spica sources`, `spica export`: work is ordered, results are taken away."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.door import EXIT_OF_KIND, ExitCode, tell_interrupted
from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples, pairs
from spica.cli.render import duration, facts, print_json, say, show_table
from spica.cli.watching import watching
from spica.core.faults import FaultKind

if TYPE_CHECKING:
    from spica.services.run import Foreseen, Production

RUN = examples(
    "spica run calibrations",
    "spica run night --where \"night='2026-11-20' and band='r'\" --dry-run",
    "spica run reduce --set detect.threshold=4 --workers 8",
    "spica run deep --release dr1 --tile r0123-0456",
    "After an interruption, a full disk or a kill: the same command goes on where it stopped.",
)
SOURCES = examples(
    "spica sources demo-20261120-00012/3 --columns ra,dec,flux_auto --limit 5",
    "spica sources --where \"night='2026-11-20' and band='r'\" --rows \"snr > 50 and flags = 0\" --sort -flux_auto",
    'spica sources --where "band=\'r\'" --rows "snr > 20" --columns night,ra,dec,flux_aper_1 --out bright.parquet',
)
EXPORT = examples(
    "spica export demo-20261120-00012/3 --to out",
    "spica export --where \"band='r'\" --kind sources --to out",
    "spica export demo-20261120-00012 --as ldac   catalogues for SCAMP and PSFEx",
    "spica export demo-20261120-00012 --as maps   pixels, weight map and flag map, uncompressed",
)
SHOWN = 20
DEGREES = frozenset({"ra", "dec"})
"""Columns that need more digits than a table gives to others."""


def run(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline: spica pipeline list.")],
    where: WhereOption = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="task.field=value, repeated; spica pipeline show NAME --settings.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Worker processes; 0: one per core.")] = None,
    executor: Annotated[str, typer.Option("--executor", help="inprocess, local or dask; survey.toml decides.")] = "",
    name: Annotated[str, typer.Option("--name", help="A name for this run.")] = "",
    retry: Annotated[bool, typer.Option("--retry", help="Also what failed on the same data before.")] = False,
    release: Annotated[
        str, typer.Option("--release", help="Of which the tiles are: releases/NAME.toml; the only one by default.")
    ] = "",
    tile: Annotated[list[str] | None, typer.Option("--tile", help="Only this tile; repeated. spica tiles.")] = None,
    priority: Annotated[
        float, typer.Option("--priority", help="For the coordinator, where one is at work: the larger goes first.")
    ] = 0.0,
    here: Annotated[bool, typer.Option("--here", help="Not by the coordinator that is at work, but here.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and why, and what cannot and why; run nothing.")
    ] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a pipeline on the selected exposures. What is done already is not done again.

    A coordinator that is at work ('spica up') takes the production, and this follows it; Ctrl-C leaves it to the coordinator.
    """
    from spica.services import run as service
    from spica.services.handing import run_anyhow

    order = service.Order(pipeline, where, pairs(settings), workers, executor, name, retry, release, tuple(tile or ()))
    if dry_run:
        foreseen = service.foresee(order, survey)
        if as_json:
            print_json(foreseen)
        else:
            _show_foreseen(foreseen)
        return
    with watching() as watcher:
        production = run_anyhow(order, survey, watcher, priority=priority, person=getpass.getuser(), here=here)
    report(production, as_json=as_json)


def report(production: Production, *, as_json: bool) -> None:
    """What a production did; ends with the exit code that says so."""
    if as_json:
        print_json(production)
    else:
        _show_production(production)
    if production.interrupted:
        if not as_json:
            tell_interrupted(as_json=False)
        raise typer.Exit(ExitCode.INTERRUPTED)
    if production.stopped is not None:
        raise typer.Exit(EXIT_OF_KIND[FaultKind(production.stopped.kind)])
    if not production.complete:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _show_foreseen(foreseen: Foreseen) -> None:
    say(
        f"{foreseen.pipeline}: {foreseen.to_run} units to run, {foreseen.done} done already, "
        f"{foreseen.refused} cannot run, {foreseen.failed_before} failed before "
        f"(planned in {duration(foreseen.seconds)})",
        "bold",
    )
    expected = foreseen.forecast
    if expected.written or expected.seconds:
        unlike = f", and what {expected.unknown} units cost that are unlike any done before" if expected.unknown else ""
        say(
            f"expected: {duration(expected.seconds)} of one worker, {expected.written / 1e9:.3g} GB written of "
            f"{expected.free / 1e9:.3g} GB free{unlike}"
        )
    chains = [(c.chain, c.grain, c.to_run, c.done, c.failed_before, c.refused) for c in foreseen.chains]
    show_table("By job", ("steps", "one per", "to run", "done", "failed before", "cannot"), chains)
    show_table("Why they run", ("units", "steps", "why"), [(r.count, r.chain, r.why) for r in foreseen.reasons])
    obstacles = [(o.count, o.code, o.why, o.example) for o in foreseen.obstacles]
    show_table("Why they cannot", ("units", "code", "why", "for example"), obstacles)
    masters = [(m.units, m.master, m.quality) for m in foreseen.masters]
    show_table("Masters that they take", ("units", "master", "chosen as"), masters)
    if foreseen.waiting:
        say(
            "these wait for the others, since the release's rules ask for their figures: " + "; ".join(foreseen.waiting)
        )
    units = [u for u in foreseen.units if u.verdict != "done"]
    show_table("Units", ("unit", "steps", "", "why"), [(u.unit, u.chain, u.verdict, u.why) for u in units[:SHOWN]])
    if len(units) > SHOWN:
        say(f"… and {len(units) - SHOWN} more (--json has all)")


def _show_production(production: Production) -> None:
    rate = production.done / production.seconds if production.seconds else 0.0
    extra = {
        "failed before": production.failed_before,
        "done by another run": production.elsewhere,
        "not reached": production.left,
    }
    more = "".join(f", {count} {name}" for name, count in extra.items() if count)
    say(
        f"{production.pipeline}: {production.done} done, {production.refused} refused, {production.failed} failed, "
        f"{production.skipped} done before{more}, in {duration(production.seconds)} ({rate:.2g} units/s)",
        "bold green" if production.complete else "bold yellow",
    )
    for fault in production.faults[:SHOWN]:
        say(f"{fault.code} {fault.count} units, for example {fault.example}", "red")
        facts({"what": fault.message, "next": fault.advice}, indent="  ")
    if production.faults:
        say(f"the whole story of a unit: spica why {production.faults[0].example}")
    if production.stopped is not None:
        say(f"stopped: {production.stopped.code} {production.stopped.message}", "bold red")
        say(f"  next: {production.stopped.advice}")


def sources(
    unit: Annotated[
        str, typer.Argument(help="A detector of an exposure, EXPOSURE/DETECTOR, or an exposure; without it --where.")
    ] = "",
    where: WhereOption = "",
    rows: Annotated[str, typer.Option("--rows", help='Which rows, such as "snr > 50 and flags = 0".')] = "",
    columns: Annotated[str, typer.Option("--columns", help="Comma-separated; the main ones by default.")] = "",
    sort: Annotated[str, typer.Option("--sort", help="Comma-separated columns; -name for descending.")] = "",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help=f"Rows; {SHOWN} are shown by default, all go to --out.")
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Only how many there are.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the rows to FILE.csv or FILE.parquet.")] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sources from the newest catalogues of a unit, or of all detectors that a selection takes."""
    from spica.services import sources as service

    found = service.sources(
        unit,
        survey,
        _words(columns),
        rows,
        limit if limit or out else SHOWN,
        where=where,
        sort=_words(sort),
        count=count,
        out=out,
    )
    if as_json:
        print_json(found)
        return
    made_of = found.paths[0] if len(found.paths) == 1 else f"{len(found.paths)} catalogues"
    if count:
        say(f"{found.total} sources of {found.unit}, in {made_of}")
        return
    if out is not None:
        say(f"{found.written} of {found.total} sources of {found.unit}, from {made_of}, in {found.out}", "bold green")
        return
    shown = [
        tuple(
            f"{value:.7f}" if name in DEGREES and value is not None else value
            for name, value in zip(found.columns, row, strict=True)
        )
        for row in found.rows
    ]
    show_table(f"{found.total} sources of {found.unit}", found.columns, shown, empty="no source meets this selection")
    say(f"from {made_of}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def export(
    unit: Annotated[str, typer.Argument(help="A unit; without it --where selects exposures.")] = "",
    to: Annotated[Path, typer.Option("--to", help="Folder that products are copied into.")] = Path("export"),
    where: WhereOption = "",
    kind: Annotated[str, typer.Option("--kind", help="Only products of this name: science, sources, quicklook …")] = "",
    form: Annotated[
        str,
        typer.Option("--as", help="ldac, votable, csv or fits of catalogues, maps of images; as they are without it."),
    ] = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take products out of the survey, each checked against its recorded checksum; catalogues and images in other forms."""
    from spica.services import export as service

    with watching() as watcher:
        done = service.export(to, survey, unit=unit, where=where, kind=kind, form=form, watcher=watcher)
    if as_json:
        print_json(done)
        return
    say(f"{len(done.paths)} files in {done.folder}", "bold green")
