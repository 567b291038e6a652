"""`spica release`, `spica tiles`: which exposures are stacked on which tiles of the sky, and why others are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, examples
from spica.cli.render import facts, print_json, say, show_table

if TYPE_CHECKING:
    from spica.services.releases import Preview

app = typer.Typer(no_args_is_help=True, help="Releases: list, preview.")

LIST = examples("spica release list", "A release is a file releases/NAME.toml: spica release list --example shows one.")
PREVIEW = examples(
    "spica release preview dr1",
    "spica release preview dr1 --tile r0123-0456     what is stacked there, what is not, and why",
    "spica release preview dr1 --json",
    "spica run deep --release dr1                    makes it",
)
TILES = examples(
    "spica tiles",
    "spica tiles dr1 --json",
    "spica tiles dr1 --heads heads; cp heads/r0123-0456.head coadd.head; SWarp *.fits     the same grid",
)
EXAMPLE = """\
name = "dr1"
title = "First data release"
mode = "wide"               # wide | deep | exposure | pre | pi: which rules it begins with
bands = ["g", "r"]          # left out: all that there are
# without = ["completeness"]   # costly steps that this release leaves out: also bright_stars, colour, psf_map

[tiles]
grid = "rings"              # rings | healpix | fields | box | exposure | overlap
size = 0.5                  # degree; [tiles] patches = 4 cuts each into 4 x 4
scale = 0.2                 # arcsec per pixel
overlap = 60.0              # arcsec beyond what a tile owns

[[rule]]
name = "seeing"
where = "psf_size < 1.1"    # any column or metric: spica metrics list

[[rule]]
name = "moon"
moon = 30.0                 # degrees away, at least

[choose]                    # of those that fulfil the rules, in each tile and band
by = "psf_size"
best = 20                   # or fraction = 0.8, or depth = 25.5

[settings.stack]
method = "clipped"
"""
SHOWN = 40
NameArgument = Annotated[
    str, typer.Argument(help="Name of the release; the survey's only one by default.", show_default=False)
]
PipelineOption = Annotated[str, typer.Option("--pipeline", help="The pipeline that makes its tiles.")]


@app.command("list", epilog=LIST)
def list_(
    example: Annotated[bool, typer.Option("--example", help="Print a file to begin with.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """The releases of the survey, with their rules."""
    if example:
        typer.echo(EXAMPLE, nl=False)
        return
    from spica.services import releases

    found = releases.listed(survey)
    if as_json:
        print_json(found)
        return
    rows = [
        (each.name, each.title, each.mode, ", ".join(each.bands) or "all", each.grid, ", ".join(each.rules))
        for each in found
        if not each.problem
    ]
    show_table("Releases", ("name", "title", "mode", "bands", "tiles", "rules"), rows)
    for each in found:
        if each.problem:
            say(each.problem, "red")
    if not found:
        say("there is none: write releases/NAME.toml (spica release list --example)")


@app.command(epilog=PREVIEW)
def preview(
    name: NameArgument = "",
    tile: Annotated[str, typer.Option("--tile", help="Only this tile, exposure by exposure.")] = "",
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which exposures and detectors are stacked on which tile, and which rule leaves out each of the others."""
    from spica.services import releases

    told = releases.preview(name, survey, pipeline, tile)
    if as_json:
        print_json(told)
    else:
        _show(told, tile)
    if not told.stacks:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _show(told: Preview, tile: str) -> None:
    say(
        f"{told.release}: {len(told.stacks)} stacks of {len({each.tile for each in told.stacks})} tiles, from "
        f"{len(told.stacked)} exposures; the astrometry rests on {len(told.astrometry)}",
        "bold",
    )
    stacks = [
        (each.tile, each.band, len(each.exposures), each.detectors, f"{each.exposure_time:.0f} s")
        for each in told.stacks
    ]
    show_table("Stacks", ("tile", "band", "exposures", "detectors", "exposure time"), stacks[:SHOWN])
    if len(stacks) > SHOWN:
        say(f"… and {len(stacks) - SHOWN} more (--json has all)")
    facts({rule: f"leaves out {count} detectors" for rule, count in told.rules.items()})
    left = [(each.exposure, ", ".join(map(str, each.detectors)), each.band, each.rule, each.why) for each in told.left]
    show_table("Left out", ("exposure", "detectors", "band", "rule", "which asks for"), left[:SHOWN])
    if len(left) > SHOWN:
        say(f"… and {len(left) - SHOWN} more (--json has all)")
    if tile:
        for each in told.stacks:
            say(f"{each.band}: {', '.join(each.exposures)}")
    if told.empty:
        say(f"without any exposure: {', '.join(told.empty[:SHOWN])}")


def tiles(
    name: NameArgument = "",
    to: Annotated[
        Path | None, typer.Option("--heads", help="Also write each tile's header into this folder, as TILE.head.")
    ] = None,
    pipeline: PipelineOption = "deep",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """The tiles of a release: where they are, how large, and of how many exposures in each band."""
    from spica.services import releases

    found = releases.tiles(name, survey, pipeline)
    if to is not None:
        releases.write_heads(name, survey, to, pipeline)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            *(each.name, f"{each.ra:.4f}", f"{each.dec:+.4f}", f"{each.nx} x {each.ny}", f"{each.scale:g}"),
            ", ".join(f"{band} {count}" for band, count in each.exposures.items()) or "none",
        )
        for each in found
    ]
    show_table("Tiles", ("name", "ra", "dec", "pixels", "arcsec", "exposures"), rows)
