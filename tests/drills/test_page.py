"""The page on bad input says what the drills show: every code of a drill, with the catalogue's advice."""

from __future__ import annotations

import re

import pytest

from spica.core.catalogue import CODES, FaultKind
from tests.support.groups import ROOT

PAGE = (ROOT / "docs" / "bad-input.md").read_text()
ROWS = re.findall(r"^\| (.+?) \| `([a-z.-]+)` \| (.+?) \| (\d) \|$", PAGE, re.MULTILINE)
DRILLS = {
    path: path.read_text() for path in sorted((ROOT / "tests" / "drills").glob("test_*.py")) if "page" not in path.name
}
SPOKEN = re.compile(r'"((?:%s)[a-z-]+)"' % "|".join(sorted({re.escape(code.split(".")[0] + ".") for code in CODES})))  # noqa: UP031 - braces of the expression
EXIT = {FaultKind.SETUP: "2", FaultKind.RESOURCE: "4"}


def test_the_page_tells_of_every_code_that_a_drill_expects() -> None:
    expected = {code for text in DRILLS.values() for code in SPOKEN.findall(text) if code in CODES}
    assert expected == {code for _, code, _, _ in ROWS}


@pytest.mark.parametrize(("code", "advice", "ended"), [row[1:] for row in ROWS], ids=[row[1] for row in ROWS])
def test_its_advice_is_the_catalogue_s(code: str, advice: str, ended: str) -> None:
    assert advice == CODES[code].advice
    # A fault of one unit or file leaves the order with 1; one that stops the order tells its kind.
    stops = code.partition(".")[0] in {"disk", "registry"} or CODES[code].kind is FaultKind.SETUP
    assert ended == (EXIT[CODES[code].kind] if stops else "1")
