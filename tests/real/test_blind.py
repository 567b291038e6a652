"""A camera lens's frame of two degrees whose header has no sky solution is placed by index files alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.files.reference.indexes import files_of, open_index
from spica.kernels.blind import Sighted, sight
from spica.kernels.finding import Judge
from tests.kernels.sky import separation
from tests.support.groups import INDEXES
from tests.support.real import sources_of

pytestmark = [pytest.mark.realdata, pytest.mark.astrometry]

CENTRES = {"unsolved.fits": (303.2110, 46.0195), "solved.fits.fz": (303.2064, 46.0174)}
"""By astrometry.net [degree]: of the first frame by solve-field 0.93 with quadratic terms, of the second as its header has it."""
PIXEL = 10.3
"""As the camera's table has it [arcsec]; the truth is 10.31."""


def listed(path: Path) -> Catalogue:
    """Sources of the raw frame: its Bayer mosaic as it is, level and noise by its own sky."""
    with fits.open(path) as hdus:
        plane = next(hdu for hdu in hdus if hdu.data is not None and hdu.data.ndim == 2)
        pixels = np.asarray(plane.data, np.float32)
    noise = 1.4826 * np.median(np.abs(pixels - np.median(pixels)))
    image = Image(pixels, np.full_like(pixels, noise**2), np.zeros(pixels.shape, np.int32))
    return sources_of(image)


def placed(sources: Catalogue, factor: float) -> Sighted:
    """Blind, with a scale that may be wrong by a factor."""
    order = np.argsort(-sources["flux_iso"], kind="stable")
    z = np.asarray(sources["x"] - 349.5 + 1j * (sources["y"] - 349.5), np.complex128)[order] * PIXEL / 3600.0
    indexes = [open_index(path) for path in files_of([INDEXES])]
    return sight(z, indexes, (1.0 / factor, factor), Judge(1.5 * PIXEL / 3600.0, 6.0, 5))


@pytest.mark.parametrize(
    ("name", "factor"), [("unsolved.fits", 2.0), ("unsolved.fits", 1000.0), ("solved.fits.fz", 2.0)]
)
def test_a_lens_is_placed_on_tycho_2(real_data: Path, name: str, factor: float) -> None:
    end = placed(listed(real_data / "panoptes" / name), factor)
    assert end.found is not None
    assert end.found.log_false < -15.0
    made = end.found.alignment
    assert 3600.0 * float(separation(made.ra, made.dec, *CENTRES[name])) < 0.7 * PIXEL
    assert made.scale * PIXEL == pytest.approx(10.31, abs=0.03)
    assert made.mirrored
    assert made.angle == pytest.approx(90.4, abs=0.3)
    assert end.found.stars.size >= 30
    assert 3600.0 * end.found.rms < 0.25 * PIXEL
