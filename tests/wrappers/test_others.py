"""The classic programs on small images; their outputs come back as products. Absent ones are passed over by name."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.psf import PsfModel
from spica.core.records import Scalar
from spica.core.task import Member
from spica.core.tiles import Tile
from spica.wrappers import missfits, sextractor_psf, stiff, swarp

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
    made = swarp.TASK.run(settings, tile=tile, science=members, sky_solution=None, light=None)["stack"]
    expected = 0.5 * (members[0].value.pixels + members[1].value.pixels)
    np.testing.assert_allclose(made.pixels[5:-5, 15:-5], expected[5:-5, 5:-15], rtol=1e-4)
    np.testing.assert_allclose(made.variance[5:-5, 15:-5], 2, rtol=1e-3)
    assert (made.mask[:, :8] != 0).all()


@pytest.mark.astromatic
def test_swarp_takes_the_solutions_and_zero_points_of_our_stacks() -> None:
    tile = Tile("t", 64, 64, CARDS, ((10.0,) * 3, (5.0,) * 3))
    settings = swarp.SwarpSettings(subtract_back=False, resampling_type="NEAREST", magzero=25.0)
    members = tuple(Member(f"e/{number}", image(100.0)) for number in (1, 2))
    solutions = tuple(Member(each.unit, {"cards": CARDS, "exposure_time": 10.0}) for each in members)
    lights = tuple(Member(each.unit, {"zero": 25.0 - number, "scale": "AB"}) for number, each in enumerate(members))
    made = swarp.TASK.run(settings, tile=tile, science=members, sky_solution=solutions, light=lights)["stack"]
    assert (made.header["MAGZERO"], made.header["MAGSYS"]) == (25.0, "AB")
    factor = np.array([1.0, 10**0.4]) / 10.0
    weight = 0.25 / factor**2
    pixels = members[0].value.pixels * (factor * weight).sum() / weight.sum()
    np.testing.assert_allclose(made.pixels[5:-5, 5:-5], pixels[5:-5, 5:-5], rtol=1e-4)
    np.testing.assert_allclose(made.variance[5:-5, 5:-5], 1 / weight.sum(), rtol=1e-3)
    for given, code in (
        ({"sky_solution": solutions[:1], "light": lights}, "stack.no-solution"),
        ({"sky_solution": solutions, "light": lights[:1]}, "stack.no-zero-point"),
        (
            {"sky_solution": solutions, "light": (lights[0], Member("e/2", {"zero": 25.0, "scale": "Vega"}))},
            "stack.mixed-scales",
        ),
    ):
        with pytest.raises(DataFault) as caught:
            swarp.TASK.run(settings, tile=tile, science=members, **given)
        assert caught.value.code == code


@pytest.mark.astromatic
def test_sextractor_measures_by_a_model_what_it_finds_on_another_image() -> None:
    v, u = np.indices((64, 64))
    star = np.exp(-((u - 30) ** 2 + (v - 25.5) ** 2) / (2 * 1.5**2)).astype(np.float32)
    flux = 3000.0
    light = flux / (2 * np.pi * 1.5**2) * star
    seen = image(0.0)
    seen = Image(seen.pixels + light, seen.variance, seen.mask, {**CARDS, "MAGZERO": 30.0})
    grid = np.arange(25) - 12.0
    samples = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * 1.5**2)) / (2 * np.pi * 1.5**2)
    model = PsfModel(samples[None].astype(np.float32), 0, (32.0, 32.0), (32.0, 32.0), 1.0, 2.3548 * 1.5)
    detection = Image(20.0 * star, None, np.zeros((64, 64), np.int32), CARDS)
    made = sextractor_psf.DEEP.run(
        sextractor_psf.SExtractorPsfSettings(),
        science=seen,
        psf=model.to_catalogue(),
        detection=detection,
    )
    found = made["psf_sources"]
    assert len(found) == 1
    assert (found["x_psf"][0], found["y_psf"][0]) == pytest.approx((30.0, 25.5), abs=0.1)
    assert found["flux_psf"][0] == pytest.approx(flux, rel=0.05)
    assert found["mag_psf"][0] == pytest.approx(30 - 2.5 * np.log10(found["flux_psf"][0]), abs=1e-4)
    assert abs(found["spread_model"][0]) < 0.01
    assert made["sextractor_psf_quality"]


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
