"""FITS header cards to and from plain mappings (FITS standard 4.0, section 4; CONTINUE and HIERARCH conventions).

Reading is forgiving and quick (an exposure of 62 detectors has 10⁴ cards); what breaks the standard is told by
`spica.files.conformance`. Writing is strict and depends on nothing but the values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from spica.core.records import Scalar

CARD = 80
BLOCK = 2880
_STRING = re.compile(r"'((?:[^']|'')*)'?")
_WORDS: dict[str, Scalar] = {"": None, "T": True, "F": False}
_PLAIN = re.compile(r"[A-Z0-9_-]{1,8}")


def parse(text: str) -> dict[str, Scalar]:
    """Keyword to value of a header's text; the first of equal keywords counts, commentary is left out.

    ``HIERARCH ESO DET ID = 3`` becomes ``'ESO DET ID': 3``. Undefined values become None, complex ones stay text.
    """
    found: dict[str, Scalar] = {}
    key = ""
    for at in range(0, len(text), CARD):
        card = text[at : at + CARD]
        mark = card[8:10]
        if mark == "= ":
            key = card[:8].rstrip()
            value = card[10:]
        elif card.startswith("HIERARCH ") and "=" in card:
            key, _, value = card[9:].partition("=")
            key = key.strip()
        elif card.startswith("CONTINUE"):
            _continue(found, key, card[8:])
            continue
        elif card[8:9] == "=" and card[:8].strip():
            key = card[:8].rstrip()
            value = card[9:]
        else:
            continue
        if key not in found:
            found[key] = _value(value)
        else:
            key = ""
    return found


def _continue(found: dict[str, Scalar], key: str, rest: str) -> None:
    """Append a CONTINUE card to the text before it, whose ``&`` says that there is more."""
    before = found.get(key)
    more = _STRING.search(rest)
    if isinstance(before, str) and before.endswith("&") and more:
        found[key] = before[:-1] + more.group(1).replace("''", "'").rstrip()


def _value(field: str) -> Scalar:
    """The value of a card from its text after the equals sign."""
    field = field.lstrip()
    if field.startswith("'"):
        match = _STRING.match(field)
        return match.group(1).replace("''", "'").rstrip() if match else field
    word = field.partition("/")[0].rstrip()
    return _WORDS[word] if word in _WORDS else _parsed_number(word)


def _parsed_number(word: str) -> Scalar:
    """An integer or a float; the word itself where it is neither."""
    try:
        return int(word)
    except ValueError:
        pass
    try:
        number = float(word.replace("D", "E").replace("d", "e"))
    except ValueError:
        return word
    return number if math.isfinite(number) else word


def card(key: str, value: Scalar, comment: str = "") -> str:
    r"""One value as cards: one of 80 characters, more (CONTINUE) for a long text.

    Keywords that FITS cannot hold become HIERARCH cards. Numbers that are not finite become undefined values, the FITS
    way to say unknown; characters that are not ASCII are written as ``\xNN``; trailing blanks have no meaning in FITS and
    are left out. Without a keyword the card is blank: room for one that comes later.
    """
    if not key:
        return " " * CARD
    plain = _PLAIN.fullmatch(key) is not None
    head = f"{key:<8}= " if plain else f"HIERARCH {_ascii(key)} = "
    if not isinstance(value, str):
        tail = f" / {_ascii(comment)}" if comment else ""
        number = _number(value)
        text = f"{number:>20}" if plain else number
        return f"{head}{text}{tail}"[:CARD].ljust(CARD)
    text = _ascii(value).rstrip().replace("'", "''")
    room = CARD - len(head) - 2
    if len(text) <= room:
        quoted = f"'{text:<8}'"
        line = f"{head}{quoted}" + (f" / {_ascii(comment)}" if comment else "")
        return line[:CARD].ljust(CARD)
    return _long(head, text)


def _long(head: str, text: str) -> str:
    """A text that does not fit: pieces that end in ``&`` and go on in CONTINUE cards."""
    lines = []
    while text:
        room = CARD - len(head) - 3
        size = len(text) if len(text) <= room + 1 else room
        while size < len(text) and size > 1 and text[:size].count("'") % 2:
            size -= 1  # a doubled quote must not be torn apart
        piece, text = text[:size], text[size:]
        lines.append(f"{head}'{piece}{'&' if text else ''}'".ljust(CARD))
        head = "CONTINUE  "
    return "".join(lines)


def _number(value: Scalar) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float) and math.isfinite(value):
        mantissa, exponent, power = repr(float(value)).upper().partition("E")
        # Some readers (those of SWarp and SCAMP, in .head files) take 7E-05 without a point for the integer 7.
        return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{power}"
    return ""


def _ascii(text: str) -> str:
    """Printable ASCII: what else there is is written by its code."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)


def header(cards: Mapping[str, Scalar] | Iterable[tuple[str, Scalar, str]]) -> bytes:
    """A whole header, padded with blanks to blocks of 2880 bytes, cards in the order given."""
    items = ((key, value, "") for key, value in cards.items()) if isinstance(cards, Mapping) else cards
    text = "".join(card(*item) for item in items) + "END".ljust(CARD)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii")
