"""The pages about files, exit codes and commands say what the code does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer.main

from docs.tables import keywords, registry
from spica.cli.door import ExitCode
from spica.cli.main import app
from spica.core.catalogue import CODES
from spica.core.keywords import IDENTITY, KEYWORDS, keyword
from spica.core.records import Unit
from spica.engine.writing import identity
from spica.files.cards import card
from spica.files.survey import FILE_NAME, FOLDERS
from spica.registry.schema import metadata
from tests.support.groups import ROOT

PAGE = (ROOT / "docs" / "formats.md").read_text()
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
CARD = re.compile(r"[A-Z][A-Z0-9]{3,7}")


def cards_of_tasks() -> Iterator[str]:
    """Header cards that tasks set: upper-case keys of mappings, and names put together with a number."""
    for path in (ROOT / "src" / "spica" / "tasks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            keys = node.keys if isinstance(node, ast.Dict) else [node.slice] if isinstance(node, ast.Subscript) else []
            for key in keys:
                if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
                    continue
                # Those of the file's structure are the FITS standard's own.
                if CARD.fullmatch(key.value) and not key.value.startswith("NAXIS"):
                    yield key.value


@cache
def whole() -> Any:
    """The program with all its commands: made once, since it takes a fifth of a second."""
    return typer.main.get_command(app)


def command_of(words: list[str]) -> str:
    """The first word that is no command of spica; nothing where the words lead to one."""
    here = whole()
    for word in words:
        below = getattr(here, "commands", {})
        if not below:
            return ""
        if word not in below:
            return word
        here = below[word]
    return ""


def test_every_card_is_declared() -> None:
    cards = set(cards_of_tasks())
    assert {"NCOMBINE", "HOTLIMIT"} <= cards
    identity_cards = set(identity("key", Unit.parse("demo-1/2"), "science"))
    assert identity_cards == set(IDENTITY)
    assert {card for card in cards | identity_cards if keyword(card) is None} == set()


def test_every_keyword_is_explained_and_fits_its_card() -> None:
    page = keywords()
    assert "{{ keywords }}" in PAGE
    for each in KEYWORDS.values():
        assert f"| `{each.name}` | {each.place} | {each.kind} | {each.unit} |" in page
        assert re.fullmatch(r"[A-Z0-9_-]{1,8}|[A-Z]{1,6}nn", each.name)
        assert each.kind in {"text", "int", "float", "bool"}
        text = card(each.name.replace("nn", "00"), "" if each.kind == "text" else 1.0, each.comment)
        assert text.rstrip().endswith(each.meaning)


def test_every_folder_is_explained() -> None:
    assert [name for name in (*FOLDERS, FILE_NAME) if f"`{name}" not in PAGE] == []


def test_every_column_of_the_registry_is_listed() -> None:
    page = registry()
    lost = [
        str(column)
        for table in metadata.tables.values()
        for column in table.columns
        if f"| `{table.name}` | `{column.name}` |" not in page
    ]
    assert lost == []


@pytest.mark.parametrize("page", ["operators-guide.md", "reference.md"])
def test_exit_codes(page: str) -> None:
    text = (ROOT / "docs" / page).read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == {int(code) for code in ExitCode}


def test_commands_that_people_are_told_of_exist() -> None:
    told = [fault.advice for fault in CODES.values()]
    told += [
        quoted
        for page in PAGES
        for quoted in re.findall(r"`([^`\n]+)`|^    (spica .*)$", page.read_text())
        for quoted in quoted
        if quoted.startswith("spica ")
    ]
    orders = [
        re.findall(r"[a-z]+(?:-[a-z]+)*", words)
        for text in told
        for words in re.findall(r"\bspica((?: [a-z]+(?:-[a-z]+)*\b)+)", text)
    ]
    assert len(orders) > 30
    assert [" ".join(words) for words in orders if command_of(words)] == []
    assert command_of(["camera", "chekc"]) == "chekc"


def test_architecture_names_only_what_is_there() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`([a-z_.]+/[\w./*-]+)`", page))
    assert len(named) > 10
    package = ROOT / "src" / "spica"
    homes = (ROOT, package, *package.iterdir())
    assert [name for name in named if not any(list(home.glob(name.replace("NAME", "*"))) for home in homes)] == []
    rooms = set(re.findall(r"`([a-z]+)`", page.partition("| level |")[2].partition("\n\n")[0]))
    assert {path.parent.name for path in (ROOT / "src" / "spica").glob("*/__init__.py")} <= rooms
