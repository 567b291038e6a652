"""Outlines in the registry: recorded with the jobs that find them, found by position; on both databases."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.faults import Outcome
from spica.core.outline import Outline
from spica.core.records import Grain, Unit
from spica.kernels.tangent import tangent_deproject
from spica.registry.store import Registry
from tests.registry.samples import detector_unit, exposure, ingest, report


def box(unit: Unit, ra: float, dec: float, half: float = 0.1) -> Outline:
    corners = tangent_deproject(
        half * np.array([-1.0, 1.0, 1.0, -1.0]), half * np.array([-1.0, -1.0, 1.0, 1.0]), ra, dec
    )
    return Outline.of(unit, dict(zip(("ra", "dec"), corners, strict=True)))


@pytest.fixture
def placed(registry: Registry) -> dict[Unit, tuple[float, float]]:
    """Outlines all over the sky: on the seam, at the poles, and by chance."""
    of = exposure()
    registry.add(ingest(of))
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0.0, 360.0, 60), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, 60)))
    places = [(0.01, 0.0), (359.98, 10.0), (40.0, 89.97), (200.0, -89.99), *zip(ra.tolist(), dec.tolist(), strict=True)]
    units = {detector_unit(of, number): place for number, place in enumerate(places)}
    registry.record_many([report(unit, outlines=(box(unit, *place),)) for unit, place in units.items()])
    return units


def test_every_position_is_found_in_the_outlines_that_hold_it(
    registry: Registry, placed: dict[Unit, tuple[float, float]]
) -> None:
    rng = np.random.default_rng(4)
    known = registry.outlines(placed)
    assert set(known) == set(placed)
    for ra, dec in placed.values():
        for u, v in rng.uniform(-0.12, 0.12, (3, 2)):
            a, d = (float(value) for value in tangent_deproject(u, v, ra, dec))
            found = [each.unit for each in registry.covering(a, d)]
            assert found == sorted(unit for unit, each in known.items() if each.contains(a, d))
    near = registry.covering(0.0, 0.0, 0.5)
    assert placed.keys() >= {each.unit for each in near} >= {next(iter(placed))}


def test_the_last_outline_counts_and_a_failure_brings_none(registry: Registry) -> None:
    of = exposure()
    unit = detector_unit(of, 1)
    registry.record(report(unit, "a", outlines=(box(unit, 10.0, 10.0),)))
    registry.record(report(unit, "b", outlines=(box(unit, 50.0, 10.0),)))
    registry.record(report(unit, "c", Outcome.FAILED))
    assert registry.covering(10.0, 10.0) == []
    assert [each.unit for each in registry.covering(50.0, 10.0)] == [unit]
    assert registry.covering(50.0, 10.0, grain=Grain.EXPOSURE) == []
