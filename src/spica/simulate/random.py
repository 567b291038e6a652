"""Independent random streams, each named by what it is for, all following from one seed."""

from __future__ import annotations

import hashlib

import numpy as np

from spica.core.keys import canonical
from spica.kernels.noise import UInt64, seeded


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A generator that depends on the seed and the names alone."""
    return np.random.Generator(np.random.PCG64(_number(seed, names)))


def pixel_stream(seed: int, *names: str | int) -> UInt64:
    """State of a kernel's generator (see `spica.kernels.noise`) that depends on the seed and the names alone."""
    return seeded([_number(seed, names)])


def slice_words(number: int) -> tuple[str | int, ...]:
    """What names a read-out of a cube in its streams; the first has those of a single one."""
    return ("slice", number) if number else ()


def _number(seed: int, names: tuple[str | int, ...]) -> int:
    return int.from_bytes(hashlib.blake2b(canonical([seed, *names]), digest_size=8).digest(), "big")
