"""Every fault leaves through the front door: one message or one JSON document, and the documented exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from spica.cli.door import Door
from spica.cli.main import app
from spica.core.faults import DataFault, Fault, InternalFault, ResourceFault, SetupFault

RUNNER = CliRunner()


def door_that(deed: Callable[[], None]) -> typer.Typer:
    """An application with one command that does this deed."""
    made = typer.Typer(cls=Door, pretty_exceptions_enable=False)

    @made.command("go")
    def go(*, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
        deed()

    @made.command("other")
    def other() -> None:
        """A second command, so that the first keeps its name."""

    return made


def raising(error: BaseException) -> Callable[[], None]:
    def deed() -> None:
        raise error

    return deed


FAULTS = [
    (SetupFault("survey.missing", "no survey at A", path="A"), 2),
    (DataFault("file.empty", "B has no bytes", path="B", size=0), 3),
    (ResourceFault("disk.full", "no space left for C"), 4),
    (InternalFault("internal.error", "it broke"), 5),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_named_fault_is_told_without_traceback(fault: Fault, code: int) -> None:
    done = RUNNER.invoke(door_that(raising(fault)), ["go"])
    assert done.exit_code == code
    assert done.stdout == ""
    assert fault.code in done.stderr
    assert fault.message in done.stderr
    assert f"next: {fault.advice}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_named_fault_as_one_json_document(fault: Fault, code: int) -> None:
    done = RUNNER.invoke(door_that(raising(fault)), ["go", "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == told["exit_code"] == code
    assert told["fault"]["code"] == fault.code
    assert told["fault"]["evidence"] == dict(fault.evidence)
    assert told["fault"]["advice"] == fault.advice


def test_evidence_is_shown_unless_the_message_says_it() -> None:
    done = RUNNER.invoke(door_that(raising(DataFault("file.empty", "B has no bytes", path="B", expected=2880))), ["go"])
    assert "expected: 2880" in done.stderr
    assert "path:" not in done.stderr


def test_markup_in_a_message_is_text() -> None:
    done = RUNNER.invoke(door_that(raising(DataFault("file.empty", "file [red]x[/red] has no bytes"))), ["go"])
    assert "[red]x[/red]" in done.stderr


def test_unforeseen_error_keeps_its_traceback_and_ends_internal() -> None:
    done = RUNNER.invoke(door_that(raising(ZeroDivisionError("of nothing"))), ["go", "--json"])
    assert done.exit_code == 5
    assert "Traceback" in done.stderr
    assert json.loads(done.stdout)["fault"]["message"] == "ZeroDivisionError: of nothing"


def test_interruption_says_how_to_go_on() -> None:
    done = RUNNER.invoke(door_that(raising(KeyboardInterrupt())), ["go"])
    assert done.exit_code == 130
    assert "the same command again" in done.stderr


def test_interruption_as_json() -> None:
    done = RUNNER.invoke(door_that(raising(KeyboardInterrupt())), ["go", "--json"])
    assert done.exit_code == 130
    assert json.loads(done.stdout)["interrupted"] is True


def test_exit_of_a_command_is_left_alone() -> None:
    assert RUNNER.invoke(door_that(raising(typer.Exit(1))), ["go"]).exit_code == 1


def test_unknown_command_suggests_the_nearest() -> None:
    done = RUNNER.invoke(app, ["ingset"])
    assert done.exit_code == 2
    assert "ingest" in done.stderr


def test_wrong_option_is_json_too() -> None:
    done = RUNNER.invoke(app, ["status", "--json", "--nonsense"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["fault"]["code"] == "order.invalid"


def test_missing_argument_of_a_nested_command_is_json_too() -> None:
    done = RUNNER.invoke(app, ["camera", "show", "--json"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["exit_code"] == 2


def every_command() -> list[list[str]]:
    group = typer.main.get_command(app)
    found: list[list[str]] = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found.extend([name, each] for each in inner) if inner else found.append([name])
    return found


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_help_teaches_by_example(words: list[str]) -> None:
    done = RUNNER.invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    assert "Examples" in done.stdout
    assert f"spica {words[0]}" in done.stdout
    assert "--json" in done.stdout
