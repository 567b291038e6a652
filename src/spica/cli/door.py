"""The front door: the root of all commands, and how every fault leaves it: one clear message, one exit code.

Exit codes: 0 all done, 1 some units failed or were refused, 2 the order or the set-up is at fault, 3 the data named in
the order are at fault, 4 a resource is short, 5 internal, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
import traceback
from enum import IntEnum
from types import TracebackType
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from spica.core.faults import Fault, FaultKind, FaultRecord


class ExitCode(IntEnum):
    """What the shell is told; documented in the operator's guide."""

    DONE = 0
    SOME_FAILED = 1
    SETUP = 2
    DATA = 3
    RESOURCE = 4
    INTERNAL = 5
    INTERRUPTED = 130


EXIT_OF_KIND: dict[FaultKind, ExitCode] = {
    FaultKind.SETUP: ExitCode.SETUP,
    FaultKind.DATA: ExitCode.DATA,
    FaultKind.RESOURCE: ExitCode.RESOURCE,
    FaultKind.INTERNAL: ExitCode.INTERNAL,
}

_JSON = "spica.json"


class Door(TyperGroup):
    """The root group: named faults, interruptions and the unforeseen end in words and in a documented exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember before anything is parsed whether the answer is to be JSON: a wrong option is answered so too."""
        ctx.meta[_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what goes wrong is told here and nowhere else."""
        as_json = bool(ctx.meta.get(_JSON))
        with _Unforeseen(as_json=as_json):
            try:
                return super().invoke(ctx)
            except Fault as fault:
                code = EXIT_OF_KIND[fault.kind]
                tell(fault.record(), code, as_json=as_json)
                raise typer.Exit(code) from fault
            except typer.TyperException as error:
                if not as_json:
                    raise
                record = FaultRecord("order.invalid", FaultKind.SETUP, error.format_message(), {}, "see --help")
                tell(record, ExitCode.SETUP, as_json=True)
                raise typer.Exit(ExitCode.SETUP) from error
            except KeyboardInterrupt as stop:
                tell_interrupted(as_json=as_json)
                raise typer.Exit(ExitCode.INTERRUPTED) from stop


class _Unforeseen:
    """An error that nobody named keeps its traceback, and ends with the internal exit code instead of Python's 1."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception):
            return
        if isinstance(error, (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError)):
            return
        traceback.print_exception(error, file=sys.stderr)
        record = FaultRecord(
            "internal.error",
            FaultKind.INTERNAL,
            f"{type(error).__name__}: {error}",
            {},
            "this is a defect of spica: report it with the traceback above; what was recorded is safe",
        )
        tell(record, ExitCode.INTERNAL, as_json=self.as_json)
        raise typer.Exit(ExitCode.INTERNAL) from error


def tell(fault: FaultRecord, code: ExitCode, *, as_json: bool) -> None:
    """Tell of a fault: for people on stderr (what, evidence, next), for programs as one JSON document on stdout."""
    if as_json:
        document = {
            "fault": {
                "code": fault.code,
                "kind": str(fault.kind),
                "message": fault.message,
                "evidence": dict(fault.evidence),
                "advice": fault.advice,
            },
            "exit_code": int(code),
        }
        sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
        return
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[bold red]{fault.code}[/] {escape(fault.message)}")
    shown = {name: value for name, value in fault.evidence.items() if value not in {"", None}}
    for name, value in shown.items():
        if str(value) not in fault.message:
            console.print(f"  {escape(name)}: {escape(str(value))}")
    if fault.advice:
        console.print(f"  [bold]next:[/] {escape(fault.advice)}")


def tell_interrupted(*, as_json: bool) -> None:
    """Say that the work stopped at once, that nothing is lost, and how it goes on."""
    advice = "give the same command again: it goes on where it stopped"
    if as_json:
        document = {"interrupted": True, "advice": advice, "exit_code": int(ExitCode.INTERRUPTED)}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("[bold yellow]interrupted[/] what was finished is recorded, nothing half-done is kept")
    console.print(f"  [bold]next:[/] {advice}")
