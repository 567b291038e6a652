"""How a function is compiled that compiled ones alone call."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_RULES: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "nogil": True,
    "no_cfunc_wrapper": True,
    "no_cpython_wrapper": True,
}
"""Those of `spica.kernels.compiled`, without the way in from Python: for many arrays that is much of the work."""


def inner(function: F) -> F:
    """Compile a function that compiled ones alone call.

    Its machine code is made again for each function that calls it, and for each that calls that one: what is called from one
    place, near the top, costs least. A literal (0, True) among its arguments may have it compiled twice.
    """
    return cast("F", numba.njit(**_RULES)(function))
