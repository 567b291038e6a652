"""Rice coding of integer rows as the FITS tile compression defines it (algorithm RICE_1).

Source: R. F. Rice, P.-S. Yeh, W. Miller (1993), AIAA 93-4541; FITS standard 4.0, section 10.4.1; R. L. White's
scheme: first value verbatim, then blocks of differences, each with the number of low bits that suits it.

Floats are coded as integers of a fixed step (`encode_floats`); the not finite ones become `BLANK`.
"""

from typing import Any

import numpy as np

from spica.kernels.compiled import Float32, Int32, Int64, Numbers, compiled, inner
from spica.kernels.machine import leading_zeros, load_word, store_word

BLOCK = 32
BLANK = -(2**31)
MOST = 2.0**30
"""Values of so many steps are not coded."""
_PAIR = 28
"""Longest code of a value that is put together with its neighbour's."""


@inner
def _put(out: Numbers, at: Any, word: Any, held: Any, value: Any, bits: Any) -> Any:
    """Append the `bits` (1 to 56) of `value`, which has no higher ones.

    `word` holds, from its highest bit on, the `held` (< 8) bits that do not fill a byte yet; 8 bytes are written each
    time, of which the next call overwrites what is not full.
    """
    word |= np.uint64(value) << np.uint64(64 - held - bits)
    held += bits
    store_word(out, np.int64(at), word)
    full = held >> 3
    return at + full, word << np.uint64(8 * full), held & 7


@inner
def _put_long(out: Numbers, at: Any, word: Any, held: Any, value: Any, low: Any) -> Any:
    """Append the code of one value, however long its unary part."""
    zeros = np.int64(value >> np.uint64(low))
    while zeros > 31:
        at, word, held = _put(out, at, word, held, np.uint64(0), 32)
        zeros -= 32
    at, word, held = _put(out, at, word, held, np.uint64(1), zeros + 1)
    if low:
        at, word, held = _put(out, at, word, held, value & ((np.uint64(1) << np.uint64(low)) - np.uint64(1)), low)
    return at, word, held


@inner
def _put_block(out: Numbers, at: Any, word: Any, held: Any, mapped: Numbers, low: Any, head: Any) -> Any:
    """Append a block of mapped differences, each with `low` bits below its unary part; two at a time.

    `head` bits in front say how many they are.
    """
    at, word, held = _put(out, at, word, held, np.uint64(low + 1), head)
    mark = np.uint64(1) << np.uint64(low)
    rest = mark - np.uint64(1)
    for i in range(0, mapped.size - 1, 2):
        first, second = np.uint64(mapped[i]), np.uint64(mapped[i + 1])
        one = np.int64(first >> np.uint64(low)) + 1 + low
        two = np.int64(second >> np.uint64(low)) + 1 + low
        if max(one, two) <= _PAIR:
            code = ((mark | (first & rest)) << np.uint64(two)) | mark | (second & rest)
            at, word, held = _put(out, at, word, held, code, one + two)
        else:
            at, word, held = _put_long(out, at, word, held, first, low)
            at, word, held = _put_long(out, at, word, held, second, low)
    if mapped.size & 1:
        at, word, held = _put_long(out, at, word, held, np.uint64(mapped[mapped.size - 1]), low)
    return at, word, held


@inner
def _low_bits(total: Any, size: Any) -> Any:
    """How many low bits suit a block of differences of this sum: about the logarithm of their mean."""
    mean = np.int64(max((total - size // 2 - 1) / size, 0.0)) >> 1
    low = 0
    while mean > 0:
        low += 1
        mean >>= 1
    return low


@inner
def _encode_row(mapped: Numbers, out: Numbers, start: Any, first: Any, bits: Any, head: Any, most: Any) -> Any:
    """Code one row into `out` from byte `start`; returns the byte after the last.

    The row is given by its `first` value and its differences, the sign in the lowest bit; values have `bits` bits, a
    block begins with `head` bits, and blocks that would need `most` low bits or more are written as they are.
    """
    at, word, held = _put(out, start, np.uint64(0), np.int64(0), np.uint64(first), bits)
    for begin in range(0, mapped.size, BLOCK):
        block = mapped[begin : min(begin + BLOCK, mapped.size)]
        total = np.int64(0)
        for i in range(block.size):
            total += np.int64(block[i])
        low = _low_bits(float(total), block.size)
        if low >= most:
            at, word, held = _put(out, at, word, held, np.uint64(most + 1), head)
            for value in block:
                at, word, held = _put(out, at, word, held, np.uint64(value), bits)
        elif total == 0:
            at, word, held = _put(out, at, word, held, np.uint64(0), head)
        else:
            at, word, held = _put_block(out, at, word, held, block, low, head)
    return at + (held > 0)


@inner
def _encode_long_row(values: Int32, mapped: Numbers, out: Numbers, start: Any) -> Any:
    """Code one row of 32-bit integers; `mapped` is as long as the row."""
    for i in range(1, values.size):
        # Differences of 32 bits wrap, as the standard's do.
        step = np.int32(values[i] - values[i - 1])
        mapped[i] = np.uint32((step << np.int32(1)) ^ (step >> np.int32(31)))
    mapped[0] = 0
    return _encode_row(mapped, out, start, np.uint32(values[0]), 32, 5, 25)


@compiled
def encode_shorts(rows: Numbers, out: Numbers, ends: Int64) -> None:
    """Code every row of ``(n, nx)`` int16 `rows`; `out` and `ends` are as for `encode_integers`."""
    at = 0
    mapped = np.empty(rows.shape[1], np.uint32)
    for y in range(rows.shape[0]):
        values = rows[y]
        for i in range(1, values.size):
            # Differences of 16 bits wrap.
            step = np.int32(np.int16(np.int32(values[i]) - np.int32(values[i - 1])))
            mapped[i] = np.uint32((step << np.int32(1)) ^ (step >> np.int32(31)))
        mapped[0] = 0
        at = _encode_row(mapped, out, at, np.uint16(values[0]), 16, 4, 14)
        ends[y] = at


@compiled
def encode_integers(rows: Int32, out: Numbers, ends: Int64) -> None:
    """Code every row of ``(n, nx)`` int32 `rows`.

    Parameters
    ----------
    rows : values.
    out : uint8, written; `bound(n, nx)` bytes are always enough.
    ends : ``(n,)``, written: the byte after each row's last.
    """
    at = 0
    mapped = np.empty(rows.shape[1], np.uint32)
    for y in range(rows.shape[0]):
        at = _encode_long_row(rows[y], mapped, out, at)
        ends[y] = at


@compiled
def encode_floats(rows: Float32, step: float, offset: float, out: Numbers, ends: Int64) -> bool:
    """Code ``round((value + offset) / step)`` of every row of ``(n, nx)`` float32 `rows`; not finite ones as `BLANK`.

    Parameters
    ----------
    rows : values.
    step, offset : in the unit of the values.
    out, ends : as for `encode_integers`.

    Returns
    -------
    bool
        False where a value is 2³⁰ steps or more: nothing of `out` may be used then.
    """
    at = 0
    whole, mapped = np.empty(rows.shape[1], np.int32), np.empty(rows.shape[1], np.uint32)
    scale = 1.0 / step
    for y in range(rows.shape[0]):
        row = rows[y]
        beyond = 0
        for x in range(row.size):
            value = np.float64(row[x])
            steps = np.floor((value + offset) * scale + 0.5)
            inside = abs(steps) < MOST
            # Not `most = max(most, …)`: that would keep the loop from being vectorised.
            beyond |= int((abs(value) < np.inf) & (not inside))
            whole[x] = np.int32(steps) if inside else BLANK
        if beyond:
            return False
        at = _encode_long_row(whole, mapped, out, at)
        ends[y] = at
    return True


def bound(rows: int, nx: int) -> int:
    """Bytes that the coded rows never exceed: 4 for the first value, 33 bits a value, 5 bits a block, 8 at the end."""
    return rows * (8 + (33 * nx) // 8 + nx // BLOCK + 1) + 8


@inner
def _refill(data: Numbers, stop: Any, at: Any, word: Any, held: Any) -> Any:
    """Top a left-aligned buffer up to 56 bits or more; past the end come zeros (`at` tells how many).

    Below the `held` bits may stand what comes after them: read again, it changes nothing.
    """
    if at + 8 <= stop:
        word |= load_word(data, np.int64(at)) >> np.uint64(held)
        return at + ((63 - held) >> 3), word, held | 56
    while held < 56:
        if at < stop:
            word |= np.uint64(data[at]) << np.uint64(56 - held)
        at += 1
        held += 8
    return at, word, held


@inner
def _skip_zeros(data: Numbers, stop: Any, at: Any, word: Any, held: Any) -> Any:
    """Fill the buffer until there is a one in its upper half; how many zeros had to go for it, in steps of 32."""
    at, word, held = _refill(data, stop, at, word, held)
    zeros = np.int64(0)
    while word >> np.uint64(32) == np.uint64(0) and at <= stop + 16:
        zeros += 32
        at, word, held = _refill(data, stop, at, word << np.uint64(32), held - 32)
    return at, word, held, zeros


@inner
def _decode_block(data: Numbers, stop: Any, buffer: Any, low: Any, shift: Any, last: Any, values: Int32) -> Any:
    """Decode one block of differences with `low` (≤ 24) bits below their unary part."""
    at, word, held = buffer
    for i in range(values.size):
        # Four values mostly fit into what one filling brings: a filling that no value decides upon is never guessed wrong.
        if i & 3 == 0:
            at, word, held = _refill(data, stop, at, word, held)
        top = leading_zeros(word)
        zeros = np.int64(0)
        if top + 1 + low > held:
            at, word, held, zeros = _skip_zeros(data, stop, at, word, held)
            top = leading_zeros(word)
            if top + 1 + low > held:
                return stop + 16, word, held, last
        word <<= np.uint64(top + 1)
        mapped = ((top + zeros) << low) | np.int64((word >> np.uint64(1)) >> np.uint64(63 - low))
        word <<= np.uint64(low)
        held -= top + 1 + low
        last += (mapped >> 1) ^ -(mapped & 1)
        values[i] = np.int32((last << shift) >> shift)
    return at, word, held, last


@inner
def _decode_whole(data: Numbers, stop: Any, buffer: Any, shift: Any, last: Any, values: Int32) -> Any:
    """Decode one block of differences that are stored whole, in 64 - `shift` bits."""
    at, word, held = buffer
    for i in range(values.size):
        if held < 32:
            at, word, held = _refill(data, stop, at, word, held)
        mapped = np.int64(word >> np.uint64(shift))
        word <<= np.uint64(64 - shift)
        held -= 64 - shift
        last += (mapped >> 1) ^ -(mapped & 1)
        values[i] = np.int32((last << shift) >> shift)
    return at, word, held, last


@inner
def _decode_row(data: Numbers, start: Any, stop: Any, size: int, block: int, values: Int32) -> Any:
    """Decode one row of `size`-byte integers; False where the bytes end too early or are no code."""
    field = 5 if size == 4 else (4 if size == 2 else 3)
    most = 25 if size == 4 else (14 if size == 2 else 6)
    shift = 64 - 8 * size
    at, word, held = _refill(data, stop, start, np.uint64(0), np.int64(0))
    # `last` is kept in 64 bits and cut to the size when it is written: the cut would be one more step to wait for.
    last = np.int64(word >> np.uint64(shift))
    word <<= np.uint64(8 * size)
    held -= 8 * size
    for begin in range(0, values.size, block):
        end = min(begin + block, values.size)
        if held < 32:
            at, word, held = _refill(data, stop, at, word, held)
        low = np.int64(word >> np.uint64(64 - field)) - 1
        word <<= np.uint64(field)
        held -= field
        if low > most:
            return False
        if low < 0:
            values[begin:end] = np.int32((last << shift) >> shift)
        elif low == most:
            at, word, held, last = _decode_whole(data, stop, (at, word, held), shift, last, values[begin:end])
        else:
            at, word, held, last = _decode_block(data, stop, (at, word, held), low, shift, last, values[begin:end])
        if 8 * (at - stop) > held:
            return False
    return True


@compiled
def decode_integers(data: Numbers, starts: Int64, stops: Int64, size: int, block: int, rows: Int32) -> int:
    """Decode tiles of whole rows.

    Parameters
    ----------
    data : uint8, the heap of the table.
    starts, stops : ``(n,)``, first byte and the byte after the last of each tile.
    size : bytes per coded integer: 1, 2 or 4.
    block : values per block.
    rows : ``(n, values per tile)`` int32, written.

    Returns
    -------
    int
        -1, or the number of the first tile that does not decode.
    """
    for y in range(rows.shape[0]):
        if starts[y] < 0 or stops[y] > data.size or not _decode_row(data, starts[y], stops[y], size, block, rows[y]):
            return y
    return -1


@compiled
def decode_floats(
    data: Numbers,
    starts: Int64,
    stops: Int64,
    size: int,
    block: int,
    step: float,
    zero: float,
    blank: int,
    fill: float,
    out: Float32,
) -> int:
    """Decode rows and scale them in one go.

    Parameters
    ----------
    data, starts, stops, size, block : as for `decode_integers`.
    step, zero, blank, fill : ``value × step + zero``; `fill` where the value is `blank`.
    out : ``(n, nx)`` float32, written.

    Returns
    -------
    int
        -1, or the number of the first row that does not decode.
    """
    whole = np.empty(out.shape[1], np.int32)
    for y in range(out.shape[0]):
        if starts[y] < 0 or stops[y] > data.size or not _decode_row(data, starts[y], stops[y], size, block, whole):
            return y
        row = out[y]
        for x in range(whole.size):
            value = whole[x]
            row[x] = np.float32(fill) if value == blank else np.float32(value * step + zero)
    return -1
