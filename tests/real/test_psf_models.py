"""Models of the point spread function of real frames: a crowded field, an undersampled one, and one with hardly a star."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.core.records import Detector
from spica.core.task import Products
from spica.tasks.background import BackgroundSettings, background
from spica.tasks.detect import DetectSettings, detect
from spica.tasks.measure import MeasureSettings, measure
from spica.tasks.psf import PsfSettings, psf
from spica.tasks.stars import StarsSettings, stars
from tests.support.real import EXPOSURE


def modelled(path: Path, full: float = 6e4) -> Products:
    """The tasks from a bare image (a gain of 1.5 where the header tells none) to its model."""
    with fits.open(path) as hdus:
        plane = next(hdu for hdu in hdus if hdu.data is not None and hdu.data.ndim == 2)
        pixels, gain = np.asarray(plane.data, np.float32), float(plane.header.get("GAIN") or 1.5)
    mask = np.where(pixels >= full, np.int32(Mask.SATURATED), np.int32(0)).astype(np.int32)
    image = Image(pixels * np.float32(gain), None, mask, {"GAIN": 1.0})
    sky = background(BackgroundSettings(), image)["background"]
    assert sky.variance is not None
    image = Image(image.pixels, np.maximum(image.pixels - sky.pixels, 0) + sky.variance, mask, image.header)
    segments = detect(DetectSettings(), image, sky)["segments"]
    where = Detector("bare-1", 1, "0" * 40, (0,), (), image.shape[1], image.shape[0])
    sources = measure(MeasureSettings(), image, sky, segments, EXPOSURE, where)["sources"]
    return psf(PsfSettings(), image, sky, sources, stars(StarsSettings(), sources)["stars"])


def test_a_crowded_field(real_data: Path) -> None:
    made = modelled(min((real_data / "timeseries_saao_KB13475").glob("*.f*")))
    found = PsfModel.from_catalogue(made["psf"])
    assert found.stars > 50
    assert 3.4 < found.fwhm < 4.2
    assert made["psf_quality"]["psf_chi2_held"].value < 2.0


def test_an_undersampled_field(real_data: Path) -> None:
    made = modelled(min((real_data / "panoptes").glob("*solved*")))
    found = PsfModel.from_catalogue(made["psf"])
    assert found.stars > 60
    assert found.fwhm < 2.2
    assert found.sampling < 0.5
    assert made["psf_quality"]["psf_chi2_held"].value < 2.2


def test_a_frame_with_hardly_a_star_says_so(real_data: Path) -> None:
    with pytest.raises(DataFault) as raised:
        modelled(real_data / "hsc_small" / "HSC-0908120-056-small.fits")
    assert raised.value.code == "psf.too-few-stars"
