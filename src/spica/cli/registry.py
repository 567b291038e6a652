"""`spica registry backup|restore|upgrade|version`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, examples
from spica.cli.render import facts, print_json, say, size

app = typer.Typer(no_args_is_help=True, help="Upkeep of the registry.")


@app.command(epilog=examples("spica registry backup registry-2026-11-20.backup"))
def backup(
    file: Annotated[Path, typer.Argument(help="File that the backup is written to.")],
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole registry to one file, consistent even while work goes on."""
    from spica.services import upkeep

    done = upkeep.backup(file, survey)
    if as_json:
        print_json(done)
        return
    say(f"backup of {done.registry} in {done.path} ({done.rows} rows, {size(done.bytes)})", "bold green")


@app.command(epilog=examples("spica registry restore registry-2026-11-20.backup", "then: spica check"))
def restore(
    file: Annotated[Path, typer.Argument(help="A backup made by 'spica registry backup'.")],
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of the registry; the registry that was there is kept beside it where it is a file."""
    from spica.services import upkeep

    done = upkeep.restore(file, survey)
    if as_json:
        print_json(done)
        return
    say(f"{done.registry} restored from {done.path} ({done.rows} rows)", "bold green")
    if done.kept:
        say(f"what was there before: {done.kept}")
    say("next: spica check")


@app.command(epilog=examples("spica registry upgrade"))
def upgrade(survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """Bring the registry to the tables of this version of spica."""
    from spica.services import upkeep

    done = upkeep.upgrade(survey)
    if as_json:
        print_json(done)
        return
    say(
        f"{done.registry}: {done.before} → {done.after}"
        if done.before != done.after
        else f"{done.registry}: up to date"
    )


@app.command(epilog=examples("spica registry version --json"))
def version(survey: SurveyOption = None, as_json: JsonOption = False) -> None:
    """The version of the registry's tables, and the one that this spica needs."""
    from spica.services import upkeep

    found = upkeep.version(survey)
    if as_json:
        print_json(found)
        return
    facts({"registry": found.registry, "version": found.version, "needed": found.needed})
