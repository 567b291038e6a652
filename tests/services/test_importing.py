"""Masters made elsewhere: what is taken, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.faults import DataFault, SetupFault
from spica.core.mask import Mask
from spica.files.images import read_image
from spica.instruments import tables
from spica.services import importing, masters
from spica.services.importing import Order
from tests.support.terminal import Terminal, new_survey

DEMO = tables.load("demo").detectors[0]
SHAPE = (DEMO.ny, DEMO.nx)
GAIN = float(np.mean([amplifier.gain for amplifier in DEMO.amplifiers]))


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return new_survey(tmp_path_factory.mktemp("importing") / "survey")


def written(path: Path, pixels: np.ndarray, **cards: object) -> Path:
    hdu = fits.PrimaryHDU(pixels.astype(np.float32))
    hdu.header.update(cards)
    hdu.writeto(path)
    return path


def test_a_bias_in_adu_becomes_electrons(survey: Terminal, tmp_path: Path) -> None:
    pixels = np.full(SHAPE, 12.0)
    pixels[3, 4] = np.nan
    order = Order("bias", "demo", detector=DEMO.id, unit="adu", first="2026-11-20", last="2026-11-21")
    (found,) = importing.bring_in([written(tmp_path / "b.fits", pixels)], order, survey.folder)
    image = read_image(survey.folder / found.path)
    assert image.pixels[0, 0] == pytest.approx(12 * GAIN, rel=1e-4)
    assert image.mask is not None
    assert [tuple(place) for place in np.argwhere(image.mask)] == [(3, 4)]
    (line,) = masters.listing(masters.Wanted(night="2026-11-21"), survey.folder).masters
    assert (line.serves, line.origin) == ("imported", str(tmp_path / "b.fits"))
    assert masters.listing(masters.Wanted(night="2026-11-23"), survey.folder).masters == ()


def test_a_mosaic_is_told_apart_by_its_extensions(survey: Terminal, tmp_path: Path) -> None:
    named = [
        fits.ImageHDU(np.ones((spec.ny, spec.nx), np.int16), name=spec.name)
        for spec in tables.load("demo").detectors[:2]
    ]
    fits.HDUList([fits.PrimaryHDU(), *named]).writeto(tmp_path / "mask.fits")
    found = importing.bring_in([tmp_path / "mask.fits"], Order("defects", "demo", "r"), survey.folder)
    assert [each.detector for each in found] == [spec.id for spec in tables.load("demo").detectors[:2]]
    mask = read_image(survey.folder / found[0].path).mask
    assert mask is not None
    assert (mask == Mask.BAD).all()
    story = survey.ask("why", found[0].unit)
    assert (story["verdict"], story["jobs"][0]["pipeline"]) == ("done in import", "import")


@pytest.mark.parametrize(
    ("pixels", "order", "cards", "code"),
    [
        (np.ones((5, 5)), Order("flat", "demo", "r", DEMO.id), {}, "calibration.shape"),
        (np.ones(SHAPE), Order("flat", "demo", "r", DEMO.id), {"BUNIT": "adu"}, "calibration.unit"),
        (np.full(SHAPE, 3e4), Order("flat", "demo", "r", DEMO.id), {}, "calibration.unit"),
        (np.ones(SHAPE), Order("dark", "demo", detector=DEMO.id, unit="electron"), {}, "calibration.unit"),
        (np.ones(SHAPE), Order("flat", "demo", "r"), {}, "order.invalid"),
        (np.ones(SHAPE), Order("flat", "demo", "", DEMO.id), {}, "order.invalid"),
        (np.ones(SHAPE), Order("flat", "", "r", DEMO.id), {}, "order.invalid"),
        (np.ones(SHAPE), Order("flood", "demo", "r", DEMO.id), {}, "order.invalid"),
        (np.ones(SHAPE), Order("bias", "demo", detector=DEMO.id, binning="two"), {}, "order.invalid"),
        (np.ones(SHAPE), Order("bias", "demo", detector=DEMO.id, first="yesterday"), {}, "order.invalid"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_registered(
    survey: Terminal, tmp_path: Path, pixels: np.ndarray, order: Order, cards: dict[str, object], code: str
) -> None:
    before = masters.listing(masters.Wanted(), survey.folder).masters
    with pytest.raises((DataFault, SetupFault)) as caught:
        importing.bring_in([written(tmp_path / "x.fits", pixels, **cards)], order, survey.folder)
    assert caught.value.code == code
    assert masters.listing(masters.Wanted(), survey.folder).masters == before


def test_orders_on_what_is_not_there_are_refused(survey: Terminal) -> None:
    for words, code in (
        (("use", "1999-01-01", "2026-11-20"), "order.nothing"),
        (("copy", "1999-01-01", "2026-11-25..2026-11-20"), "order.invalid"),
        (("copy", "1999-01-01", "soon"), "order.invalid"),
        (("use",), "order.invalid"),
        (("use", "--withdraw", "77"), "order.nothing"),
    ):
        assert code in survey.order("calib", *words, code=2)
