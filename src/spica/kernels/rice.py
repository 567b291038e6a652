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
MOST = 2.0**30
"""Values of so many steps are not coded."""
_ZEROS = np.array([8 - int(value).bit_length() for value in range(256)], np.uint8)
"""Leading zeros of a byte."""


@compiled
def _put(out: Numbers, at: Any, word: Any, held: Any, value: Any, bits: Any) -> Any:
    """Append the `bits` (≤ 32) of `value`, which has no higher ones; whole 32-bit words go to `out`."""
    word = (word << np.uint64(bits)) | np.uint64(value)
    held += bits
    if held >= 32:
        held -= 32
        four = word >> np.uint64(held)
        out[at] = np.uint8(four >> np.uint64(24))
        out[at + 1] = np.uint8((four >> np.uint64(16)) & np.uint64(255))
        out[at + 2] = np.uint8((four >> np.uint64(8)) & np.uint64(255))
        out[at + 3] = np.uint8(four & np.uint64(255))
        at += 4
        word &= (np.uint64(1) << np.uint64(held)) - np.uint64(1)
    return at, word, held


@compiled
def _put_block(out: Numbers, at: Any, word: Any, held: Any, mapped: Numbers, size: Any, low: Any) -> Any:
    """Append a block of mapped differences, each with `low` bits below its unary part."""
    at, word, held = _put(out, at, word, held, low + 1, 5)
    mark = np.uint64(1) << np.uint64(low)
    for i in range(size):
        value = np.uint64(mapped[i])
        bits = np.int64(value >> np.uint64(low)) + 1 + low
        while bits > 32:
            zeros = min(bits - 1 - low, 24)
            at, word, held = _put(out, at, word, held, 0, zeros)
            bits -= zeros
        # What `_put` does, written out: this is where the time goes.
        word = (word << np.uint64(bits)) | mark | (value & (mark - np.uint64(1)))
        held += bits
        if held >= 32:
            held -= 32
            four = word >> np.uint64(held)
            out[at] = np.uint8(four >> np.uint64(24))
            out[at + 1] = np.uint8(four >> np.uint64(16))
            out[at + 2] = np.uint8(four >> np.uint64(8))
            out[at + 3] = np.uint8(four)
            at += 4
    return at, word & ((np.uint64(1) << np.uint64(held)) - np.uint64(1)), held


@compiled
def _low_bits(total: Any, size: Any) -> Any:
    """How many low bits suit a block of differences of this sum: about the logarithm of their mean."""
    mean = np.int64(max((total - size // 2 - 1) / size, 0.0)) >> 1
    low = 0
    while mean > 0:
        low += 1
        mean >>= 1
    return low


@compiled
def _encode_row(values: Int32, out: Numbers, start: Any) -> Any:
    """Code one row of 32-bit integers into `out` from byte `start`; returns the byte after the last."""
    mapped = np.empty(BLOCK, np.uint32)
    last = np.int64(values[0])
    at, word, held = _put(out, start, np.uint64(0), np.int64(0), last & 0xFFFFFFFF, 32)
    for begin in range(0, values.size, BLOCK):
        size = min(BLOCK, values.size - begin)
        total = np.int64(0)
        for i in range(size):
            value = np.int64(values[begin + i])
            step = np.int64(np.int32(value - last))
            mapped[i] = np.uint32((step << 1) ^ (step >> 63))
            total += np.int64(mapped[i])
            last = value
        low = _low_bits(float(total), size)
        if low >= 25:
            at, word, held = _put(out, at, word, held, 26, 5)
            for value in mapped[:size]:
                at, word, held = _put(out, at, word, held, value, 32)
        elif total == 0:
            at, word, held = _put(out, at, word, held, 0, 5)
        else:
            at, word, held = _put_block(out, at, word, held, mapped, size, low)
    while held > 0:
        out[at] = np.uint8((word << np.uint64(8)) >> np.uint64(held))
        at += 1
        held -= 8
        word &= (np.uint64(1) << np.uint64(max(held, 0))) - np.uint64(1)
    return at


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
    whole = np.empty(rows.shape[1], np.int32)
    scale = 1.0 / step
    most = 0.0
    for y in range(rows.shape[0]):
        for x in range(rows.shape[1]):
            value = np.float64(rows[y, x])
            steps = np.floor((value + offset) * scale + 0.5)
            finite = abs(value) < np.inf
            most = max(most, abs(steps) if finite else 0.0)
            whole[x] = np.int32(steps) if finite and abs(steps) < MOST else BLANK
        if most >= MOST:
            return False
        at = _encode_row(whole, out, at)
        ends[y] = at
    return True


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
