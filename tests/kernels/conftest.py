"""What tests of kernels share."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from spica.kernels.compiled import Float32


@pytest.fixture(scope="session")
def real_image(real_data: Path) -> Float32:
    """A real 256 × 256 frame of stars and galaxies, the one that sep is tested with."""
    with warnings.catch_warnings():
        # Its header of 1992 has a keyword that today's standard does not know.
        warnings.simplefilter("ignore", AstropyUserWarning)
        with fits.open(real_data / "sep" / "image.fits", memmap=False) as hdus:
            return np.asarray(hdus[0].data, dtype=np.float32)
