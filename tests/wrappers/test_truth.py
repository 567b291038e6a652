"""Why SExtractor's FLUX_AUTO and PSFEx's width differ from ours: stars of known light and width, each alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.psf import PsfModel
from spica.kernels.draw import Psf, add_stars
from spica.tasks import background, detect, measure
from spica.wrappers import psfex, sextractor

pytestmark = [pytest.mark.slow, pytest.mark.astromatic]
FWHM, SKY, SIDE = 4.0, 200.0, 1024


def drawn(beta: float) -> tuple[Image, Catalogue]:
    """Moffat stars of 3e4 to 3e5 electrons about the nodes of a grid, and where they are."""
    rng = np.random.default_rng(1)
    grid = np.arange(32.0, SIDE, 64.0)
    x, y = (each.ravel() + rng.uniform(-3, 3, each.size) for each in np.meshgrid(grid, grid))
    flux = 10 ** rng.uniform(4.5, 5.5, x.size)
    light, ones = np.zeros((SIDE, SIDE), np.float32), np.ones(x.size)
    add_stars(light, x, y, flux, Psf(FWHM * ones, 0 * ones, 0 * ones, beta), 1e-6)
    pixels = rng.poisson(light + SKY).astype(np.float32)
    truth = Catalogue({"x": x, "y": y, "flux_auto": flux})
    return Image(pixels, light + np.float32(SKY), np.zeros(pixels.shape, np.int32)), truth


def ours(image: Image, *, whole: bool) -> Catalogue:
    level = background.TASK.run(background.TASK.settings(), science=image)["background"]
    found = detect.TASK.run(detect.TASK.settings(), science=image, background=level)["segments"]
    record = SimpleNamespace(id=1, detector=1, wcs={})
    made: Catalogue = measure.TASK.run(
        measure.TASK.settings.model_validate({"whole_light": whole}),
        science=image, background=level, segments=found, exposure=record, detector=record,
    )["sources"]  # fmt: skip
    return made


def off(found: Catalogue, truth: Catalogue) -> float:
    """Median of flux_auto against the truth [mag]."""
    away, row = cKDTree(np.c_[found["x"], found["y"]]).query(np.c_[truth["x"], truth["y"]])
    good = (away < 1) & (found["flags"][row] == 0)
    assert good.sum() > 200
    return float(np.median(-2.5 * np.log10(found["flux_auto"][row][good] / truth["flux_auto"][good])))


@pytest.mark.parametrize("beta", [3.0, 50.0])
def test_flux_auto_of_sextractor_lacks_the_light_outside_of_its_ellipse_and_ours_does_not(beta: float) -> None:
    image, truth = drawn(beta)
    theirs = sextractor.TASK.run(sextractor.TASK.settings(), science=image, exposure=None, detector=None)["sources"]
    lost, without, whole = off(theirs, truth), off(ours(image, whole=False), truth), off(ours(image, whole=True), truth)
    print(f"beta {beta}: SExtractor {lost:+.4f}, ours in the ellipse {without:+.4f}, ours {whole:+.4f} mag")
    assert abs(whole) < 0.01
    if beta == 3.0:
        assert lost == pytest.approx(0.032, abs=0.01), "what lies outside of the ellipse"
        assert without == pytest.approx(0.052, abs=0.01), "the same, of an ellipse that is smaller"


@pytest.mark.parametrize("beta", [2.5, 3.0, 4.5])
def test_psfex_tells_the_diameter_of_half_of_the_light_and_we_the_width_of_its_model(beta: float) -> None:
    image, _ = drawn(beta)
    sources = sextractor.TASK.run(sextractor.TASK.settings(), science=image, exposure=None, detector=None)["sources"]
    made = psfex.TASK.run(psfex.TASK.settings(), science=image, sources=sources, exposure=None, detector=None)
    told, width = made["psfex_quality"], PsfModel.from_catalogue(made["psf"]).fwhm
    light = FWHM * np.sqrt((2 ** (1 / (beta - 1)) - 1) / (2 ** (1 / beta) - 1))
    card = told["psfex_fwhm_fromfluxradius_mean"].value
    print(
        f"beta {beta}: card {card:.3f}, half of the light {light:.3f}, its Moffat {told['psfex_fwhm_mean'].value:.3f}, ours {width:.3f}"
    )
    assert card == pytest.approx(light, rel=0.04)
    assert told["psfex_fwhm_mean"].value == pytest.approx(FWHM, rel=0.01)
    assert width == pytest.approx(FWHM, rel=0.01)
