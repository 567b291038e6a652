"""`spica moc`: maps of coverage made, cut and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, examples, numbers
from spica.cli.render import facts, print_json, say
from spica.core.bright import Law
from spica.core.faults import SetupFault

app = typer.Typer(no_args_is_help=True, help="Maps of coverage (IVOA MOC): make them of parts of the sky, show them.")

MAKE = examples(
    "spica moc make field.fits --cone 150.1,2.2,0.7",
    "spica moc make strip.json --box-ra 359 1 --box-dec -1.25 1.25 --order 10",
    "spica moc make both.fits --release dr1 --within other.fits    where both have objects",
    "spica moc make rest.fits --moc done.fits --outside            all that is not covered yet",
    "spica moc make ours.txt --outline 10,20,11,20,11,21,10,21",
)
SHOW = examples("spica moc show published/dr1/objects/moc.fits", "spica moc show field.json --json")

STARS = examples(
    "spica moc stars bright.reg --reference gaia --cone 150.1,2.2,1.0      circles for DS9",
    "spica moc stars bright.reg --reference gaia --cone 150.1,2.2,1.0 --term 60,0.11,10   circles by a law of one's own",
    "spica moc stars bright.fits --reference gaia --tiles dr1 --faintest 14   the same as a map, about all tiles of a release",
)

Files = list[Path] | None
FROM_TO = "FROM TO"


@app.command("make", epilog=MAKE)
def make(
    to: Annotated[Path, typer.Argument(help="File: .fits, .json or .txt (ASCII).", show_default=False)],
    cone: Annotated[
        list[str] | None, typer.Option("--cone", metavar="RA,DEC,RADIUS", help="A cone (degrees); may be repeated.")
    ] = None,
    ra: Annotated[
        tuple[float, float] | None, typer.Option("--box-ra", metavar=FROM_TO, help="A box (degrees); with --box-dec.")
    ] = None,
    dec: Annotated[
        tuple[float, float] | None, typer.Option("--box-dec", metavar=FROM_TO, help="A box (degrees); with --box-ra.")
    ] = None,
    outline: Annotated[
        list[str] | None,
        typer.Option("--outline", metavar="RA,DEC,RA,DEC,…", help="A polygon of great circles; may be repeated."),
    ] = None,
    moc: Annotated[Files, typer.Option("--moc", help="Another map; may be repeated.")] = None,
    catalogue: Annotated[Path | None, typer.Option("--catalogue", help="Folder of a published catalogue.")] = None,
    release: Annotated[str, typer.Option("--release", help="Published release of the survey.")] = "",
    within: Annotated[Files, typer.Option("--within", help="Only what this map has too; may be repeated.")] = None,
    without: Annotated[Files, typer.Option("--without", help="Not what this map has; may be repeated.")] = None,
    outside: Annotated[bool, typer.Option("--outside", help="All that is not in it, instead.")] = False,
    order: Annotated[int, typer.Option("--order", min=0, max=29, help="Of the cells of shapes; 12: 0.86 arcmin.")] = 12,
    by_range: Annotated[bool, typer.Option("--range", help="FITS of ranges instead of numbered cells.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a map of coverage of shapes, maps and catalogues together, cut by others."""
    from spica.services import coverage as service

    if (ra is None) != (dec is None):
        raise SetupFault("order.invalid", "a box is --box-ra and --box-dec")
    parts = service.Parts(
        cones=[_cone(text) for text in cone or ()],
        box=(ra, dec) if ra is not None and dec is not None else None,
        outlines=[_outline(text) for text in outline or ()],
        maps=moc or (),
        catalogue=catalogue,
        release=release,
        within=within or (),
        without=without or (),
        outside=outside,
    )
    done = service.make(to, parts, survey, order=order, by_range=by_range)
    if as_json:
        print_json(done)
        return
    say(f"{to}: {done.area:.6g} square degrees in {done.cells} cells, order {done.order}", "bold green")


@app.command("stars", epilog=STARS)
def stars(
    to: Annotated[
        Path, typer.Argument(help="File: .reg (regions of DS9), or .fits, .json, .txt (map).", show_default=False)
    ],
    reference: Annotated[str, typer.Option("--reference", help="Reference catalogue.", show_default=False)],
    band: Annotated[str, typer.Option("--band", help="Band of its magnitudes.")] = "G",
    cone: Annotated[
        list[str] | None, typer.Option("--cone", metavar="RA,DEC,RADIUS", help="Where (degrees); may be repeated.")
    ] = None,
    tiles: Annotated[str, typer.Option("--tiles", help="Release about whose tiles.")] = "",
    faintest: Annotated[float, typer.Option("--faintest", help="Magnitude of the last star.")] = 16.0,
    term: Annotated[
        list[str] | None,
        typer.Option(
            "--term",
            metavar="RADIUS,SLOPE,MAG",
            help="Arcsec, dex per magnitude, magnitude that the radius is of; the terms are summed, those of the HSC survey by default.",
        ),
    ] = None,
    order: Annotated[int, typer.Option("--order", min=0, max=29, help="Of the map's cells; 15: 6.4 arcsec.")] = 15,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """A mask of bright stars: a circle about each, larger for brighter ones, as regions of DS9 or as a map."""
    from spica.services import bright as service

    terms = tuple(_term(text) for text in term or ())
    law = Law(faintest, terms) if terms else Law(faintest)
    places = [_cone(text) for text in cone or ()]
    done = service.mask(to, reference, band, survey, cones=places, release=tiles, law=law, order=order)
    if as_json:
        print_json(done)
        return
    say(f"{to}: {done.stars} stars, {done.area:.4g} square degrees", "bold green")


@app.command("show", epilog=SHOW)
def show(
    path: Annotated[Path, typer.Argument(help="A map: FITS, JSON or ASCII.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """What a map of coverage is: area, order, cells."""
    from spica.services import coverage as service

    found = service.show(path)
    if as_json:
        print_json(found)
        return
    text = found.ascii if len(found.ascii) <= 200 else f"{found.ascii[:200]} …"
    facts(
        {
            "map": str(path),
            "area": f"{found.area:.8g} square degrees",
            "of the sky": f"{found.fraction:.6g}",
            "order": found.order,
            "cells": found.cells,
            "ASCII": text,
        }
    )


def _cone(text: str) -> tuple[float, float, float]:
    given = numbers(text, "--cone")
    if len(given) != 3:
        raise SetupFault(
            "order.invalid", f"--cone {text!r}: expected RA,DEC,RADIUS", advice="example: --cone 10,20,0.5"
        )
    return given[0], given[1], given[2]


def _term(text: str) -> tuple[float, float, float]:
    given = numbers(text, "--term")
    if len(given) != 3:
        message = f"--term {text!r}: expected RADIUS,SLOPE,MAG"
        raise SetupFault("order.invalid", message, advice="example: --term 60,0.11,10")
    return given[0], given[1], given[2]


def _outline(text: str) -> list[tuple[float, float]]:
    given = numbers(text, "--outline")
    if len(given) < 6 or len(given) % 2:
        message = f"--outline {text!r}: expected RA,DEC of three vertices at least"
        raise SetupFault("order.invalid", message, advice="example: --outline 10,20,11,20,11,21")
    return list(zip(given[::2], given[1::2], strict=True))
