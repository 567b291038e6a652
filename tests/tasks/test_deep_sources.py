"""Catalogues of stacks: errors are the scatter about the truth, though the noise is correlated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from spica.core.columns import PSF_COLUMNS, SOURCE_COLUMNS, Catalogue
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.streams import Band, Rows
from spica.engine.reading import ImageRows
from spica.files.images import ImageSink, open_rows
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.tasks import deep_noise, deep_sources
from spica.tasks.background import TASK as BACKGROUND
from tests.support.stacks import Plan, grid_of_stars, pulls, stack


@pytest.fixture(scope="module")
def seen() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return pulls(Plan(side=900))


def test_pulls_of_isolated_stars_have_the_width_one(seen: tuple[dict[str, Any], dict[str, np.ndarray]]) -> None:
    made, off = seen
    number = len(off["x"])
    assert number > 250
    for name, values in off.items():
        # 300 stars tell a width to 4 %.
        assert np.std(values[np.abs(values) < 5]) == pytest.approx(1.0, abs=0.15), name
    for name in ("x", "y", "flux_psf", "flux_aper 1"):
        assert abs(np.median(off[name])) < 0.35, name
    assert made["noise_figures"]["noise_point"].value > 1.02


def test_columns_are_declared_and_magnitudes_are_those_of_the_fluxes(
    seen: tuple[dict[str, Any], dict[str, np.ndarray]],
) -> None:
    made, _ = seen
    found = made["deep_sources"]
    assert list(found.columns)[: len(SOURCE_COLUMNS)] == list(SOURCE_COLUMNS)
    assert set(PSF_COLUMNS) < set(found.columns)
    assert all(found[name].dtype == np.dtype(found.declaration(name).dtype) for name in found.columns)
    assert found.declaration("flux_auto").unit == "3631 nJy"
    np.testing.assert_allclose(found["mag_psf"], 30.0 - 2.5 * np.log10(found["flux_psf"]), atol=1e-5)
    np.testing.assert_allclose(found["mag_aper_err"], 1.0857 * found["flux_aper_err"] / found["flux_aper"], rtol=1e-3)
    assert np.all(found["exposures"] == -1)
    assert np.unique(found["source_id"]).size == len(found)
    ra, dec = pixel_to_sky(
        from_cards(stack(grid_of_stars(Plan(side=80), 30.0, (20, 21)), Plan(side=900)).header), found["x"], found["y"]
    )
    np.testing.assert_allclose(found["ra"], ra, atol=1e-9)
    np.testing.assert_allclose(found["dec"], dec, atol=1e-9)


def test_depth_is_five_errors_of_a_point(seen: tuple[dict[str, Any], dict[str, np.ndarray]]) -> None:
    made, _ = seen
    found = made["deep_sources"]
    faint = found["snr_psf"] < 10
    expected = 30.0 - 2.5 * np.log10(5 * np.median(found["flux_psf_err"][faint]))
    assert made["deep_figures"]["deep_depth"].value == pytest.approx(expected, abs=0.03)


def test_the_number_of_exposures_is_that_of_the_place(
    seen: tuple[dict[str, Any], dict[str, np.ndarray]], tmp_path: Path
) -> None:
    made, _ = seen
    plane = np.tile(np.arange(900, dtype=np.float32), (900, 1))
    image = Image(plane, None, None, {"MAGZERO": 30.0})
    sink = ImageSink(tmp_path / "stack.fits", plane.shape, {})
    sink.write(Band(0, {"science": plane, "number": plane.astype(np.int32)}))
    sink.close()

    def exposures(number: Rows | None) -> np.ndarray:
        given = made["sources"], made["psf_sources"], made["noise"]
        made_again = deep_sources.TASK.run(deep_sources.TASK.settings(), image, *given, number)
        return np.asarray(made_again["deep_sources"]["exposures"])

    found = exposures(open_rows(tmp_path / "stack.fits"))
    np.testing.assert_array_equal(found, np.rint(made["deep_sources"]["x"]))
    for silent in (None, ImageRows(image)):
        assert set(exposures(silent).tolist()) == {-1}


def test_white_noise_is_left_as_it_is() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.normal(0, 2.0, (300, 300)).astype(np.float32)
    image = Image(pixels, np.full_like(pixels, 4.0), np.zeros(pixels.shape, np.int32), {"NOISECOR": 1.0})
    level = BACKGROUND.run(BACKGROUND.settings(), image)["background"]
    made = deep_noise.TASK.run(deep_noise.TASK.settings(), image, level)
    assert made["noise"]["point"] == pytest.approx(1.0, abs=0.04)
    assert made["noise_figures"]["noise_scale"].value == pytest.approx(1.0, abs=0.02)
    assert made["noise_figures"]["noise_large_stated"].value == 1.0
    # Twice the error that is stated: found out.
    made = deep_noise.TASK.run(deep_noise.TASK.settings(), replace(image, variance=np.ones_like(pixels)), level)
    assert made["noise_figures"]["noise_scale"].value == pytest.approx(2.0, abs=0.05)
    assert made["noise"]["point"] == pytest.approx(2.0, abs=0.08)


def test_without_blank_sky_the_kernel_tells_the_covariance() -> None:
    """A crowded field: the stack's card RESAMPLE names its kernel, and its variance is believed."""
    pixels = np.random.default_rng(2).normal(0, 2.0, (120, 120)).astype(np.float32)
    image = Image(pixels, np.full_like(pixels, 4.0), None, {"RESAMPLE": "lanczos3", "NOISECOR": 1.12346})
    level = Image(np.zeros_like(pixels), np.full_like(pixels, 4.0))
    figures = deep_noise.TASK.run(deep_noise.TASK.settings(), image, level)["noise_figures"]
    assert figures["noise_measured"].value == 0.0
    assert figures["noise_large"].value == pytest.approx(1.12346, abs=1e-3)
    assert 1.0 < figures["noise_point"].value < 1.13
    # Of exposures with wider pixels than the stack's even a point source sees few that are independent.
    wide = replace(image, header={**image.header, "PIXRATIO": 1.73})
    figures = deep_noise.TASK.run(deep_noise.TASK.settings(), wide, level)["noise_figures"]
    assert figures["noise_large"].value == pytest.approx(1.73 * 1.12346, rel=2e-3)
    assert figures["noise_point"].value > 1.6


def test_of_homogenised_exposures_the_covariance_reaches_farther() -> None:
    """Smooth noise: measured as far as the kernel joined pixels, and without blank sky foretold as much."""
    sigma = 1.0 / (0.2 * np.sqrt(4.0 * np.pi))
    pixels = gaussian_filter(np.random.default_rng(2).normal(0, 2.0, (400, 400)), sigma, mode="wrap").astype(np.float32)
    spread = np.full_like(pixels, 4.0 * 0.2**2)
    settings = deep_noise.DeepNoiseSettings(usual_fwhm=6.0)

    def made_of(part: slice) -> Any:
        image = Image(pixels[part, part], spread[part, part], None, {"RESAMPLE": "nearest", "HOMONOIS": 0.2})
        level = Image(np.zeros_like(image.pixels), spread[part, part])
        return deep_noise.TASK.run(settings, image, level)

    measured, foretold = made_of(slice(0, 400)), made_of(slice(0, 120))
    assert measured["noise_figures"]["noise_measured"].value == 1.0
    assert foretold["noise_figures"]["noise_measured"].value == 0.0
    for made in (measured, foretold):
        assert made["noise_figures"]["noise_large"].value == pytest.approx(1.0 / 0.2, rel=0.1)
        assert made["noise"]["point"] == pytest.approx(foretold["noise"]["point"], rel=0.05)


def test_pixels_that_are_flagged_but_usable_tell_the_noise() -> None:
    pixels = np.random.default_rng(2).normal(0, 2.0, (300, 300)).astype(np.float32)
    mask = np.full(pixels.shape, int(Mask.INTERPOLATED | Mask.SUSPECT), np.int32)
    image = Image(pixels, np.full_like(pixels, 4.0), mask, {})
    level = BACKGROUND.run(BACKGROUND.settings(), image)["background"]
    made = deep_noise.TASK.run(deep_noise.TASK.settings(), image, level)
    assert made["noise"]["point"] == pytest.approx(1.0, abs=0.04)


def test_bad_input_is_named() -> None:
    pixels = np.random.default_rng(2).normal(0, 1, (100, 100)).astype(np.float32)
    image = Image(pixels, np.ones_like(pixels), None, {})
    level = Image(np.zeros_like(pixels), np.ones_like(pixels))
    for science, sky, code in (
        (replace(image, variance=None), level, "data.bad-value"),
        (image, replace(level, variance=None), "data.bad-value"),
        (image, level, "data.no-pixels"),
    ):
        with pytest.raises(DataFault) as caught:
            deep_noise.TASK.run(deep_noise.TASK.settings(), science, sky)
        assert caught.value.code == code
    with pytest.raises(DataFault) as caught:
        deep_sources.TASK.run(deep_sources.TASK.settings(), image, Catalogue({}), Catalogue({}), {}, None)
    assert caught.value.code == "zero-point.none"


@pytest.mark.slow
def test_many_pulls_have_the_width_one_within_a_tenth() -> None:
    gathered: dict[str, list[np.ndarray]] = {}
    for seed in (11, 12, 13):
        for name, values in pulls(Plan(side=1200, seed=seed))[1].items():
            gathered.setdefault(name, []).append(values)
    for name, parts in gathered.items():
        assert np.std(np.concatenate(parts)) == pytest.approx(1.0, abs=0.1), name


def test_of_many_exposures_a_pixel_that_one_interpolated_is_as_good_as_any() -> None:
    pixels = np.random.default_rng(3).normal(0, 2.0, (400, 400)).astype(np.float32)
    mask = np.full(pixels.shape, int(Mask.INTERPOLATED), np.int32)
    mask[::2] |= np.int32(Mask.CLIPPED)
    mask[:9] |= np.int32(Mask.SATURATED)
    image = Image(pixels, np.full_like(pixels, 4.0), mask, {"NCOMBINE": 30})
    level = Image(np.zeros_like(pixels), np.full_like(pixels, 4.0))
    honest = deep_noise.TASK.run(deep_noise.TASK.settings(), image, level)["honest"]
    assert np.all(honest.mask[:9] == int(Mask.SATURATED))
    assert not np.any(honest.mask[9:])
    few = deep_noise.TASK.run(deep_noise.TASK.settings(), replace(image, header={"NCOMBINE": 2}), level)["honest"]
    np.testing.assert_array_equal(few.mask, mask)
