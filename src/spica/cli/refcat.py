"""`spica refcat`: reference catalogues taken in, listed, shown, and held against the exposures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples
from spica.cli.render import facts, print_json, say, show_table, size
from spica.cli.watching import watching

app = typer.Typer(no_args_is_help=True, help="Reference catalogues: import, fetch, list, show, coverage.")

IMPORT = examples(
    "spica refcat import gaia GaiaSource_*.csv.gz",
    "spica refcat import gaia more.parquet --add            further files of the same kind",
    "spica refcat import gaia-field vizier.fits --epoch 2016",
    "spica refcat import ours stars.csv --mapping ours.toml   columns of one's own",
)
FETCH = examples(
    "spica refcat fetch gaia                             around all exposures of the survey",
    "spica refcat fetch ps1 --service ps1 --where \"night='2026-11-20'\" --faintest 20",
    "spica refcat fetch gaia --place 150.1 2.2 0.5",
    "spica refcat fetch --services",
)
LIST = examples("spica refcat list", "spica refcat list --mappings     the column mappings that are known")
SHOW = examples("spica refcat show gaia", "spica refcat show gaia --picture gaia.png     a map of its density")
COVERAGE = examples(
    "spica refcat coverage gaia",
    "spica refcat coverage gaia --where \"night='2026-11-20'\" --least 0.95",
)

NameArgument = Annotated[str, typer.Argument(help="Name of the catalogue.", show_default=False)]


@app.command("import", epilog=IMPORT)
def import_(
    name: NameArgument,
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV (.gz), ECSV, Parquet, FITS, FITS_LDAC, or HATS folders.", show_default=False),
    ],
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="TOML file that maps the columns; shipped ones are recognised.")
    ] = None,
    epoch: Annotated[
        float | None, typer.Option("--epoch", help="Julian year of positions whose epoch the files do not tell.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make the catalogue of that name anew.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Add to the catalogue of that name.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a published catalogue in, sorted by place; the same files again are nothing to do."""
    from spica.services import references

    with watching() as watcher:
        found = references.bring_in(
            name, files, survey, using=mapping, epoch=epoch, replace=replace, add=add, watcher=watcher
        )
    if as_json:
        print_json(found)
        return
    if not found.changed:
        say(f"{name} holds these files already: nothing to do", "bold green")
        return
    line = found.line
    say(f"{name}: {line.rows} rows, {line.area:.4g} square degrees, {size(line.size)} ({line.title})", "bold green")
    for reason, rows in found.rejected.items():
        say(f"  left out, {reason}: {rows} rows", "yellow")
    for warning in found.warnings:
        say(f"  {warning}", "yellow")
    say(f"next: spica refcat show {name}, spica refcat coverage {name}")


@app.command("fetch", epilog=FETCH)
def fetch(
    name: Annotated[str | None, typer.Argument(help="Name of the catalogue.", show_default=False)] = None,
    service: Annotated[str, typer.Option("--service", help="Online service; see --services.")] = "gaia",
    where: WhereOption = "",
    place: Annotated[
        tuple[float, float, float] | None,
        typer.Option("--place", metavar="RA DEC RADIUS", help="A cone (degrees) instead of the exposures."),
    ] = None,
    margin: Annotated[float, typer.Option("--margin", min=0.0, help="Degrees beyond the detectors.")] = 0.1,
    faintest: Annotated[float | None, typer.Option("--faintest", help="Magnitude in the service's band.")] = None,
    url: Annotated[str, typer.Option("--url", help="Another address of the service: a mirror.")] = "",
    services: Annotated[bool, typer.Option("--services", help="List the services that are known instead.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a catalogue from an online service around the exposures; each part of the sky is fetched once."""
    from spica.services import fetching

    if services or name is None:
        show_table("Online services", ("name", "of", "address"), fetching.known())
        return
    limit = float("inf") if faintest is None else faintest
    with watching() as watcher:
        found = fetching.fetch(
            *(name, service, survey),
            where=where,
            place=place,
            margin=margin,
            faintest=limit,
            url=url,
            watcher=watcher,
        )
    if as_json:
        print_json(found)
    else:
        told = f"{found.cells} cells of the sky, {found.kept} of them here before, {found.rows} rows"
        say(f"{service}: {told}", "bold yellow" if found.lost else "bold green")
        for each in found.lost:
            say(f"  lost, RA {each.ra:.2f} Dec {each.dec:+.2f}: {each.message} ({each.code})", "red")
        if found.taken is not None:
            say(f"{name}: {found.taken.line.rows} rows", "bold green")
            say(f"next: spica refcat coverage {name}")
    if found.lost:
        raise typer.Exit(ExitCode.SOME_FAILED)


@app.command("list", epilog=LIST)
def list_(
    mappings: Annotated[bool, typer.Option("--mappings", help="The column mappings that are shipped instead.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reference catalogues of the survey."""
    from spica.services import references

    if mappings:
        known = references.mappings()
        if as_json:
            print_json(known)
            return
        rows = [(name, title, ", ".join(columns)) for name, title, columns in known]
        show_table("Column mappings", ("name", "of", "recognised by"), rows)
        return
    found = references.listing(survey)
    if as_json:
        print_json(found)
        return
    lines = [
        [
            *(each.name, each.rows, " ".join(each.bands), _epoch(each.epoch), f"{each.area:.4g}"),
            *(f"{each.density:.4g}", size(each.size), each.title),
        ]
        for each in found
    ]
    heads = ("name", "rows", "bands", "epoch", "deg²", "per deg²", "size", "of")
    show_table("Reference catalogues", heads, lines, "none: spica refcat import NAME FILE…")


@app.command("show", epilog=SHOW)
def show(
    name: NameArgument,
    picture: Annotated[Path | None, typer.Option("--picture", help="PNG file for a map of the density.")] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Columns with units and ranges, bands, files, what was left out, and a map."""
    from spica.services import references

    found = references.show(name, survey, picture)
    if as_json:
        print_json(found)
        return
    line = found.line
    bands = ", ".join(f"{band} ({system})" for band, system in line.bands.items())
    facts(
        {
            "name": line.name,
            "of": line.title,
            "mapping": found.mapping,
            "rows": line.rows,
            "bands": bands,
            "epoch": _epoch(line.epoch),
            "area": f"{line.area:.5g} square degrees, to {found.resolution:.3g} degree",
            "partitions": found.partitions,
            "size": size(line.size),
            "checksum": line.checksum,
            "picture": found.picture,
        }
    )
    columns = [(each.name, each.unit, each.least, each.greatest, each.missing, each.meaning) for each in found.columns]
    show_table("Columns", ("name", "unit", "least", "greatest", "missing", "meaning"), columns)
    show_table("Files", ("name", "size", "rows"), [(file, size(count), rows) for file, count, rows, _ in found.sources])
    show_table("Left out", ("reason", "rows"), found.rejected.items())
    for warning in found.warnings:
        say(warning, "yellow")


@app.command("coverage", epilog=COVERAGE)
def coverage(
    name: NameArgument,
    where: WhereOption = "",
    least: Annotated[
        float, typer.Option("--least", min=0.0, max=1.0, help="Covered fraction that each detector shall have.")
    ] = 0.99,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exposures that reach over the edge of a catalogue, or over a hole in it; exit code 1 where there are any."""
    from spica.services import references

    with watching() as watcher:
        found = references.coverage(name, survey, where, least, watcher)
    if as_json:
        print_json(found)
    else:
        short = [each for each in found.exposures if not each.good]
        rows = [
            (
                each.exposure,
                _share(each.fraction),
                "" if each.worst is None else each.worst,
                _share(each.worst_fraction),
            )
            for each in short
        ]
        show_table(f"Not covered by {name}", ("exposure", "covered", "worst detector", "covered there"), rows)
        told = f"{len(found.exposures) - len(short)} of {len(found.exposures)} exposures are covered"
        say(f"{told}, to {found.resolution:.3g} degree", "bold green" if found.good else "bold yellow")
    if not found.good:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _share(fraction: float | None) -> str:
    return "place unknown" if fraction is None else f"{fraction:.3f}"


def _epoch(span: tuple[float, float]) -> str:
    first, last = span
    return f"{first:.2f}" if last - first < 0.005 else f"{first:.2f}–{last:.2f}"
