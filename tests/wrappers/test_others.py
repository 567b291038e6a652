"""The classic programs on small images; their outputs come back as products. Absent ones are passed over by name."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.images import Image
from spica.core.records import Scalar
from spica.core.task import Member
from spica.core.tiles import Tile
from spica.wrappers import missfits, stiff, swarp

CARDS: dict[str, Scalar] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 5.0, "CRPIX1": 32.5, "CRPIX2": 32.5,
    "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
}  # fmt: skip


def image(level: float) -> Image:
    noise = np.random.default_rng(7).normal(level, 1, (64, 64)).astype(np.float32)
    return Image(noise, np.full((64, 64), 4, np.float32), np.zeros((64, 64), np.int32), {**CARDS, "EXPTIME": 10.0})


@pytest.mark.astromatic
def test_swarp_stacks_images_onto_a_tile() -> None:
    tile = Tile("t", 64, 64, {**CARDS, "CRPIX1": 42.5}, ((10.0,) * 3, (5.0,) * 3))
    settings = swarp.SwarpSettings(subtract_back=False, resampling_type="NEAREST")
    members = tuple(Member(f"e/{number}", image(100.0 + number)) for number in (1, 2))
    made = swarp.TASK.run(settings, tile=tile, science=members)["stack"]
    expected = 0.5 * (members[0].value.pixels + members[1].value.pixels)
    np.testing.assert_allclose(made.pixels[5:-5, 15:-5], expected[5:-5, 5:-15], rtol=1e-4)
    np.testing.assert_allclose(made.variance[5:-5, 15:-5], 2, rtol=1e-3)
    assert (made.mask[:, :8] != 0).all()


@pytest.mark.astromatic
def test_missfits_mends_a_header() -> None:
    settings = missfits.MissfitsSettings(remove_keyword=("EXPTIME",))
    made = missfits.TASK.run(settings, science=image(5.0), exposure=None, detector=None)["mended"]
    np.testing.assert_array_equal(made.pixels, image(5.0).pixels)
    assert "EXPTIME" not in made.header
    assert made.header["CRVAL1"] == 10.0


@pytest.mark.astromatic
def test_stiff_makes_a_picture() -> None:
    bright = image(5.0)
    bright.pixels[20:30, 40:50] = 500
    made = stiff.TASK.run(stiff.StiffSettings(max_type="MANUAL", max_level=400.0), science=bright)["stiff_picture"]
    assert made.shape == (64, 64)
    assert made[34:44, 40:50].mean() > 3 * made[:, :30].mean()
