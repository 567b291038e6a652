"""The one way in which mathematics is compiled here, and the array types that it takes.

Kernels are serial, cached on disk, without fast-math, so that the same input gives the same bytes. Division follows
IEEE rules (no exception per division: that would keep loops from being vectorised), and the interpreter lock is
released while a kernel runs, so that a worker's heartbeat goes on.

The cache of a kernel is renewed when *its own* file changes, not when a kernel that it calls from another file does:
keep such calls few.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]
Int32: TypeAlias = npt.NDArray[np.int32]
Int64: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[Any]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function with numba under the rules of this room.

    Parameters
    ----------
    function : callable
        Function on plain arrays and numbers, in the subset of Python that numba knows.

    Returns
    -------
    callable
        The compiled function, with the type of the one given.
    """
    return cast("F", numba.njit(cache=True, error_model="numpy", nogil=True)(function))


def as_pixels(values: Numbers) -> Float32:
    """Return values as C-ordered float32 in native byte order; no copy where they are so already."""
    return np.ascontiguousarray(values, dtype=np.float32)


def as_bits(values: Numbers) -> Int32:
    """Return mask bits as C-ordered int32 in native byte order; no copy where they are so already."""
    return np.ascontiguousarray(values, dtype=np.int32)


def as_coordinates(values: npt.ArrayLike) -> Float64:
    """Return coordinates as a C-ordered one-dimensional float64 array."""
    return np.ascontiguousarray(np.atleast_1d(values), dtype=np.float64)
