"""`spica cutout`: the same place in every image that covers it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples
from spica.cli.render import print_json, say, show_table
from spica.cli.watching import watching
from spica.core.faults import SetupFault

CUTOUT = examples(
    "spica cutout 67.88 -21.69 --size 128 --png",
    "spica cutout 67.88 -21.69 --where \"band='r'\" --to stamps",
    "spica cutout --source 5362017731141435392",
    "spica cutout --unit demo-20261120-00010/1 --pixel 250,300",
    "spica cutout 67.88 -21.69 --stacks --size 512            of every stack that covers it, with all planes",
    "spica cutout --tile r0123-0456 --band r --box 100,900,0,600    x0,x1,y0,y1 of a tile, from 0, half open",
)


def cutout(
    ra: Annotated[float | None, typer.Argument(help="Right ascension, degrees, ICRS.", show_default=False)] = None,
    dec: Annotated[float | None, typer.Argument(help="Declination, degrees.", show_default=False)] = None,
    source: Annotated[
        int | None, typer.Option("--source", help="Identifier of a source instead of a position.")
    ] = None,
    unit: Annotated[str, typer.Option("--unit", help="EXPOSURE/DETECTOR that --pixel is of.")] = "",
    pixel: Annotated[str, typer.Option("--pixel", help="x,y on the detector, counted from 0.")] = "",
    size: Annotated[int, typer.Option("--size", min=1, help="Pixels a side.")] = 64,
    to: Annotated[Path, typer.Option("--to", help="Folder that the cut-outs are written into.")] = Path("cutouts"),
    where: WhereOption = "",
    stacks: Annotated[bool, typer.Option("--stacks", help="Of stacks instead of exposures.")] = False,
    tile: Annotated[str, typer.Option("--tile", help="Of the stacks of this tile.")] = "",
    band: Annotated[str, typer.Option("--band", help="Of the stacks in this band.")] = "",
    box: Annotated[str, typer.Option("--box", help="x0,x1,y0,y1 of the tile's pixels instead of a position.")] = "",
    kind: Annotated[
        str, typer.Option("--kind", help="Name of the image product.", show_default="science, of stacks stack")
    ] = "",
    png: Annotated[bool, typer.Option("--png", help="Also a picture of each.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cut a place out of every image that covers it: FITS with all planes and its sky solution, PNG where asked for."""
    if stacks or tile or band or box:
        _of_stacks(to, survey, (ra, dec), box, size, (tile, band, kind or "stack"), as_json=as_json)
        return
    from spica.services import cutout as service

    place = service.Place(ra, dec, source, unit, _pixel(pixel))
    with watching() as watcher:
        done = service.cutout(
            to, survey, place, size=size, where=where, kind=kind or "science", picture=png, watcher=watcher
        )
    if as_json:
        print_json(done)
        return
    rows = [
        (cut.unit, f"{cut.x:.2f}", f"{cut.y:.2f}", f"{cut.inside:.0%}", Path(cut.paths[0]).name) for cut in done.cuts
    ]
    show_table("", ("unit", "x", "y", "on the detector", "file"), rows)
    say(f"{len(done.cuts)} cut-outs in {to}", "bold green")


def _of_stacks(
    to: Path,
    survey: Path | None,
    position: tuple[float | None, float | None],
    box: str,
    size: int,
    which: tuple[str, str, str],
    *,
    as_json: bool,
) -> None:
    from spica.services import stack_cutout as service

    ra, dec = position
    if bool(box) == (ra is not None and dec is not None):
        raise SetupFault("order.invalid", "name one place of the stacks: RA and Dec, or --tile with --box")
    place = (ra, dec) if ra is not None and dec is not None else service.Box(*_box(box))
    tile, band, kind = which
    with watching() as watcher:
        done = service.stack_cutouts(to, survey, place, size=size, tile=tile, band=band, kind=kind, watcher=watcher)
    if as_json:
        print_json(done)
        return
    rows = [
        (
            each.unit,
            f"{each.box.x0}:{each.box.x1}",
            f"{each.box.y0}:{each.box.y1}",
            f"{each.inside:.0%}",
            Path(each.path).name,
        )
        for each in done
    ]
    show_table("", ("stack", "x", "y", "on the tile", "file"), rows)
    say(f"{len(done)} cut-outs in {to}", "bold green")


def _box(text: str) -> tuple[int, int, int, int]:
    try:
        x0, x1, y0, y1 = (int(word) for word in text.split(","))
    except ValueError as error:
        raise SetupFault(
            "order.invalid", f"--box {text!r}: expected x0,x1,y0,y1", advice="example: --box 100,900,0,600"
        ) from error
    return x0, x1, y0, y1


def _pixel(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        x, y = (float(word) for word in text.split(","))
    except ValueError as error:
        raise SetupFault(
            "order.invalid", f"--pixel {text!r}: expected x,y", advice="example: --pixel 250,300"
        ) from error
    return x, y
