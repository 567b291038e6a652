"""Apply a parsed selection (`spica.core.where`) to columns in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import SetupFault
from spica.core.where import Both, Comparison, Either, Expression, Not, like_pattern


def evaluate(tree: Expression | None, columns: Mapping[str, npt.NDArray[Any]], rows: int) -> npt.NDArray[np.bool_]:
    """Rows that an expression selects from columns, ``(rows,)`` bool; an unknown column is ``where.invalid``."""
    match tree:
        case None:
            return np.ones(rows, bool)
        case Not(inner=inner):
            return ~evaluate(inner, columns, rows)
        case Both(parts=parts):
            return np.asarray(np.all([evaluate(part, columns, rows) for part in parts], axis=0))
        case Either(parts=parts):
            return np.asarray(np.any([evaluate(part, columns, rows) for part in parts], axis=0))
        case Comparison(name=name):
            if name not in columns:
                raise SetupFault("where.invalid", f"there is no column {name!r}", column=name)
            return _apply(tree, columns[name])


def _apply(test: Comparison, column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    value: Any = test.value
    match test.operator:
        case "=":
            found = column == value
        case "!=":
            found = column != value
        case "<":
            found = column < value
        case "<=":
            found = column <= value
        case ">":
            found = column > value
        case ">=":
            found = column >= value
        case "in":
            found = np.isin(column, list(value))
        case "between":
            found = (column >= value[0]) & (column <= value[1])
        case "like":
            pattern = re.compile(like_pattern(str(value)))
            found = np.array([bool(pattern.fullmatch(str(item))) for item in column], bool)
        case _:
            found = np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)  # "is null"
    return np.asarray(found, bool)
