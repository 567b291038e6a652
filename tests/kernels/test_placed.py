"""Images on the sky: every solution asked in one way, values between pixels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from spica.kernels.placed import bilinear, pixel_scale, placed

CARDS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 359.99, "CRVAL2": 60.0, "CRPIX1": 50.0, "CRPIX2": 60.0,
    "CD1_1": -1e-3, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-3,
}  # fmt: skip


@pytest.mark.parametrize("code", ["TAN", "ZEA", "STG"])
def test_there_and_back_and_scale(code: str) -> None:
    sky = placed(CARDS | {"CTYPE1": f"RA---{code}", "CTYPE2": f"DEC--{code}"})
    x, y = np.meshgrid(np.linspace(-10, 110, 7), np.linspace(0, 130, 5))
    again = sky.sky_to_pixel(*sky.pixel_to_sky(x, y))
    assert again[0] == pytest.approx(x, abs=1e-7)
    assert again[1] == pytest.approx(y, abs=1e-7)
    assert pixel_scale(sky, (120, 100)) == pytest.approx(1e-3, rel=1e-4)


def test_unknown_forms_are_refused() -> None:
    for code in ("TSC", ""):
        with pytest.raises(ValueError):  # noqa: PT011 - the message is of who reads the form
            placed(CARDS | {"CTYPE1": f"RA---{code}", "CTYPE2": f"DEC--{code}"})


def test_between_pixels_is_as_scipy_says() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(40, 50)).astype(np.float32)
    x, y = rng.uniform(0, 49, 500), rng.uniform(0, 39, 500)
    theirs = map_coordinates(image.astype(np.float64), [y, x], order=1)
    assert bilinear(image, x, y) == pytest.approx(theirs, abs=1e-5)
    rows, columns = np.mgrid[0:40, 0:50].astype(np.float64)
    assert np.array_equal(bilinear(image, columns, rows), image)


def test_outside_and_undefined() -> None:
    image = np.ones((4, 5), np.float32)
    image[1, 2] = np.nan
    x = np.array([-0.6, -0.5, 4.5, 4.6, np.nan, 2.0, 2.5, 1.0, 3.0])
    y = np.array([0.0, 3.5, -0.5, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert np.isnan(bilinear(image, x, y)).tolist() == [True, False, False, True, True, True, True, False, False]
    assert bilinear(np.full((1, 1), 7.0, np.float32), np.array([0.2]), np.array([-0.3])).tolist() == [7.0]
