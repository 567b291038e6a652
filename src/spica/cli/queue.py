"""`spica queue` and `spica up`: productions wait, a coordinator works them off."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples, pairs
from spica.cli.render import facts, print_json, say, show_table
from spica.cli.watching import watching

if TYPE_CHECKING:
    from spica.services.queue import Ordered

UP = examples(
    "spica up                      works off the queue until Ctrl-C; what is at work then ends, the rest waits",
    "spica up --until-empty        ends when nothing is left",
    "spica up --workers 8          eight worker processes for all productions together",
)
ADD = examples(
    "spica queue add night --where \"night='2026-11-20'\" --priority 10",
    "spica queue add deep --release dr1 --set stack.method=median",
)
RERUN = examples("spica queue rerun 12 --set detect.threshold=4")
NumberArgument = Annotated[int, typer.Argument(help="The production's number: spica queue list.")]
app = typer.Typer(
    no_args_is_help=True,
    help="Productions: order, list, hold, stop, resume, run again, sign. 'spica up' works them off.",
    epilog=examples(
        "spica queue add night --where \"night='2026-11-20'\"",
        "spica queue list",
        "spica queue hold 12, then: spica queue resume 12",
        'spica queue sign 12 --comment "seen all plots"',
    ),
)


def up(
    until_empty: Annotated[bool, typer.Option("--until-empty", help="End when nothing waits or runs.")] = False,
    workers: Annotated[int | None, typer.Option("--workers", min=0, help="Worker processes; 0: one per core.")] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work off the queue: the most urgent production first, several at once, fair among people. It may be killed at any moment."""
    from spica.services.coordinator import work

    with watching() as watcher:
        worked = work(survey, watcher, until_empty=until_empty, workers=workers)
    if as_json:
        print_json(worked)
        return
    say(f"{worked.productions} productions came to an end here; {worked.why}", "bold green")


@app.command("add", epilog=ADD)
def add(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline: spica pipeline list.")],
    where: WhereOption = "",
    settings: Annotated[list[str] | None, typer.Option("--set", help="task.field=value, repeated.")] = None,
    name: Annotated[str, typer.Option("--name", help="A name for it.")] = "",
    priority: Annotated[float, typer.Option("--priority", help="The larger goes first.")] = 0.0,
    retry: Annotated[bool, typer.Option("--retry", help="Also what failed on the same data before.")] = False,
    release: Annotated[str, typer.Option("--release", help="Of which the tiles are.")] = "",
    tile: Annotated[list[str] | None, typer.Option("--tile", help="Only this tile; repeated.")] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order a production: it waits until a coordinator takes it."""
    from spica.services import queue
    from spica.services.run import Order

    given = Order(pipeline, where, pairs(settings), None, "", name, retry, release, tuple(tile or ()))
    _tell(queue.order(given, survey, priority=priority, person=getpass.getuser()), as_json=as_json)


@app.command("list", epilog=examples("spica queue list --state waiting --state running"))
def listed(
    state: Annotated[
        list[str] | None, typer.Option("--state", help="waiting, running, done, failed, stopped, archived; repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Productions, the newest first, and who works them off."""
    from spica.services import queue

    found = queue.stand(survey, tuple(state or ()), limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (p.id, p.name, p.pipeline, p.where, _state(p), p.priority, p.person, _far(p), p.ordered, p.signed)
        for p in found.productions
    ]
    heads = ("", "name", "pipeline", "where", "state", "priority", "person", "units", "ordered (UTC)", "signed")
    show_table("Productions, the newest first", heads, rows, "nothing was ordered yet: spica queue add night")
    for name in found.coordinators:
        say(f"{name} works on them", "green")
    for name in found.silent:
        say(f"{name} does not answer: what it took goes back to the queue when another coordinator begins", "red")
    if not found.coordinators:
        say("no coordinator is at work: spica up", "yellow")


@app.command("show", epilog=examples("spica queue show 12"))
def show(number: NumberArgument, survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """One production: what was ordered, how far it is, what came of it."""
    from spica.services import queue

    _tell(queue.show(number, survey), as_json=as_json)


@app.command("stop", epilog=examples("spica queue stop 12"))
def stop(number: NumberArgument, survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """Stop a production after the units that are at work; 'resume' goes on with the others."""
    from spica.services import queue

    _tell(queue.stop(number, survey), as_json=as_json)


@app.command("hold", epilog=examples("spica queue hold 12"))
def hold(number: NumberArgument, survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """Hold a production: after the units that are at work it waits in the queue until it is resumed."""
    from spica.services import queue

    _tell(queue.stop(number, survey, hold=True), as_json=as_json)


@app.command("resume", epilog=examples("spica queue resume 12 --retry"))
def resume(
    number: NumberArgument,
    retry: Annotated[bool, typer.Option("--retry", help="Also what failed on the same data.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a held, stopped, failed or done production wait for a coordinator; what is done is not done again."""
    from spica.services import queue

    _tell(queue.resume(number, survey, retry=retry), as_json=as_json)


@app.command("rerun", epilog=RERUN)
def rerun(
    number: NumberArgument,
    settings: Annotated[list[str] | None, typer.Option("--set", help="task.field=value, repeated.")] = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order a production once more, with some settings changed: only what they concern is done again."""
    from spica.services import queue

    _tell(queue.rerun(number, survey, pairs(settings)), as_json=as_json)


@app.command("priority", epilog=examples("spica queue priority 12 7.5"))
def priority(
    number: NumberArgument,
    value: Annotated[float, typer.Argument(help="The larger goes first.")],
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a production another priority."""
    from spica.services import queue

    _tell(queue.prioritise(number, value, survey), as_json=as_json)


@app.command("sign", epilog=examples('spica queue sign 12 --comment "seen all plots"'))
def sign(
    number: NumberArgument,
    comment: Annotated[str, typer.Option("--comment", help="What was looked at.")] = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept the result of a production that has ended, by your name."""
    from spica.services import queue

    _tell(queue.sign(number, getpass.getuser(), comment, survey), as_json=as_json)


@app.command("archive", epilog=examples("spica queue archive 12"))
def archive(number: NumberArgument, survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """Put a production away that has ended; 'list --state archived' shows it."""
    from spica.services import queue

    _tell(queue.archive(number, survey), as_json=as_json)


@app.command("delete", epilog=examples("spica queue delete 12"))
def delete(number: NumberArgument, survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """Delete a production from the list; its jobs and products stay."""
    from spica.services import queue

    queue.forget(number, survey)
    if as_json:
        print_json({"deleted": number})
        return
    say(f"production {number} is deleted; its products stay", "green")


def _state(found: Ordered) -> str:
    return found.state + (", held" if found.held else "") + (f", asked to {found.wish}" if found.wish else "")


def _far(found: Ordered) -> str:
    told = found.outcomes if found.ended else found.progress
    words = [f"{told[name]} {name}" for name in ("done", "failed", "refused", "left", "total") if told.get(name)]
    return ", ".join(words)


def _tell(found: Ordered, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    say(f"production {found.id} ({found.name}): {_state(found)}", "bold")
    facts(
        {
            "pipeline": found.pipeline,
            "where": found.where,
            "settings": ", ".join(f"{key}={value}" for key, value in found.settings.items()),
            "release": found.release,
            "priority": found.priority,
            "ordered": f"{found.ordered} UTC by {found.person or 'nobody named'}"
            + (f", rule {found.rule}" if found.rule else ""),
            "begun": found.begun,
            "ended": found.ended,
            "units": _far(found),
            "fault": f"{found.code} {found.message}".strip(),
            "signed": found.signed,
        },
        indent="  ",
    )
