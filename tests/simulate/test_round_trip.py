"""Every shipped camera that takes raw frames reads what the simulator writes for it."""

from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.instruments import tables
from spica.instruments.detectors import detectors
from spica.instruments.headers import recognise, translate
from spica.simulate.settings import Effects, SimulationSettings
from spica.simulate.survey import SimulatedSurvey, simulate

DELIVERED_ONLY = {"lco", "sdss"}
"""Tables of frames that were reduced elsewhere: nobody takes raw ones with them."""
CAMERAS = sorted(set(tables.names()) - DELIVERED_ONLY)


def headers_of(path: Path) -> list[dict[str, object]]:
    with fits.open(path, checksum=True) as hdus:
        return [dict(hdu.header) for hdu in hdus]


def drawn(name: str, folder: Path) -> SimulatedSurvey:
    camera = tables.load(name)
    order = SimulationSettings(
        density=0.0,
        biases=1,
        darks=1,
        flats=1,
        exposures=1,
        bands=(camera.filters[0].band,),
        detectors=tuple(spec.id for spec in camera.detectors[:2]),
        detector_size=(128, 96),
        truth_images=False,
        effects=Effects.none(),
    )
    return simulate(order, camera, folder)


@pytest.mark.parametrize("name", CAMERAS)
def test_camera_reads_its_simulated_frames(name: str, tmp_path: Path) -> None:
    survey = drawn(name, tmp_path)
    known = [tables.load(other) for other in tables.names()]
    kinds: set[str] = set()
    found: set[int] = set()
    for path in survey.raw:
        assert fnmatch(path.name, survey.camera.file_pattern)
        headers = headers_of(path)
        assert recognise(headers, known, path.name).name == name
        exposure = translate(headers, survey.camera, path.name)
        assert exposure.night == path.parent.name == "2026-11-20"
        kinds.add(str(exposure.frame_type))
        records = detectors(headers, survey.camera, exposure, "checksum", path.name)
        found |= {record.detector for record in records}
        for record in records:
            assert (record.nx, record.ny) == (128, 96)
            assert not exposure.band or _level_is_even(path, record.hdus, record.amplifiers)
    assert "object" in kinds
    assert found == {spec.id for spec in survey.camera.detectors}


def _level_is_even(path: Path, hdus: tuple[int, ...], amplifiers: tuple) -> bool:  # type: ignore[type-arg]
    """The amplifiers as read from the header hold the light: their medians agree in electrons."""
    levels = []
    with fits.open(path) as opened:
        for hdu, amp in zip(hdus, amplifiers, strict=True):
            raw = np.asarray(opened[hdu].data, dtype=float)
            x0, x1, y0, y1 = amp.data
            bias = 1000.0
            if amp.overscan:
                u0, u1, v0, v1 = amp.overscan
                bias = float(np.median(raw[v0:v1, u0:u1]))
                assert bias == 1000.0
            levels.append((float(np.median(raw[y0:y1, x0:x1])) - bias) * amp.gain)
    return bool(np.ptp(levels) < 0.1 * np.mean(levels) + 5.0 and np.mean(levels) > 0)
