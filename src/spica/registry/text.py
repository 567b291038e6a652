"""Column types for words and for plain data, safe for whatever arrives from headers and tracebacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from spica.registry.spelling import restored, storable

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def packed(value: Any) -> str:
    """Compact JSON, ASCII only, keys sorted; NaN and infinity are kept in Python's spelling."""
    return _encode(value)


def stamp(value: Any) -> str:
    """40 hexadecimal digits that name plain data; unlike job keys these may hold NaN and infinity."""
    return hashlib.blake2b(packed(value).encode(), digest_size=20).hexdigest()


class Words(TypeDecorator[str]):
    """Text of any kind."""

    impl = Text
    cache_ok = True

    # The processors themselves are given, not `process_bind_param`: one call less for each of millions of values.
    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:  # noqa: ARG002 — SQLAlchemy's signature
        """To the database."""
        return lambda value: None if value is None else storable(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None]:  # noqa: ARG002 — SQLAlchemy's signature
        """From the database."""
        return lambda value: None if value is None else restored(value)


class Plain(TypeDecorator[Any]):
    """Plain data (numbers, texts, lists, mappings) as JSON text."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002 — SQLAlchemy's signature
        """To the database."""
        return packed

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], Any]:  # noqa: ARG002 — SQLAlchemy's signature
        """From the database."""
        return _unpacked


def _unpacked(value: str | None) -> Any:
    # Most of what is kept so is empty.
    if value == "{}":
        return {}
    return None if value is None or value == "null" else json.loads(value)


# SQLite hands out numbers by itself only for a plain INTEGER key, which there has 64 bits anyway.
Number = BigInteger().with_variant(Integer(), "sqlite")
