"""The delivered headers inside a product: a table of their cards as they were, so that nothing of them is lost.

The extension ORIGINAL has one row a card: HDU (its index in the delivered file) and CARD (its 80 characters, those that
are not printable ASCII as question marks; the registry keeps them as they were).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from spica.core.records import Scalar
from spica.files import bintable, cards, fits
from spica.files.bintable import TableColumn
from spica.files.cards import CARD

NAME = "ORIGINAL"
Header = tuple[int, str]
"""Index of an HDU, and its header as text of 80 characters a card."""
_ROW = np.dtype([("hdu", ">i2"), ("card", f"S{CARD}")])


def write(out: BinaryIO, headers: Sequence[Header]) -> None:
    """Append the extension to an open file."""
    rows = [(hdu, _printable(text[at : at + CARD])) for hdu, text in headers for at in range(0, len(text), CARD)]
    index = TableColumn("HDU", np.array([hdu for hdu, _ in rows], np.int16), meaning="index in the delivered file")
    lines = TableColumn("CARD", np.array([card for _, card in rows], f"S{CARD}"), meaning="as delivered")
    out.write(bintable.table(NAME, [index, lines]))


def read(path: Path) -> tuple[Header, ...]:
    """The delivered headers that a product holds, none where it has none; ``file.*`` as `fits.layout`."""
    data = fits.open_bytes(path)
    for hdu in fits.layout(data, path):
        if hdu.name == NAME:
            rows = np.frombuffer(data, _ROW, int(str(hdu.header["NAXIS2"])), hdu.data)
            return tuple(
                (int(index), "".join(card.decode("ascii").ljust(CARD) for card in rows["card"][rows["hdu"] == index]))
                for index in dict.fromkeys(rows["hdu"].tolist())
            )
    return ()


def cards_of(path: Path) -> dict[str, Scalar]:
    """Keyword to value of the delivered headers that a product holds; those of later HDUs above those before."""
    found: dict[str, Scalar] = {}
    for _, text in read(path):
        found |= cards.parse(text)
    return found


def _printable(card: str) -> bytes:
    return "".join(c if " " <= c <= "~" else "?" for c in card).encode("ascii")
