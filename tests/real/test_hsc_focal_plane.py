"""The focal plane of an HSC exposure from 51 star lists, guessed headers, and Gaia at the time of the exposure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.files.reference.catalogue import open_reference
from spica.files.reference.regions import Cone
from spica.kernels.associate import unit_vectors
from spica.kernels.express import as_tpv
from spica.kernels.joint import Images, Lists, Matching, identify, lay
from spica.kernels.joint_astrometry import Options, adjust
from spica.kernels.joint_report import image_figures, offsets
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from tests.support.references import imported

SCALE = 168.0
"""Milliarcseconds per pixel."""


def star_lists(folder: Path) -> tuple[Images, Lists]:
    """All 51 lists; a header says 'degree' where the standard says 'deg'."""
    wcs, image, x, y, err = [], [], [], [], []
    for number, path in enumerate(sorted(folder.glob("1180_*.fits"))):
        with fits.open(path) as file:
            wcs.append(from_cards({**dict(file[0].header), "CUNIT1": "deg", "CUNIT2": "deg"}))
            table = file[1].data
            spread = np.sqrt(0.5 * (table["xErr"].astype(float) ** 2 + table["yErr"].astype(float) ** 2))
            good = np.isfinite(table["x"]) & np.isfinite(spread)
            x.append(table["x"][good].astype(float))
            y.append(table["y"][good].astype(float))
            err.append(spread[good])
            image.append(np.full(int(good.sum()), number))
    count = len(wcs)
    images = Images(
        *(np.zeros(count, int), np.arange(count), np.tile([2048.0, 4176.0], (count, 1)), np.zeros(count, int)), wcs
    )
    error = np.concatenate(err)
    return images, Lists(np.concatenate(image), np.concatenate(x), np.concatenate(y), error, 1.0 / error)


@pytest.mark.slow
def test_offsets_of_two_arc_seconds_vanish(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "hsc_visit1180_catalogues"
    imported(tmp_path, "gaia", folder / "gaia_refCat.parquet")
    gaia = open_reference(tmp_path, "gaia").find(Cone(0.0, 0.0, 180.0), mjd=56744.29)
    images, lists = star_lists(folder)
    error = np.sqrt(0.5 * (gaia["ra_err"].astype(float) ** 2 + gaia["dec_err"].astype(float) ** 2))
    known = unit_vectors(gaia["ra"], gaia["dec"]), np.where(np.isfinite(error), error, 50.0)
    how = Matching(search=5.0, radius=2.5, degree=2)
    mosaic, start, _ = lay(images, lists, known[0], how)
    found = identify(mosaic, start, lists, np.full(51, SCALE), known, how)
    fit = adjust(mosaic, start, found.seen, found.known, Options())
    assert fit.converged
    figures = image_figures(mosaic, found.seen, found.known, fit, known[0])
    # Some sixteen stars in a detector are in Gaia and not saturated.
    assert figures.ties.sum() > 700
    assert figures.ties.min() >= 6
    assert np.median(figures.external) < 22.0
    off = offsets(found.seen, found.known, fit)
    used = fit.state.seen > 0
    assert np.std(off[used].real) < 25.0
    assert np.std(off[used].imag) < 20.0
    before, after = [], []
    for image in range(51):
        mine = used & (found.seen.image == image)
        x, y = found.seen.x[mine], found.seen.y[mine]
        made = as_tpv(mosaic, fit.terms, image)
        assert made.residual < 0.1
        old, new = (unit_vectors(*pixel_to_sky(wcs, x, y)) for wcs in (images.wcs[image], made.wcs))
        before.append(206264.8 * np.median(np.linalg.norm(new - old, axis=1)))
        after.append(abs(complex(np.median(off[mine].real), np.median(off[mine].imag))))
    assert max(before) > 1.0
    assert max(after) < 25.0
