"""Small versions of the benchmark that compares with the truth: pulls of bright stars, linearity at known positions."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.single_frames._scene import Scene, scenes
from benchmarks.single_frames.truth import linearity, pulls_of
from spica.services.judging import spread


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scenes((0.95,), density=600.0, bright=17.0, faint=21.0, stars=1.0, size=(768, 768))[0]


def test_pulls_of_bright_isolated_stars_have_width_one(scene: Scene) -> None:
    pulls = pulls_of(scene)
    number = pulls["x"].size
    assert number > 40
    # A robust width of n values is known to 1.17 / sqrt(2 n).
    for name, values in pulls.items():
        assert spread(values) == pytest.approx(1.0, abs=0.15 + 2.3 / np.sqrt(2 * number)), name
        assert abs(np.median(values)) < 0.1 + 3 * 1.25 / np.sqrt(number), name


def test_fluxes_are_linear_at_known_positions() -> None:
    bins = 1e3 * linearity(5.0, side=1024)
    assert np.abs(bins[:5]).max() < 1.0
    assert np.abs(bins).max() < 3.0
