"""The one way in which mathematics is compiled here, and the array types that it takes.

Kernels are serial, cached on disk, without fast-math, so that the same input gives the same bytes. Division follows
IEEE rules (no exception per division: that would keep loops from being vectorised), and the interpreter lock is
released while a kernel runs, so that a worker's heartbeat goes on.

The cache of a kernel is renewed when *its own* file changes, not when a kernel that it calls from another file does:
keep such calls few.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]
Int32: TypeAlias = npt.NDArray[np.int32]
Int64: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[Any]

F = TypeVar("F", bound=Callable[..., Any])

_RULES: dict[str, Any] = {"cache": True, "error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
"""Nobody calls a kernel from C: without the way in for that, compiling takes two thirds of the time."""


def _spare_scipy() -> None:
    """Load numba's array functions without SciPy's linear algebra: that takes a third of the time of loading all kernels.

    They import it only to see that it is there, which it is. What multiplies matrices asks for it again when it is compiled.
    """
    linalg: Any = import_module("numba.np.linalg")
    ask = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        arrays: Any = import_module("numba.np.arraymath")
        arrays.ensure_blas = ask
    finally:
        linalg.ensure_blas = ask


_spare_scipy()


def _spare_the_clock() -> None:
    """Take numba's clock off the lock of LLVM: it is read at each call, 17,000 times to load all kernels, a fifth of their time.

    The times are for those who measure numba itself.
    """
    ffi: Any = import_module("llvmlite.binding.ffi")
    lock = getattr(ffi.lib, "_lock", None)
    for taken, given in list(getattr(lock, "_cblist", ())):
        ffi.unregister_lock_callback(taken, given)


_spare_the_clock()


def _of_numbers(dispatcher: Any) -> Any:
    """The same function, compiled once for a type, not for each constant.

    numba would compile what is called anew for each constant among its arguments, and for that with which a counter
    begins. That is a tenth of all the time, and made no kernel faster that was measured.
    """
    ask = dispatcher.get_call_template
    unliteral: Any = numba.types.unliteral

    def ask_for_numbers(args: tuple[Any, ...], kws: dict[str, Any]) -> object:
        return ask(tuple(map(unliteral, args)), {name: unliteral(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = ask_for_numbers
    return dispatcher


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
    return cast("F", _of_numbers(numba.njit(**_RULES)(function)))


def inner(function: F) -> F:
    """`compiled` for a function that compiled ones alone call: without the way in from Python, which takes long for many arrays.

    Its machine code is made again for each function that calls it, and for each that calls that one: what is called
    from one place, near the top, costs least.
    """
    rules: dict[str, Any] = {**_RULES, "no_cpython_wrapper": True}
    return cast("F", _of_numbers(numba.njit(**rules)(function)))


class _Same:
    """Another view of an array's memory, not marked read-only; holds the array."""

    def __init__(self, array: Numbers) -> None:
        self.array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def as_plain(values: npt.ArrayLike, dtype: npt.DTypeLike) -> Numbers:
    """Return values as a kernel takes them: C-ordered, aligned, native, of one dtype; no copy where they are so.

    numba compiles a kernel anew for arrays that are marked read-only (of a file, of Arrow, of a frozen record). No
    kernel writes into its inputs, so they are shown the same memory without the mark.
    """
    array = np.require(values, np.dtype(dtype), ["C_CONTIGUOUS", "ALIGNED", "ENSUREARRAY"])
    return array if array.flags.writeable else np.asarray(_Same(array))


def as_pixels(values: npt.ArrayLike) -> Float32:
    """Return values as a kernel takes pixels: float32."""
    return as_plain(values, np.float32)


def as_bits(values: npt.ArrayLike) -> Int32:
    """Return values as a kernel takes mask bits: int32."""
    return as_plain(values, np.int32)


def as_coordinates(values: npt.ArrayLike) -> Float64:
    """Return values as a kernel takes coordinates: float64, at least one-dimensional."""
    return as_plain(np.atleast_1d(values), np.float64)
