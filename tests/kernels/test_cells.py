"""Means of squares of pixels."""

import numpy as np

from spica.kernels.cells import bin_mean


def test_squares_have_the_mean_of_their_good_pixels() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(100.0, 5.0, (50, 71)).astype(np.float32)
    mask = np.where(rng.random(image.shape) < 0.2, 4, 1).astype(np.int32)
    mask[8:12, 4:8] = 4
    image[mask == 4] = np.nan
    found = bin_mean(image, mask, bad_bits=4, step=4)
    squares = image[:48, :68].astype(np.float64).reshape(12, 4, 17, 4)
    good = ~np.isnan(squares)
    with np.errstate(invalid="ignore"):
        expected = np.where(good, squares, 0).sum((1, 3)) / good.sum((1, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(found[2, 1])
    assert np.count_nonzero(np.isnan(found)) == 1
