"""The focal plane of an HSC exposure from 51 star lists, guessed headers, and Gaia at the time of the exposure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spica.kernels.associate import unit_vectors
from spica.kernels.express import as_tpv
from spica.kernels.joint import Matching
from spica.kernels.joint_astrometry import Options
from spica.kernels.joint_report import image_figures, offsets
from spica.kernels.joint_turbulence import follow
from spica.kernels.wcs import pixel_to_sky
from tests.support.hsc import Visit, common, solved, visit

HELD = Options(distortion_prior=(6e4, 6e4, 5.0, 3.0))
"""Detectors shift, turn and stretch as they please, and bend as the focal plane does, but for some milliarcseconds."""


@pytest.fixture(scope="module")
def given(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    return visit(real_data, tmp_path_factory.mktemp("references"))


@pytest.mark.slow
def test_offsets_of_two_arc_seconds_vanish(given: Visit) -> None:
    made = solved(given, given.images, Matching(search=5.0, radius=2.5, degree=2), Options())
    seen, known, fit = made.found.seen, made.found.known, made.fit
    assert fit.converged
    figures = image_figures(made.mosaic, seen, known, fit, given.known[0])
    # Some sixteen stars in a detector are in Gaia and not saturated.
    assert figures.ties.sum() > 700
    assert figures.ties.min() >= 6
    assert np.median(figures.external) < 22.0
    off = offsets(seen, known, fit)
    used = fit.state.seen > 0
    assert np.std(off[used].real) < 25.0
    assert np.std(off[used].imag) < 20.0
    before, after = [], []
    for image in range(51):
        mine = used & (seen.image == image)
        x, y = seen.x[mine], seen.y[mine]
        tpv = as_tpv(made.mosaic, fit.terms, image)
        assert tpv.residual < 0.1
        old, new = (unit_vectors(*pixel_to_sky(wcs, x, y)) for wcs in (given.images.wcs[image], tpv.wcs))
        before.append(206264.8 * np.median(np.linalg.norm(new - old, axis=1)))
        after.append(abs(complex(np.median(off[mine].real), np.median(off[mine].imag))))
    assert max(before) > 1.0
    assert max(after) < 25.0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_left_is_ten_milliarcseconds_of_every_star(given: Visit) -> None:
    pointed = given.pointed()
    free = solved(given, pointed, Matching(search=5.0, radius=0.5, degree=2), Options())
    held = solved(given, pointed, Matching(search=5.0, radius=0.5, degree=3), HELD)
    assert held.fit.converged
    assert held.used.sum() > 930
    # Optics bend cubically within a detector, most along its long side, which lies east: a polynomial of degree 2 leaves that.
    loose, tight = (made.left_out() for made in (free, held))
    for part in (np.real, np.imag):
        assert 1.4826 * np.median(np.abs(part(tight))) < 13.0
        assert np.median(np.abs(part(tight))) < 0.75 * np.median(np.abs(part(loose)))
    assert follow(held.mosaic, held.found.seen, held.found.known, held.fit, HELD)[2] == [None]
    alone = common(held.found, (150.2, 2.2))
    assert alone.weight.size > 930
    # Both by another way: plain least squares of one polynomial for all detectors, which are flat.
    for part in (np.real, np.imag):
        assert np.std(part(alone.residual)) == pytest.approx(9.3, abs=1.0)
    bright = given.gaia["mag_G"][alone.star] < 18.5
    foretold = alone.foretold / np.sqrt(2.0)
    assert np.sqrt(np.mean(np.abs(foretold[bright]) ** 2)) > 0.7 * np.sqrt(np.mean(np.abs(foretold[~bright]) ** 2))
    found, error, _ = alone.correlation(np.array([0.0, 0.3, 1.5, 15.0]))
    assert found[0] < 0.6
    assert 0.0 < found[1] < 0.2
    assert abs(found[2]) < 0.02
    assert error[2] < 0.01
