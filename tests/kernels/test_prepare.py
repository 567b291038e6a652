"""Rows made ready for resampling: what has no use is NaN; from words as they are stored the same comes out."""

import numpy as np

from spica.kernels.resample import prepare
from spica.kernels.resample_way import MARGIN


def test_words_as_they_are_stored_come_out_as_numbers_do() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.normal(0.0, 5.0, (6, 70)).astype(np.float32)
    variance = rng.uniform(1.0, 9.0, (6, 70)).astype(np.float32)
    mask = rng.integers(0, 4, (6, 70)).astype(np.int32)
    pixels[0, :4] = np.nan, -np.nan, np.inf, -np.inf
    variance[1, :5] = np.nan, np.inf, 0.0, -0.0, -1.0
    given = prepare(pixels, variance, mask, 2)
    words = [each.byteswap().view(np.int32) for each in (pixels, variance, mask)]
    for one, other in zip(given, prepare(words[0], words[1], words[2], 2, swapped=True), strict=True):
        np.testing.assert_array_equal(one, other)
    inner = slice(MARGIN, -MARGIN)
    lost = (mask & 2 != 0) | ~np.isfinite(pixels) | ~np.isfinite(variance) | ~(variance > 0.0)
    np.testing.assert_array_equal(given[0][:, inner], np.where(lost, np.nan, pixels))
    np.testing.assert_array_equal(given[1][:, inner], variance)
    np.testing.assert_array_equal(given[2][:, inner], mask)
    for edge in (slice(0, MARGIN), slice(-MARGIN, None)):
        assert np.isnan(given[0][:, edge]).all()
        assert (given[1][:, edge] == 1.0).all()
        assert (given[2][:, edge] == 0).all()
