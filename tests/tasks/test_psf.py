"""The point spread function of a detector: what was drawn comes back, and what must not matter does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from spica.core.columns import Catalogue, Flag
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.core.task import Products
from spica.kernels.psf_look import Shapes, shapes_at
from spica.kernels.psf_model import psf_stamps
from spica.tasks.psf import PsfSettings, psf
from spica.tasks.stars import StarsSettings, stars
from tests.support.starfield import SKY, Field, even, field, misfit, sloping

SIZE = (420, 400)


def fitted(drawn: Field, settings: PsfSettings | None = None) -> Products:
    chosen = stars(StarsSettings(), drawn.sources)["stars"]
    return psf(settings or PsfSettings(), drawn.image, drawn.background, drawn.sources, chosen)


def model(drawn: Field, settings: PsfSettings | None = None) -> PsfModel:
    return PsfModel.from_catalogue(fitted(drawn, settings)["psf"])


def spots() -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.linspace(30.3, 390.1, 4), np.linspace(20.6, 380.2, 4))
    return x.ravel(), y.ravel()


def seen_at(found: PsfModel, x: np.ndarray, y: np.ndarray) -> Shapes:
    return shapes_at(found.coefficients, found.values(x, y), found.sampling, found.fwhm)


def test_a_varying_profile_comes_back() -> None:
    shape = sloping(SIZE)
    drawn = field(shape, 90, SIZE)
    made = fitted(drawn)
    found = PsfModel.from_catalogue(made["psf"])
    assert found.degree == 2
    assert found.facts["made"] == "stars"
    assert misfit(found, shape, *spots()).max() < 0.0014
    truth, seen = shape(*spots()), seen_at(found, *spots())
    np.testing.assert_allclose(seen.fwhm, truth.fwhm, rtol=0.012)
    square = 1 + truth.g1**2 + truth.g2**2
    np.testing.assert_allclose(seen.e1, 2 * truth.g1 / square, atol=0.008)
    np.testing.assert_allclose(seen.e2, 2 * truth.g2 / square, atol=0.008)
    assert made["psf_quality"]["psf_chi2"].value == pytest.approx(1.0, abs=0.06)
    assert made["psf_quality"]["psf_chi2_held"].value == pytest.approx(1.0, abs=0.15)


def test_stars_light_is_one_everywhere() -> None:
    found = model(field(sloping(SIZE), 60, SIZE))
    x, y = spots()
    side = 2 * int(found.size * found.sampling / 2) + 9
    light = psf_stamps(found.coefficients, found.values(x, y), found.sampling, x, y, side)[:, 0].sum((1, 2))
    np.testing.assert_allclose(light, 1.0, atol=4e-4)


def test_places_and_light_have_honest_scatter() -> None:
    pulls = []
    for seed in (1, 2, 3):
        drawn = field(even(3.2), 90, SIZE, seed=seed, light=(1e4, 6e4))
        made = fitted(drawn, PsfSettings(floor=0.0))
        table = made["psf_stars"]
        rows = table["source_id"] - 1
        used = table["used"] == 1
        # Information of a star of a known profile, photons and sky (per parameter, the others known).
        found = PsfModel.from_catalogue(made["psf"])
        planes = psf_stamps(
            found.coefficients,
            found.values(table["x"], table["y"]),
            found.sampling,
            table["x"],
            table["y"],
            23,
            slopes=True,
        )
        variance = SKY + drawn.flux[rows][:, None, None] * np.maximum(planes[:, 0], 0)
        off = (table["flux"] - drawn.flux[rows], table["x"] - drawn.x[rows], table["y"] - drawn.y[rows])
        for k, scale in enumerate((1.0, drawn.flux[rows], drawn.flux[rows])):
            error = 1 / np.sqrt((planes[:, k] ** 2 / variance).sum((1, 2))) / scale
            pulls.append((off[k] / error)[used])
    for k, name in enumerate(("light", "x", "y")):
        values = np.concatenate(pulls[k::3])
        assert 1.4826 * np.median(np.abs(values - np.median(values))) == pytest.approx(1.0, abs=0.15), name


def test_a_shift_by_whole_pixels_shifts_the_model() -> None:
    drawn = field(even(3.2, 0.04, -0.02), 60, SIZE)
    pixels = np.roll(drawn.image.pixels, (7, 5), (0, 1))
    moved = dataclasses.replace(
        drawn,
        image=dataclasses.replace(drawn.image, pixels=pixels),
        sources=Catalogue(
            {**drawn.sources.columns, "x": drawn.sources["x"] + 5, "y": drawn.sources["y"] + 7}, drawn.sources.header
        ),
    )
    settings = PsfSettings(degree=0)
    here, there = model(drawn, settings), model(moved, settings)
    np.testing.assert_allclose(here.coefficients, there.coefficients, atol=3e-5 * here.coefficients.max())


def test_the_unit_of_light_does_not_matter() -> None:
    drawn = field(sloping(SIZE), 60, SIZE)
    scale = np.float32(0.25)
    image = Image(drawn.image.pixels * scale, None, drawn.image.mask, {"GAIN": 4.0})
    level = Image(drawn.background.pixels * scale, np.full_like(image.pixels, SKY * 0.25**2))
    columns = dict(drawn.sources.columns) | {"flux_auto": drawn.sources["flux_auto"] * 0.25}
    scaled = Field(image, level, Catalogue(columns, drawn.sources.header), drawn.x, drawn.y, drawn.flux)
    one, other = model(drawn), model(scaled)
    np.testing.assert_allclose(one.coefficients, other.coefficients, atol=2e-5 * one.coefficients.max())


def test_neighbours_have_no_effect() -> None:
    shape = even(3.2)
    alone = field(shape, 60, SIZE)
    angle = np.random.default_rng(5).uniform(0, 2 * np.pi, alone.x.size)
    extra = (alone.x + 7.5 * np.cos(angle), alone.y + 7.5 * np.sin(angle), 0.05 * alone.flux)
    crowded = field(shape, 60, SIZE, extra=extra)
    found = model(crowded)
    assert found.stars > 40
    assert misfit(found, shape, *spots()).max() < 1.6 * max(misfit(model(alone), shape, *spots()).max(), 5e-4)


def test_samples_show_what_no_profile_has() -> None:
    """A ghost beside each star, and flattened cores: the stars overrule the Moffat profile."""
    shape = even(3.4)
    drawn = field(shape, 100, SIZE, light=(5e4, 4e5))
    light = drawn.image.pixels - SKY
    ghosted = 0.85 * ndimage.gaussian_filter(light, 0.8) + 0.15 * ndimage.shift(light, (2.0, -3.0), order=3)
    odd = dataclasses.replace(
        drawn, image=dataclasses.replace(drawn.image, pixels=np.asarray(ghosted + SKY, np.float32))
    )
    found = model(odd)
    at = np.array([200.0])
    made = psf_stamps(found.coefficients, found.values(at, at), found.sampling, at, at, 25)[0, 0]
    clean = np.zeros((41, 41), np.float32)
    clean[20, 20] = 1.0
    pure = psf_stamps(model(drawn).coefficients, found.values(at, at), found.sampling, at, at, 41)[0, 0]
    truth = 0.85 * ndimage.gaussian_filter(pure, 0.8) + 0.15 * ndimage.shift(pure, (2.0, -3.0), order=3)
    truth = truth[8:33, 8:33]
    # Where the centre lies is a convention: the best of small shifts counts.
    misfits = []
    for dx in np.arange(-0.8, 0.2, 0.05):
        for dy in np.arange(-0.2, 0.8, 0.05):
            moved = ndimage.shift(truth, (-dy, -dx), order=3)
            misfits.append(float(np.sqrt(np.mean((moved / moved.sum() - made / made.sum()) ** 2)) / made.max()))
    assert min(misfits) < 0.003


def test_undersampled_stars_are_resolved_better_than_by_pixels() -> None:
    shape = even(1.6)
    drawn = field(shape, 120, SIZE, light=(1e4, 1e5))
    fine, native = model(drawn), model(drawn, PsfSettings(sampling=1.0))
    assert fine.sampling < 0.4
    assert native.sampling == 1.0
    ours, theirs = misfit(fine, shape, *spots()).mean(), misfit(native, shape, *spots()).mean()
    assert ours < 0.002
    assert ours < 0.4 * theirs


def test_outliers_bad_pixels_and_cosmic_rays_do_no_harm() -> None:
    shape = even(3.2)
    drawn = field(shape, 80, SIZE)
    pixels, mask = drawn.image.pixels.copy(), np.zeros(SIZE[::-1], np.int32)
    rng = np.random.default_rng(7)
    for k in range(0, 80, 4):
        i, j = round(drawn.x[k]) + rng.integers(-4, 5), round(drawn.y[k]) + rng.integers(-4, 5)
        pixels[j, i] += 3e4
        if k % 8 == 0:
            mask[j, i] = int(Mask.COSMIC)
    pixels[round(drawn.y[2]) : round(drawn.y[2]) + 4, round(drawn.x[2]) - 3 : round(drawn.x[2])] += 2e3
    hit = dataclasses.replace(drawn, image=dataclasses.replace(drawn.image, pixels=pixels, mask=mask))
    assert misfit(model(hit), shape, *spots()).max() < 0.0025


def test_few_stars_make_a_simple_model() -> None:
    drawn = field(even(3.2), 12, SIZE)
    found = model(drawn)
    assert found.degree == 0
    assert misfit(found, even(3.2), *spots()).max() < 0.005


@pytest.mark.parametrize("case", ["none", "few", "saturated"])
def test_too_few_stars_are_told_or_replaced_as_asked(case: str) -> None:
    drawn = field(even(3.2), 30, SIZE)
    rows = np.arange(0 if case == "none" else 4 if case == "few" else len(drawn.sources))
    columns = {name: values[rows] for name, values in drawn.sources.columns.items()}
    if case == "saturated":
        columns["flags"] = np.full(rows.size, Flag.SATURATED, np.int32)
    poor = dataclasses.replace(drawn, sources=Catalogue(columns, drawn.sources.header))
    with pytest.raises(DataFault) as raised:
        fitted(poor)
    assert raised.value.code == "psf.too-few-stars"
    assert raised.value.evidence["saturated"] == (rows.size if case == "saturated" else 0)
    made = fitted(poor, PsfSettings(fallback="profile"))
    found = PsfModel.from_catalogue(made["psf"])
    assert found.facts["made"] == "profile"
    assert found.stars == 0
    assert found.fwhm == pytest.approx(3.2, rel=0.05)
    assert seen_at(found, np.full(1, 100.0), np.full(1, 100.0)).fwhm[0] == pytest.approx(found.fwhm, rel=0.01)
    assert made["psf_picture"].dtype == np.uint8


def test_a_galaxy_among_the_few_does_not_widen_the_profile() -> None:
    drawn = field(even(3.2), 30, SIZE)
    rows = np.argsort(-drawn.sources["snr"])[:3]
    columns = {name: values[rows] for name, values in drawn.sources.columns.items()}
    pixels = drawn.image.pixels.copy()
    x, y = (round(float(columns[name][0])) for name in ("x", "y"))
    box = np.s_[max(y - 25, 0) : y + 26, max(x - 25, 0) : x + 26]
    level = np.median(pixels)
    pixels[box] = ndimage.gaussian_filter(pixels[box] - level, 2.0) + level
    poor = dataclasses.replace(
        drawn,
        image=dataclasses.replace(drawn.image, pixels=pixels),
        sources=Catalogue(columns, drawn.sources.header),
    )
    found = PsfModel.from_catalogue(fitted(poor, PsfSettings(fallback="profile"))["psf"])
    assert found.fwhm == pytest.approx(3.2, rel=0.03)


@pytest.mark.parametrize("number", [1, 3])
def test_the_few_stars_that_there_are_tell_the_profile_and_not_what_catalogues_hold_for_seeing(number: int) -> None:
    drawn = field(even(3.2), 30, SIZE)
    rows = np.argsort(-drawn.sources["snr"])[:number]
    columns = {name: values[rows] for name, values in drawn.sources.columns.items()}
    poor = dataclasses.replace(drawn, sources=Catalogue(columns, {**drawn.sources.header, "FILTFWHM": 2.6}))
    found = PsfModel.from_catalogue(fitted(poor, PsfSettings(fallback="profile"))["psf"])
    assert (found.facts["made"], found.stars) == ("profile", 0)
    assert found.fwhm == pytest.approx(3.2, rel=0.03)
    # Light by it is right to a few hundredths where that of a narrower one would not be.
    assert misfit(found, even(3.2), *spots()).max() < 0.03


def test_without_a_seeing_there_is_no_fall_back() -> None:
    drawn = field(even(3.2), 30, SIZE)
    columns = {name: values[:0] for name, values in drawn.sources.columns.items()}
    with pytest.raises(DataFault, match="no model"):
        fitted(dataclasses.replace(drawn, sources=Catalogue(columns)), PsfSettings(fallback="profile"))


def test_an_image_without_noise_is_refused() -> None:
    drawn = field(even(3.2), 30, SIZE)
    bare = dataclasses.replace(
        drawn,
        image=dataclasses.replace(drawn.image, variance=None),
        background=dataclasses.replace(drawn.background, variance=None),
    )
    with pytest.raises(DataFault, match="carries a variance"):
        fitted(bare)
