"""The selection language of ``--where`` and of row filters: ``night='2026-11-20' and band in ('g', 'r') and not seeing > 1.2``.

A small grammar, parsed to a tree that the registry turns into SQL and that `spica.core.select` applies to
columns; nothing is ever executed as code.

    expression := term ('or' term)* ;  term := factor ('and' factor)* ;  factor := 'not' factor | '(' expression ')' | test
    test := name ('=' | '!=' | '<' | '<=' | '>' | '>=') value | name ['not'] 'in' '(' value, … ')'
          | name ['not'] 'like' 'text with % and _' | name 'between' value 'and' value | name 'is' ['not'] 'null'
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spica.core.faults import SetupFault

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Comparison:
    """``name operator value``; operator is one of = != < <= > >= in like between null."""

    name: str
    operator: str
    value: Value | tuple[Value, ...]


@dataclass(frozen=True)
class Not:
    """Negation."""

    inner: Expression


@dataclass(frozen=True)
class Both:
    """All of the parts ('and')."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Either:
    """Any of the parts ('or')."""

    parts: tuple[Expression, ...]


Expression = Comparison | Not | Both | Either

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))"
    r"|(?P<word>[A-Za-z_][\w.\-]*)"
    r"|(?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,))"
)


def parse(text: str) -> Expression | None:
    """Parse a selection; None for an empty one.

    Raises
    ------
    SetupFault
        ``where.invalid``, saying where the text stops making sense.
    """
    if not text.strip():
        return None
    parser = _Parser(text)
    tree = parser.expression()
    if parser.kind:
        raise parser.fault("unexpected text")
    return tree


class _Parser:
    """Recursive descent over the tokens of one selection."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.kind = ""
        self.lexeme = ""
        self.start = 0
        self.advance()

    def advance(self) -> None:
        if not self.text[self.at :].strip():
            self.kind, self.lexeme, self.start = "", "", len(self.text)
            return
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            self.start = self.at
            raise self.fault("cannot read")
        self.kind = match.lastgroup or ""
        self.lexeme = match.group(self.kind)
        self.start = match.start(self.kind)
        self.at = match.end()

    def fault(self, what: str) -> SetupFault:
        return SetupFault(
            "where.invalid",
            f"selection {self.text!r}: {what} at {self.text[self.start :]!r}",
            selection=self.text,
            position=self.start,
        )

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.lexeme.lower() == word

    def take(self, lexeme: str) -> None:
        if self.lexeme.lower() != lexeme:
            raise self.fault(f"expected {lexeme!r}")
        self.advance()

    def expression(self) -> Expression:
        parts = [self.term()]
        while self.is_word("or"):
            self.advance()
            parts.append(self.term())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def term(self) -> Expression:
        parts = [self.factor()]
        while self.is_word("and"):
            self.advance()
            parts.append(self.factor())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def factor(self) -> Expression:
        if self.is_word("not"):
            self.advance()
            return Not(self.factor())
        if self.lexeme == "(":
            self.advance()
            inner = self.expression()
            self.take(")")
            return inner
        return self.test()

    def test(self) -> Expression:
        if self.kind != "word":
            raise self.fault("expected a name")
        name = self.lexeme
        self.advance()
        if self.kind == "sign" and self.lexeme not in "(),":
            operator = {"==": "=", "<>": "!="}.get(self.lexeme, self.lexeme)
            self.advance()
            return Comparison(name, operator, self.value())
        if self.is_word("is"):
            self.advance()
            negated = self.skip("not")
            self.take("null")
            return Not(Comparison(name, "null", None)) if negated else Comparison(name, "null", None)
        negated = self.skip("not")
        found = self.word_test(name)
        return Not(found) if negated else found

    def skip(self, word: str) -> bool:
        if self.is_word(word):
            self.advance()
            return True
        return False

    def word_test(self, name: str) -> Comparison:
        if self.skip("in"):
            self.take("(")
            values = [self.value()]
            while self.lexeme == ",":
                self.advance()
                values.append(self.value())
            self.take(")")
            return Comparison(name, "in", tuple(values))
        if self.skip("like"):
            return Comparison(name, "like", self.value())
        if self.skip("between"):
            low = self.value()
            self.take("and")
            return Comparison(name, "between", (low, self.value()))
        raise self.fault("expected a comparison")

    def value(self) -> Value:
        kind, lexeme = self.kind, self.lexeme
        if kind == "text":
            self.advance()
            return lexeme[1:-1].replace(lexeme[0] * 2, lexeme[0])
        if kind == "number":
            self.advance()
            return int(lexeme) if re.fullmatch(r"[-+]?\d+", lexeme) else float(lexeme)
        if kind == "word" and lexeme.lower() in {"true", "false", "null"}:
            self.advance()
            return {"true": True, "false": False, "null": None}[lexeme.lower()]
        raise self.fault("expected a number or a quoted text")


def names(tree: Expression | None) -> Iterator[str]:
    """The names that an expression tests, in order, repeated where it repeats them."""
    match tree:
        case None:
            return
        case Comparison(name=name):
            yield name
        case Not(inner=inner):
            yield from names(inner)
        case Both(parts=parts) | Either(parts=parts):
            for part in parts:
                yield from names(part)


def like_pattern(text: str) -> str:
    """The regular expression of a LIKE text (% any characters, _ one)."""
    return "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in text)
