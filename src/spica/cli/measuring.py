"""`spica camera measure`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.door import ExitCode, tell_interrupted
from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples, pairs
from spica.cli.render import print_json, say, show_table
from spica.cli.watching import watching

if TYPE_CHECKING:
    from spica.services.measuring import Figure, Measured

EXAMPLES = examples(
    "spica camera measure decam --where \"night between '2026-11-20' and '2026-11-24'\"",
    'spica camera measure demo --where "detector = 1" --picture transfer.png',
    "spica camera measure demo --table measured.toml --set photon_transfer.degree=2",
)


def measure(
    name: Annotated[str, typer.Argument(help="The camera's name.")],
    where: WhereOption = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="task.field=value; spica pipeline show camera-measure --settings.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the curves into this PNG file.")] = None,
    table: Annotated[Path | None, typer.Option("--table", help="Write what was measured here, as TOML.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Worker processes; 0: one per core.")] = None,
    executor: Annotated[str, typer.Option("--executor", help="inprocess, local or dask; survey.toml decides.")] = "",
    retry: Annotated[bool, typer.Option("--retry", help="Also what failed on the same data before.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a camera from its frames, amplifier by amplifier, and compare it with its table."""
    from spica.services import measuring as service

    order = service.Order(name, where, pairs(settings), workers, executor, retry)
    with watching() as watcher:
        measured = service.measure(order, survey, watcher)
    if picture is not None and measured.curves:
        from spica.services import transfer_picture

        transfer_picture.draw(f"{measured.camera}: measured", measured.curves, picture)
    if table is not None:
        service.write_fragment(measured, table)
    if as_json:
        print_json(measured)
    else:
        _show(measured, picture, table)
    if measured.production.interrupted:
        if not as_json:
            tell_interrupted(as_json=False)
        raise typer.Exit(ExitCode.INTERRUPTED)
    if not measured.production.complete:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _show(measured: Measured, picture: Path | None, table: Path | None) -> None:
    rows = [
        (f.detector, f.amplifier, _name(f), f"{f.value:.5g} ± {f.error:.1g}", f.units, *_compared(f))
        for f in measured.figures
    ]
    heads = ("detector", "amplifier", "", "measured", "", "table", "ratio", "sigma", "verdict")
    show_table(f"camera {measured.camera}", heads, rows, empty="nothing could be measured")
    lacking = [(m.quantity, m.amplifiers, m.needs) for m in measured.missing]
    show_table("Not measured", ("", "amplifiers", "what it takes"), lacking)
    faults = [(g.count, g.code, g.example, g.message, g.advice) for g in measured.production.faults]
    show_table("What went wrong", ("units", "code", "for example", "", "try"), faults)
    if measured.figures:
        differ = sum(f.verdict == "differs" for f in measured.figures)
        say(
            "the table agrees with the frames" if measured.agrees else f"{differ} figures differ from the table",
            "bold green" if measured.agrees else "bold yellow",
        )
    if picture is not None and measured.curves:
        say(f"curves: {picture}")
    if table is not None:
        say(f"measured detectors, to be pasted into the camera's table: {table}")


def _name(figure: Figure) -> str:
    if figure.source:
        return f"{figure.quantity} from {figure.source}"
    return f"{figure.quantity} c{figure.power - 1}" if figure.power else figure.quantity


def _compared(figure: Figure) -> tuple[str, str, str, str]:
    if figure.table is None:
        return "", "", "", figure.verdict
    ratio = f"{figure.ratio:.4f}" if figure.ratio is not None else ""
    sigma = f"{figure.sigma:+.1f}" if figure.sigma is not None else ""
    return f"{figure.table:.5g}", ratio, sigma, figure.verdict
