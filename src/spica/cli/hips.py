"""`spica hips`: tiles of the sky to fly through."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.options import JsonOption, examples, numbers
from spica.cli.render import facts, print_json, say
from spica.cli.watching import watching

if TYPE_CHECKING:
    from spica.services.hips import MadeHips

app = typer.Typer(
    no_args_is_help=True, help="HiPS: tiles of the sky to fly through with Aladin, of stacks of a band or in colour."
)

MAKE = examples(
    "spica hips make stacks/*_r.fits -o hips/r",
    "spica hips make stacks/*_r.fits -o hips/r --title 'Deep field, r' --released 2026-11-29 --order 11",
)
COLOUR = examples(
    "spica hips colour hips/i hips/r hips/g -o hips/colour",
    "spica hips colour hips/i hips/g -o hips/colour --weights 1,1,1.5 --bright 500",
)
TitleOption = Annotated[str, typer.Option("--title", help="Its name for people; that of the folder by default.")]
ReleasedOption = Annotated[
    str, typer.Option("--released", help="Date of its release, YYYY-MM-DD or YYYY-MM-DDTHH:MMZ; today by default.")
]
IdentifierOption = Annotated[str, typer.Option("--identifier", help="IVOA identifier, ivo://AUTHORITY/NAME.")]


@app.command("make", epilog=MAKE)
def make(
    stacks: Annotated[list[Path], typer.Argument(help="Images of one band, each with its sky solution.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to be, or a HiPS made before.")],
    title: TitleOption = "",
    released: ReleasedOption = "",
    identifier: IdentifierOption = "",
    order: Annotated[
        int, typer.Option("--order", min=0, max=20, help="Order of the deepest tiles; 0: by the images' pixels.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """HiPS of the stacks of a band: FITS tiles of surface brightness in every order, coverage, a page that shows them.

    Where images overlap, pixels of the one whose middle is nearest are taken. Pixels of weight 0 (NO_DATA in the mask,
    NAME.weight.fits beside NAME.fits) have no value. Made again, only tiles whose images changed are made.
    """
    from spica.services.hips import HipsOrder, make_hips

    told = HipsOrder(title or output.resolve().name, _date(released), identifier, order)
    with watching() as watcher:
        done = make_hips(stacks, output, told, watcher)
    _show(done, as_json=as_json)


@app.command("colour", epilog=COLOUR)
def colour(
    bands: Annotated[list[Path], typer.Argument(help="HiPS of bands, from red to blue: three; two; or one, for grey.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to be, or a HiPS made before.")],
    title: TitleOption = "",
    released: ReleasedOption = "",
    identifier: IdentifierOption = "",
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
    as_json: JsonOption = False,
) -> None:
    """HiPS in colour of HiPS of bands: PNG tiles in the scale of 'spica picture colour', one set of levels for all of them."""
    from spica.services.hips import ColourHipsOrder, colour_hips

    order = ColourHipsOrder(
        title=title or output.resolve().name,
        released=_date(released),
        identifier=identifier,
        weights=numbers(weights, "--weights"),
        faint=faint,
        bright=bright,
        softening=softening,
    )
    with watching() as watcher:
        done = colour_hips(bands, output, order, watcher)
    _show(done, as_json=as_json)


def _date(told: str) -> str:
    return told or datetime.now(UTC).date().isoformat()


def _show(done: MadeHips, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    say(f"{done.path}: {done.tiles} tiles down to order {done.order}, {done.made} of them made now", "bold green")
    facts(
        {
            "sky": f"{done.area:.4g} square degrees",
            "middle": f"RA {done.ra:.4f}, Dec {done.dec:+.4f}",
            "to see it": f"{done.path}/index.html tells how",
        }
    )
