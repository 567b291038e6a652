"""What tests of the simulator share: small orders drawn once, and raw frames put together again."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from spica.core.camera import Camera, DetectorSpec
from spica.instruments import tables
from spica.simulate.settings import Effects, SimulationSettings
from spica.simulate.survey import SimulatedSurvey, simulate

SMALL = SimulationSettings(
    detector_size=(160, 128),
    density=800.0,
    exposures=2,
    biases=2,
    darks=1,
    flats=2,
    bands=("r", "i"),
)
BARE = SMALL.model_copy(
    update={
        "effects": Effects.none(),
        "biases": 1,
        "darks": 0,
        "flats": 1,
        "bands": ("r",),
        "star_fraction": 0.9,
        "mag_bright": 17.0,
        "mag_faint": 20.0,
        "density": 400.0,
    }
)


@pytest.fixture(scope="session")
def demo() -> Camera:
    """The demonstration camera."""
    return tables.load("demo")


@pytest.fixture(scope="session")
def small(demo: Camera, tmp_path_factory: pytest.TempPathFactory) -> SimulatedSurvey:
    """A small survey with everything on."""
    return simulate(SMALL, demo, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def bare(demo: Camera, tmp_path_factory: pytest.TempPathFactory) -> SimulatedSurvey:
    """A small survey with every effect off: sources on an even sky, no noise."""
    return simulate(BARE, demo, tmp_path_factory.mktemp("bare"))


def assembled(path: Path, spec: DetectorSpec) -> npt.NDArray[np.float64]:
    """Electrons of one detector of a raw mosaic: overscan subtracted, gain applied, amplifiers in place."""
    image = np.full((spec.ny, spec.nx), np.nan)
    with fits.open(path) as hdus:
        for amp in spec.amplifiers:
            raw = np.asarray(hdus[spec.hdus[amp.hdu]].data, dtype=float)
            x0, x1, y0, y1 = amp.data
            assert amp.overscan is not None
            u0, u1, v0, v1 = amp.overscan
            light = raw[y0:y1, x0:x1] - np.median(raw[v0:v1, u0:u1])
            light = light[:: -1 if amp.flip_y else 1, :: -1 if amp.flip_x else 1]
            a0, a1, b0, b1 = amp.detector
            image[b0:b1, a0:a1] = light * amp.gain
    return image
