"""The zero point of a real frame's source-extractor catalogue against the Gaia list that lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from spica.kernels.associate import unit_vectors
from spica.kernels.zero_point import Pairs, fit_zero_points

pytestmark = pytest.mark.realdata
PER_MAG = 2.5 / np.log(10.0)


def rows(path: Path) -> Any:
    with fits.open(path) as hdus:
        return hdus["LDAC_OBJECTS"].data.copy()


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_gaia_gives_a_frame_one_zero_point(real_data: Path) -> None:
    folder = real_data / "lco_calibrated"
    seen, known = rows(folder / "ldac_test_catalog.fits"), rows(folder / "GAIA-DR2.cat")
    stars = unit_vectors(known["XWIN_WORLD"].astype(float), known["YWIN_WORLD"].astype(float))
    flux, error = seen["FLUX_AUTO"].astype(float), seen["FLUXERR_AUTO"].astype(float)
    good = (flux > 20.0 * error) & (seen["FLAGS"] == 0)
    here = unit_vectors(seen["ALPHA_J2000"][good].astype(float), seen["DELTA_J2000"][good].astype(float))
    away, star = cKDTree(stars).query(here, distance_upper_bound=np.radians(1.5 / 3600))
    near = np.isfinite(away)
    star, rows_of = star[near], np.flatnonzero(good)[near]
    count = star.size
    x, y = (seen[name][rows_of].astype(float) for name in ("XWIN_IMAGE", "YWIN_IMAGE"))
    pairs = Pairs(
        np.zeros(count, np.int64), x, y, np.array([[x.max() + 1.0, y.max() + 1.0]]),
        -2.5 * np.log10(flux[rows_of]), PER_MAG * error[rows_of] / flux[rows_of],
        known["MAG"][star].astype(float), known["MAGERR"][star].astype(float), np.zeros(count),
    )  # fmt: skip
    found = fit_zero_points(pairs)
    plain = pairs.known - pairs.mag
    middle = float(np.median(plain))
    spread = 1.4826 * float(np.median(np.abs(plain - middle)))
    assert count >= 90
    assert found.count[0] >= 0.9 * count
    assert abs(found.zero[0] - middle) < 3.0 * spread / np.sqrt(count)
    assert found.error[0] < 0.01
    # A filter that is not Gaia's G, without a colour term: one magnitude of colour is some hundredths.
    assert found.scatter < 0.07
    assert abs(found.slope - 1.0) < 0.03
