"""Sum of big-endian 32-bit words, the core of FITS checksums (FITS standard 4.0, appendix J)."""

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import compiled


@compiled
def word_sum(words: npt.NDArray[np.uint32]) -> int:
    """Sum of words that are big-endian in memory but given as little-endian uint32; 2³² words fit."""
    total = np.uint64(0)
    for i in range(words.size):
        word = words[i]
        swapped = (
            (word >> np.uint32(24))
            | ((word >> np.uint32(8)) & np.uint32(0xFF00))
            | ((word << np.uint32(8)) & np.uint32(0xFF0000))
            | (word << np.uint32(24))
        )
        total += np.uint64(np.uint32(swapped))
    return int(total)
