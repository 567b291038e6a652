"""`spica camera measure`: a camera drawn with known values, measured from its frames, compared with its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.records import Unit
from spica.files.survey import Survey
from spica.instruments import tables
from spica.services import ingest, initialise, measuring, simulation, transfer_picture
from spica.services.cameras import load
from spica.services.surveys import opened
from spica.simulate.expose import BRIGHTER_FATTER
from tests.support.terminal import Terminal

FRAMES = {
    "bands": "r",
    "detectors": "1",
    "detector_size": "192,160",
    "exposures": "6",
    "biases": "6",
    "darks": "2",
    "flats": "0",
    "ramp": "2000,6000,14000,26000,40000,60000,110000",
    "lamp_scatter": "3e-4",
    "density": "1500",
    "slope": "0.0",
    "mag_bright": "11",
    "mag_faint": "19",
    "effects.brighter_fatter": "true",
}


def drawn(root: Path, **settings: str) -> Path:
    """A survey with its frames taken in."""
    folder, sky = root / "survey", root / "sky"
    initialise.initialise(folder)
    simulation.simulate(sky, "demo", {**FRAMES, **settings}, folder)
    ingest.ingest(ingest.Order((str(sky / "raw"),)), folder)
    return folder


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="module")
def measured(survey: Path) -> measuring.Measured:
    return measuring.measure(measuring.Order("demo", executor="inprocess"), survey)


def figures(measured: measuring.Measured, quantity: str) -> dict[tuple[int, str], measuring.Figure]:
    return {(each.detector, each.amplifier): each for each in measured.figures if each.quantity == quantity}


def pulls(measured: measuring.Measured, camera: Camera) -> dict[str, list[float]]:
    """Difference from the truth in errors, by quantity."""
    found: dict[str, list[float]] = {}
    for each in measured.figures:
        spec = next(spec for spec in camera.detectors if spec.id == each.detector)
        names = [amplifier.name for amplifier in spec.amplifiers]
        place = names.index(each.amplifier)
        amplifier = spec.amplifiers[place]
        truth = {
            "gain": amplifier.gain,
            "read_noise": amplifier.read_noise,
            "linearity": amplifier.linearity[0],
            "a00": -2.0 * sum(BRIGHTER_FATTER),
            "a10": BRIGHTER_FATTER[0],
            "a01": BRIGHTER_FATTER[1],
            "crosstalk": spec.crosstalk[place][names.index(each.source)] if each.source else None,
        }.get(each.quantity)
        if truth is not None:
            found.setdefault(each.quantity, []).append((each.value - truth) / each.error)
    return found


def test_all_figures_are_there_and_agree_with_the_truth(measured: measuring.Measured, survey: Path) -> None:
    assert measured.production.complete
    assert not measured.missing
    assert {each.quantity for each in measured.figures} == set(measuring.UNITS)
    for quantity, values in pulls(measured, load("demo", Survey.open(survey))).items():
        assert np.abs(values).max() < 4.0, quantity
    assert measured.agrees
    for each in figures(measured, "gain").values():
        assert each.error / each.value < 0.02
    for each in figures(measured, "full_well").values():
        assert each.value == pytest.approx(52000 * 1.62 * 1.02, rel=0.05)


def test_again_is_done_already(measured: measuring.Measured, survey: Path) -> None:
    again = measuring.measure(measuring.Order("demo", executor="inprocess"), survey)
    assert again.production.done == 0
    assert again.figures == measured.figures


def test_scratch_is_gone_and_metrics_are_found(measured: measuring.Measured, survey: Path) -> None:
    assert not list((survey / "products").rglob("*flat_signal*"))
    gain = figures(measured, "gain")[1, "A"]
    with opened(survey) as house:
        names = house.registry.metric_names()
        unit = next(curve.unit for curve in measured.curves)
        values = {each.name: each.value for each in house.registry.metrics_of(Unit.parse(unit))}
    assert "gain.A" in names
    assert values["gain.A"] == pytest.approx(gain.value)
    assert values["gain_error.A"] == pytest.approx(gain.error)


def test_a_wrong_table_is_told(measured: measuring.Measured, survey: Path) -> None:
    camera = load("demo", Survey.open(survey))
    spec = camera.detectors[0]
    wrong = spec.amplifiers[0].model_copy(update={"gain": 1.2, "saturation": 64000.0, "linearity": (8e-7,)})
    spec = spec.model_copy(update={"amplifiers": (wrong, *spec.amplifiers[1:]), "crosstalk": ()})
    other = camera.model_copy(update={"detectors": (spec,)})
    with_other = measuring.compare(other, measured.values)
    verdicts = {(each.amplifier, each.quantity): each.verdict for each in with_other}
    assert verdicts["A", "gain"] == verdicts["A", "saturation"] == verdicts["A", "linearity"] == "differs"
    assert verdicts["B", "gain"] == "agrees"
    assert verdicts["A", "crosstalk"] == "differs"


def test_the_fragment_is_a_table_that_agrees(measured: measuring.Measured, survey: Path, tmp_path: Path) -> None:
    camera = load("demo", Survey.open(survey))
    base = (survey / "cameras" / "demo.toml").read_text()
    text = base[: base.index("[[detectors]]")] + measured.fragment
    pasted = tables.load_text(text, "demo")
    assert pasted.detectors[0].amplifiers[0].gain == pytest.approx(figures(measured, "gain")[1, "A"].value, abs=1e-3)
    assert pasted.model_copy(update={"detectors": camera.detectors}) == camera
    assert all(each.verdict in {"agrees", "new"} for each in measuring.compare(pasted, measured.values))
    measuring.write_fragment(measured, tmp_path / "new.toml")
    with pytest.raises(SetupFault, match="exists already"):
        measuring.write_fragment(measured, tmp_path / "new.toml")


def test_what_is_missing_is_told(survey: Path) -> None:
    biases = measuring.measure(measuring.Order("demo", "frame_type = 'bias'", executor="inprocess"), survey)
    lacking = {each.quantity: each.amplifiers for each in biases.missing}
    assert lacking["gain"] == lacking["linearity"] == 2
    assert "read_noise" not in lacking
    noise = figures(biases, "read_noise")[1, "A"]
    assert noise.value == pytest.approx(6.1, abs=4.0 * noise.error)


def test_frames_of_no_such_camera(survey: Path) -> None:
    with pytest.raises(SetupFault) as refused:
        measuring.measure(measuring.Order("decam", executor="inprocess"), survey)
    assert refused.value.code == "order.nothing"


def test_curves_are_drawn(measured: measuring.Measured, tmp_path: Path) -> None:
    transfer_picture.draw("demo", measured.curves, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert {curve.amplifier for curve in measured.curves} == {"A", "B"}


def test_at_the_terminal(measured: measuring.Measured, survey: Path, tmp_path: Path) -> None:
    picture, table = tmp_path / "curves.png", tmp_path / "measured.toml"
    order = ("camera", "measure", "demo", "--executor", "inprocess")
    shown = Terminal(survey).order(*order, "--picture", picture, "--table", table)
    assert "crosstalk from B" in shown
    assert "the table agrees with the frames" in shown
    assert picture.exists()
    assert "[[detectors]]" in table.read_text()
    answer = Terminal(survey).ask(*order)
    assert len(answer["figures"]) == len(measured.figures)


@pytest.mark.slow
def test_pulls_have_unit_width(tmp_path: Path) -> None:
    """Eight amplifiers, each measured from flats of a level and of a ramp."""
    folder = drawn(tmp_path, detectors="1,2,3,4", detector_size="320,320", exposures="8", bands="r,i")
    measured = measuring.measure(measuring.Order("demo", executor="inprocess"), folder)
    # Crosstalk apart: giant stars crowd these small detectors, and their wings pass for ghosts (see the documentation).
    for quantity, values in pulls(measured, load("demo", Survey.open(folder))).items():
        if quantity == "crosstalk":
            continue
        rms = float(np.sqrt(np.mean(np.square(values))))
        # Of eight values: the amplifiers share a lamp, so those of linearity are hardly more than one.
        assert rms < (2.5 if quantity == "linearity" else 1.7), (quantity, values)
        assert rms > (0.05 if quantity == "linearity" else 0.4), (quantity, values)
