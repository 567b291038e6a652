"""Plots of stacks show the numbers that they are given, or say why there is nothing to show."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.services.plots.deep import colours, completeness, counts
from spica.services.plots.plot import rendered


def table() -> Catalogue:
    part = np.array([1.0, 0.8, 0.2, 0.9, 0.4, 0.0])
    return Catalogue(
        {
            "size": np.repeat([0.0, 3.0], 3), "mag_low": np.tile([22.0, 23.0, 24.0], 2), "mag_high": np.tile([23.0, 24.0, 25.0], 2),
            "completeness": part, "completeness_low": np.maximum(part - 0.1, 0), "completeness_high": np.minimum(part + 0.1, 1),
        }
    )  # fmt: skip


def test_completeness_is_drawn_with_its_limits() -> None:
    plot = completeness(table(), {"completeness_star_80": 23.5})
    np.testing.assert_array_equal(plot.data["completeness"], table()["completeness"])
    np.testing.assert_allclose(plot.data["mag"], np.tile([22.5, 23.5, 24.5], 2))
    assert rendered(plot, "png").startswith(b"\x89PNG")
    assert completeness(table().select(np.zeros(0, int)), {}).missing


def test_counts_are_per_square_degree_and_magnitude() -> None:
    magnitudes = np.concatenate([np.full(30, 20.2), np.full(60, 21.2), [np.nan]])
    plot = counts(magnitudes, 0.1, 21.0, 0.5)
    np.testing.assert_allclose(plot.data["density"], [30 / 0.05, 60 / 0.05])
    assert rendered(plot, "png").startswith(b"\x89PNG")
    assert counts(np.full(5, np.nan), 0.1).missing
    with pytest.raises(ValueError, match="number-counts"):
        rendered(counts(magnitudes, 0.0), "png")


def test_colours_are_of_what_is_sure() -> None:
    flux = {"g": np.full(20, 10.0), "r": np.full(20, 20.0), "i": np.full(20, 40.0)}
    columns = {}
    for band, light in flux.items():
        columns[f"flux_colour_{band}"] = light
        columns[f"flux_colour_err_{band}"] = np.where(np.arange(20) < 15, 0.5, 5.0)
        columns[f"mag_colour_{band}"] = 30 - 2.5 * np.log10(light)
    plot = colours(Catalogue(columns), ("g", "r", "i"))
    assert plot.data["blue"].size == 15
    np.testing.assert_allclose(plot.data["blue"], 2.5 * np.log10(2), atol=1e-6)
    assert rendered(plot, "svg")
    assert "z" in colours(Catalogue(columns), ("r", "i", "z")).missing
    assert colours(Catalogue(columns).select(np.arange(3)), ("g", "r", "i")).missing
