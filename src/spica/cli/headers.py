"""`spica header refresh`: what products say of themselves, brought up to date."""

from __future__ import annotations

from typing import Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples
from spica.cli.render import print_json, say
from spica.cli.watching import watching

app = typer.Typer(no_args_is_help=True, help="Headers of products: values that come later are written in place.")


@app.command(
    "refresh",
    epilog=examples(
        "spica header refresh",
        "spica header refresh demo-20261120-00012",
        "spica header refresh --where \"night='2026-11-20'\" --release DR1",
        "Values from outside come first with 'spica metrics import' (zero_point [mag], seeing [arcsec] …).",
        "After a kill: the same command finishes what was begun; twice is once.",
    ),
)
def refresh(
    unit: Annotated[str, typer.Argument(help="A unit; without it --where selects exposures.")] = "",
    where: WhereOption = "",
    release: Annotated[
        str | None, typer.Option("--release", help="Data release that these products belong to; '' takes it away.")
    ] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write seeing, depth, zero point, grade and release into the headers of image products; no pixel is rewritten."""
    from spica.services import headers

    with watching() as watcher:
        done = headers.refreshed(survey, unit=unit, where=where, release=release, watcher=watcher)
    if as_json:
        print_json(done)
    else:
        say(f"{len(done.changed)} of {done.products} headers refreshed", "bold green")
        for problem in done.problems:
            say(f"  {problem.code} {problem.path}", "red")
            say(f"    {problem.message}")
            say(f"    next: {problem.advice}")
    if done.problems:
        raise typer.Exit(ExitCode.SOME_FAILED)
