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
_ZEROS = np.array([8 - int(value).bit_length() for value in range(256)], np.uint8)
"""Leading zeros of a byte."""


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
            while top + 1 + low > 32:
                zeros = min(top, 24)
                _put(out, state, 0, zeros)
                top -= zeros
            _put(out, state, (np.int64(1) << low) | (np.int64(value) & ((1 << low) - 1)), top + 1 + low)


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
def _refill(data: Numbers, stop: Any, at: Any, word: Any, held: Any) -> Any:
    """Top a left-aligned buffer up to more than 32 bits; past the end come zeros (`at` tells how many)."""
    if at + 4 <= stop:
        four = (
            (np.uint64(data[at]) << np.uint64(24))
            | (np.uint64(data[at + 1]) << np.uint64(16))
            | (np.uint64(data[at + 2]) << np.uint64(8))
            | np.uint64(data[at + 3])
        )
        return at + 4, word | (four << np.uint64(32 - held)), held + 32
    while held <= 32:
        if at < stop:
            word |= np.uint64(data[at]) << np.uint64(56 - held)
        at += 1
        held += 8
    return at, word, held


@compiled
def _long_zeros(data: Numbers, stop: Any, at: Any, word: Any, held: Any) -> Any:
    """Count zeros up to a one where there are 8 or more; the count is negative where the bytes end before."""
    count = 0
    while word >> np.uint64(56) == np.uint64(0):
        word <<= np.uint64(8)
        held -= 8
        count += 8
        if held <= 32:
            at, word, held = _refill(data, stop, at, word, held)
            if at > stop + 8:
                return at, word, held, -1
    short = np.int64(_ZEROS[word >> np.uint64(56)])
    return at, word << np.uint64(short), held - short, count + short


@compiled
def _decode_block(
    data: Numbers, stop: Any, buffer: Any, low: Any, most: Any, shift: Any, last: Any, values: Int32
) -> Any:
    """Decode one block of differences with `low` bits below their unary part (`most`: stored whole)."""
    at, word, held = buffer
    width = 64 - shift if low == most else low
    for i in range(values.size):
        if held <= 32:
            at, word, held = _refill(data, stop, at, word, held)
        top = np.int64(0)
        if low < most:
            top = np.int64(_ZEROS[word >> np.uint64(56)])
            if top == 8:
                at, word, held, top = _long_zeros(data, stop, at, word, held)
                if top < 0:
                    return at, word, held, last
            else:
                word <<= np.uint64(top)
                held -= top
            word <<= np.uint64(1)
            held -= 1
            if held < width:
                at, word, held = _refill(data, stop, at, word, held)
        mapped = top << width
        if width:
            mapped |= np.int64(word >> np.uint64(64 - width))
            word <<= np.uint64(width)
            held -= width
        last = ((last + ((mapped >> 1) ^ -(mapped & 1))) << shift) >> shift
        values[i] = last
    return at, word, held, last


@compiled
def _decode_row(data: Numbers, start: Any, stop: Any, size: int, block: int, values: Int32) -> Any:
    """Decode one row of `size`-byte integers; False where the bytes end too early or are no code."""
    field = 5 if size == 4 else (4 if size == 2 else 3)
    most = 25 if size == 4 else (14 if size == 2 else 6)
    shift = 64 - 8 * size
    at, word, held = _refill(data, stop, start, np.uint64(0), 0)
    last = (np.int64(word >> np.uint64(shift)) << shift) >> shift
    word <<= np.uint64(8 * size)
    held -= 8 * size
    for begin in range(0, values.size, block):
        end = min(begin + block, values.size)
        if held <= 32:
            at, word, held = _refill(data, stop, at, word, held)
        low = np.int64(word >> np.uint64(64 - field)) - 1
        word <<= np.uint64(field)
        held -= field
        if low > most:
            return False
        if low < 0:
            values[begin:end] = last
        else:
            at, word, held, last = _decode_block(
                data, stop, (at, word, held), low, most, shift, last, values[begin:end]
            )
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
        for x in range(whole.size):
            value = whole[x]
            out[y, x] = np.float32(fill) if value == blank else np.float32(value * step + zero)
    return -1


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
