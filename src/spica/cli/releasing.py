"""`spica release status|priority|rank|compare|publish|verify|remove|rebuild`: the work on a release, until it is closed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, examples
from spica.cli.releases import NameArgument, PipelineOption, app
from spica.cli.render import facts, print_json, say, show_table, size
from spica.cli.watching import watching

if TYPE_CHECKING:
    from spica.services.publishing.compare import Comparison
    from spica.services.publishing.ranking import Ranked

__all__ = ["app"]
SHOWN = 40
TilesOption = Annotated[list[str] | None, typer.Option("--tile", "-t", help="Only this tile; may be repeated.")]
BandOption = Annotated[str, typer.Option("--band", "-b", help="Only stacks of this band.")]


@app.command(epilog=examples("spica release status dr1", "spica release status dr1 --json"))
def status(
    name: NameArgument = "", pipeline: PipelineOption = "deep", survey: SurveyOption = None, as_json: JsonOption = False
) -> None:
    """How far each stack is: pending, running, completed, failed; by priority."""
    from spica.services.publishing import status as service

    told = service.status(name, survey, pipeline)
    if as_json:
        print_json(told)
        return
    closed = f", published on {told.published}" if told.published else ""
    say(f"{told.release}: {', '.join(f'{count} {state}' for state, count in told.counts.items())}{closed}", "bold")
    rows = [
        (
            *(each.tile, each.band or "all", each.state, f"{each.steps[0]} of {each.steps[1]}", f"{each.priority:g}"),
            *(each.grade, each.exposures, f"{each.exposure_time:.0f}", f"{each.seconds:.1f}", each.why),
        )
        for each in told.units
    ]
    heads = ("tile", "band", "state", "steps", "priority", "grade", "exposures", "time [s]", "work [s]", "why")
    show_table("Stacks and tiles", heads, rows)
    if told.waiting:
        say(f"wait for exposures that are still to be made: {', '.join(told.waiting)}")


@app.command(
    epilog=examples(
        "spica release priority 10 dr1 --tile r0123-0456          that tile before all others (0) in the next run",
        "spica release priority -- -5 dr1 --band u                 the stacks of a band last",
    )
)
def priority(
    value: Annotated[float, typer.Argument(help="The higher, the earlier; 0 is usual.")],
    name: NameArgument = "",
    tile: TilesOption = None,
    band: BandOption = "",
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give tiles, or stacks of a band, their place in the queue."""
    from spica.services.publishing import status as service

    told = service.prioritise(name, survey, value, tile or [], band, pipeline)
    if as_json:
        print_json({"priority": value, "units": told})
    else:
        say(f"priority {value:g}: {', '.join(told)}", "bold green")


@app.command(
    epilog=examples(
        "spica release rank dr1                    stacks, the best of each band first, and what is wrong with the others",
        "spica release rank dr1 --exposures        the exposures that they are made of, or that rules leave out",
        "spica grade tile-band:r0123-0456/r C      a person's grade wins over the figures",
    )
)
def rank(
    name: NameArgument = "",
    exposures: Annotated[bool, typer.Option("--exposures", help="Exposures instead of stacks.")] = False,
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank stacks (or exposures) by their figures, with reasons; grades and comments of people win."""
    from spica.services.publishing import ranking

    found = ranking.exposures(name, survey, pipeline) if exposures else ranking.stacks(name, survey, pipeline)
    if as_json:
        print_json(found)
        return
    rows = [
        (each.band, each.place, each.unit, _graded(each), "; ".join((*each.comments, *each.reasons))) for each in found
    ]
    show_table("Ranking", ("band", "place", "unit", "grade", "why"), rows, "nothing is made yet")


def _graded(ranked: Ranked) -> str:
    return f"{ranked.grade} ({ranked.person})" if ranked.person else ranked.grade


@app.command(
    epilog=examples(
        "spica release compare dr1 dr2",
        "spica release compare dr1 dr2 --csv differences.csv --plots plots",
        "spica release compare dr1 dr2 --json",
    )
)
def compare(
    first: Annotated[str, typer.Argument(help="A release, open or published.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all differences to this file.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Draw them into this folder.")] = None,
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two releases: every figure of every stack, and magnitudes star by star, with significance."""
    from spica.services.publishing import compare as service

    with watching() as watcher:
        found = service.compare(first, second, survey, pipeline, watcher)
    if csv is not None:
        service.write_csv(csv, found)
    if plots is not None:
        from spica.services.plots import releases

        releases.write(plots, found)
    if as_json:
        print_json(found)
    else:
        _show_comparison(found)


def _show_comparison(found: Comparison) -> None:
    from spica.services.publishing import compare as service

    stars = [
        (
            *(each.tile, each.band, f"{each.first} {each.second}", each.common, each.compared),
            *(f"{1e3 * each.offset:+.1f} ± {1e3 * each.error:.1f}", f"{each.sigma:+.1f}"),
            *(f"{1e3 * each.scatter:.1f}", f"{each.chi:.2f}", f"{each.apart:.1f}"),
        )
        for each in found.stars
    ]
    heads = ("tile", "band", "objects", "common", "compared", "offset [mmag]", "sigma", "scatter", "chi", "apart [mas]")
    show_table("Star by star", heads, stars)
    trends = sorted((each for each in found.trends if each.sigma == each.sigma), key=lambda each: -abs(each.sigma))
    rows = [
        (
            *(each.band or "all", each.figure, each.units, each.count),
            *(f"{each.mean:+.4g}", f"{each.scatter:.3g}", f"{each.sigma:+.1f}"),
        )
        for each in trends[:SHOWN]
    ]
    show_table("Over all stacks", ("band", "figure", "unit", "stacks", "mean", "scatter", "sigma"), rows)
    changed = service.first_look(found)
    lines = [
        (
            *(each.unit, each.figure, each.units, f"{each.first:.5g}", f"{each.second:.5g}"),
            *(f"{each.difference:+.4g}", f"{each.sigma:+.1f}" if each.sigma == each.sigma else ""),
        )
        for each in changed[:SHOWN]
    ]
    show_table("Stack by stack", ("unit", "figure", "unit", found.first, found.second, "difference", "sigma"), lines)
    more = f"; {len(changed) - SHOWN} more in --csv and --json" if len(changed) > SHOWN else ""
    say(f"{len(changed)} figures differ, {len(found.differences) - len(changed)} do not{more}")
    for unit, name in found.only.items():
        say(f"{unit} is in {name} alone")


@app.command(
    epilog=examples(
        "spica release publish dr1 --public 2027-01-01",
        "spica release publish dr1 --incomplete          without the stacks that failed; the manifest names them",
        "It closes the release: published/dr1 never changes again. For another one copy releases/dr1.toml.",
    )
)
def publish(
    name: NameArgument = "",
    public: Annotated[
        str, typer.Option("--public", help="Public from this date, YYYY-MM-DD; from today by default.")
    ] = "",
    date: Annotated[str, typer.Option("--date", help="Date of the release; today by default.")] = "",
    incomplete: Annotated[bool, typer.Option("--incomplete", help="Although some stacks were not made.")] = False,
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a release and publish its products under published/NAME, each with its history."""
    from spica.services.publishing import publish as service

    released = _date(date, "--date")
    dates = service.Dates(released, _date(public, "--public") if public else released)
    with watching() as watcher:
        made = service.publish(name, survey, dates, incomplete=incomplete, pipeline=pipeline, watcher=watcher)
    if as_json:
        print_json(made)
        return
    say(f"{made.release}: {made.units} stacks and tiles, {made.files} files, {made.bytes / 1e9:.2f} GB", "bold green")
    facts({"folder": str(made.folder), "public": dates.public.isoformat(), "told": ", ".join(made.owners) or "nobody"})
    for unit, why in made.missing.items():
        say(f"without {unit}: {why}", "yellow")


def _date(text: str, option: str) -> dt.date:
    from spica.core.faults import SetupFault

    if not text:
        return dt.datetime.now(dt.UTC).date()
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise SetupFault("order.invalid", f"{option} {text!r}: expected YYYY-MM-DD") from error


@app.command(epilog=examples("spica release verify dr1      reads every published file and compares its checksum"))
def verify(name: NameArgument = "", survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """Whether a published release is still what was published."""
    from spica.services.publishing import publish as service

    with watching() as watcher:
        told = service.verify(name, survey, watcher)
    if as_json:
        print_json(told)
    else:
        say(f"{told.files - len(told.damaged)} of {told.files} files are as published", "bold")
        for path, what in told.damaged.items():
            say(f"{path}: {what}", "red")
    if told.damaged:
        raise typer.Exit(ExitCode.SOME_FAILED)


@app.command(
    epilog=examples(
        "spica release remove dr1 --tile r0123-0456 --dry-run",
        "spica release remove dr1 --tile r0123-0456 --band r",
        "spica release remove dr1 --inputs               the exposures' products too that nothing else is made of",
    )
)
def remove(
    name: NameArgument = "",
    tile: TilesOption = None,
    band: BandOption = "",
    inputs: Annotated[bool, typer.Option("--inputs", help="Also products of exposures that only these need.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would go.")] = False,
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove stacks and all that was made of them; never raw files or masters."""
    from spica.services.publishing import removing

    told = removing.remove(name, survey, tiles=tile or [], band=band, inputs=inputs, dry_run=dry_run, pipeline=pipeline)
    if as_json:
        print_json(told)
        return
    say(
        f"{len(told.paths)} files of {len(told.units)} units{' would go' if dry_run else ' are removed'}, {told.bytes / 1e6:.1f} MB",
        "bold",
    )
    for path in told.paths[:SHOWN]:
        say(f"  {path}")
    if len(told.paths) > SHOWN:
        say(f"… and {len(told.paths) - SHOWN} more (--json has all)")


@app.command(
    epilog=examples("spica release rebuild dr1 --tile r0123-0456", "Nothing else is made again: it is removed and run.")
)
def rebuild(
    name: NameArgument = "",
    tile: TilesOption = None,
    band: BandOption = "",
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove stacks, and make them again."""
    from spica.cli.work import report
    from spica.services import run
    from spica.services.publishing import removing

    removing.remove(name, survey, tiles=tile or [], band=band, pipeline=pipeline)
    with watching() as watcher:
        made = run.run(run.Order(pipeline, release=name, tiles=tuple(tile or ())), survey, watcher)
    report(made, as_json=as_json)


@app.command(
    epilog=examples("spica release page dr1", "spica release page dr1 -o /srv/www/dr1.html   open or published")
)
def page(
    name: NameArgument = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page, or a folder for it; left out: here.", show_default=False),
    ] = None,
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page: stacks with figures and grades, pictures, completeness, counts and colours."""
    from spica.services.report import release as service

    with watching() as watcher:
        made = service.release_page(name, survey, output=output, pipeline=pipeline, watcher=watcher)
    if as_json:
        print_json(made)
        return
    say(f"{made.page}: {made.shown} of {made.tiles} tiles shown, {size(made.size)}", "bold green")
    show_table("Not drawn", ("plot", "why"), made.missing.items())
