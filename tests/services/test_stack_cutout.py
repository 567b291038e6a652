"""Cut-outs of stacks: all planes where they were, the sky moved with them, nothing beyond the edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.core.faults import DataFault, SetupFault
from spica.core.mask import Mask
from spica.core.streams import Band
from spica.files.images import PLANES, ImageSink, open_rows
from spica.kernels.projection import Projection
from spica.services.stack_cutout import Box, cut, stack_cutouts
from tests.support.terminal import new_survey

NX, NY = 70, 600
SKY = Projection("ZEA", np.array([20.0, 30.0]), np.array([30.0, 300.0]), 1e-4 * np.array([[-1.0, 0.0], [0.0, 1.0]]))


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One without anything."""
    return new_survey(tmp_path_factory.mktemp("empty") / "survey").folder


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    planes = {name: rng.normal(10.0, 1.0, (NY, NX)).astype(np.float32) for name in PLANES}
    planes |= {name: rng.integers(0, 8, (NY, NX)).astype(np.int32) for name in ("mask", "number")}
    header = SKY.cards() | {"MAGZERO": 30.0}
    sink = ImageSink(tmp_path / "stack.fits", (NY, NX), {"SPICAPRO": "stack", "GRADE": "A"}, header=header)
    sink.write(Band(0, planes))
    sink.close()
    return tmp_path / "stack.fits"


def test_all_planes_are_cut_with_their_place_and_cards(stack: Path, tmp_path: Path) -> None:
    box, to = Box(10, 60, 20, 590), tmp_path / "cut.fits"
    assert cut(stack, box, to) == 1.0
    whole, part = open_rows(stack), open_rows(to)
    assert set(part.planes) == set(PLANES)
    for name in PLANES:
        expected = whole.read(20, 590, name)[:, 10:60]
        assert np.array_equal(part.read(0, 570, name), expected, equal_nan=True), name
    with fits.open(stack) as before, fits.open(to, checksum=True) as after:
        assert after[0].header["SPICAPRO"] == "stack"
        assert after[0].header["GRADE"] == "A"
        assert [after["SCIENCE"].header[key] for key in ("MAGZERO", "CUTX", "CUTY")] == [30.0, 10, 20]
        there = WCS(before["SCIENCE"].header).all_pix2world(33.0, 44.0, 0)
        assert np.allclose(WCS(after["SCIENCE"].header).all_pix2world(23.0, 24.0, 0), there, atol=1e-11)


def test_beyond_the_tile_there_is_nothing(stack: Path, tmp_path: Path) -> None:
    box, to = Box(-30, 30, 500, 700), tmp_path / "cut.fits"
    assert cut(stack, box, to) == 0.25
    part = open_rows(to)
    assert np.isnan(part.read(0, 200)[:, :30]).all()
    assert np.isnan(part.read(100, 200)).all()
    assert (part.read(0, 200, "mask")[:, :30] == int(Mask.NO_DATA)).all()
    assert np.isinf(part.read(0, 200, "variance")[:, :30]).all()
    assert (part.read(0, 200, "number")[:, :30] == 0).all()
    with pytest.raises(DataFault, match="outside"):
        cut(stack, Box(70, 80, 0, 10), tmp_path / "none.fits")


@pytest.mark.parametrize(
    ("place", "tile", "what"),
    [
        ((400.0, 0.0), "", "is not on the sky"),
        (Box(0, 10, 0, 10), "", "name it"),
        (Box(10, 10, 0, 10), "t", "has no pixel"),
        ((10.0, 80.0), "t", "no stack 'stack', tile t covers"),
    ],
)
def test_what_cannot_be_is_told(
    survey: Path, tmp_path: Path, place: tuple[float, float] | Box, tile: str, what: str
) -> None:
    with pytest.raises(SetupFault, match=what):
        stack_cutouts(tmp_path / "cuts", survey, place, tile=tile)
