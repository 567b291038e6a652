"""Bad files made to order are bad in the way ordered."""

from pathlib import Path

import pytest
from astropy.io import fits

from spica.core.camera import Camera
from spica.core.faults import DataFault
from spica.instruments import tables
from spica.instruments.headers import recognise, translate
from spica.simulate.settings import SimulationSettings
from spica.simulate.survey import SimulatedSurvey, simulate
from tests.simulate.conftest import BARE

DRILLS = (
    "missing-detector",
    "truncated",
    "bit-flip",
    "empty",
    "not-fits",
    "missing-keyword",
    "absurd-keyword",
    "unknown-filter",
    "wrong-camera",
    "duplicate",
)


@pytest.fixture(scope="module")
def drilled(demo: Camera, tmp_path_factory: pytest.TempPathFactory) -> SimulatedSurvey:
    change = {"drills": DRILLS, "exposures": len(DRILLS), "biases": 0, "flats": 0, "truth_images": False}
    order = SimulationSettings.model_validate({**dict(BARE), **change})
    return simulate(order, demo, tmp_path_factory.mktemp("drilled"))


def bad(survey: SimulatedSurvey, drill: str) -> Path:
    """The (last) file of a drill: the first drill is the last exposure."""
    number = len(DRILLS) - DRILLS.index(drill)
    return [path for path in survey.raw if f"-{number:05d}" in path.name][-1]


def headers_of(path: Path) -> list[dict[str, object]]:
    with fits.open(path) as hdus:
        return [dict(hdu.header) for hdu in hdus]


def test_a_detector_is_missing(drilled: SimulatedSurvey) -> None:
    assert len(headers_of(bad(drilled, "missing-detector"))) == len(drilled.camera.detectors)


def test_bytes_are_damaged(drilled: SimulatedSurvey) -> None:
    assert bad(drilled, "empty").stat().st_size == 0
    assert not bad(drilled, "not-fits").read_bytes().startswith(b"SIMPLE")
    assert bad(drilled, "truncated").stat().st_size % 2880 != 0
    with pytest.warns(match=r"(?i)checksum|datasum"), fits.open(bad(drilled, "bit-flip"), checksum=True) as hdus:
        hdus.readall()


@pytest.mark.parametrize(
    ("drill", "code"),
    [
        ("missing-keyword", "header.missing"),
        ("absurd-keyword", "header.absurd"),
        ("unknown-filter", "header.unknown-filter"),
    ],
)
def test_headers_are_refused(drilled: SimulatedSurvey, drill: str, code: str) -> None:
    with pytest.raises(DataFault) as caught:
        translate(headers_of(bad(drilled, drill)), drilled.camera, drill)
    assert caught.value.code == code


def test_the_camera_is_not_recognised(drilled: SimulatedSurvey) -> None:
    with pytest.raises(DataFault):
        recognise(headers_of(bad(drilled, "wrong-camera")), [tables.load(name) for name in tables.names()])


def test_two_files_claim_one_exposure(drilled: SimulatedSurvey) -> None:
    again = bad(drilled, "duplicate")
    first = next(path for path in drilled.raw if path.name == again.name)
    assert first != again
    assert first.read_bytes() != again.read_bytes()
    names = {translate(headers_of(path), drilled.camera, path.name).name for path in (first, again)}
    assert len(names) == 1
