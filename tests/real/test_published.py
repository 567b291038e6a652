"""Cutouts of three cameras against the published zero points, seeing and PSFEx models of their detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.published import Star, cutouts, gaia, stars

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def fitted(real_data: Path) -> dict[str, tuple[float, list[Star]]]:
    """Published zero point, and the stars of each cutout, by camera, band and name."""
    known = gaia(real_data)
    return {
        f"{cutout.camera} {cutout.band} {cutout.name}": (cutout.zero, stars(cutout, known))
        for cutout in cutouts(real_data)
    }


def test_zero_points_are_the_published_ones(fitted: dict[str, tuple[float, list[Star]]]) -> None:
    assert len(fitted) == 13
    seen = {}
    for name, (zero, found) in fitted.items():
        off = [star.zero - zero for star in found if star.point]
        if off:
            seen[name.rpartition(" ")[0]] = off
    # The others hold no star, or the nucleus of a galaxy.
    assert {name: len(off) for name, off in seen.items()} == {
        "90prime r": 2,
        "90prime g": 2,
        "mosaic z": 2,
        "decam r": 3,
    }
    # Single stars are 0.02 to 0.03 mag off the published zero points by those themselves, and Gaia's relation adds as much.
    assert max(abs(np.mean(off)) for off in seen.values()) < 0.05
    assert abs(np.mean(np.concatenate(list(seen.values())))) < 0.02


def test_stars_are_as_the_published_models_say(fitted: dict[str, tuple[float, list[Star]]]) -> None:
    points = [star for _, found in fitted.values() for star in found if star.point]
    assert abs(np.median([star.wide for star in points]) - 1.0) < 0.01
    beyond = [np.sqrt(max(star.peak**2 - star.noise**2, 0.0)) for star in points]
    assert np.median(beyond) < 0.01
    assert max(beyond) < 0.02
