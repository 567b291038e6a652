"""The order's selection, as it applies to one chain."""

from __future__ import annotations

from collections.abc import Collection

from spica.core.records import FrameType
from spica.core.where import Both, Comparison, Either, Expression, Not, Value, parse

BANDLESS = frozenset({FrameType.BIAS, FrameType.DARK})
_OF_BAND = frozenset({"band", "filter"})


def for_frames(selection: str, frames: Collection[FrameType]) -> str:
    """The selection for a step on these frames.

    Bias and dark frames have no band: ``night='2026-11-20' and band='r'`` means the night's biases too.
    """
    if not frames or not set(frames) <= BANDLESS:
        return selection
    tree = parse(selection)
    return "" if tree is None else render(_relaxed(tree, keep=False))


def both(first: str, second: str) -> str:
    """Both selections."""
    given = [text for text in (first, second) if text.strip()]
    return " and ".join(f"({text})" for text in given) if len(given) > 1 else "".join(given)


def _relaxed(tree: Expression, *, keep: bool) -> Expression:
    """Let tests of the band pass frames without one (`keep`: refuse them, below a 'not')."""
    match tree:
        case Comparison(name=name) if name in _OF_BAND:
            empty = Comparison(name, "=", "")
            return Both((tree, Not(empty))) if keep else Either((tree, empty))
        case Comparison():
            return tree
        case Not(inner=inner):
            return Not(_relaxed(inner, keep=not keep))
        case Both(parts=parts):
            return Both(tuple(_relaxed(part, keep=keep) for part in parts))
        case Either(parts=parts):
            return Either(tuple(_relaxed(part, keep=keep) for part in parts))


def render(tree: Expression) -> str:
    """The text of an expression; `spica.core.where.parse` reads it back to the same."""
    match tree:
        case Comparison():
            return _render_comparison(tree)
        case Not(inner=inner):
            return f"not ({render(inner)})"
        case Both(parts=parts):
            return " and ".join(f"({render(part)})" for part in parts)
        case Either(parts=parts):
            return " or ".join(f"({render(part)})" for part in parts)


def _render_comparison(test: Comparison) -> str:
    match test:
        case Comparison(name=name, operator="null"):
            return f"{name} is null"
        case Comparison(name=name, operator="between", value=(low, high)):
            return f"{name} between {_text(low)} and {_text(high)}"
        case Comparison(name=name, operator=operator, value=tuple() as values):
            return f"{name} {operator} ({', '.join(_text(value) for value in values)})"
        case Comparison(name=name, operator=operator, value=value):
            return f"{name} {operator} {_text(value)}"


def _text(value: Value | tuple[Value, ...]) -> str:
    match value:
        case str():
            return "'" + value.replace("'", "''") + "'"
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case _:
            return repr(value)
