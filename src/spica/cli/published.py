"""`spica cone` and `spica published`: catalogues of objects that were published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, examples
from spica.cli.render import facts, print_json, say, show_table, size
from spica.core.faults import SetupFault

app = typer.Typer(no_args_is_help=True, help="Published catalogues of objects: show them, write parts of them out.")

CONE = examples(
    "spica cone 150.1 2.2 0.0167 --release dr1                   one arcminute about a place, the nearest first",
    "spica cone 150.1 2.2 0.01 --catalogue published/dr1/objects --columns object_id,ra,dec,mag_psf_r --csv",
    'spica cone 150.1 -2.2 0.5 --where "mag_psf_r < 20" -o field.fits',
)
SHOW = examples("spica published show --release dr1", "spica published show --catalogue /data/dr1/objects --json")
EXPORT = examples(
    "spica published export dr1.fits --release dr1                     the whole catalogue as one FITS table",
    "spica published export field.vot --box-ra 359.5 0.5 --box-dec -1 1   over right ascension 0",
    'spica published export bright.csv --where "mag_psf_r < 18" --columns object_id,ra,dec,mag_psf_r',
)

CatalogueOption = Annotated[
    Path | None,
    typer.Option(
        "--catalogue", help="Folder of a published catalogue; else a release of the survey.", show_default=False
    ),
]
ReleaseOption = Annotated[
    str, typer.Option("--release", help="Published release of the survey; the only one where there is one.")
]
ColumnsOption = Annotated[str, typer.Option("--columns", help="Names with commas between them; all without it.")]
RowsOption = Annotated[str, typer.Option("--where", "-w", help='Which rows: a selection such as "mag_psf_r < 20".')]


def cone(
    ra: Annotated[float, typer.Argument(help="Right ascension, degrees, ICRS.", show_default=False)],
    dec: Annotated[float, typer.Argument(help="Declination, degrees.", show_default=False)],
    radius: Annotated[float, typer.Argument(help="Radius, degrees.", show_default=False)],
    catalogue: CatalogueOption = None,
    release: ReleaseOption = "",
    columns: ColumnsOption = "",
    where: RowsOption = "",
    to: Annotated[
        Path | None, typer.Option("--to", "-o", help="File instead of the screen: .fits, .vot, .csv, .parquet.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Lines of the table on the screen.")] = 50,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Objects of a published catalogue about a place, the nearest first."""
    from spica.services import published as service

    opened = service.open_catalogue(catalogue, release, survey)
    place = service.circle(ra, dec, radius)
    names = _names(columns)
    if to is not None:
        done = service.export(opened, to, place, names, where)
        if as_json:
            print_json(done)
        else:
            say(f"{done.rows} objects in {to}", "bold green")
        return
    found = service.cone(opened, place, names, where)
    if as_json:
        told = {each.name: {"unit": each.unit, "ucd": each.ucd, "meaning": each.meaning} for each in found.columns}
        print_json({"catalogue": found.catalogue, "columns": told, "rows": found.rows()})
        return
    if as_csv:
        typer.echo(service.as_csv(found), nl=False)
        return
    shown = found.rows(most)
    heads = [f"{each.name} [{each.unit}]" if each.unit else each.name for each in found.columns]
    show_table(found.catalogue, heads, [list(row.values()) for row in shown], "no object there")
    if len(found) > len(shown):
        say(f"{len(found)} objects, the nearest {len(shown)} shown: --most, --csv or -o FILE for more", "yellow")


@app.command("show", epilog=SHOW)
def show(
    catalogue: CatalogueOption = None,
    release: ReleaseOption = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a published catalogue is: rows, tiles, columns with units and UCDs, what was left out."""
    from spica.services import published as service

    found = service.show(service.open_catalogue(catalogue, release, survey))
    if as_json:
        print_json(found)
        return
    facts(
        {
            "name": found.name,
            "of": found.title,
            "folder": str(found.folder),
            "objects": found.rows,
            "tiles": found.tiles,
            "bands": " ".join(found.bands),
            "partitions": found.partitions,
            "size": size(found.size),
            "checksum": found.checksum,
            "left out": f"{found.not_own} that another tile owns, {found.twice} met twice on a seam",
        }
    )
    show_table("Columns", ("name", "type", "unit", "UCD", "meaning"), found.columns)


@app.command("export", epilog=EXPORT)
def export(
    to: Annotated[Path, typer.Argument(help="File: .fits, .vot, .csv or .parquet.", show_default=False)],
    catalogue: CatalogueOption = None,
    release: ReleaseOption = "",
    cone: Annotated[
        tuple[float, float, float] | None,
        typer.Option("--cone", metavar="RA DEC RADIUS", help="Only what lies in a cone (degrees)."),
    ] = None,
    ra: Annotated[
        tuple[float, float] | None,
        typer.Option("--box-ra", metavar="FROM TO", help="Only what lies between (degrees); with --box-dec."),
    ] = None,
    dec: Annotated[
        tuple[float, float] | None,
        typer.Option("--box-dec", metavar="FROM TO", help="Only what lies between (degrees); with --box-ra."),
    ] = None,
    moc: Annotated[Path | None, typer.Option("--moc", help="Only what lies in a map of coverage (MOC).")] = None,
    columns: ColumnsOption = "",
    where: RowsOption = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a published catalogue, or a part of it, as FITS, VOTable, CSV or Parquet; of any size."""
    from spica.services import published as service

    if (ra is None) != (dec is None) or sum(each is not None for each in (cone, ra, moc)) > 1:
        raise SetupFault("order.invalid", "a part of the sky is --cone, or --box-ra and --box-dec, or --moc")
    region = service.region(cone, (ra, dec) if ra and dec else None, moc)
    done = service.export(service.open_catalogue(catalogue, release, survey), to, region, _names(columns), where)
    if as_json:
        print_json(done)
        return
    say(f"{done.rows} objects in {to}", "bold green")


def _names(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
