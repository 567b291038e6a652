"""Figures, verdicts, summaries and focal planes: the truth comes back, what is wrong with a frame is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.images import Image, RawDetector
from spica.core.keys import exposure_id
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, FrameType, Scalar
from spica.core.task import Member
from spica.core.verdict import gathered_reasons, place_of, said
from spica.instruments import tables
from spica.instruments.sections import section
from spica.simulate.settings import Effects, SimulationSettings
from spica.simulate.survey import _checked, studio
from spica.tasks.background import BackgroundSettings, background
from spica.tasks.detect import DetectSettings, detect
from spica.tasks.detrend import DetrendSettings, detrend
from spica.tasks.focal_plane import COLOURS, FAILED, MISSING, FocalPlaneSettings, focal_plane
from spica.tasks.grade import GradeSettings, grade
from spica.tasks.measure import MeasureSettings, measure
from spica.tasks.quality import QualitySettings, quality
from spica.tasks.quicklook import QuicklookSettings, quicklook
from spica.tasks.summary import SummarySettings, summary

ORDER = SimulationSettings(
    bands=("r",), exposures=1, biases=0, darks=0, flats=0, detectors=(1,), detector_size=(600, 700), density=2500,
    effects=Effects(**dict.fromkeys(("psf_variation", "bias", "vignetting", "response", "dust", "amp_steps", "fringes", "cosmics", "trails", "defects", "nonlinearity", "crosstalk"), False)),
)  # fmt: skip


def exposure(seconds: float = 60.0, airmass: float | None = None) -> Exposure:
    name = "demo-1"
    return Exposure(
        exposure_id("demo", name),
        name,
        "demo",
        FrameType.OBJECT,
        "2026-11-20",
        61364.0,
        seconds,
        airmass=airmass,
        band="r",
    )


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    """A simulated detector, reduced in memory: figures, its camera, the conditions in truth, the products."""
    camera, shots = _checked(ORDER, tables.load("demo"))
    shot = next(each for each in shots if each.frame_type is FrameType.OBJECT)
    spec = camera.detector(1)
    raw = studio(ORDER, camera).draw(shot, spec).hdus[0]
    taken = exposure(shot.exposure_time, shot.airmass)
    detector = Detector("demo-1", 1, "c" * 40, (1,), spec.amplifiers, spec.nx, spec.ny)
    given = RawDetector((raw,) * len(spec.amplifiers), spec.amplifiers, spec.nx, spec.ny, {"exposure_time": 60.0})
    nothing = dict.fromkeys(("bias", "dark", "flat", "defects"))
    science = detrend(DetrendSettings(), given, **nothing, crosstalk=section(camera, 1, "crosstalk"))["science"]
    sky = background(BackgroundSettings(), science)["background"]
    segments = detect(DetectSettings(filter_fwhm=2.5), science, sky)["segments"]
    sources = measure(MeasureSettings(), science, sky, segments, taken, detector)["sources"]
    figures = quality(QualitySettings(), science, sky, sources)["figures"]
    return {
        "camera": camera, "conditions": shot.conditions, "exposure": taken, "figures": figures, "science": science,
        "sky": sky, "sources": sources,
    }  # fmt: skip


def graded(drawn: dict[str, Any], grading: dict[str, list[float]], **changed: Any) -> dict[str, Any]:
    camera = drawn["camera"]
    figures = drawn["figures"] | {name: [value, ""] for name, value in changed.items()}
    return dict(
        grade(
            GradeSettings(), figures, drawn["exposure"], section(camera, 1, "geometry"),
            section(camera, 1, "filter", "r"), grading,
        )
    )  # fmt: skip


def test_seeing_shape_sky_and_depth_are_the_simulators(drawn: dict[str, Any]) -> None:
    figures = {name: value for name, (value, _) in drawn["figures"].items()}
    conditions = drawn["conditions"]
    added = {name: figure.value for name, figure in graded(drawn, {})["grade"].items()}
    assert figures["stars"] > 15
    assert added["seeing"] == pytest.approx(conditions.seeing, rel=0.02)
    assert figures["moffat_beta"] == pytest.approx(ORDER.psf_beta, rel=0.15)
    assert figures["ellipticity"] < 0.02, "without variation of the point spread function stars are round"
    assert figures["noise_ratio"] == pytest.approx(1.0, abs=0.06)
    assert figures["noise_correlation"] < 0.06
    assert figures["sky_level"] == pytest.approx(conditions.sky * 60, rel=0.06)
    # A star of this magnitude gives the light of 5σ; clouds are not known to a nominal zero point.
    pixels = np.pi * (0.5 * conditions.seeing / 0.5 / np.sqrt(2 ** (1 / 3) - 1)) ** 2 * 5 / 4
    light = 5 * np.sqrt(pixels * (figures["sky_level"] + figures["read_noise"] ** 2))
    assert figures["depth_5sigma"] == pytest.approx(light, rel=0.06)
    true = conditions.zero_point - 2.5 * np.log10(light / 60)
    assert added["depth_mag"] == pytest.approx(true + conditions.clouds, abs=0.08)


def test_the_time_of_a_depth_is_that_of_the_image(drawn: dict[str, Any]) -> None:
    """Two snaps summed gathered light for twice the time that the record of the first one tells."""
    once = {name: figure.value for name, figure in graded(drawn, {})["grade"].items()}
    twice = {name: figure.value for name, figure in graded(drawn, {}, exposure_time=120.0)["grade"].items()}
    for name in ("depth_mag", "sky_mag"):
        assert twice[name] - once[name] == pytest.approx(2.5 * np.log10(2.0), abs=1e-6), name


def test_trailed_stars_show_their_direction(drawn: dict[str, Any]) -> None:
    """Each star smeared along a diagonal by a box of 5 steps: long, at 45 degrees, and wider."""
    science, sky = drawn["science"], drawn["sky"]
    smeared = np.stack([np.roll(science.pixels, (k, k), (0, 1)) for k in range(-2, 3)]).mean(axis=0).astype(np.float32)
    trailed = Image(smeared, science.variance, science.mask, science.header)
    segments = detect(DetectSettings(), trailed, sky)["segments"]
    detector = Detector("demo-1", 1, "c" * 40, (1,), (), *trailed.shape[::-1])
    sources = measure(MeasureSettings(), trailed, sky, segments, drawn["exposure"], detector)["sources"]
    figures = {name: value for name, (value, _) in quality(QualitySettings(), trailed, sky, sources)["figures"].items()}
    assert figures["ellipticity"] > 0.3
    assert figures["ellipticity_angle"] == pytest.approx(45, abs=3)
    assert figures["noise_correlation"] < 0.1, "neighbours in a row or column stay independent"


def test_losses_and_steps(drawn: dict[str, Any]) -> None:
    science, sky, sources = drawn["science"], drawn["sky"], drawn["sources"]
    ny, nx = science.shape
    mask = np.zeros((ny, nx), np.int32)
    mask[:70] |= Mask.BAD
    mask[:, 10:16] |= Mask.TRAIL
    mask[200, 300:303] |= Mask.COSMIC
    mask[400, 100:102] |= Mask.COSMIC
    pixels = science.pixels.copy()
    pixels[:, nx // 2 :] += np.float32(20)
    cards: dict[str, Scalar] = {"AMPS00": f"[1:{nx // 2},1:{ny}]", "AMPS01": f"[{nx // 2 + 1}:{nx},1:{ny}]"}
    cards |= {"OVSC00": 1000.0, "OVSC01": 1013.0, "OVMA00": 1001.0, "OVMA01": 1005.0, "DEAD02": "C: no light"}
    spoilt = Image(pixels, science.variance, mask, {**science.header, **cards})
    figures = {name: value for name, (value, _) in quality(QualitySettings(), spoilt, sky, sources)["figures"].items()}
    assert figures["bad_fraction"] == pytest.approx(70 / ny)
    assert figures["trail_fraction"] == pytest.approx(6 / nx)
    assert figures["cosmic_hits"] == 2
    assert figures["lost_fraction"] == pytest.approx(1 - np.mean(mask == 0))
    assert figures["amplifier_step"] == pytest.approx(20, abs=4)
    assert figures["amplifier_step_sigma"] == pytest.approx(20 / figures["sky_noise"], rel=0.2)
    assert figures["bias_drift"] == pytest.approx(8.0)
    assert (figures["overscan_level"], figures["dead_amplifiers"]) == (1006.5, 1)


def test_nothing_to_measure_gives_figures_all_the_same(drawn: dict[str, Any]) -> None:
    science, sky = drawn["science"], drawn["sky"]
    none = Catalogue({name: values[:0] for name, values in drawn["sources"].columns.items()})
    figures = quality(QualitySettings(), science, sky, none)["figures"]
    assert figures["sources"] == [0.0, ""]
    assert not {"fwhm", "depth_5sigma", "ellipticity"} & set(figures)
    black = Image(science.pixels, science.variance, np.full(science.shape, int(Mask.NO_DATA), np.int32), {})
    lost = quality(QualitySettings(), black, sky, none)["figures"]
    assert (lost["lost_fraction"][0], lost["sky_fraction"][0]) == (1.0, 0.0)
    assert all(np.isfinite(value) for value, _ in lost.values())


@pytest.mark.parametrize(
    ("value", "limits", "place"),
    [
        (0.5, (1, 2, 3), 0),
        (1.0, (1, 2, 3), 0),
        (1.5, (1, 2, 3), 1),
        (9, (1, 2, 3), 3),
        (-2.5, (1, 2, 3), 2),
        (30, (20, 10, 5), 0),
        (12, (20, 10, 5), 1),
        (5, (20, 10, 5), 2),
        (-1, (20, 10, 5), 3),
    ],
)
def test_limits_that_rise_and_that_fall(value: float, limits: tuple[float, ...], place: int) -> None:
    assert place_of(value, limits) == place


def test_the_worst_figure_decides_and_is_told_first(drawn: dict[str, Any]) -> None:
    grading = {"seeing": [0.1, 0.2, 9.0], "lost_fraction": [0.1, 0.2, 0.3], "noise_ratio": [0.01, 0.02, 0.03]}
    made = graded(drawn, grading, lost_fraction=0.05)
    assert made["verdict"]["grade"] == "D"
    assert made["grade"]["verdict"].value == 4
    assert [(each["metric"], each["grade"], each["limit"]) for each in made["verdict"]["reasons"]] == [
        ("noise_ratio", "D", 0.03),
        ("seeing", "C", 0.2),
    ]
    assert graded(drawn, {})["verdict"] == {**graded(drawn, {})["verdict"], "grade": "A", "reasons": []}


def test_what_an_exposure_is_told_for_is_its_worst_detector() -> None:
    """The value beside a grade is one of that grade."""

    def seeing(value: float | None, grade: str, limit: float) -> dict[str, Any]:
        return {"metric": "seeing", "value": value, "units": "arcsec", "grade": grade, "limit": limit}

    told = [[seeing(1.3, "B", 1.2)], [seeing(1.9, "C", 1.6)], [seeing(1.7, "C", 1.6)], []]
    assert [said(reason) for reason in gathered_reasons(told)] == [
        "C: seeing 1.9 arcsec in the worst of 3 detectors, B ends at 1.6"
    ]
    assert said(gathered_reasons(told[:1])[0]) == "B: seeing 1.3 arcsec in one detector, A ends at 1.2"
    told.append([seeing(None, "D", 2.0)])
    assert said(gathered_reasons(told)[0]) == "D: seeing of 4 detectors could not be measured"


def test_a_seeing_that_cannot_be_had_is_a_d_where_it_is_graded(drawn: dict[str, Any]) -> None:
    blind = {**drawn, "figures": {"sources": [0.0, ""]}}
    (reason,) = graded(blind, {"seeing": [1, 2, 3], "bias_drift": [1, 2, 3]})["verdict"]["reasons"]
    assert (reason["metric"], reason["value"], reason["grade"]) == ("seeing", None, "D")
    assert graded(blind, {"bias_drift": [1, 2, 3]})["verdict"]["grade"] == "A"


def verdict(number: int, grade: str, seeing: float) -> Member:
    reasons = [{"metric": "seeing", "value": seeing, "units": "arcsec", "grade": grade, "limit": 1.0}]
    figures = {"seeing": [seeing, "arcsec"], "sources": [10.0, ""]}
    told = {"grade": grade, "reasons": reasons if grade != "A" else [], "figures": figures}
    return Member(f"detector:demo-1/{number}", told)


def test_an_exposure_is_as_good_as_most_of_its_detectors() -> None:
    members = tuple(verdict(n, "B" if n == 3 else "D" if n == 4 else "A", 1.0 + 0.1 * n) for n in range(1, 11))
    made = summary(SummarySettings(), members, tuple(range(1, 11)))
    told, figures = made["exposure_verdict"], made["exposure_quality"]
    assert (told["grade"], told["grades"]) == ("A", {"A": 8, "B": 1, "D": 1})
    assert figures["seeing"].value == pytest.approx(1.55)
    assert figures["seeing_range"].value == pytest.approx(0.9)
    assert figures["sources"].value == 100
    assert told["reasons"] == [
        {
            "metric": "seeing",
            "detectors": 2,
            "grade": "D",
            "limit": 1.0,
            "value": 1.4,
            "units": "arcsec",
        }
    ]
    lame = summary(SummarySettings(), members, tuple(range(1, 15)))
    assert (lame["exposure_verdict"]["grade"], lame["exposure_quality"]["detectors_lost"].value) == ("D", 4)
    assert summary(SummarySettings(share=0.5), members, tuple(range(1, 15)))["exposure_verdict"]["grade"] == "A"


def test_detectors_stand_where_the_table_says(drawn: dict[str, Any]) -> None:
    """Detector 3 is mounted upside down, 2 failed, 4 was not delivered."""
    camera = tables.load("demo")
    star = np.full((64, 64), 40, np.uint8)
    star[:8, :8] = 255
    pictures = tuple(Member(f"detector:demo-1/{n}", star) for n in (1, 3))
    plane = section(camera, 1, "focal plane")
    settings = FocalPlaneSettings(size=400)
    verdicts = (verdict(1, "A", 1.0), verdict(3, "D", 9.0))
    canvas = focal_plane(settings, pictures, verdicts, (1, 2, 3), plane, exposure())["focal_plane"]
    assert canvas.dtype == np.uint8
    assert canvas.shape[1] == 400
    ours = canvas[:400]
    assert ours[15, 15].tolist() == [255] * 3, "the first pixel of detector 1 is lower left"
    assert ours[385, 180].tolist() == [255] * 3, "and of detector 3 upper right"
    assert ours[100, 300].tolist() == list(FAILED[0])
    assert ours[300, 300].tolist() == list(MISSING[0])
    assert (ours[:, :200] == COLOURS["A"]).all(axis=2).any()
    assert (ours[200:, :200] == COLOURS["D"]).all(axis=2).any()
    without = focal_plane(settings, pictures, None, (1, 3), plane, exposure())["focal_plane"]
    assert not (without == COLOURS["D"]).all(axis=2).any()


def test_a_picture_of_nothing_is_black() -> None:
    nothing = Image(np.full((50, 60), np.nan, np.float32), None, np.full((50, 60), int(Mask.NO_DATA), np.int32))
    assert not quicklook(QuicklookSettings(size=30), nothing)["quicklook"].any()
