"""Detectors that see almost no stars: calibrate lends them a PSF, of their exposure or of the next one, near the true one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.psf import PsfModel
from spica.core.records import Unit
from spica.files.catalogues import read_catalogue
from spica.instruments import tables
from spica.kernels.draw import add_stars
from spica.kernels.psf_look import places_over
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_plane import light_error
from spica.services import run, simulation, why
from spica.services.surveys import opened
from spica.simulate.calibration import focal_axes
from spica.simulate.scene import psf_at
from spica.simulate.schedule import schedule
from spica.tasks.psf import PsfSettings, psf
from tests.support.calibrated import SKY, calibrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

DRAWN = SKY | {"exposures": "2", "detectors": "1,2,3,4", "density": "2000", "ellipticity": "0.08"}
POOR = (("12", (2,)), ("100", (1, 2, 3, 4)))
"""Of each exposure: density of an almost empty sky [per million pixels], and the detectors that see it."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey with a calibrated night, some of whose detectors look into the void."""
    root = tmp_path_factory.mktemp("night")

    def empty(raw: Path) -> None:
        frames = [each for each in sorted(raw.rglob("*.fits*")) if fits.getheader(each)["OBSTYPE"] == "object"]
        for path, (density, detectors) in zip(frames, POOR, strict=True):
            void = root / f"void{density}"
            simulation.simulate(void, "demo", DRAWN | {"density": density})
            [other] = void.rglob(path.name)
            with fits.open(path) as here, fits.open(other) as there:
                for detector in detectors:
                    here[f"D{detector}"].data = there[f"D{detector}"].data
                here.writeto(root / path.name, checksum=True)
            (root / path.name).replace(path)

    return calibrated(root, empty, **DRAWN)


def product(night: Path, kind: str, exposure: str, detector: int) -> Catalogue:
    [path] = (night / "survey" / "products" / kind).rglob(f"{exposure}_{detector}_*.parquet")
    return read_catalogue(path)


def exposures(night: Path) -> list[str]:
    return sorted({path.name.split("_")[0] for path in (night / "survey" / "products" / "psf").rglob("*.parquet")})


def error(number: int, detector: int, model: PsfModel) -> float:
    """By what part light comes out wrong with a model, against the drawn PSF at nine places (rms)."""
    settings, camera = simulation.settings_of(DRAWN), tables.load("demo")
    shot = [each for each in schedule(settings, camera) if each.frame_type == "object"][number]
    spec = camera.detector(detector)
    x, y = places_over((spec.ny, spec.nx), 3, 3)
    true = psf_at(settings, camera, shot, focal_axes(camera, spec), x, y)
    size = 2 * int(2.0 * float(true.fwhm.max())) + 1
    drawn = np.zeros((x.size, size, size), np.float32)
    middle = np.full(1, float(size // 2))
    for k in range(x.size):
        one = type(true)(true.fwhm[k : k + 1], true.g1[k : k + 1], true.g2[k : k + 1], true.beta)
        add_stars(drawn[k], middle, middle, np.ones(1), one, 1e-9)
    zero = np.zeros(x.size)
    stamps = psf_stamps(model.coefficients, model.values(x, y), model.sampling, zero, zero, size)[:, 0]
    return float(np.sqrt(np.mean(light_error(stamps, drawn) ** 2)))


def round_profile(night: Path, exposure: str, detector: int) -> PsfModel:
    """What the last rung would have taken."""
    sources, stars = (product(night, kind, exposure, detector) for kind in ("sources", "stars"))
    none = Catalogue({name: values[:0] for name, values in stars.columns.items()}, stars.header)
    flat = np.ones((512, 512), np.float32)
    made = psf(PsfSettings(fallback="profile"), Image(flat, flat), Image(flat, flat), sources, none)
    return PsfModel.from_catalogue(made["psf"])


def models(night: Path, exposure: str) -> dict[int, PsfModel]:
    return {n: PsfModel.from_catalogue(product(night, "psf", exposure, n)) for n in (1, 2, 3, 4)}


def test_a_detector_without_stars_gets_the_planes_psf(night: Path) -> None:
    first, _ = exposures(night)
    made = models(night, first)
    assert {n: each.facts["made"] for n, each in made.items()} == {1: "stars", 2: "plane", 3: "stars", 4: "stars"}
    assert product(night, "psf_sources", first, 2).header["PSFMADE"] == "plane"
    lent, alone = error(0, 2, made[2]), error(0, 2, round_profile(night, first, 2))
    assert lent < 0.015
    assert alone > 3.0 * lent
    assert float(str(made[2].facts["error"])) > 0.5 * lent, "it tells no less"


def test_an_exposure_without_stars_gets_the_next_ones_as_wide_as_it_is(night: Path) -> None:
    first, second = exposures(night)
    made, before = models(night, second), models(night, first)
    assert {n: each.facts["made"] for n, each in made.items()} == {
        1: "exposure", 2: "profile", 3: "exposure", 4: "exposure",
    }  # fmt: skip
    lent, alone, unstretched = (
        np.array([error(1, n, each) for n, each in given.items()])
        for given in (
            {n: made[n] for n in (1, 3, 4)},
            {n: round_profile(night, second, n) for n in (1, 3, 4)},
            {n: before[n] for n in (1, 3, 4)},
        )
    )
    assert np.median(lent) < 0.02
    assert np.sqrt(np.mean(lent**2)) < np.sqrt(np.mean(alone**2))
    assert np.all(unstretched > 3.0 * lent)


def test_the_story_of_a_unit_tells_who_lent(night: Path) -> None:
    first, second = exposures(night)
    for exposure, detector, how, lenders in (
        (first, 2, "the exposure's other detectors", [f"{first}/{n}" for n in (1, 3, 4)]),
        (second, 4, "the nearest exposure of the night", [f"{first}/4"]),
    ):
        story = why.why(f"{exposure}/{detector}", night / "survey")
        alone, helped = (job for job in story.jobs if any(step.label == "psf" for step in job.steps))
        assert (alone.outcome, helped.outcome) == ("failed", "done")
        assert alone.fault is not None
        assert alone.fault.code == "psf.too-few-stars"
        assert helped.rungs == (f"after psf.too-few-stars: psf with fallback=lent, lent by {how}",)
        assert [each.unit.partition(":")[2] for each in helped.inputs if each.need == "psf.psf"] == lenders
        metrics = {each.name: each.value for each in story.metrics}
        assert (metrics["psf_lent"], metrics["psf_stars"]) == (len(lenders), 0)
    with opened(night / "survey") as house:
        assert "psf.too-few-stars" not in {row.fault.code for row in house.registry.faults()}
        [verdict] = [
            each.value for each in house.registry.metrics_of(Unit.parse(f"exposure:{second}")) if each.name == "verdict"
        ]
        assert verdict == 4.0, "an exposure without stars is none to be used, whoever lent it a PSF"
    again = run.run(run.Order("calibrate", executor="inprocess"), night / "survey")
    assert again.done == 0
