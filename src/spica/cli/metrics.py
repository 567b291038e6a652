"""`spica metrics import|list`: numbers about units, ours and those from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples
from spica.cli.render import print_json, say, show_table

app = typer.Typer(no_args_is_help=True, help="Metrics: any number about an exposure or detector, searchable.")


@app.command(
    "import",
    epilog=examples(
        "spica metrics import skyprobe.csv",
        "A column 'exposure' (and 'detector', if it is of one) names the unit; every other numeric column is a metric.",
        "A head such as 'seeing [arcsec]' carries the unit.",
    ),
)
def import_metrics(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet table.")],
    source: Annotated[
        str, typer.Option("--source", help="Where the values come from; the file's name by default.")
    ] = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load values from outside (observing log, sky probe, grades) as metrics of exposures or detectors."""
    from spica.services import metrics

    done = metrics.load(file, survey, source=source)
    if as_json:
        print_json(done)
    else:
        say(f"{done.metrics} values of {len(done.names)} metrics for {done.units} units from {done.path}", "bold green")
        show_table("Rows left out", ("row", "why"), [(r.row, r.why) for r in done.rejected])
    if done.rejected:
        raise typer.Exit(ExitCode.SOME_FAILED)


@app.command(
    "list",
    epilog=examples(
        "spica metrics list",
        "spica metrics list --where \"seeing < 3 and band='r'\" --columns night,seeing --sort -seeing",
    ),
)
def list_metrics(
    where: WhereOption = "",
    columns: Annotated[str, typer.Option("--columns", help="Columns and metrics to show, comma-separated.")] = "",
    sort: Annotated[str, typer.Option("--sort", help="Column or metric; -name for descending.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")] = 50,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """The names of all metrics; with --where or --columns the detectors that meet it, with their values."""
    from spica.services import metrics

    if where or columns:
        found = metrics.search(survey, where, tuple(filter(None, columns.split(","))), sort, limit)
        if as_json:
            print_json(found)
            return
        show_table("", found.columns, found.rows, "no detector meets this")
        return
    names = metrics.names(survey)
    if as_json:
        print_json({"metrics": names})
        return
    show_table("", ("metric", "of"), [(n.name, ", ".join(n.grains)) for n in names], "no metrics yet")
