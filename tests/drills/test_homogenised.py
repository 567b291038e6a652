"""Stacks of homogenised exposures: the light and the errors of their stars, against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from spica.kernels.aperture import circular_photometry
from tests.support.homogenising import stacked
from tests.support.stacks import Plan, catalogue, grid_of_stars, truth_flux

pytestmark = pytest.mark.slow

WIDTHS = 3.4, 4.4, 3.8, 5.0, 3.6, 4.1
"""Of six exposures [pixel]: 0.68 to 1.0 seconds of arc."""


def test_a_stars_light_in_the_stack_is_what_fell_in() -> None:
    plan = Plan(side=500, beta=3.0)
    sky = grid_of_stars(plan, 70.0, (18.0, 20.0))
    image = stacked(sky, plan, WIDTHS, 1.2, noisy=False)
    radii = [20.0, 30.0]
    found = circular_photometry(image.pixels, np.ones_like(image.pixels), sky.x, sky.y, radii).flux
    # Between the two lie the wings of the exposures' own profiles.
    assert found[:, 1] == pytest.approx(truth_flux(sky, plan), rel=1e-3)
    assert np.ptp(found[:, 0] / truth_flux(sky, plan)) < 1e-3


def test_errors_of_isolated_stars_are_their_scatter_though_noise_was_smoothed() -> None:
    off: dict[str, list[np.ndarray]] = {}
    for seed in (1, 2, 3):
        plan = Plan(side=900, seed=seed, beta=3.0)
        sky = grid_of_stars(plan, 45.0, (20.6, 24.0))
        image, bare = (stacked(sky, plan, WIDTHS, 1.2, noisy=noisy) for noisy in (True, False))
        made = catalogue(image)
        found = made["deep_sources"]
        apart, nearest = cKDTree(np.stack([sky.x, sky.y], -1)).query(np.stack([found["x"], found["y"]], -1))
        rows = np.flatnonzero((apart < 2.0) & (found["flags"] == 0) & (found["snr_psf"] > 10.0))
        star = nearest[rows]
        radii = [float(found.header[f"APER{n}"]) for n in (1, 2, 3)]
        light = circular_photometry(bare.pixels, np.ones_like(bare.pixels), sky.x, sky.y, radii).flux[star]
        true = {"flux_psf": truth_flux(sky, plan)[star], "x": sky.x[star], "y": sky.y[star]}
        for name, value in true.items():
            off.setdefault(name, []).append((found[name][rows] - value) / found[f"{name}_err"][rows])
        for n in range(3):
            pull = (found["flux_aper"][rows, n] - light[:, n]) / found["flux_aper_err"][rows, n]
            off.setdefault(f"flux_aper {n}", []).append(pull)
        figures = made["noise_figures"]
        # The card is of the stated variance; what is measured, of that of the pixels as they are.
        large = figures["noise_large"].value * figures["noise_scale"].value
        assert large == pytest.approx(figures["noise_large_stated"].value, rel=0.12)
        assert figures["noise_point"].value > 4.0
    for name, values in off.items():
        pulls = np.concatenate(values)
        assert pulls.size > 900
        assert np.std(pulls[np.abs(pulls) < 5]) == pytest.approx(1.0, abs=0.1), name
        assert abs(np.median(pulls)) < 0.3, name
