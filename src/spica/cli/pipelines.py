"""`spica pipeline list|show|check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, examples
from spica.cli.render import print_json, say, show_table

app = typer.Typer(no_args_is_help=True, help="Pipelines: which tasks, in which order, with which settings.")


@app.command("list", epilog=examples("spica pipeline list", "spica pipeline list --tasks"))
def list_pipelines(
    tasks: Annotated[bool, typer.Option("--tasks", help="List the tasks instead.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """The pipelines that can be run here, or the tasks that they are made of."""
    from spica.services import pipelines

    if tasks:
        found = pipelines.tasks(survey)
        if as_json:
            print_json({"tasks": found})
            return
        rows = [(t.name, t.version, t.grain, " ".join(t.needs), " ".join(t.gives), t.summary) for t in found]
        show_table("", ("task", "v", "grain", "needs", "gives", "what it does"), rows)
        return
    listed = pipelines.listing(survey)
    if as_json:
        print_json({"pipelines": listed})
        return
    show_table("", ("pipeline", "title", "steps", "from"), [(p.name, p.title, len(p.steps), p.source) for p in listed])


@app.command(
    epilog=examples(
        "spica pipeline show reduce",
        "spica pipeline show reduce --settings",
        "spica pipeline show reduce --camera hsc",
        "spica pipeline show night --picture night.png",
    )
)
def show(
    name: Annotated[str, typer.Argument(help="The pipeline's name.")],
    settings: Annotated[bool, typer.Option("--settings", help="Every setting: value, unit, meaning, origin.")] = False,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the graph into this PNG file.")] = None,
    camera: Annotated[str, typer.Option("--camera", help="Settings as this camera's exposures have them.")] = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """The graph of a pipeline: what each step needs, from where, and what it gives."""
    from spica.services import pipelines

    shown = pipelines.show(name, survey, picture, camera)
    if as_json:
        print_json(shown)
        return
    say(f"{shown.name}: {shown.title}", "bold")
    if settings or camera:
        rows = [(f"{s.step}.{s.name}", s.value, s.unit, s.meaning, s.source) for s in shown.settings]
        show_table("", ("setting", "value", "unit", "meaning", "from"), rows)
    else:
        for line in shown.graph:
            say(line)
    if shown.picture:
        say(f"picture: {shown.picture}")


@app.command(epilog=examples("spica pipeline check reduce", "spica pipeline check pipelines/mine.toml"))
def check(
    name: Annotated[str, typer.Argument(help="The pipeline's name, or the path of its file.")],
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a pipeline without running it: names, settings, needs that nothing gives, products with two makers."""
    from spica.services import pipelines

    checked = pipelines.check(name, survey)
    if as_json:
        print_json(checked)
        return
    say(f"{checked.name}: {checked.steps} steps, all needs are met", "green")
