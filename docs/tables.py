"""Tables of the reference page, made from the code itself when the documentation is built."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import typer.main

from spica.cli.main import app
from spica.core.catalogue import CODES
from spica.core.columns import COLUMNS, Flag
from spica.core.keywords import KEYWORDS
from spica.core.mask import MEANINGS, Mask
from spica.core.task import Task
from spica.registry.schema import metadata

_KINDS = {"Words": "text", "Plain": "JSON text", "BigInteger": "64-bit integer", "Variant": "64-bit integer"}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines.extend([cell.replace("|", r"\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def faults() -> str:
    """Every fault code: who is to act, what it means, the next thing to try."""
    rows = ((f"`{code}`", str(fault.kind), fault.meaning, fault.advice) for code, fault in sorted(CODES.items()))
    return _table(("code", "kind", "meaning", "next"), rows)


def undrilled_faults() -> str:
    """The codes that the page on bad input shows no drill of."""
    page = (Path(__file__).parent / "bad-input.md").read_text()
    rows = ((f"`{code}`", each.meaning, each.advice) for code, each in CODES.items() if f"| `{code}` |" not in page)
    return _table(("code", "what it means", "what to do"), rows)


def columns() -> str:
    """Every column of the catalogues."""
    rows = ((f"`{c.name}`", c.dtype, c.unit, f"`{c.ucd}`", c.meaning) for c in COLUMNS.values())
    return _table(("column", "type", "unit", "UCD", "meaning"), rows)


def keywords() -> str:
    """Every keyword of the standard header."""
    rows = ((f"`{k.name}`", k.place, k.kind, k.unit, k.meaning) for k in KEYWORDS.values())
    return _table(("keyword", "where", "type", "unit", "meaning"), rows)


def settings(task: Task) -> str:
    """Every setting of a task: default, unit, meaning."""
    rows = []
    for name, field in task.settings.model_fields.items():
        extra = field.json_schema_extra
        unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
        rows.append((f"`{name}`", str(field.default), unit, field.description or ""))
    return _table(("setting", "default", "unit", "meaning"), rows)


def flags(bits: type = Flag) -> str:
    """Every bit of a column of flags, with the words beside it in the code."""
    body = ast.parse(inspect.getsource(bits)).body[0]
    rows = []
    for here, after in pairwise(body.body if isinstance(body, ast.ClassDef) else []):
        if isinstance(here, ast.Assign) and isinstance(here.targets[0], ast.Name) and isinstance(after, ast.Expr):
            name = here.targets[0].id
            meaning = " ".join(str(ast.literal_eval(after.value)).split())
            rows.append((str(getattr(bits, name)), f"`{name}`", meaning))
    return _table(("value", "name", "meaning"), rows)


def mask() -> str:
    """Every bit of a mask plane."""
    rows = ((str(int(bit).bit_length() - 1), str(int(bit)), f"`{bit.name}`", MEANINGS[str(bit.name)]) for bit in Mask)
    return _table(("bit", "value", "name", "meaning"), rows)


def registry() -> str:
    """Every column of the registry's tables: its type, and what it refers to."""
    rows = []
    for table in sorted(metadata.tables.values(), key=lambda each: each.name):
        for column in table.columns:
            marks = ["primary key"] if column.primary_key else []
            marks += [f"refers to `{key.target_fullname}`" for key in column.foreign_keys]
            marks += ["may be null"] if column.nullable else []
            kind = type(column.type).__name__
            rows.append((f"`{table.name}`", f"`{column.name}`", _KINDS.get(kind, kind.lower()), ", ".join(marks)))
    return _table(("table", "column", "type", ""), rows)


def _walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    below = getattr(command, "commands", None)
    if below:
        for name, child in below.items():
            yield from _walk(child, (*words, name))
    else:
        first = (getattr(command, "help", "") or "").strip().partition("\n")[0]
        yield " ".join(words), first


def commands() -> str:
    """Every command with its first line of help."""
    rows = ((f"`{name}`", text) for name, text in _walk(typer.main.get_command(app), ("spica",)))
    return _table(("command", "what it does"), rows)
