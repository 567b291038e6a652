"""How many read-outs an exposure's file holds, as a column to select by."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Slices(FunctionElement[int]):
    """`slices` of the further values of an exposure (the column `extra`), 1 where they do not name it."""

    name = "slices"
    type = Integer()
    inherit_cache = True


@compiles(Slices)
def _by_json(element: Slices, compiler: SQLCompiler, **words: Any) -> str:
    return f"coalesce(json_extract({compiler.process(element.clauses, **words)}, '$.slices'), 1)"


@compiles(Slices, "postgresql")
def _by_pattern(element: Slices, compiler: SQLCompiler, **words: Any) -> str:
    """As text: PostgreSQL refuses JSON with characters that headers may hold. Within a text quotes have a backslash."""
    extra = compiler.process(element.clauses, **words)
    return f"coalesce(cast(substring({extra} from '\"slices\":([0-9]+)') as integer), 1)"
