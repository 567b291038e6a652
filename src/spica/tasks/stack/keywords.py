"""Cards of the inputs that go on into the header of their stack, each by its rule."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from spica.core.keywords import is_sky, keyword
from spica.core.records import Scalar

COPY = "copy"
_FORM = re.compile(r"(?:(?P<new>[A-Z0-9_-]{1,8})=)?(?P<key>[A-Z0-9_-]{1,8}|[A-Z0-9_. -]{9,60})(?::(?P<rule>[a-z]+))?")
_FILE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|EXTEND|EXT(NAME|VER|LEVEL)|B(SCALE|ZERO|LANK)|INHERIT|END|COMMENT|HISTORY"
    r"|CONTINUE|HIERARCH|(DATA|CHECK)SUM|Z(IMAGE|TENSION|BITPIX|NAXIS\d*|[PG]COUNT|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|(DATA|HECK)SUM)"
    r"|QUANTVAR|T(FIELDS|FORM\d+|TYPE\d+|HEAP)|BIT\d+|RADESYS|EQUINOX"
)
OWN = frozenset(
    {
        *(
            "BUNIT",
            "MAGZERO",
            "MAGSYS",
            "BACKMETH",
            "NCOMBINE",
            "NLEFTOUT",
            "COMBINE",
            "RESAMPLE",
            "NOISECOR",
            "MJDREF",
        ),
        *("EXPTIME", "FLUXFROM", "HOMOFWHM", "HOMOBETA", "HOMONOIS", "HOMOKEPT"),
    }
)
"""Cards that a stack writes of itself."""
_SAME = ("EXPTIME", "sum")
"""What may be asked for although the stack has it: it is the same."""


class Wish(NamedTuple):
    """A card that the stack is to have: its name, that of the inputs' card, the rule."""

    name: str
    key: str
    rule: str


class Source(NamedTuple):
    """An input: exposure, time (MJD, NaN where it is not known), and what it says under a keyword, None where nothing."""

    exposure: str
    mjd: float
    card: Callable[[str], Scalar]


def understood(wishes: Iterable[str]) -> tuple[Wish, ...]:
    """Wishes as they are written: ``KEY`` (copied where all inputs agree), ``KEY:RULE``, ``NEW=KEY:RULE``.

    Raises
    ------
    ValueError
        For what is no keyword, no rule, asked for twice, or a card of the file, of the sky solution or of the stack itself.
    """
    found: dict[str, Wish] = {}
    for text in wishes:
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no wish for a card: KEY, KEY:RULE or NEW=KEY:RULE")
        key, rule = match["key"].strip(), match["rule"] or COPY
        name = match["new"] or key
        if rule not in RULES:
            raise ValueError(f"{text!r}: there is no rule {rule!r}, only {', '.join(RULES)}")
        if (key, rule) == _SAME and name == key:
            continue
        declared = keyword(name)
        if (
            name in OWN
            or _FILE.fullmatch(name)
            or is_sky(name)
            or (declared is not None and declared.place == "primary")
        ):
            raise ValueError(f"{text!r}: the stack says {name} of itself; NEW={text} has it under another name")
        if name in found or re.fullmatch(r"(LEFT|PROP)\d+", name):
            raise ValueError(f"{text!r}: {name} is asked for twice, or counts what is told of the inputs")
        found[name] = Wish(name, key, rule)
    return tuple(found.values())


def propagated(wishes: Sequence[Wish], sources: Sequence[Source]) -> tuple[dict[str, Scalar], int]:
    """The cards, and after them PROPnn, which tell how each wish ended; and how many have no card.

    The detectors of an exposure are one where values are averaged or summed: their mean counts. Inputs without the card have
    no part, and are counted; for a copy all must have it.
    """
    cards: dict[str, Scalar] = {}
    told: dict[str, Scalar] = {}
    lost = 0
    # A file's header may hold the exposures in any order of their names: the first is the earliest.
    ordered = sorted(sources, key=lambda each: (math.isnan(each.mjd), each.mjd, each.exposure))
    for number, wish in enumerate(wishes, 1):
        by: dict[str, list[Scalar]] = {}
        for source in ordered:
            by.setdefault(source.exposure, []).append(source.card(wish.key))
        given = {name: [each for each in values if each is not None and each != ""] for name, values in by.items()}
        some = {name: values for name, values in given.items() if values}
        whole = sum(map(len, given.values())) == len(ordered)
        value, why = _value(wish.rule, some, whole=whole)
        if value is None:
            lost += 1
        else:
            cards[wish.name] = value
        source_name = "" if wish.key == wish.name else f"{wish.name}="
        told[f"PROP{number:02d}"] = f"{source_name}{wish.key}:{wish.rule} of {len(some)} of {len(by)} exposures{why}"
    return cards | told, lost


def _value(rule: str, given: Mapping[str, Sequence[Scalar]], *, whole: bool) -> tuple[Scalar, str]:
    """The value by a rule, None and the reason where there is none."""
    everything = [each for values in given.values() for each in values]
    if not everything:
        return None, ", left out: none has it"
    if rule == COPY:
        same = whole and all(type(each) is type(everything[0]) and each == everything[0] for each in everything)
        return (everything[0], "") if same else (None, ", left out: they differ")
    if rule == "first":
        return everything[0], ""
    if rule == "list":
        return ", ".join(dict.fromkeys(map(_text, everything))), ""
    numbers = [
        [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
        for values in given.values()
    ]
    if sum(map(len, numbers)) < len(everything):
        return None, ", left out: not all are numbers"
    return _NUMERIC[rule](numbers), ""


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return str(value)


def _mean(values: Sequence[Sequence[float]]) -> float:
    return math.fsum(map(_inner, values)) / len(values)


def _sum(values: Sequence[Sequence[float]]) -> float:
    return math.fsum(map(_inner, values))


def _inner(values: Sequence[float]) -> float:
    # What all detectors say alike is not to be rounded.
    return float(values[0]) if min(values) == max(values) else math.fsum(values) / len(values)


def _least(values: Sequence[Sequence[float]]) -> float:
    return min(map(min, values))


def _largest(values: Sequence[Sequence[float]]) -> float:
    return max(map(max, values))


_NUMERIC: dict[str, Callable[[Sequence[Sequence[float]]], float]] = {
    "mean": _mean,
    "min": _least,
    "max": _largest,
    "sum": _sum,
}
RULES = (COPY, *_NUMERIC, "first", "list")
"""``copy``: where all inputs agree; of numbers ``mean``, ``min``, ``max``, ``sum``; of anything ``first`` and ``list``."""
