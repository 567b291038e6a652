"""A real frame (NTT, sum of three) against the catalogue that SExtractor made of it: SEP's own test frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.real import Sextracted, middle_and_scatter, sextracted

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def both(real_data: Path) -> Sextracted:
    return sextracted(real_data)


def test_its_sources_are_found(both: Sextracted) -> None:
    missed = np.setdiff1d(np.arange(len(both.theirs["x"])), both.pairs[1])
    assert len(missed) <= 1
    # What is missed is a scrap of a brighter source, told by a windowed centroid that runs away to it.
    run = np.hypot(both.theirs["x_win"] - both.theirs["x"], both.theirs["y_win"] - both.theirs["y"])
    assert np.all(run[missed] > 3.0)


def test_what_is_found_beyond_is_faint_or_a_part_of_a_blend(both: Sextracted) -> None:
    others = np.setdiff1d(np.arange(len(both.ours)), both.pairs[0])
    alone = others[both.ours["flags"][others] & (1 | 2) == 0]
    paired = both.pairs[0]
    assert np.median(both.ours["snr_peak"][alone]) < 0.5 * np.median(both.ours["snr_peak"][paired])
    assert np.all(both.ours["snr_peak"][alone] < 10)


def test_positions_and_apertures_are_the_same(both: Sextracted) -> None:
    found = both.differences()
    assert len(both.clean()[0]) >= 40
    for name, most in (("x [pixel]", 0.02), ("y [pixel]", 0.02), ("x / error", 0.3), ("y / error", 0.3)):
        middle, scatter = middle_and_scatter(found[name])
        assert abs(middle) < most / 2, name
        assert scatter < most, name
    # Each has its own background; SExtractor has one error for the whole frame, we that of each place.
    middle, _ = middle_and_scatter(found["flux_aper / error"])
    assert abs(middle) < 0.5
    # The one that differs most lies in the halo of the largest galaxy.
    assert np.percentile(np.abs(found["flux_aper / error"]), 95) < 1.2
    assert np.all(np.abs(found["flux_aper / error"]) < 2.5)
    assert middle_and_scatter(found["flux_aper_err, ratio"])[0] == pytest.approx(1, abs=0.05)


def test_kron_and_half_light_agree_within_their_errors(both: Sextracted) -> None:
    found = both.differences()
    for name in ("flux_auto / error", "half_light_radius / error"):
        middle, scatter = middle_and_scatter(found[name])
        assert abs(middle) < 0.5, name
        assert scatter < 1.5, name
    for name in ("flux_auto, ratio", "half_light_radius, ratio"):
        assert middle_and_scatter(found[name])[0] == pytest.approx(1, abs=0.05), name


def test_what_differs_most_is_where_its_kron_radius_fails(both: Sextracted) -> None:
    """SExtractor's Kron flux of these is far below its own aperture flux; ours is as the aperture says."""
    i, j = both.clean()
    odd = np.abs(both.differences()["flux_auto / error"]) > 8
    theirs = np.abs(both.theirs["auto"][j] / both.theirs["aper"][j] - 1)
    # Within Kron's ellipse, as theirs is.
    ours = np.abs(both.ours["flux_auto"][i] * both.ours["auto_fraction"][i] / both.theirs["aper"][j] - 1)
    assert 1 <= np.count_nonzero(odd) <= 4
    assert np.all(both.theirs["kron"][j][odd] < 2)
    assert np.all(ours[odd] < np.maximum(theirs[odd], 0.2))
