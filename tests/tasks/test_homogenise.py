"""Images brought to one point spread function: widths, light and noise against the truth; laws; what is lost stays where it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.kernels import convolve
from spica.kernels.aperture import circular_photometry
from spica.kernels.draw import Psf
from spica.kernels.psf_look import shapes_at
from spica.kernels.stars import fit_moffats
from tests.support.homogenising import SCALE, UNIT, cards, drawn, exact_model, homogenised, lattice, plain
from tests.support.starfield import Shape, even

SIZE = 420, 400
BAD = int(Mask.unusable())


def varying(fwhm: float = 3.6, beta: float = 3.0) -> Shape:
    """Stars 8 % wider and narrower from side to side, elongated by up to 0.12 in all directions."""

    def shape(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Psf:
        u, v = 2 * x / SIZE[0] - 1, 2 * y / SIZE[1] - 1
        return Psf(fwhm * (1 + 0.08 * u + 0.05 * v * v), 0.02 + 0.05 * u * v, 0.04 * v, beta)

    return shape


def _seen(pixels: npt.NDArray[Any], x: Any, y: Any, fwhm: float) -> Any:
    level = np.zeros(pixels.shape, np.float32)
    image = np.ascontiguousarray(pixels, np.float32)
    return fit_moffats(image, level, np.full(x.size, 10.0), x, y, np.full(x.size, fwhm), level.astype(np.int32))


@pytest.fixture(scope="module")
def stars() -> dict[str, Any]:
    x, y = lattice(SIZE, 55.0)
    light = np.geomspace(1e4, 1e6, x.size)
    model = exact_model(varying(), SIZE)
    pixels = drawn(varying(), SIZE, x, y, light)
    made = homogenised(plain(1000.0 + pixels), model, fwhm=1.1)
    return {"x": x, "y": y, "light": light, "model": model, "pixels": pixels, "made": made}


def test_stars_are_round_and_as_wide_as_told_and_keep_light_and_place(stars: dict[str, Any]) -> None:
    before = _seen(stars["pixels"], stars["x"], stars["y"], 3.6)
    assert np.ptp(before.fwhm) > 0.12 * before.fwhm.mean()
    assert np.hypot(before.e1, before.e2).max() > 0.1
    image = stars["made"]["homogenised"].pixels - 1000.0
    after = _seen(image, stars["x"], stars["y"], 5.5)
    assert after.fwhm * SCALE == pytest.approx(1.1, rel=0.01)
    assert np.hypot(after.e1, after.e2).max() < 0.01
    assert after.beta == pytest.approx(3.0, abs=0.05)
    measured = circular_photometry(image, np.ones_like(image), stars["x"], stars["y"], [22.0]).flux[:, 0]
    whole = circular_photometry(stars["pixels"], np.ones_like(image), stars["x"], stars["y"], [22.0]).flux[:, 0]
    assert measured == pytest.approx(whole, rel=1e-3)
    v, u = np.indices(image.shape)
    for x, y, light in zip(stars["x"], stars["y"], stars["light"], strict=True):
        near = np.hypot(u - x, v - y) < 12
        assert (image * u)[near].sum() / image[near].sum() == pytest.approx(x, abs=0.02)
        assert light == pytest.approx(image[near].sum(), rel=0.05)
    header = stars["made"]["homogenised"].header
    assert (header["HOMOFWHM"], header["HOMOBETA"], header["HOMOKEPT"]) == (1.1, 3.0, 0)


def test_second_moments_are_alike(stars: dict[str, Any]) -> None:
    image = stars["made"]["homogenised"].pixels - 1000.0
    v, u = np.indices(image.shape)
    found = []
    for x, y in zip(stars["x"], stars["y"], strict=True):
        square = (u - x) ** 2, (v - y) ** 2
        weight = image * np.exp(-0.5 * (square[0] + square[1]) / 3.0**2)
        found.append([(weight * each).sum() / weight.sum() for each in square])
    assert np.array(found) == pytest.approx(np.median(found), rel=0.01)


def test_its_model_says_what_its_stars_are(stars: dict[str, Any]) -> None:
    model = PsfModel.from_catalogue(stars["made"]["homogenised_psf"])
    shapes = shapes_at(model.coefficients, model.values(stars["x"], stars["y"]), model.sampling, model.fwhm)
    assert shapes.fwhm * SCALE == pytest.approx(1.1, rel=0.005)
    assert shapes.ellipticity.max() < 0.01
    figures = stars["made"]["homogenise_quality"]
    assert figures["homogenise_fwhm"].value == pytest.approx(1.1, rel=0.003)
    assert figures["homogenise_misfit"].value < 0.005
    assert figures["homogenise_amplified"].value < 1.01


def test_blocks_meet_without_a_seam(stars: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolve, "BLOCK", 250)
    again = homogenised(plain(1000.0 + stars["pixels"]), stars["model"], fwhm=1.1)["homogenised"]
    once = stars["made"]["homogenised"]
    assert np.abs(again.pixels - once.pixels).max() < 2e-6 * once.pixels.max()
    assert np.abs(again.variance / once.variance - 1.0).max() < 1e-5
    assert np.array_equal(again.mask, once.mask)


def test_skies_stay_and_images_add_up(stars: dict[str, Any]) -> None:
    v, u = np.indices(SIZE[::-1])
    slope = 20000.0 + 0.5 * u - 0.3 * v
    good = np.s_[30:-30, 30:-30]
    made = homogenised(plain(slope), stars["model"], fwhm=1.1)["homogenised"].pixels
    assert np.abs(made - slope)[good].max() < 0.02
    both = homogenised(plain(slope + 2.0 * stars["pixels"]), stars["model"], fwhm=1.1)["homogenised"].pixels
    alone = stars["made"]["homogenised"].pixels - 1000.0
    assert np.abs(both - made - 2.0 * alone)[good].max() < 1e-5 * both.max()


def test_stars_that_are_as_wanted_stay_as_they_are() -> None:
    x, y = lattice(SIZE, 90.0)
    pixels = drawn(even(5.5), SIZE, x, y, np.full(x.size, 1e5))
    made = homogenised(plain(pixels), exact_model(even(5.5), SIZE, 0), fwhm=1.1)["homogenised"]
    assert np.abs(made.pixels - pixels).max() < 0.01 * pixels.max()


def test_a_gaussian_may_be_asked_for() -> None:
    x, y = lattice(SIZE, 90.0)
    pixels = drawn(varying(beta=4.0), SIZE, x, y, np.full(x.size, 1e5))
    made = homogenised(plain(pixels), exact_model(varying(beta=4.0), SIZE), fwhm=1.2, form="gaussian")["homogenised"]
    assert made.header["HOMOBETA"] == 0.0
    v, u = np.indices(pixels.shape)
    for k in (0, x.size // 2, x.size - 1):
        radius = np.hypot(u - x[k], v - y[k])
        near = radius < 8
        profile = np.exp(-4 * np.log(2) * (radius * SCALE / 1.2) ** 2)
        assert made.pixels[near] / made.pixels[near].sum() * profile[near].sum() == pytest.approx(
            profile[near], abs=0.01
        )


def test_noise_is_as_the_variance_tells(stars: dict[str, Any]) -> None:
    pixels = np.random.default_rng(8).normal(0.0, 10.0, SIZE[::-1])
    made = homogenised(plain(pixels), stars["model"], fwhm=1.1)["homogenised"]
    told = np.sqrt(made.variance[30:-30, 30:-30])
    assert (made.pixels[30:-30, 30:-30] / told).std() == pytest.approx(1.0, abs=0.04)
    assert np.median(told) == pytest.approx(10.0 * made.header["HOMONOIS"], rel=0.03)
    # The narrower stars are, the more is smoothed.
    assert told[:, 10].mean() < 0.95 * told[:, -10].mean()


def test_what_is_lost_neither_smears_nor_spreads_farther_than_it_matters(stars: dict[str, Any]) -> None:
    mask, pixels = np.zeros(SIZE[::-1], np.int32), np.full(SIZE[::-1], 500.0)
    mask[100, 100], pixels[100, 100] = int(Mask.BAD), 1e6
    mask[200:215, 200:215], pixels[200:215, 200:215] = int(Mask.SATURATED), 6e4
    pixels[300, 50] = np.nan
    mask[50:55, 300:305] = int(Mask.COSMIC | Mask.INTERPOLATED)
    pixels[50:55, 300:305] = 530.0
    image = Image(pixels.astype(np.float32), np.full(pixels.shape, np.float32(500.0)), mask, {})
    made = homogenised(image, stars["model"], fwhm=1.1)["homogenised"]
    assert np.isfinite(made.pixels).all()
    away = np.ones(pixels.shape, np.bool_)
    away[35:70, 285:320] = False
    assert np.abs(made.pixels[away] - 500.0).max() < 0.01, "values without meaning are nowhere"
    assert made.pixels[52, 302] > 510.0, "those that were interpolated are taken"
    lost = made.mask & BAD != 0
    assert lost[100, 100]
    assert lost[90:111, 90:111].sum() == 1, "a single pixel is a twentieth of the kernel"
    assert made.mask[300, 50] & int(Mask.NO_DATA)
    grown = (made.mask & int(Mask.SATURATED) != 0)[180:235, 180:235]
    assert 17**2 < grown.sum() < 23**2
    assert grown[20:35, 20:35].all()
    assert made.mask[98, 100] & int(Mask.INTERPOLATED)
    assert made.mask[207, 220] & int(Mask.INTERPOLATED)
    assert lost[0, 200]
    assert not lost[8, 200], "beyond the edge is as lost"
    tight = homogenised(image, stars["model"], fwhm=1.1, lost=0.01)["homogenised"].mask & int(Mask.SATURATED) != 0
    assert tight.sum() > 1.2 * grown.sum()


def test_broader_stars_are_refused_by_name_or_kept_and_told() -> None:
    model, image = exact_model(even(6.0), SIZE, 0), plain(np.ones(SIZE[::-1]))
    with pytest.raises(DataFault) as caught:
        homogenised(image, model, fwhm=1.1)
    assert caught.value.code == "homogenise.seeing"
    assert str(UNIT) in str(caught.value)
    assert "1.200" in str(caught.value)
    assert "1.100" in str(caught.value)
    assert caught.value.evidence["fwhm"] == pytest.approx(1.2, rel=0.01)
    made = homogenised(image, model, fwhm=1.1, broader="keep")
    assert made["homogenised"].pixels is image.pixels
    assert made["homogenised"].header["HOMOKEPT"] == 1
    assert made["homogenised"].header["HOMONOIS"] == 1.0
    assert made["homogenised"].header["HOMOFWHM"] == pytest.approx(1.2, rel=0.01)
    assert made["homogenise_quality"]["homogenise_kept"].value == 1.0


def test_the_pole_is_a_place_like_others(stars: dict[str, Any]) -> None:
    made = homogenised(plain(stars["pixels"]), stars["model"], cards(SIZE, -90.0), fwhm=1.1)["homogenised"]
    there = stars["made"]["homogenised"].pixels - 1000.0
    assert np.abs(made.pixels - there).max() < 1e-4 * there.max()


def test_without_model_solution_or_variance_the_fault_tells() -> None:
    model, image = exact_model(even(4.0), SIZE, 0), plain(np.ones(SIZE[::-1]))
    with pytest.raises(DataFault, match="no PSF model") as caught:
        homogenised(image, _Nothing())  # type: ignore[arg-type]
    assert caught.value.code == "psf.missing"
    with pytest.raises(DataFault) as caught:
        homogenised(image, model, {"CTYPE1": "nothing"})
    assert caught.value.code == "stack.no-solution"
    with pytest.raises(DataFault, match="variance"):
        homogenised(Image(image.pixels), model)


class _Nothing:
    def to_catalogue(self) -> dict[str, Any]:
        return {}
