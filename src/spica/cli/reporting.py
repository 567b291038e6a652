"""`spica report`: one page about an exposure, a night or a joint solution, with every plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples
from spica.cli.render import print_json, say, show_table, size
from spica.cli.watching import watching

if TYPE_CHECKING:
    from spica.services.report import Report

REPORT = examples(
    "spica report demo-20261120-00012                 an exposure: demo-20261120-00012.html",
    "spica report demo-20261120-00012/3               one of its detectors",
    "spica report 2026-11-20 --output night.html      a night",
    "spica report 2026-11-20 --where \"band='r'\"       of it only the exposures in r",
    "spica report group:demo~2026-11-20~r             a joint solution (spica why EXPOSURE names it)",
    "spica report 2026-11-20 --plots figures          each plot also as PNG and SVG",
    "What a plot needs and does not find is told in its place.",
)
STYLES = {"A": "green", "B": "cyan", "C": "yellow", "D": "red"}


def report(
    what: Annotated[str, typer.Argument(help="A night, an exposure, EXPOSURE/DETECTOR, or group:NAME.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page, or a folder for it; left out: here.", show_default=False),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Folder for each plot as PNG and SVG.", show_default=False)
    ] = None,
    where: WhereOption = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page: the verdict with its reasons, figures, every plot, faults, products, versions."""
    from spica.services import report as service

    with watching() as watcher:
        made = service.report(what, survey, where=where, output=output, plots=plots, watcher=watcher)
    if as_json:
        print_json(made)
        return
    _show(made, plots)


def _show(made: Report, plots: Path | None) -> None:
    grade = made.facts.grade
    say(f"verdict {grade or '–'}: {made.facts.meaning}", STYLES.get(grade, ""))
    for reason in made.facts.reasons:
        say(f"  {reason}")
    missing = [(each.title, each.missing) for each in made.plots if each.missing]
    show_table("Not drawn", ("plot", "why"), missing)
    drawn = len(made.plots) - len(missing)
    say(f"{made.page}: {drawn} plots, {size(made.size)}", "bold green")
    if plots is not None:
        say(f"each plot as PNG and SVG: {plots}")
