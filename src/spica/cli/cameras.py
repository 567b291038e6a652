"""`spica camera list|show|draft|check|measure`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli import measuring
from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, examples
from spica.cli.render import facts, print_json, say, show_table

app = typer.Typer(no_args_is_help=True, help="Camera tables: what each detector, amplifier and header keyword means.")
app.command(epilog=measuring.EXAMPLES)(measuring.measure)


@app.command("list", epilog=examples("spica camera list", "spica camera list --json"))
def list_cameras(survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """The cameras that can be used here: shipped ones, those of outside packages and the survey's own."""
    from spica.services import cameras

    found = cameras.listing(survey)
    if as_json:
        print_json({"cameras": found})
        return
    rows = [
        (c.name, c.title, c.detectors, c.amplifiers, f"{c.megapixels:.0f}", " ".join(c.bands), c.layout, c.source)
        for c in found
    ]
    show_table("", ("camera", "title", "detectors", "amps", "Mpix", "bands", "one file per", "from"), rows)


@app.command(
    epilog=examples(
        "spica camera show decam", "spica camera show decam --picture decam.png", "spica camera show demo --json"
    )
)
def show(
    name: Annotated[str, typer.Argument(help="The camera's name.")],
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the focal plane into this PNG file.")] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """One camera: its site, filters, detectors and amplifiers, and a picture of the focal plane."""
    from spica.services import cameras

    shown = cameras.show(name, survey, picture)
    if as_json:
        print_json(shown)
        return
    camera = shown.camera
    say(f"{camera['name']}: {camera['title']}", "bold")
    facts(shown.facts, indent="  ")
    rows = [(f["band"], " ".join(f["names"]), f["wavelength"], f["zero_point"]) for f in camera["filters"]]
    show_table("filters", ("band", "names in headers", "nm", "zero point"), rows)
    detectors = [
        (
            d["id"],
            d["name"],
            d["raft"],
            f"{d['nx']} × {d['ny']}",
            d["x_mm"],
            d["y_mm"],
            d["rotation"],
            len(d["amplifiers"]),
        )
        for d in camera["detectors"]
    ]
    show_table("detectors", ("id", "name", "raft", "pixels", "x mm", "y mm", "rotation", "amps"), detectors)
    if shown.picture:
        say(f"focal plane: {shown.picture}")


@app.command(
    epilog=examples(
        "spica camera draft night1/*.fits > newcam.toml",
        "spica camera draft bias.fits flat.fits --name newcam --out cameras/newcam.toml",
    )
)
def draft(
    files: Annotated[list[Path], typer.Argument(help="Sample raw files, the more kinds the better.")],
    name: Annotated[str, typer.Option("--name", help="The camera's name; guessed from the headers by default.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="Write the table here instead of printing it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draft a camera table from sample files; what could not be read is marked for you to fill in."""
    from spica.services import cameras

    drafted = cameras.draft(files, name, out)
    if as_json:
        print_json(drafted)
        return
    if drafted.path:
        say(f"drafted {drafted.name} from {drafted.files} files: {drafted.path}")
        say(f"next: fill in what is marked, then: spica camera check {drafted.name} FILE…")
    else:
        typer.echo(drafted.text, nl=False)


@app.command(
    epilog=examples("spica camera check decam c4d_*.fits.fz", "spica camera check newcam sample.fits --survey .")
)
def check(
    name: Annotated[str, typer.Argument(help="The camera's name, or the path of its table.")],
    files: Annotated[list[Path], typer.Argument(help="Real files of this camera.")],
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a camera table against real files: every header value, section and size."""
    from spica.services import cameras

    checked = cameras.check(name, files, survey)
    if as_json:
        print_json(checked)
    else:
        rows = [
            (f.path, "good" if not f.problems else "bad", "; ".join(f.problems) or f.summary) for f in checked.files
        ]
        show_table(f"camera {checked.name}", ("file", "", "what"), rows)
    if not checked.good:
        raise typer.Exit(ExitCode.SOME_FAILED)
