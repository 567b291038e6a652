"""PSF photometry as a task: columns in order, flags that mean what they say, probabilities that are frequencies."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spica.core.columns import PSF_COLUMNS, Catalogue, Flag, PsfFlag
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.kernels.draw import Psf, add_stars
from spica.kernels.point_sources import star_probability
from spica.tasks.psf_measure import PsfMeasureSettings, psf_measure

SIDE, SKY, FWHM, BETA = 300, 500.0, 3.2, 3.0


def model(size: int = 71, step: float = 0.5) -> PsfModel:
    unit, middle = np.zeros((size, size), np.float32), np.full(1, float(size // 2))
    add_stars(unit, middle, middle, np.ones(1), Psf(np.full(1, FWHM / step), np.zeros(1), np.zeros(1), BETA), 1e-9)
    cube = (unit / unit.sum() / step**2)[None].astype(np.float32)
    return PsfModel(cube, 0, (150.0, 150.0), (150.0, 150.0), step, FWHM, 1.0, 50)


def scene(seed: int = 1) -> tuple[Image, Image, dict[str, Any]]:
    """Stars on a grid, half an electron of haze, one of them saturated; the catalogue as `measure` would have it."""
    rng = np.random.default_rng(seed)
    x, y = (
        grid.ravel() + rng.uniform(-1, 1, 100)
        for grid in np.meshgrid(np.arange(15.0, 300, 30), np.arange(15.0, 300, 30))
    )
    flux = 10 ** rng.uniform(3.3, 5.5, 100)
    flux[0] = 4e6
    light = np.zeros((SIDE, SIDE), np.float32)
    add_stars(light, x, y, flux, Psf(np.full(100, FWHM), np.zeros(100), np.zeros(100), BETA), 1e-2)
    pixels = rng.poisson(light + SKY).astype(np.float32)
    mask = np.where(pixels > 6e4, np.int32(Mask.SATURATED), np.int32(0))
    image = Image(np.minimum(pixels, 6e4), np.minimum(pixels, 6e4) + np.float32(25.0), mask, {"BUNIT": "electron"})
    level = np.full_like(pixels, SKY)
    columns = {
        "source_id": np.arange(100) + 7000,
        "x": x, "y": y, "x_err": np.full(100, 0.1), "y_err": np.full(100, 0.1), "xy_cov": np.zeros(100),
        "flux_auto": 0.95 * flux, "flux_aper": np.outer(flux, [0.6, 0.8, 0.9]), "flux_aper_err": np.ones((100, 3)),
        "snr": np.sqrt(flux) / 3.0, "flags": np.zeros(100, np.int64), "mask_bits": np.zeros(100, np.int64), "truth": flux,
    }  # fmt: skip
    columns["flags"][0] = Flag.SATURATED
    return image, Image(level, level + np.float32(25.0)), columns


def measured(columns: dict[str, Any], image: Image, sky: Image, **settings: Any) -> dict[str, Any]:
    header = {"APER1": 3.0, "APER2": 5.0, "APER3": 8.0, "HAZE": 0.0}
    return dict(
        psf_measure(PsfMeasureSettings(**settings), image, sky, Catalogue(columns, header), model().to_catalogue())
    )


def test_columns_are_those_declared_and_stars_come_back() -> None:
    image, sky, columns = scene()
    made = measured(columns, image, sky)
    found = made["psf_sources"]
    assert list(found.columns) == list(PSF_COLUMNS)
    assert all(found[name].dtype == np.dtype(column.dtype) for name, column in PSF_COLUMNS.items())
    np.testing.assert_array_equal(found["source_id"], columns["source_id"])
    pulls = (found["flux_psf"] - columns["truth"]) / found["flux_psf_err"]
    assert abs(np.median(pulls[1:])) < 0.5
    assert found.header["VARGAIN"] == pytest.approx(1.0, abs=0.03)
    assert found["flags_psf"][0] & PsfFlag.CORE_LOST
    assert found["flags_psf"][0] & PsfFlag.INCOMPLETE
    assert found["flux_psf"][0] == pytest.approx(4e6, rel=0.02)
    faint = columns["snr"] < 6.0
    assert np.all(found["flags_psf"][faint] & PsfFlag.FORCED)
    np.testing.assert_array_equal(found["x_psf"][faint], columns["x"][faint])
    np.testing.assert_allclose(found["x_psf_err"][faint], 0.1, rtol=1e-6)
    assert np.mean(found["p_star"][1:] > 0.5) > 0.9


def test_aperture_corrections_are_those_of_the_profile() -> None:
    image, sky, columns = scene()
    alpha = 0.5 * FWHM / np.sqrt(2 ** (1 / BETA) - 1)
    # The catalogue has the light of the profile within its circles.
    part = 1 - (1 + (np.array([3.0, 5.0, 8.0]) / alpha) ** 2) ** (1 - BETA)
    figures = measured(columns | {"flux_aper": np.outer(columns["truth"], part)}, image, sky)["psf_photometry"]
    for number, inside in enumerate(part, start=1):
        # The model ends at 17 pixels.
        assert figures[f"apcor_{number}"].value == pytest.approx(-2.5 * np.log10(inside), abs=0.008)
        assert figures[f"apcor_{number}_stars"].value == pytest.approx(-2.5 * np.log10(inside), abs=0.01)
        assert figures[f"apcor_{number}"].units == "mag"
    assert figures["psf_fit_chi2"].value == pytest.approx(1.0, abs=0.15)


def test_the_light_is_that_of_the_source_whatever_the_model_sums_to() -> None:
    image, sky, columns = scene()
    plain = measured(columns, image, sky)["psf_sources"]
    one = model()
    # Twice as much in the middle, and more towards the right.
    cube = np.concatenate([2.0 * one.coefficients, 0.5 * one.coefficients, 0.0 * one.coefficients])
    uneven = replace(one, coefficients=cube.astype(np.float32), degree=1).to_catalogue()
    found = psf_measure(PsfMeasureSettings(), image, sky, Catalogue(columns, {"HAZE": 0.0}), uneven)["psf_sources"]
    np.testing.assert_allclose(found["flux_psf"], plain["flux_psf"], rtol=1e-4)
    # Wings that a crowd has bent, above on one side and below on the other: the cores tell how bright stars are.
    v, u = np.indices(cube.shape[1:]) - 35
    bent = np.where(np.hypot(u, v) > 16, np.float32(1.5e-4), np.float32(0.0))
    crowd = replace(one, coefficients=np.stack([one.coefficients[0], bent, 0 * bent]), degree=1).to_catalogue()
    found = psf_measure(PsfMeasureSettings(), image, sky, Catalogue(columns, {"HAZE": 0.0}), crowd)["psf_sources"]
    assert found.header["PSFWINGS"] > 0.05
    good = columns["snr"] > 30.0
    good[0] = False
    ratio = (found["flux_psf"] / plain["flux_psf"])[good]
    assert np.std(ratio) < 0.01
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)


def test_haze_is_taken_away_where_it_was_measured() -> None:
    image, sky, columns = scene()
    hazy = replace(image, pixels=image.pixels + np.float32(3.0))
    plain = measured(columns, image, sky)["psf_sources"]
    header = {"HAZE": 3.0}
    model_table = model().to_catalogue()
    with_it = psf_measure(PsfMeasureSettings(), hazy, sky, Catalogue(columns, header), model_table)["psf_sources"]
    without = psf_measure(PsfMeasureSettings(haze=False), hazy, sky, Catalogue(columns, header), model_table)[
        "psf_sources"
    ]
    np.testing.assert_allclose(with_it["flux_psf"][1:], plain["flux_psf"][1:], rtol=2e-3)
    assert np.median(without["flux_psf"] - plain["flux_psf"]) > 30.0


def test_an_image_without_variance_has_that_of_its_sky_and_light() -> None:
    image, sky, columns = scene()
    whole = measured(columns, image, sky)["psf_sources"]
    delivered = measured(columns, replace(image, variance=None, header={"GAIN": 1.0}), sky)["psf_sources"]
    np.testing.assert_allclose(delivered["flux_psf"][1:], whole["flux_psf"][1:], rtol=0.02)
    np.testing.assert_allclose(delivered["flux_psf_err"][1:], whole["flux_psf_err"][1:], rtol=0.05)
    with pytest.raises(DataFault) as caught:
        measured(columns, replace(image, variance=None), replace(sky, variance=None))
    assert caught.value.code == "data.bad-value"


def test_without_a_model_there_is_a_named_fault_and_without_sources_an_empty_catalogue() -> None:
    image, sky, columns = scene()
    table = model().to_catalogue()
    nothing = {name: values[:0] for name, values in columns.items()}
    made = psf_measure(PsfMeasureSettings(), image, sky, Catalogue(nothing), table)
    assert len(made["psf_sources"]) == 0
    assert list(made["psf_sources"].columns) == list(PSF_COLUMNS)
    broken = replace(model(), coefficients=np.full((1, 71, 71), np.nan, np.float32)).to_catalogue()
    for psf in (table.select(np.zeros(0, np.int64)), broken):
        with pytest.raises(DataFault) as caught:
            psf_measure(PsfMeasureSettings(), image, sky, Catalogue(columns), psf)
        assert caught.value.code == "psf.missing"


def test_probabilities_are_frequencies_and_brightness_tells_more() -> None:
    rng = np.random.default_rng(5)
    number = 6000
    snr = 10 ** rng.uniform(0.75, 2.7, number)
    star = rng.random(number) < 0.35 + 0.1 * (np.log10(snr) - 1.5)
    error = 0.031 / snr
    extent = 0.0085 * (snr / 30.0) ** 0.3 * np.exp(0.33 * rng.normal(size=number))
    blended = rng.exponential(0.0015, number) * (rng.random(number) < 0.2)
    spread = np.where(star, blended, extent) + error * rng.normal(size=number)
    made = star_probability(spread, error, snr)
    edges = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.001])
    for low, high in pairwise(edges):
        here = (made.star >= low) & (made.star < high)
        wide = 3.5 * np.sqrt(0.25 / np.count_nonzero(here))
        assert np.mean(star[here]) == pytest.approx(np.mean(made.star[here]), abs=wide + 0.02)
    bright = snr > 50
    assert np.mean(made.star[bright & star] > 0.5) > 0.97
    assert np.mean(~star[bright & (made.star > 0.5)]) < 0.01
    # Few sources: the typical mixture, which still knows a bright star from a bright galaxy.
    few = star_probability(np.array([0.0, 0.012, np.nan]), np.array([3e-4, 3e-4, 3e-4]), np.full(3, 100.0))
    assert few.star[0] > 0.9
    assert few.star[1] < 0.05
    assert np.isnan(few.star[2])
