"""One PSF over the focal plane: it foretells detectors that have no stars, however they are turned, and says how well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.psf import PsfModel
from spica.core.records import Grain, Unit
from spica.core.task import Measured, Member
from spica.kernels.draw import Psf, add_stars
from spica.kernels.psf_look import shapes_at
from spica.kernels.psf_plane import Chip
from spica.tasks.psf import PsfSettings, psf
from spica.tasks.psf_measure import PsfMeasureSettings, psf_measure

NX, NY, PIXEL, STEP, HALF = 512, 1024, 15.0, 0.5, 24
SPECS = [
    {"id": number, "name": f"d{number}", "nx": NX, "ny": NY, "x_mm": 8.0 * (number % 4), "y_mm": 16.0 * (number // 4),
     "rotation": 180.0 * (number // 4), "flip": number % 2 == 1}
    for number in range(8)
]  # fmt: skip
PLANE = {"pixel_size": PIXEL, "detectors": SPECS}


def chip(number: int) -> Chip:
    spec = SPECS[number]
    turn = np.cos(np.radians(float(str(spec["rotation"]))))
    pitch = PIXEL * 1e-3
    matrix = np.diag([-pitch * turn if spec["flip"] else pitch * turn, pitch * turn])
    return Chip((NX, NY), (float(str(spec["x_mm"])), float(str(spec["y_mm"]))), matrix)


def truth(number: int, x: np.ndarray, y: np.ndarray) -> Psf:
    """Width [pixel] and shear on the detector: the width grows outwards, the stretch is along the diagonals of the focal plane."""
    places = chip(number).places(x, y)
    width = 3.0 + 0.6 * ((places[0] - 12.0) / 16.0) ** 2 + 0.2 * places[1] / 16.0
    shear = 0.03 + 0.02 * places[0] / 24.0
    # A mirrored detector sees the diagonal stretch the other way round.
    return Psf(width, np.zeros(x.size), -shear if SPECS[number]["flip"] else shear, 3.0)


def model(number: int, made: str = "stars") -> PsfModel:
    """What stars would show: the true profile at places, as polynomials of the second degree."""
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5)))
    x, y = 0.5 * (NX - 1) + 0.5 * NX * u, 0.5 * (NY - 1) + 0.5 * NY * v
    psf, side = truth(number, x, y), 2 * HALF + 1
    images = np.zeros((x.size, side, side), np.float32)
    for k in range(x.size):
        one = Psf(psf.fwhm[k : k + 1] / STEP, psf.g1[k : k + 1], psf.g2[k : k + 1], psf.beta)
        add_stars(images[k], np.full(1, float(HALF)), np.full(1, float(HALF)), np.ones(1), one, 1e-9)
    images /= images.sum(axis=(1, 2), keepdims=True) * STEP**2
    design = np.stack([u**i * v**j for j in range(3) for i in range(3 - j)], axis=-1)
    cube = np.linalg.lstsq(design, images.reshape(x.size, -1), rcond=None)[0].reshape(-1, side, side)
    centre, scale = (0.5 * (NX - 1), 0.5 * (NY - 1)), (0.5 * NX, 0.5 * NY)
    return PsfModel(cube.astype(np.float32), 2, centre, scale, STEP, 3.2, stars=100, facts={"made": made})


def round_profile(number: int) -> PsfModel:
    one = model(number)
    image = np.zeros((2 * HALF + 1, 2 * HALF + 1), np.float32)
    middle = np.full(1, float(HALF))
    add_stars(image, middle, middle, np.ones(1), Psf(np.full(1, 2.6 / STEP), np.zeros(1), np.zeros(1), 3.0), 1e-9)
    cube = image[None] / np.float32(image.sum() * STEP**2)
    return PsfModel(cube, 0, one.centre, one.scale, STEP, 2.6, facts={"made": "profile"})


def members(models: Mapping[tuple[str, int], PsfModel]) -> tuple[Member, ...]:
    return tuple(
        Member(str(Unit(Grain.DETECTOR, (exposure, str(number)))), each.to_catalogue())
        for (exposure, number), each in models.items()
    )


def blank() -> tuple[Image, Image, Catalogue, Catalogue]:
    """What the task takes of a detector without a star."""
    pixels = np.full((NY, NX), 200.0, np.float32)
    none = {name: np.zeros(0) for name in ("source_id", "accepted", "reason", "x", "y", "flux", "snr")}
    return Image(pixels, pixels), Image(pixels, pixels), Catalogue({}, {"FILTFWHM": 2.6}), Catalogue(none)


def lend(number: int, models: Mapping[tuple[str, int], PsfModel]) -> tuple[PsfModel, Mapping[str, Measured]]:
    unit = Unit(Grain.DETECTOR, ("demo-1", str(number)))
    made = psf(PsfSettings(fallback="lent"), *blank(), unit, members(models), PLANE)
    assert made["psf_picture"].dtype == np.uint8
    return PsfModel.from_catalogue(made["psf"]), made["psf_quality"]


def fluxes(number: int, given: PsfModel) -> tuple[str, np.ndarray]:
    """Light of stars on a detector, as measured with a model, over what was drawn."""
    flux = np.full(60, 1e5)
    rng = np.random.default_rng(1)
    stars = rng.uniform(30, NX - 30, 60), 30.0 + np.arange(60) * (NY - 60) / 59
    light = np.zeros((NY, NX), np.float32)
    add_stars(light, *stars, flux, truth(number, *stars), 1e-3)
    pixels = rng.poisson(light + 200.0).astype(np.float32)
    image, sky = Image(pixels, pixels.copy()), Image(np.full_like(pixels, 200.0), np.full_like(pixels, 200.0))
    columns = {
        "source_id": np.arange(60), "x": stars[0], "y": stars[1], "x_err": np.full(60, 0.1), "y_err": np.full(60, 0.1),
        "xy_cov": np.zeros(60), "flux_auto": flux, "flux_aper": np.ones((60, 3)), "flux_aper_err": np.ones((60, 3)),
        "snr": np.full(60, 300.0), "flags": np.zeros(60, np.int64), "mask_bits": np.zeros(60, np.int64),
    }  # fmt: skip
    made = psf_measure(
        PsfMeasureSettings(again=False), image, sky, Catalogue(columns, {"HAZE": 0.0}), given.to_catalogue()
    )["psf_sources"]
    return str(made.header["PSFMADE"]), made["flux_psf"] / flux


def test_the_other_detectors_lend_the_planes_model_and_fluxes_are_right_to_the_error_told() -> None:
    lost = 6
    lenders = {("demo-1", n): model(n) for n in range(8) if n not in {lost, 3}}
    found, told = lend(lost, lenders | {("demo-1", 3): round_profile(3)})
    assert told["psf_lent"].value == 6, "a round profile is not lent"
    assert (found.facts["made"], found.stars, told["psf_stars"].value) == ("plane", 0, 0)
    error = told["psf_lent_error"].value
    assert 0.0 < error < 0.02
    assert found.facts["error"] == pytest.approx(error)
    x, y = np.array([60.0, 256.0, 450.0, 80.0]), np.array([90.0, 512.0, 200.0, 950.0])
    shape = shapes_at(found.coefficients, found.values(x, y), found.sampling, found.fwhm)
    true = shapes_at(model(lost).coefficients, model(lost).values(x, y), STEP, 3.2)
    np.testing.assert_allclose(shape.fwhm, true.fwhm, rtol=0.02)
    np.testing.assert_allclose(shape.e2, true.e2, atol=0.01)
    assert np.all(np.abs(true.e2) > 0.03)
    (made, helped), (before, alone) = fluxes(lost, found), fluxes(lost, round_profile(lost))
    assert (made, before) == ("plane", "profile")
    off, without = (float(np.sqrt(np.mean((ratio - 1.0) ** 2))) for ratio in (helped, alone))
    assert off < 2.0 * error + 0.005
    assert without > 5.0 * off


def test_one_neighbour_alone_lends_its_model_turned_as_the_detector_stands() -> None:
    found, told = lend(5, {("demo-1", 1): model(1), ("demo-1", 2): round_profile(2)})
    assert (found.facts["made"], told["psf_lent"].value) == ("neighbour", 1)
    assert "psf_lent_error" not in told, "there is nothing to compare it with"
    assert found.degree <= 1
    middle = shapes_at(found.coefficients, np.eye(1, len(found.coefficients)), found.sampling, found.fwhm)
    own = model(1)
    there = shapes_at(own.coefficients, own.values(*own.centre), STEP, 3.2)
    assert middle.fwhm[0] == pytest.approx(there.fwhm[0], rel=0.03)


def test_another_exposure_lends_the_model_of_the_same_detector_as_wide_as_the_stars() -> None:
    lender = replace(model(6), facts={"made": "stars", "seeing": 2.0})
    found, told = lend(6, {("demo-2", 6): lender})
    assert (found.facts["made"], found.facts["stretch"], told["psf_lent"].value) == ("exposure", 1.3, 1)
    x, y = np.array([256.0]), np.array([512.0])
    shape = shapes_at(found.coefficients, found.values(x, y), found.sampling, found.fwhm)
    before = shapes_at(lender.coefficients, lender.values(x, y), STEP, 3.2)
    assert shape.fwhm[0] == pytest.approx(1.3 * before.fwhm[0], rel=1e-3)
    assert shape.e2[0] == pytest.approx(before.e2[0], abs=1e-3)
    assert float(found.samples(x, y).sum()) * found.sampling**2 == pytest.approx(1.0, abs=1e-3)
    same, _ = lend(6, {("demo-2", 6): model(6)})
    np.testing.assert_array_equal(same.coefficients, model(6).coefficients)
    with pytest.raises(DataFault, match="no model"):
        lend(6, {("demo-2", 6): replace(lender, facts={"made": "stars", "seeing": 1.0})})


def test_round_profiles_are_not_lent() -> None:
    with pytest.raises(DataFault) as fault:
        lend(6, {("demo-1", 2): round_profile(2)})
    assert fault.value.code == "psf.too-few-stars"
    with pytest.raises(DataFault):
        psf(PsfSettings(fallback="lent"), *blank())
