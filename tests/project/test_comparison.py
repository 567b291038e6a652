"""The comparison of two catalogues with the truth: it finds no difference where there is none, and each that is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from benchmarks.single_frames._compare import DEPTH, Row, sides, table
from benchmarks.single_frames._peers import APERTURES, Found
from benchmarks.single_frames._scene import Scene, scenes
from spica.kernels.aperture import circular_photometry


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scenes((1.0,), density=6000.0, bright=19.0, faint=22.0, size=(512, 512))[0]


def found(scene: Scene, seed: int, blur: float = 0.1) -> Found:
    """What somebody finds who sees every source, with errors of place (pixel) and light (fraction)."""
    rng = np.random.default_rng(seed)
    x, y = (scene.places[name] + rng.normal(0.0, blur, len(scene.places)) for name in ("x", "y"))
    true = circular_photometry(scene.light, scene.light, scene.places["x"], scene.places["y"], APERTURES).flux
    error = 1.0 + rng.normal(0.0, blur, len(scene.places))
    columns = {"x": x, "y": y, "flux_auto": scene.places["electrons"] * error, "flux_aper": true * error[:, None]}
    return Found(columns, {"all": 1.0})


def changed(one: Found, columns: Mapping[str, Any]) -> Found:
    return dataclasses.replace(one, columns=columns)


def worst(scene: Scene, ours: Found, peer: Found) -> dict[str, float]:
    """Largest difference by what is compared."""
    rows: list[Row] = table([scene], *sides([scene], [ours], [peer]))
    found: dict[str, float] = {}
    for row in rows:
        if not np.isnan(row.worse):
            found[row.what.partition(" [")[0]] = max(found.get(row.what.partition(" [")[0], -np.inf), row.worse)
    return found


def test_the_same_catalogue_is_no_worse(scene: Scene) -> None:
    one = found(scene, 1)
    differences = worst(scene, one, one)
    assert set(differences) >= {"completeness", "purity", "position scatter", "AUTO scatter", "aperture 3 scatter"}
    assert all(value == 0.0 for value in differences.values())


def test_equal_errors_are_chance(scene: Scene) -> None:
    differences = worst(scene, found(scene, 1), found(scene, 2))
    assert max(differences.values()) < 3.5


def test_larger_errors_are_told(scene: Scene) -> None:
    differences = worst(scene, found(scene, 1, 0.15), found(scene, 2))
    assert differences["position scatter"] > 4
    assert differences["AUTO scatter"] > 4


def test_what_is_missed_or_invented_is_told(scene: Scene) -> None:
    one = found(scene, 1)
    kept = np.arange(one.number) % 5 > 0
    fewer = changed(one, {name: values[kept] for name, values in one.columns.items()})
    assert worst(scene, fewer, one)["completeness"] > 4
    assert worst(scene, one, fewer)["completeness"] < 0
    # Few detections that far beside a source are another's.
    twice = {name: np.concatenate([values, values[::5]]) for name, values in one.columns.items()}
    twice["x"] = np.concatenate([one.columns["x"], one.columns["x"][::5] + 13.7])
    assert worst(scene, changed(one, twice), one)["purity"] > 4
    # Beside sources that both have seen: that the other side has something there too is no excuse.
    twice["x"] = np.concatenate([one.columns["x"], one.columns["x"][::5] + 1.8])
    assert worst(scene, changed(one, twice), one)["purity"] > 4


def test_what_is_below_the_common_depth_counts_apart(scene: Scene) -> None:
    one = found(scene, 1)
    surer = changed(one, {**one.columns, "snr_peak": np.full(one.number, DEPTH)})
    assert worst(scene, surer, one)["completeness"] == 0.0
    weak = np.arange(one.number) % 5 == 0
    fainter = changed(one, {**one.columns, "snr_peak": np.where(weak, DEPTH - 0.1, DEPTH + 0.1)})
    differences = worst(scene, fainter, one)
    assert differences["completeness"] > 4
    assert differences["completeness at full depth"] == 0.0
