"""Rice coding of integer rows as the FITS tile compression defines it (algorithm RICE_1).

Source: R. F. Rice, P.-S. Yeh, W. Miller (1993), AIAA 93-4541; FITS standard 4.0, section 10.4.1; R. L. White's
scheme: first value verbatim, then blocks of differences, each with the number of low bits that suits it.

Floats are coded as integers of a fixed step (`encode_floats`); the not finite ones become `BLANK`.
"""

from typing import Any

import numpy as np

from spica.kernels.compiled import Float32, Int32, Int64, Numbers, compiled

BLOCK = 32
BLANK = -(2**31)


@compiled
def _put(out: Numbers, state: Numbers, value: Any, bits: Any) -> None:
    """Append the lowest `bits` (≤ 32) of `value`; state: [next byte, bits held, the bits held]."""
    held = state[1] + np.uint64(bits)
    word = (state[2] << np.uint64(bits)) | (np.uint64(value) & ((np.uint64(1) << np.uint64(bits)) - np.uint64(1)))
    at = state[0]
    while held >= np.uint64(8):
        held -= np.uint64(8)
        out[at] = np.uint8((word >> held) & np.uint64(255))
        at += np.uint64(1)
    state[0] = at
    state[1] = held
    state[2] = word & ((np.uint64(1) << held) - np.uint64(1))


@compiled
def _put_block(out: Numbers, state: Numbers, mapped: Numbers, low: Any, zero: bool) -> None:
    """Append a block of mapped differences, each with `low` bits below its unary part."""
    if low >= 25:
        _put(out, state, 26, 5)
        for value in mapped:
            _put(out, state, value, 32)
    elif zero:
        _put(out, state, 0, 5)
    else:
        _put(out, state, low + 1, 5)
        for value in mapped:
            top = np.int64(value) >> low
            while top > 24:
                _put(out, state, 0, 24)
                top -= 24
            _put(out, state, 1, top + 1)
            if low:
                _put(out, state, np.int64(value), low)


@compiled
def _encode_row(values: Int32, out: Numbers, start: Any) -> Any:
    """Code one row of 32-bit integers into `out` from byte `start`; returns the byte after the last."""
    state = np.zeros(3, np.uint64)
    state[0] = np.uint64(start)
    mapped = np.empty(BLOCK, np.uint32)
    last = values[0]
    _put(out, state, np.int64(last), 32)
    for begin in range(0, values.size, BLOCK):
        size = min(BLOCK, values.size - begin)
        total = 0.0
        for i in range(size):
            value = values[begin + i]
            step = np.int32(np.int64(value) - np.int64(last))
            mapped[i] = np.uint32((np.int64(step) << 1) ^ (np.int64(step) >> 63))
            total += mapped[i]
            last = value
        mean = np.int64(max((total - size // 2 - 1) / size, 0.0)) >> 1
        low = 0
        while mean > 0:
            low += 1
            mean >>= 1
        _put_block(out, state, mapped[:size], low, total == 0.0)
    if state[1] > np.uint64(0):
        _put(out, state, 0, 8 - np.int64(state[1]))
    return np.int64(state[0])


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
    for y in range(rows.shape[0]):
        at = _encode_row(rows[y], out, at)
        ends[y] = at


@compiled
def encode_floats(rows: Float32, step: float, offset: float, out: Numbers, ends: Int64) -> None:
    """Code ``round((value + offset) / step)`` of every row of ``(n, nx)`` float32 `rows`; not finite ones as `BLANK`.

    Parameters
    ----------
    rows : values; |value| < 2³⁰ `step`.
    step, offset : in the unit of the values.
    out, ends : as for `encode_integers`.
    """
    at = 0
    whole = np.empty(rows.shape[1], np.int32)
    scale = 1.0 / step
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            value = rows[y, x]
            if np.isfinite(value):
                whole[x] = np.int32(np.floor((value + offset) * scale + 0.5))
            else:
                whole[x] = BLANK
        at = _encode_row(whole, out, at)
        ends[y] = at


def bound(rows: int, nx: int) -> int:
    """Bytes that the coded rows never exceed: 4 for the first value, 33 bits a value, 5 bits a block."""
    return rows * (8 + (33 * nx) // 8 + nx // BLOCK + 1)


@compiled
def _take(data: Numbers, stop: Any, state: Numbers, bits: Any) -> Any:
    """Read `bits` (≤ 32); state: [next byte, bits held, the bits held, 1 once the bytes have ended]."""
    while state[1] < bits:
        if state[0] >= stop:
            state[3] = 1
            return 0
        state[2] = (state[2] << 8) | np.int64(data[state[0]])
        state[0] += 1
        state[1] += 8
    state[1] -= bits
    value = state[2] >> state[1]
    state[2] &= (1 << state[1]) - 1
    return value


@compiled
def _zeros(data: Numbers, stop: Any, state: Numbers) -> Any:
    """Read zeros up to a one; how many there were."""
    count = 0
    while state[2] == 0:
        if state[0] >= stop:
            state[3] = 1
            return 0
        count += state[1]
        state[2] = np.int64(data[state[0]])
        state[0] += 1
        state[1] = 8
    above = state[1] - 1
    while (state[2] >> above) == 0:
        above -= 1
    count += state[1] - 1 - above
    state[1] = above
    state[2] &= (1 << above) - 1
    return count


@compiled
def _decode_row(data: Numbers, start: Any, stop: Any, size: int, block: int, values: Int32) -> Any:
    """Decode one row of `size`-byte integers; False where the bytes end too early or are no code."""
    field = 5 if size == 4 else (4 if size == 2 else 3)
    most = 25 if size == 4 else (14 if size == 2 else 6)
    width = 8 * size
    shift = 64 - width
    state = np.zeros(4, np.int64)
    state[0] = start
    last = (np.int64(_take(data, stop, state, width)) << shift) >> shift
    for begin in range(0, values.size, block):
        low = _take(data, stop, state, field) - 1
        if low > most or state[3]:
            return False
        for i in range(begin, min(begin + block, values.size)):
            if low >= 0:
                if low == most:
                    mapped = np.int64(_take(data, stop, state, width))
                else:
                    mapped = np.int64(_zeros(data, stop, state)) << low
                    mapped |= _take(data, stop, state, low)
                last = ((last + ((mapped >> 1) ^ -(mapped & 1))) << shift) >> shift
            values[i] = last
    return state[3] == 0


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
        if stops[y] > data.size or not _decode_row(data, starts[y], stops[y], size, block, rows[y]):
            return y
    return -1


@compiled
def scale(rows: Int32, step: float, offset: float, blank: int, fill: float, out: Float32) -> None:
    """``out = rows × step - offset``, with `fill` where a value is `blank`."""
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            value = rows[y, x]
            out[y, x] = np.float32(fill) if value == blank else np.float32(value * step - offset)


@compiled
def largest(rows: Float32) -> float:
    """Largest absolute value among the finite ones, 0 where there is none."""
    most = np.float32(0.0)
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            value = abs(rows[y, x])
            if value > most and value < np.float32(np.inf):
                most = value
    return float(most)
