"""Columns of catalogues as Arrow has them: each field with its unit, UCD and description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spica.core.columns import Column


def schema(columns: Sequence[Column], metadata: Mapping[bytes, bytes] | None = None) -> pa.Schema:
    """The schema of a table."""
    return pa.schema([_field(each) for each in columns], metadata=metadata)


def array(values: npt.NDArray[Any]) -> pa.Array:
    """Values ``(n,)`` or ``(n, size)`` of numbers or text; without missing ones: NaN is a value."""
    if values.dtype.kind == "S":
        return pa.array(values.astype(str))
    if values.ndim == 2:
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, type=_list(flat.type, values.shape[1]))
    return pa.array(np.ascontiguousarray(values))


def _field(column: Column) -> pa.Field:
    facts = {"unit": column.unit, "ucd": column.ucd, "description": column.meaning}
    dtype = np.dtype(column.dtype)
    kind = pa.string() if dtype.kind == "S" else pa.from_numpy_dtype(dtype)
    whole = _list(kind, column.size) if column.size > 1 else kind
    return pa.field(column.name, whole, nullable=False, metadata=facts)


def _list(kind: pa.DataType, size: int) -> pa.DataType:
    return pa.list_(pa.field("element", kind, nullable=False), size)
