"""Pages of documentation as programs: their code blocks, and the words that their output has to hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_EXPECT = re.compile(r"\A\s*<!-- expect: (?P<pattern>.+?) -->")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its code, the line of the page where the code starts, and what to expect.

    Expectations are regular expressions in HTML comments straight after the block, ``<!-- expect: ... -->``.
    """

    language: str
    code: str
    line: int
    expected: tuple[str, ...]


def blocks(page: Path, language: str) -> list[Block]:
    """The page's fenced blocks of one language, in order."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        if match["language"] != language:
            continue
        rest = text[match.end() :]
        expected = []
        while expectation := _EXPECT.match(rest):
            expected.append(expectation["pattern"])
            rest = rest[expectation.end() :]
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(language, match["code"], line, tuple(expected)))
    return found
