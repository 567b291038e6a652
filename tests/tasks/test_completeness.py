"""Completeness by injection is that of the truth; reliability, depth map and their laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spica.core.faults import DataFault
from spica.kernels.recovery import recovery
from spica.tasks.completeness import TASK, CompletenessSettings, completeness
from tests.support.stacks import Plan, both_completenesses, catalogue, field_of, stack

NEEDS = ("honest", "sky", "psf", "noise")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    plan = Plan(side=500, seed=4)
    return catalogue(stack(field_of(plan, 250, (20.0, 25.5)), plan))


def run(made: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return dict(completeness(CompletenessSettings(**settings), **{name: made[name] for name in NEEDS}))


def test_stars_are_found_deeper_than_galaxies_and_all_is_counted(made: dict[str, Any]) -> None:
    told = run(made, passes=12, sizes=(4.0,))
    figures = {name: each.value for name, each in told["completeness_figures"].items()}
    assert figures["completeness_star_80"] > figures["completeness_galaxy_80"] + 0.2
    assert figures["completeness_star_50"] > figures["completeness_star_80"]
    assert 0 < figures["completeness_star_80_err"] < 0.2
    assert figures["reliability"] > 0.97
    table, put = told["completeness"], told["injected"]
    assert table["injected"].sum() == len(put)
    assert table["found"].sum() == put["found"].sum()
    assert np.all(table["completeness_low"] <= table["completeness"] + 1e-6)
    assert np.all(table["completeness_high"] >= table["completeness"] - 1e-6)
    assert set(np.unique(table["size"])) == {0.0, 4.0}
    # 5 sigma in the middle of the noise: half of them, but for what lies upon others.
    assert figures["completeness_star_50"] == pytest.approx(figures["completeness_depth"], abs=0.25)


def test_the_same_seed_gives_the_same_and_another_another(made: dict[str, Any]) -> None:
    first, again, other = (run(made, passes=1, seed=seed)["injected"] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first["mag"], again["mag"])
    np.testing.assert_array_equal(first["found"], again["found"])
    assert not np.array_equal(first["mag"][:10], other["mag"][:10])


def test_the_depth_map_follows_the_variance(made: dict[str, Any]) -> None:
    sky = made["sky"]
    variance = sky.variance.copy()
    variance[:, 256:] *= np.float32(4.0)
    deep = run({**made, "sky": replace(sky, variance=variance)}, passes=1, cell=32)["depth_map"]
    step = np.median(deep.pixels[:, :8]) - np.median(deep.pixels[:, 8:])
    assert step == pytest.approx(2.5 * np.log10(2.0), abs=0.03)
    assert deep.shape == (16, 16)
    assert deep.header["CD2_2"] == pytest.approx(32 * made["honest"].header["CD2_2"])
    # The corner of the first pixel stays where it is.
    corner = (0.5 - deep.header["CRPIX1"]) * deep.header["CD1_1"]
    honest = made["honest"].header
    assert corner == pytest.approx((0.5 - honest["CRPIX1"]) * honest["CD1_1"])


def test_bad_input_is_named(made: dict[str, Any]) -> None:
    image = made["honest"]
    empty = made["psf"].select(np.zeros(0, np.int64))
    for change, code in (
        ({"honest": replace(image, variance=None)}, "data.bad-value"),
        ({"honest": replace(image, header={})}, "zero-point.none"),
        ({"psf": empty}, "psf.missing"),
        ({"sky": replace(made["sky"], variance=np.zeros(image.shape, np.float32))}, "data.no-pixels"),
    ):
        with pytest.raises(DataFault) as caught:
            run({**made, **change}, passes=1)
        assert caught.value.code == code
    assert TASK.name == "completeness"


@pytest.mark.slow
def test_the_limit_is_that_of_the_truth() -> None:
    put, true = [], []
    for seed in (1, 2, 3):
        told, magnitude, hit = both_completenesses(Plan(side=1200, seed=seed), 2500, 12)
        put.append((told["injected"]["mag"].astype(np.float64), told["injected"]["found"] > 0))
        true.append((magnitude, hit))
    ours, truth = (recovery(*(np.concatenate(part) for part in zip(*each, strict=True))) for each in (put, true))
    assert ours is not None
    assert truth is not None
    for part in (0.8, 0.5):
        assert ours.limit(part)[0] == pytest.approx(truth.limit(part)[0], abs=0.05)
