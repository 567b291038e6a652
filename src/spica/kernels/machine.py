# ruff: noqa: ARG001 - numba calls them so
"""What processors can do and numba has no word for: zeros counted, eight bytes moved at once.

Nothing here checks bounds: who calls has to.
"""

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD = ir.IntType(64)


def _place(context: Any, builder: Any, array: Any, given: Any) -> Any:
    """Pointer to an element of an array."""
    return builder.gep(context.make_array(array)(context, builder, given[0]).data, [given[1]])


def _swapped(builder: Any, word: Any) -> Any:
    return builder.bswap(word) if sys.byteorder == "little" else word


def _leading_zeros(typing: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


def _load_word(typing: Any, data: Any, at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.bitcast(_place(context, builder, signature.args[0], arguments), _WORD.as_pointer())
        return _swapped(builder, builder.load(place, align=1))

    return types.uint64(data, types.int64), generate


def _store_word(typing: Any, out: Any, at: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.bitcast(_place(context, builder, signature.args[0], arguments), _WORD.as_pointer())
        builder.store(_swapped(builder, arguments[2]), place, align=1)
        return context.get_dummy_value()

    return types.void(out, types.int64, types.uint64), generate


leading_zeros: Any = intrinsic(_leading_zeros)
"""(uint64) → int64: zeros before the first one; 64 of none."""
load_word: Any = intrinsic(_load_word)
"""(uint8 array, int64) → uint64: the 8 bytes from a place on as a number, the first the highest."""
store_word: Any = intrinsic(_store_word)
"""(uint8 array, int64, uint64): the opposite of `load_word`."""
