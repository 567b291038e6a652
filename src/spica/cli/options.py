"""Options that many commands share, each declared once, and the examples below every help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from spica.core.faults import SetupFault

SurveyOption = Annotated[
    Path | None,
    typer.Option(
        "--survey",
        envvar="SPICA_SURVEY",
        help="The survey's folder; without it the folder here, or above, that holds survey.toml.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON document.")]
WhereOption = Annotated[
    str,
    typer.Option("--where", "-w", help="Which ones: a selection such as \"night='2026-11-20' and band='r'\"."),
]


def examples(*lines: str) -> str:
    """The epilogue of a help text: one example on each line."""
    keep_lines = "\b\n"
    return keep_lines + "\n".join(["[bold]Examples[/]", *(f"  {escape(line)}" for line in lines)])


def pairs(given: list[str] | None, option: str = "--set") -> dict[str, str]:
    """Read ``name=value`` options; a text without ``=`` is order.invalid."""
    found: dict[str, str] = {}
    for text in given or []:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise SetupFault(
                "order.invalid",
                f"{option} {text!r}: expected name=value",
                advice=f"example: {option} detect.threshold=4",
            )
        found[name.strip()] = value.strip()
    return found


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Read ``1,2.5,3``; what is none is order.invalid, nothing is no number."""
    try:
        return tuple(float(word) for word in text.split(",")) if text else ()
    except ValueError as error:
        message = f"{option} {text!r}: expected numbers with commas between them"
        raise SetupFault("order.invalid", message, advice=f"example: {option} 1,1.2,1.8") from error
