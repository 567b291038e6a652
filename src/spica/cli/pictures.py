"""`spica picture`: colour composites of image files, before and after, small pictures of every product."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, examples, numbers
from spica.cli.render import facts, print_json, say, show_table
from spica.cli.watching import watching

app = typer.Typer(
    no_args_is_help=True,
    help="Pictures: colour composites of image files, before and after, small ones of every product.",
)

COLOUR = examples(
    "spica picture colour i.fits r.fits g.fits -o field.png",
    "spica picture colour i.fits r.fits g.fits -o field.tif --bits 16",
    "spica picture colour i.fits r.fits g.fits -o field.png --weights 1,1.2,1.8 --bright 500 --transparent",
    "spica picture colour z.fits r.fits g.fits -o field.png --zero-points 29.8,30.1,30.3",
)
BEFORE_AFTER = examples(
    "spica picture before-after demo-20261120-00010/3 -o detrended.png            raw and detrended",
    "spica picture before-after exposure.fits stack.fits -o depth.png --split     on the pixels of the stack",
    "spica picture before-after mean.fits clipped.fits -o clipped.png --box 100,100,600,400",
)
THUMBNAILS = examples(
    "spica picture thumbnails --sheet survey.html                          all that the survey has, on one page",
    "spica picture thumbnails \"night='2026-11-20'\" --kind science --out small",
    "spica picture thumbnails --kind weight                                weight maps of exposures and stacks",
    "spica picture thumbnails --kind mosaic --sheet night.png              whole exposures",
    "spica picture thumbnails --unit tile-band:r0123-0456/r --size 512",
    "spica picture thumbnails --kind flat                                  master flats",
)


@app.command("colour", epilog=COLOUR)
def colour(
    red: Annotated[Path, typer.Argument(help="Image drawn red; the picture has its pixels.", show_default=False)],
    green: Annotated[Path, typer.Argument(help="Image drawn green.", show_default=False)],
    blue: Annotated[Path, typer.Argument(help="Image drawn blue.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write: .png, .tif.")] = Path("colour.png"),
    zero_points: Annotated[
        str,
        typer.Option("--zero-points", help="Magnitude of one unit in red, green, blue; from the headers by default."),
    ] = "",
    weights: Annotated[
        str,
        typer.Option("--weights", help="Of red, green, blue; by default the middle colour of bright pixels is white."),
    ] = "",
    faint: Annotated[float, typer.Option("--faint", min=0.0, help="Black: so many sigma below the sky.")] = 1.5,
    bright: Annotated[
        float, typer.Option("--bright", min=0.0, help="White: so many sigma above the sky; 0: by the brightest pixels.")
    ] = 0.0,
    softening: Annotated[
        float, typer.Option("--softening", min=0.01, help="Sigma where the scale turns from linear to logarithmic.")
    ] = 3.0,
    bits: Annotated[int, typer.Option("--bits", help="Bits of a sample: 8, or 16 in TIFF.")] = 8,
    transparent: Annotated[
        bool, typer.Option("--transparent", help="Clear, not black, where there is no value.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Colour picture of three images in an asinh scale that keeps the hue (Lupton et al. 2004), levels found by themselves.

    Images on other pixels than the first are brought to its by their sky solutions.
    """
    from spica.services import pictures

    order = pictures.ColourOrder(
        zero_points=numbers(zero_points, "--zero-points"),
        weights=numbers(weights, "--weights"),
        faint=faint,
        bright=bright,
        softening=softening,
        bits=bits,
        transparent=transparent,
    )
    done = pictures.paint((red, green, blue), output, order)
    if as_json:
        print_json(done)
        return
    say(f"{done.path}: {done.size[0]} × {done.size[1]} pixels, {done.covered:.1%} with all three bands", "bold green")
    three = ("red", "green", "blue")
    facts(
        {
            f"sky, factor of {name}": f"{sky:g}, {factor:g}"
            for name, sky, factor in zip(three, done.skies, done.factors, strict=True)
        }
    )
    facts({"noise": f"{done.sigma:g}", "black": f"{done.black:g}", "white": f"{done.white:g}"})


@app.command("before-after", epilog=BEFORE_AFTER)
def before_after(
    images: Annotated[
        list[str],
        typer.Argument(help="Two image files; or a detector of an exposure: its raw pixels, and them detrended."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write: .png, .tif.")] = Path(
        "before-after.png"
    ),
    split: Annotated[
        bool, typer.Option("--split", help="Left half of the one, right half of the other; else both whole.")
    ] = False,
    box: Annotated[str, typer.Option("--box", help="Part of the second that is shown: x0,y0,x1,y1, from 0.")] = "",
    size: Annotated[int, typer.Option("--size", min=0, help="Longest side of each; 0: as they are.")] = 0,
    factor: Annotated[
        float, typer.Option("--factor", min=0.0, help="Of the first; 0: by both zero points, of raw pixels the gain.")
    ] = 0.0,
    faint: Annotated[float, typer.Option("--faint", min=0.0, help="Black: so many sigma below the sky.")] = 1.5,
    bright: Annotated[
        float, typer.Option("--bright", min=0.0, help="White: so many sigma above the sky; 0: by the brightest pixels.")
    ] = 0.0,
    softening: Annotated[
        float, typer.Option("--softening", min=0.01, help="Sigma where the scale turns from linear to logarithmic.")
    ] = 3.0,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Two registered frames in one picture with the same levels, those of the second, each less its own sky.

    The first is brought to the pixels of the second where both have a sky solution.
    """
    from spica.core.faults import SetupFault
    from spica.services import before_after as service

    order = service.BeforeAfterOrder(
        split=split,
        box=numbers(box, "--box"),
        size=size,
        factor=factor,
        faint=faint,
        bright=bright,
        softening=softening,
    )
    if len(images) not in {1, 2}:
        raise SetupFault("order.invalid", f"name two files, or one detector of an exposure, not {len(images)}")
    if len(images) == 2:
        done = service.before_after(Path(images[0]), Path(images[1]), output, order)
    else:
        done = service.before_after_unit(survey, images[0], output, order)
    if as_json:
        print_json(done)
        return
    say(f"{done.path}: {done.size[0]} × {done.size[1]} pixels", "bold green")
    facts({"factor of the first": f"{done.factor:g}"})
    for name, sky, noise in zip(("first", "second"), done.skies, done.noises, strict=True):
        facts({f"sky, noise of the {name}": f"{sky:g}, {noise:g}"})


@app.command("thumbnails", epilog=THUMBNAILS)
def thumbnails(
    selection: Annotated[
        str, typer.Argument(help="Which detectors: a selection such as \"band='r'\"; all products by default.")
    ] = "",
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="Product (science, stack, flat, depth_map …), plane (weight, mask, number, time, epoch), PRODUCT:PLANE, mosaic.",
        ),
    ] = "",
    unit: Annotated[str, typer.Option("--unit", help="Of this unit alone: exposure, detector, tile, master.")] = "",
    size: Annotated[int, typer.Option("--size", help="Longest side at most, 16 to 4096 pixels.")] = 256,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for copies with names that tell what they are of.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Contact sheet of them all: .html with everything in it, or .png.")
    ] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Small pictures of image products: pixels, weights, masks and the other planes of each; whole exposures as mosaics.

    Made when asked for, and kept in the survey as long as the product has the same bytes.
    """
    from spica.services.thumbnailing import ThumbnailsOrder
    from spica.services.thumbnailing import thumbnails as service

    order = ThumbnailsOrder(selection, unit, kind, size, out, sheet)
    with watching() as watcher:
        done = service(survey, order, watcher)
    if as_json:
        print_json(done)
    else:
        kinds = [each.kind for each in done.pictures]
        made = [each.kind for each in done.pictures if each.made]
        rows = [(name, kinds.count(name), made.count(name)) for name in dict.fromkeys(kinds)]
        show_table("", ("kind", "pictures", "made now"), rows)
        for problem in done.problems:
            say(f"  {problem.code} {problem.path}", "red")
            say(f"    {problem.message}")
            say(f"    next: {problem.advice}")
        where = f" in {done.folder}" if done.folder else ""
        say(f"{len(done.pictures)} pictures{where}" + (f", {done.sheet}" if done.sheet else ""), "bold green")
    if done.problems:
        raise typer.Exit(ExitCode.SOME_FAILED)
