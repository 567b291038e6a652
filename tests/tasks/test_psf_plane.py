"""One PSF over the focal plane: it foretells detectors that have no stars, however they are turned, and says how well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.psf import PsfModel, model_among
from spica.core.records import Detector, Grain, Unit
from spica.core.task import Member
from spica.kernels.draw import Psf, add_stars
from spica.kernels.psf_look import shapes_at
from spica.kernels.psf_plane import Chip
from spica.pipelines.catalogue import load
from spica.pipelines.check import check
from spica.pipelines.graph import chains
from spica.tasks.psf_measure import PsfMeasureSettings, psf_measure
from spica.tasks.psf_plane import PsfPlaneSettings, psf_plane
from tests.support.groups import ROOT

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


def made_of(models: dict[int, PsfModel], **settings: Any) -> dict[str, Any]:
    members = tuple(
        Member(str(Unit(Grain.DETECTOR, ("demo-1", str(number)))), each.to_catalogue())
        for number, each in models.items()
    )
    return dict(psf_plane(PsfPlaneSettings(**settings), members, PLANE))


def test_a_detector_without_stars_gets_the_planes_model_and_its_fluxes_are_right_to_the_error_told() -> None:
    lost = 6
    made = made_of({n: round_profile(n) if n == lost else model(n) for n in range(8)})
    assert made["psf_plane_quality"]["psf_plane_detectors"].value == 7
    told = made["psf_plane_quality"]["psf_plane_error"].value
    assert 0.0 < told < 0.02
    found = model_among(made["psf_plane"], lost)
    assert found is not None
    assert found.facts["made"] == "plane"
    x, y = np.array([60.0, 256.0, 450.0, 80.0]), np.array([90.0, 512.0, 200.0, 950.0])
    shape = shapes_at(found.coefficients, found.values(x, y), found.sampling, found.fwhm)
    true = shapes_at(model(lost).coefficients, model(lost).values(x, y), STEP, 3.2)
    np.testing.assert_allclose(shape.fwhm, true.fwhm, rtol=0.02)
    np.testing.assert_allclose(shape.e2, true.e2, atol=0.01)
    assert np.all(np.abs(true.e2) > 0.03)

    flux = np.full(60, 1e5)
    rng = np.random.default_rng(1)
    stars = rng.uniform(30, NX - 30, 60), 30.0 + np.arange(60) * (NY - 60) / 59
    light = np.zeros((NY, NX), np.float32)
    add_stars(light, *stars, flux, truth(lost, *stars), 1e-3)
    pixels = rng.poisson(light + 200.0).astype(np.float32)
    image, sky = Image(pixels, pixels.copy()), Image(np.full_like(pixels, 200.0), np.full_like(pixels, 200.0))
    columns = {
        "source_id": np.arange(60), "x": stars[0], "y": stars[1], "x_err": np.full(60, 0.1), "y_err": np.full(60, 0.1),
        "xy_cov": np.zeros(60), "flux_auto": flux, "flux_aper": np.ones((60, 3)), "flux_aper_err": np.ones((60, 3)),
        "snr": np.full(60, 300.0), "flags": np.zeros(60, np.int64), "mask_bits": np.zeros(60, np.int64),
    }  # fmt: skip
    sources = Catalogue(columns, {"HAZE": 0.0})
    detector = Detector("demo-1", lost, "c" * 40, (1,), (), NX, NY)
    poor = round_profile(lost).to_catalogue()
    alone = psf_measure(PsfMeasureSettings(again=False), image, sky, sources, poor)
    helped = psf_measure(PsfMeasureSettings(again=False), image, sky, sources, poor, made["psf_plane"], detector)
    assert alone["psf_sources"].header["PSFMADE"] == "profile"
    assert helped["psf_sources"].header["PSFMADE"] == "plane"
    assert helped["psf_photometry"]["psf_of_plane"].value == 1.0
    off, before = (each["psf_sources"]["flux_psf"] / flux - 1.0 for each in (helped, alone))
    assert np.sqrt(np.mean(off**2)) < 2.0 * told + 0.005
    assert np.sqrt(np.mean(before**2)) > 5.0 * np.sqrt(np.mean(off**2))
    # A detector that has its own keeps it.
    own = psf_measure(
        PsfMeasureSettings(), image, sky, sources, model(lost).to_catalogue(), made["psf_plane"], detector
    )
    assert own["psf_sources"].header["PSFMADE"] == "stars"


def test_one_neighbour_alone_lends_its_model_and_none_is_a_fault() -> None:
    made = made_of({0: model(0), 2: round_profile(2)}, least_detectors=1)
    found = model_among(made["psf_plane"], 2)
    assert found is not None
    assert found.degree <= 1
    assert model_among(made["psf_plane"], 77) is None
    with pytest.raises(DataFault) as fault:
        made_of({0: model(0), 2: round_profile(2)})
    assert fault.value.code == "psf.too-few-detectors"


def test_the_pipeline_of_the_page_measures_with_the_planes_model(tmp_path: Path) -> None:
    page = (ROOT / "docs/psf.md").read_text(encoding="utf-8")
    (text,) = (part.partition("```")[0] for part in page.split("```toml\n")[1:])
    (tmp_path / "calibrate_plane.toml").write_text(text, encoding="utf-8")
    pipeline = load("calibrate_plane", [tmp_path])
    check(pipeline)
    order = [[step.label for step in chain.steps] for chain in chains(pipeline)]
    first, plane, last = (
        next(k for k, labels in enumerate(order) if name in labels) for name in ("psf", "psf_plane", "psf_measure")
    )
    assert first < plane < last
    assert order[last] == ["sky_again", "psf_measure"]
