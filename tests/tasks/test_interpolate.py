"""Interpolate: exact on planes, honest about its errors, and only where it was asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from spica.core.images import Image
from spica.core.mask import Mask
from spica.tasks.interpolate import InterpolateSettings, interpolate

NY, NX = 40, 50


def plane() -> np.ndarray:
    v, u = np.mgrid[:NY, :NX]
    return np.asarray(100.0 + 2.0 * u - 3.0 * v, np.float32)


def image(mask: np.ndarray, pixels: np.ndarray | None = None) -> Image:
    values = (plane() if pixels is None else pixels).copy()
    values[mask != 0] = 1e6
    return Image(values, np.full((NY, NX), 25.0, np.float32), mask.astype(np.int32), {"A": 1})


def marks(**places: Any) -> np.ndarray:
    mask = np.zeros((NY, NX), np.int32)
    for name, place in places.items():
        mask[place] |= int(Mask[name])
    return mask


def test_a_plane_is_restored_exactly_under_pixels_columns_and_rows() -> None:
    mask = marks(BAD=np.s_[:, 20]) | marks(BAD=np.s_[30, 3:9], COSMIC=np.s_[10, 10])
    found = interpolate(InterpolateSettings(), image(mask))["science"]
    np.testing.assert_allclose(found.pixels, plane(), rtol=1e-5)
    np.testing.assert_array_equal(found.mask, np.where(mask, mask | Mask.INTERPOLATED, 0))
    assert found.header == {"A": 1}
    assert np.all(found.variance[mask != 0] > 25.0)
    assert np.all(found.variance[mask == 0] == 25.0)


def test_only_the_bits_that_were_asked_for() -> None:
    mask = marks(BAD=np.s_[5, 5], SATURATED=np.s_[9, 9], COSMIC=np.s_[20, 20])
    found = interpolate(InterpolateSettings(bits=("COSMIC",)), image(mask))
    assert np.argwhere(found["science"].mask & int(Mask.INTERPOLATED)).tolist() == [[20, 20]]
    assert found["interpolation"]["interpolated_fraction"].value == 1 / (NY * NX)
    given = image(mask)
    for settings in (InterpolateSettings(bits=()), InterpolateSettings(bits=("TRAIL",))):
        products = interpolate(settings, given)
        assert products["science"] is given
        assert products["interpolation"]["interpolated_fraction"].value == 0
    with pytest.raises(ValidationError):
        InterpolateSettings.model_validate({"bits": ["NOTHING"]})


def test_nothing_is_taken_from_pixels_that_are_no_use() -> None:
    mask = marks(BAD=np.s_[10, 10], SATURATED=np.s_[10, 11])
    found = interpolate(InterpolateSettings(), image(mask))["science"]
    assert found.pixels[10, 10] == pytest.approx(plane()[10, 10], rel=1e-5)
    assert found.pixels[10, 11] == 1e6


def test_wide_gaps_and_corners_stay() -> None:
    mask = marks(BAD=np.s_[10:30, 10:30]) | marks(BAD=np.s_[0, 0])
    found = interpolate(InterpolateSettings(reach=3), image(mask))["science"]
    assert found.pixels[20, 20] == 1e6
    assert found.mask[20, 20] == Mask.BAD
    assert found.pixels[0, 0] == 1e6
    wide = interpolate(InterpolateSettings(reach=20), image(mask))["science"]
    np.testing.assert_allclose(wide.pixels[10:30, 10:30], plane()[10:30, 10:30], rtol=1e-5)


@pytest.mark.parametrize("steep", [False, True])
def test_the_stated_variance_covers_the_error(steep: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(1)
    v, u = np.mgrid[:NY, :NX]
    stars = sum(2e4 * np.exp(-0.5 * ((u - x) ** 2 + (v - y) ** 2) / 4.0) for x, y in ((12, 12), (30, 25), (40, 9)))
    truth = plane() + (stars if steep else 0.0)
    noisy = truth + rng.normal(0, 5.0, (NY, NX))
    mask = np.where(rng.random((NY, NX)) < 0.05, int(Mask.BAD), 0)
    found = interpolate(InterpolateSettings(), image(mask, noisy.astype(np.float32)))["science"]
    where = found.mask & int(Mask.INTERPOLATED) != 0
    pulls = ((found.pixels - truth) / np.sqrt(found.variance))[where]
    assert where.sum() > 60
    assert np.sqrt(np.mean(pulls**2)) < 1.0
    assert np.mean(found.variance[where]) > 25.0


def test_inputs_stay_and_a_missing_variance_stays_missing() -> None:
    given = image(marks(BAD=np.s_[5, 5]))
    before = given.pixels.copy()
    without = Image(given.pixels, None, given.mask)
    assert interpolate(InterpolateSettings(), without)["science"].variance is None
    np.testing.assert_array_equal(given.pixels, before)
