"""The verdict on a calibrated exposure: everything that was made of it counts, and what is missing counts against it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.psf import PsfModel
from spica.core.records import Exposure, FrameType
from spica.core.task import Member
from spica.instruments import tables
from spica.instruments.sections import section
from spica.kernels.psf_prior import of_unit_light, one_profile, prior_cube
from spica.kernels.psf_solve import grid_for, legendre_basis
from spica.kernels.stars import noise_area
from spica.tasks.judge import JudgeSettings, judge

CAMERA = tables.load("demo")
RECORD = Exposure(7, "demo-7", "demo", FrameType.OBJECT, "2026-11-20", 61364.0, 60.0, airmass=1.5, band="r", filter="r")
USUAL = CAMERA.band("r").zero_point - 0.5 * CAMERA.band("r").extinction


def model(width: float = 2.6, stars: int = 60, chi2: float = 1.02) -> Catalogue:
    """A round profile of that width [pixel]."""
    grid, basis = grid_for(width, 0.0), legendre_basis(0)
    n = 2 * int(np.ceil(3.5 * width / grid.model) + 2) + 1
    cube = of_unit_light(prior_cube(one_profile(width), basis, 0, n, grid.model), basis, 0, grid.model)
    made = PsfModel(cube, 0, (255.5, 255.5), (256.0, 256.0), grid.model, width, chi2, stars)
    return made.to_catalogue()


def fits(noise: float, seed: int = 1) -> Catalogue:
    """Sources of all brightness with this noise [electron] on top of their photons'."""
    snr = np.exp(np.random.default_rng(seed).uniform(0.0, 6.0, 500))
    error = noise * np.sqrt(1.0 + snr / 100.0)
    return Catalogue({"flux_psf_err": error, "snr_psf": snr, "flags_psf": np.zeros(500, np.int32)})


def sky(offset: float = 0.0, **more: float) -> dict[str, Any]:
    figures = {
        "astrometry_internal": (8.0, "mas"),
        "photometry_scatter": (0.004, "mag"),
        "zero_point": (USUAL + offset, "mag"),
    }
    figures |= {name: (value, "mag") for name, value in more.items()}
    return {"figures": figures, "photometric": 1, "scale": "AB", "grade": "A", "reasons": []}


def inputs(**changed: Any) -> dict[str, Any]:
    """Two good detectors; what is named is another for both of them, or for the exposure."""
    image = {"grade": "A", "reasons": [], "figures": {"seeing": [1.3, "arcsec"], "read_noise": [6.0, "electron"]}}
    of_detectors = {"verdict": image, "psf": model(), "psf_sources": fits(100.0), "sky_solution": sky()}
    pointing = {"matches": 80, "log_false": -120.0, "rung": "header", "attempts": [{"rung": "header"}]}
    given: dict[str, Any] = {"exposure": RECORD, "pointing": pointing, "zero_points": None, "members": (1, 2)}
    for name, one in of_detectors.items():
        value = changed.pop(name, one)
        many = value if isinstance(value, list) else [value, value]
        found = tuple(Member(f"detector:demo-7/{k + 1}", each) for k, each in enumerate(many) if each is not None)
        given[name] = found or None
    sections = {"geometry": "geometry", "passband": "filter", "grading": "grading"}
    given |= {name: section(CAMERA, 1, which, "r") for name, which in sections.items()}
    return given | changed


def judged(**changed: Any) -> dict[str, Any]:
    settings = changed.pop("settings", JudgeSettings())
    return dict(judge(settings, **inputs(**changed)))


def against(**changed: Any) -> dict[str, str]:
    """Metric to the grade that it gives."""
    return {reason["metric"]: reason["grade"] for reason in judged(**changed)["calibration_verdict"]["reasons"]}


def test_a_good_exposure_is_an_a_and_its_figures_are_told() -> None:
    made = judged()
    value, metrics = made["calibration_verdict"], made["calibration_quality"]
    assert (value["grade"], value["grades"], value["lost"], value["reasons"]) == ("A", {"A": 2}, 0, [])
    assert metrics["verdict"].value == 1.0
    assert metrics["psf_size"].value == pytest.approx(2.6 * CAMERA.pixel_scale, rel=0.02)
    assert metrics["psf_stars"].value == 120.0
    assert metrics["zero_point_offset"].value == pytest.approx(0.0, abs=1e-9)
    assert metrics["pointing_odds"].value == 120.0
    # 100 electrons of noise in 60 s, at the zero point that was measured; faint sources bring few photons of their own.
    assert metrics["point_depth"].value == pytest.approx(USUAL - 2.5 * np.log10(500.0 / 60.0), abs=0.04)


def test_the_depth_that_is_promised_is_the_table_s_sky() -> None:
    pixel, band = CAMERA.pixel_scale, CAMERA.band("r")
    sky_light = 60.0 * pixel**2 * 10.0 ** (-0.4 * (band.sky - band.zero_point))
    noise = np.sqrt(noise_area(CAMERA.grading["seeing"][0] / pixel, 3.0) * (sky_light + 36.0))
    metrics = judged(psf_sources=fits(float(noise)))["calibration_quality"]
    assert metrics["depth_offset"].value == pytest.approx(0.0, abs=0.05)
    # Twice the noise is 0.75 mag, and clouds of one magnitude are one magnitude more.
    worse = judged(psf_sources=fits(2.0 * float(noise)), sky_solution=sky(-1.0))["calibration_quality"]
    lost = worse["depth_offset"].value - metrics["depth_offset"].value
    assert lost == pytest.approx(-1.0 - 2.5 * np.log10(2.0), abs=1e-9)


@pytest.mark.parametrize(
    ("changed", "metric", "grade"),
    [
        ({"psf": model(stars=0, chi2=float("nan"))}, "psf_stars", "C"),
        ({"psf": model(stars=20)}, "psf_stars", "B"),
        ({"psf": model(chi2=2.5)}, "psf_chi2", "C"),
        ({"psf": None}, "psf_stars", "D"),
        ({"sky_solution": None}, "astrometry_internal", "D"),
        ({"sky_solution": sky(-0.3)}, "zero_point_offset", "B"),
        ({"sky_solution": sky(-2.0)}, "zero_point_offset", "D"),
        ({"sky_solution": sky(photometry_scatter=0.05)}, "photometry_scatter", "C"),
        ({"psf_sources": fits(300.0)}, "depth_offset", "B"),
        ({"pointing": None}, "pointing_matches", "D"),
        ({"pointing": {"matches": 12, "log_false": -9.0, "rung": "b", "attempts": [{"rung": r} for r in "ab"]}}, "pointing_odds", "C"),
        ({"zero_points": {"detectors": {}, "scatter": 0.15, "scale": "AB"}}, "zero_point_scatter", "C"),
    ],
)  # fmt: skip
def test_each_solution_enters_with_its_reason(changed: dict[str, Any], metric: str, grade: str) -> None:
    assert against(**changed)[metric] == grade
    assert judged(**changed)["calibration_verdict"]["grade"] == max(against(**changed).values())


def test_reasons_of_images_and_of_sky_solutions_are_taken_over() -> None:
    reason = {"metric": "trail_fraction", "value": 0.04, "units": "", "grade": "C", "limit": 0.02}
    image = {"grade": "C", "reasons": [reason], "figures": {}}
    far = {"metric": "astrometry_ties", "value": 4.0, "units": "", "grade": "C", "limit": 10.0}
    placed = sky() | {"reasons": [far]}
    del placed["figures"]["astrometry_internal"]
    value = judged(verdict=image, sky_solution=placed)["calibration_verdict"]
    # A detector placed by its neighbours has no scatter of its own, which is not held against it twice.
    assert {each["metric"] for each in value["reasons"]} == {"trail_fraction", "astrometry_ties"}
    assert all(each["detectors"] == 2 for each in value["reasons"])
    assert value["grade"] == "C"


def test_one_bad_detector_in_many_is_told_and_does_not_decide() -> None:
    many = {"members": (1, 2, 3, 4, 5, 6)}
    good = [model()] * 6
    made = judged(
        verdict=[inputs()["verdict"][0].value] * 6, psf=[*good[:5], model(chi2=9.0)], psf_sources=[fits(100.0)] * 6,
        sky_solution=[sky()] * 6, **many,
    )["calibration_verdict"]  # fmt: skip
    assert made["grade"] == "A"
    assert made["grades"] == {"A": 5, "D": 1}
    assert made["reasons"][0]["metric"] == "psf_chi2"
    assert made["reasons"][0]["detectors"] == 1


def test_a_lost_exposure_is_a_d_by_everything() -> None:
    nothing = dict.fromkeys(("verdict", "psf", "psf_sources", "sky_solution", "pointing"))
    value = judged(**nothing)["calibration_verdict"]
    assert (value["grade"], value["lost"]) == ("D", 2)
    assert {each["metric"] for each in value["reasons"]} == {"psf_stars", "astrometry_internal", "pointing_matches"}


def test_the_camera_s_table_overrules_the_limits() -> None:
    grading = section(CAMERA, 1, "grading", "r") | {"psf_stars": [100.0, 80.0, 70.0]}
    assert against(grading=grading)["psf_stars"] == "D"
    easy = JudgeSettings(required=(), zero_point_offset=(3.0, 4.0, 5.0))
    assert "zero_point_offset" not in against(settings=easy, sky_solution=sky(-2.0))


def test_relative_zero_points_are_not_compared_with_the_usual_one() -> None:
    relative = sky() | {"photometric": 0}
    figures = judged(sky_solution=relative)["calibration_verdict"]["figures"]
    assert "zero_point_offset" not in figures
    assert "point_depth" not in figures
    figures = judged(sky_solution=sky() | {"scale": "Vega"})["calibration_verdict"]["figures"]
    assert "zero_point_offset" not in figures
    own = {"detectors": {"1": {"zero": USUAL - 0.1}, "2": {"zero": USUAL - 0.1}}, "scatter": 0.02, "scale": "AB"}
    figures = judged(sky_solution=relative, zero_points=own)["calibration_verdict"]["figures"]
    assert figures["zero_point_offset"][0] == pytest.approx(-0.1)
    figures = judged(sky_solution=relative, zero_points=own | {"scale": "Vega"})["calibration_verdict"]["figures"]
    assert "zero_point_offset" not in figures
