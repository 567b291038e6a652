"""Every command keeps the promises that all commands make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from spica.cli.main import app


def walk(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(words), command
    for name, child in (below or {}).items():
        yield from walk(child, (*words, name))


COMMANDS = dict(walk(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_it_answers_machines_too(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert "--json" in options


@pytest.mark.parametrize("name", COMMANDS)
def test_its_help_teaches(name: str) -> None:
    command = COMMANDS[name]
    assert (command.help or "").strip()
    assert all(parameter.help for parameter in command.params if parameter.name != "help" and not parameter.hidden)
    assert f"spica {name}" in (command.epilog or ""), "an example"
