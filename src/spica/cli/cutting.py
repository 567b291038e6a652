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
    kind: Annotated[str, typer.Option("--kind", help="Name of the image product.")] = "science",
    png: Annotated[bool, typer.Option("--png", help="Also a picture of each.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cut a place out of every image that covers it: FITS with all planes and its sky solution, PNG where asked for."""
    from spica.services import cutout as service

    place = service.Place(ra, dec, source, unit, _pixel(pixel))
    with watching() as watcher:
        done = service.cutout(to, survey, place, size=size, where=where, kind=kind, picture=png, watcher=watcher)
    if as_json:
        print_json(done)
        return
    rows = [
        (cut.unit, f"{cut.x:.2f}", f"{cut.y:.2f}", f"{cut.inside:.0%}", Path(cut.paths[0]).name) for cut in done.cuts
    ]
    show_table("", ("unit", "x", "y", "on the detector", "file"), rows)
    say(f"{len(done.cuts)} cut-outs in {to}", "bold green")


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
