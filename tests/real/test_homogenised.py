"""Real frames of one crowded field, of unlike seeing, brought to one point spread function: their stars are then alike."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.images import Image
from spica.core.psf import PsfModel
from spica.core.records import Detector
from spica.kernels.psf_look import places_over, shapes_at
from spica.tasks.background import BackgroundSettings, background
from spica.tasks.detect import DetectSettings, detect
from spica.tasks.measure import MeasureSettings, measure
from spica.tasks.psf import PsfSettings, psf
from spica.tasks.stars import StarsSettings, stars
from tests.support.homogenising import SCALE, homogenised
from tests.support.real import EXPOSURE

pytestmark = pytest.mark.slow
TARGET = 5.6 * SCALE


def _frame(path: Path) -> Image:
    with fits.open(path) as hdus:
        pixels = np.asarray(next(hdu.data for hdu in hdus if hdu.data is not None), np.float32)
    image = Image(pixels * np.float32(1.5), None, np.zeros(pixels.shape, np.int32), {"GAIN": 1.0})
    level = background(BackgroundSettings(), image)["background"]
    variance = np.maximum(image.pixels - level.pixels, 0) + level.variance
    return Image(image.pixels, variance.astype(np.float32), image.mask, image.header)


def _model(image: Image) -> PsfModel:
    """The model of its stars."""
    level = background(BackgroundSettings(), image)["background"]
    segments = detect(DetectSettings(), image, level)["segments"]
    where = Detector("bare-1", 1, "0" * 40, (0,), (), image.shape[1], image.shape[0])
    sources = measure(MeasureSettings(), image, level, segments, EXPOSURE, where)["sources"]
    made = psf(PsfSettings(), image, level, sources, stars(StarsSettings(), sources)["stars"])
    return PsfModel.from_catalogue(made["psf"])


def test_frames_of_unlike_seeing_become_alike(real_data: Path) -> None:
    frames = sorted((real_data / "timeseries_saao_KB13475").glob("*.f*"))
    before, after = [], []
    for path in (frames[0], frames[30]):
        image = _frame(path)
        model = _model(image)
        made = homogenised(image, model, fwhm=TARGET)
        again = _model(made["homogenised"])
        places = again.values(*places_over(image.shape, 3, 3))
        shapes = shapes_at(again.coefficients, places, again.sampling, again.fwhm)
        inner = np.s_[40:-40, 40:-40]
        assert made["homogenised"].pixels[inner].mean() == pytest.approx(float(image.pixels[inner].mean()), rel=2e-3)
        before.append(model.fwhm)
        after.append(shapes)
    assert max(before) > 1.4 * min(before)
    assert np.array([each.fwhm for each in after]) * SCALE == pytest.approx(TARGET, rel=0.03)
    assert max(each.ellipticity.max() for each in after) < 0.05
