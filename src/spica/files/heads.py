"""SCAMP's `.head` and `.ahead` files: header cards as lines of text, one block with END for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.files import cards
from spica.files.atomic import write_bytes

SUFFIXES = (".head", ".ahead")


def read_heads(path: Path) -> list[dict[str, Scalar]]:
    """Cards of every block, in order; a last block without END counts too.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.empty``, ``file.not-fits`` where no line is a card.
    """
    if not path.is_file():
        raise DataFault("file.missing", f"{path}: no such file", file=str(path))
    text = path.read_bytes().decode("latin-1")
    if not text.strip():
        raise DataFault("file.empty", f"{path} has no text", file=str(path))
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.split() == ["END"]:
            blocks.append([])
        elif line.strip():
            blocks[-1].append(line.rstrip()[: cards.CARD].ljust(cards.CARD))
    found = [cards.parse("".join(block)) for block in blocks if block]
    if not any(found):
        raise DataFault("file.not-fits", f"{path}: no line of it is a header card", file=str(path))
    return found


def write_heads(path: Path, blocks: Sequence[Mapping[str, Scalar]]) -> None:
    """Write blocks of cards, one for each image, as SCAMP does and SWarp reads; the file is replaced in one step."""
    lines = []
    for block in blocks:
        for key, value in block.items():
            text = cards.card(key, value)
            lines += [text[at : at + cards.CARD].rstrip() for at in range(0, len(text), cards.CARD)]
        lines.append("END")
    write_bytes(path, ("\n".join(lines) + "\n").encode("ascii"))
