"""`spica wcs`: sky solutions of files shown and converted; `.head` files from joint solutions; what covers a place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples
from spica.cli.render import print_json, say, show_table

app = typer.Typer(
    no_args_is_help=True, help="Sky solutions: show and convert those of files; .head files from joint ones."
)

SHOW = examples("spica wcs show image.fits.fz", "spica wcs show scamp.head")
CONVERT = examples(
    "spica wcs convert image.fits image-sip.fits --to sip",
    "spica wcs convert image.fits image.head --to tpv            as SCAMP writes it and SWarp reads it",
    "spica wcs convert zpn.fits zpn.head --to tpv --tolerance 5  a fit that may differ by 5 mas",
)
HEAD = examples(
    "spica export --as maps --kind science --to stack; spica wcs head --to stack; SWarp stack/*.sci.fits",
    "spica wcs head demo-20261120-00012 --mosaic      one file with a block for each detector",
    "spica wcs head --where \"band='r'\" --zero-point 25",
)
SOLVE = examples(
    "spica wcs solve image.fits --indexes /usr/share/astrometry",
    "spica wcs solve stars.fits --indexes index-4110.fits --indexes index-4111.fits --scale 10.3",
    "spica wcs solve sources.parquet --indexes /usr/share/astrometry --to sources.head --json",
)
COVERING = examples(
    "spica covering 67.88 -21.69",
    "spica covering 67.88 -21.69 --radius 0.5 --exposures --where \"band='r'\"",
)


@app.command("head", epilog=HEAD)
def head(
    unit: Annotated[str, typer.Argument(help="A unit; without it --where selects exposures.")] = "",
    to: Annotated[Path, typer.Option("--to", help="Folder that the files are written into.")] = Path("heads"),
    zero_point: Annotated[
        float, typer.Option("--zero-point", help="Magnitude of 1 in images that are scaled by FLXSCALE.")
    ] = 30.0,
    mosaic: Annotated[bool, typer.Option("--mosaic", help="One file for each exposure, a block per detector.")] = False,
    where: WhereOption = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write .head files from the joint solution, as SCAMP does and SWarp reads: sky, flux scale, photometric flag."""
    from spica.services import heads

    done = heads.write(to, survey, unit=unit, where=where, zero_point=zero_point, mosaic=mosaic)
    if as_json:
        print_json(done)
        return
    say(f"{len(done.paths)} files in {to}", "bold green")
    for each in done.without:
        say(f"  {each} has no joint solution", "yellow")


def covering(
    ra: Annotated[float, typer.Argument(help="Right ascension, degrees, ICRS.", min=0.0, max=360.0)],
    dec: Annotated[float, typer.Argument(help="Declination, degrees.", min=-90.0, max=90.0)],
    radius: Annotated[float, typer.Option("--radius", help="Degrees about it.", min=0.0, max=90.0)] = 0.0,
    exposures: Annotated[bool, typer.Option("--exposures", help="Exposures instead of detectors.")] = False,
    where: WhereOption = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """What covers a place on the sky: by joint solutions, else by 'pointing', headers, or the camera's table, as is told."""
    from spica.services import covering as services

    found = services.covering(survey, ra, dec, radius=radius, where=where, exposures=exposures)
    if as_json:
        print_json(found)
        return
    rows = [(each.unit, each.night, each.band, each.by) for each in found]
    show_table("", ("unit", "night", "band", "by"), rows, "nothing covers it")


@app.command("show", epilog=SHOW)
def show(
    file: Annotated[Path, typer.Argument(help="FITS file, or SCAMP's .head.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """The solution of each HDU: its form, where it points, scale, angle, parity."""
    from spica.services import wcs

    found = wcs.show(file)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            each.hdu,
            each.name,
            each.form,
            each.frame,
            *(
                (each.problem, "", "", "")
                if each.ra is None or each.dec is None or each.scale is None or each.rotation is None
                else (
                    f"{each.ra:.6f} {each.dec:+.6f}",
                    f"{each.scale:.5f}",
                    f"{each.rotation:.3f}",
                    "mirrored" if each.mirrored else "as on the sky",
                )
            ),
            "" if each.degree is None else each.degree,
        )
        for each in found
    ]
    columns = ("HDU", "name", "form", "frame", "centre [deg]", 'scale ["]', "+y E of N [deg]", "parity", "degree")
    show_table("", columns, rows)


@app.command("convert", epilog=CONVERT)
def convert(
    source: Annotated[Path, typer.Argument(help="FITS file, or SCAMP's .head.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="FITS file, or .head or .ahead.", show_default=False)],
    to: Annotated[str, typer.Option("--to", help="tpv, sip or tan.")] = "tpv",
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Greatest difference [mas] of a conversion that is a fit.")
    ] = 1.0,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option("--size", metavar="NX NY", help="Size of the image, where the file lacks it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the solutions of a file in another form; what cannot be exact is fitted, and refused beyond the tolerance."""
    from spica.services import wcs

    done = wcs.convert(source, target, to, tolerance=tolerance, size=size)
    if as_json:
        print_json(done)
        return
    for each in done:
        left = "" if each.residual is None else f", at most {each.residual:.2g} mas off"
        how = "exactly" if each.exact else "by a fit"
        say(f"{each.hdu} {each.name}: {each.old} to {each.new} of degree {each.degree} {how}{left}", "green")
    say(f"written: {target}", "bold green")


@app.command("solve", epilog=SOLVE)
def solve(
    file: Annotated[
        Path, typer.Argument(help="Image (FITS), or table of its sources: x, y, flux.", show_default=False)
    ],
    indexes: Annotated[
        list[Path],
        typer.Option("--indexes", help="Index file of astrometry.net, or a folder of them; as many as needed."),
    ],
    scale: Annotated[
        float | None, typer.Option("--scale", min=0.0, help="Arcsec per pixel, to 5 %; left out: any.")
    ] = None,
    size: Annotated[
        tuple[int, int] | None, typer.Option("--size", metavar="NX NY", help="Size of a table's image, pixels.")
    ] = None,
    hdu: Annotated[int | None, typer.Option("--hdu", min=0, help="HDU of the image; left out: the first.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Write the solution into this .head file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Find where a frame is without its header: asterisms of its stars looked up in index files of the whole sky."""
    from spica.services import solving

    one = solving.solve(file, indexes, scale=scale, size=size, hdu=hdu, to=to)
    if as_json:
        print_json(one)
        return
    parity = "mirrored" if one.mirrored else "as on the sky"
    say(f"{file}: RA {one.ra:.5f}, Dec {one.dec:+.5f}", "bold green")
    say(f"  {one.scale:.4f} arcsec per pixel, +y {one.rotation:.2f} degrees east of north, {parity}")
    say(f"  {one.matches} of {one.stars} sources match, {one.rms:.2f} arcsec rms per coordinate, by {one.index}")
    say(f"  by chance as many: 10^{one.log_false:.0f}, all {one.hypotheses} hypotheses counted")
    if to is not None:
        say(f"written: {to}", "bold green")
