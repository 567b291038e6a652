"""Cutouts of DECam, Mosaic-3 and 90Prime in one survey and one release: light, places and noise of the stacks as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from tests.support.legacy_stacks import FIELDS, Field, frames, gains, lights, made, published_noise, stated_noise

pytestmark = [pytest.mark.realdata, pytest.mark.slow, pytest.mark.timeout(900)]
Fields = dict[tuple[str, str], Field]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("legacy") / "survey"


@pytest.fixture(scope="module")
def fields(real_data: Path, folder: Path) -> Fields:
    return made(real_data, folder)


def test_all_frames_of_all_cameras_are_stacked(real_data: Path, fields: Fields, folder: Path) -> None:
    known = list(frames(real_data))
    assert len(known) == 13
    for name in FIELDS:
        bands = {each.band for each in known if each.field == name}
        found = fields["all", name]
        assert set(found.stacks) == bands
        for band, image in found.stacks.items():
            assert image.header["NCOMBINE"] == sum((each.field, each.band) == (name, band) for each in known)
            assert image.header["MAGSYS"] == "AB"
            assert image.variance is not None
            assert image.mask is not None
            assert found.numbers[band].max() == image.header["NCOMBINE"]
        assert {f"mag_psf_{band}" for band in bands} <= set(found.objects.columns)
        [*pictures] = (folder / "products" / "colour" / name).glob("*.png")
        with PilImage.open(pictures[0]) as picture:
            pixels = np.asarray(picture.convert("RGB"), int)
        # Of several bands it has colours.
        assert (np.ptp(pixels, axis=2).max() > 20) == (len(bands) > 1)
    # Two cameras, whose pixels are of different width, on one grid.
    ratios = {band: image.header["PIXRATIO"] for band, image in fields["all", "two-cameras"].stacks.items()}
    assert ratios == pytest.approx({"g": 1.72, "r": 1.72, "z": 0.98}, abs=0.01)


def test_forced_magnitudes_are_those_of_the_published_zero_points(real_data: Path, fields: Fields) -> None:
    found = lights(real_data, fields)
    assert len(found) == 9
    off = np.array([each.psf - each.mag for each in found])
    # Single stars are 0.02 to 0.03 mag off the published zero points, and Gaia's relation adds as much.
    assert abs(off.mean()) < 0.03
    assert np.abs(off).max() < 0.09
    assert off.std(ddof=1) < 0.04
    # Two of the field of the elliptical stand before it: its light is in their circles, and not in their PSF's.
    alone = [each for each in found if abs(each.auto - each.mag) < 0.1]
    assert len(alone) == 7
    assert abs(np.mean([each.auto - each.mag for each in alone])) < 0.02
    assert np.median([np.hypot(each.east, each.north) for each in found]) < 0.06


def test_noise_is_as_published_whatever_the_camera_and_its_pixels(real_data: Path, fields: Fields) -> None:
    known = list(frames(real_data))
    for (release, name), field in fields.items():
        if release != "all":
            continue
        for band, image in field.stacks.items():
            mine = [each for each in known if (each.field, each.band) == (name, band)]
            # The published one is the median of a detector, of which these are a hundredth and less; the star's light adds to it.
            most = 0.15 if name == "bright-star" else 0.08
            assert stated_noise(image) == pytest.approx(published_noise(mine), rel=most), (name, band)


def test_two_exposures_are_as_deep_as_their_weights_say(fields: Fields) -> None:
    found = gains(fields)
    assert [each.band for each in sorted(found, key=lambda each: each.band)] == ["g", "r", "z"]
    for each in found:
        assert 0.7 < each.foretold < 0.85
        assert each.stated == pytest.approx(each.foretold, rel=0.02)
        # The spikes of the star differ from one exposure to the other.
        assert each.scatter == pytest.approx(1.0, abs=0.12)
