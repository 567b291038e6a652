"""The task `magnitudes`: which zero point is taken, and what it makes of fluxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.records import Exposure, FrameType, Unit
from spica.core.solution import Standing
from spica.tasks.magnitudes import TASK, MagnitudesSettings


def given() -> dict[str, Any]:
    rows = Catalogue(
        {
            "source_id": np.arange(3),
            "x": np.array([0.0, 50.0, 99.0]),
            "y": np.array([0.0, 20.0, 49.0]),
            "flux_auto": np.array([1e4, 0.0, 400.0]),
            "flux_auto_err": np.array([100.0, 10, 20]),
        }
    )
    fitted = Catalogue(
        {"source_id": np.arange(3), "flux_psf": np.array([1.1e4, np.nan, -5.0]), "flux_psf_err": np.full(3, 50.0)}
    )
    solution = Catalogue(
        {
            "exposure_id": np.array([7, 7, 8]),
            "detector": np.array([1, 2, 1]),
            "standing": np.full(3, int(Standing.SOLVED)),
            "nx": np.full(3, 100),
            "ny": np.full(3, 50),
            "photometric": np.ones(3, int),
            "flat": np.zeros((3, 15)),
            "flat_err": np.zeros((3, 15)),
            "zero_point": np.array([24.0, 24.5, 23.0]),
            "zero_point_err": np.array([0.002, 0.003, 0.004]),
        },
        {"MAGSYS": "AB"},
    )
    own = {"scale": "AB", "flat": [], "detectors": {"1": {"zero": 24.03, "error": 0.01, "nx": 100, "ny": 50}}}
    return {
        "unit": Unit.parse("detector:demo-7/1"),
        "exposure": Exposure(7, "demo-7", "demo", FrameType.OBJECT, "2026-01-01", 61000.0, 100.0, band="r"),
        "sources": rows,
        "psf_sources": fitted,
        "zero_points": own,
        "solution": solution,
    }


def test_the_joint_zero_point_is_preferred_and_both_are_compared() -> None:
    made = TASK.run(TASK.settings(), **given())
    table, figures = made["magnitudes"], made["scale"]
    np.testing.assert_allclose(table["mag_auto"], [24.0 - 5.0, np.nan, 24.0 - 2.5 * np.log10(4.0)], rtol=1e-6)
    np.testing.assert_allclose(table["mag_auto_err"][0], 0.010857, rtol=1e-3)
    np.testing.assert_allclose(table["mag_psf"], [24.0 - 2.5 * np.log10(110.0), np.nan, np.nan], rtol=1e-6)
    assert table.header == {"MAGZERO": 24.0, "MAGZERR": 0.002, "MAGSYS": "AB", "MAGFROM": "joint"}
    assert figures["zero_point"].value == 24.0
    assert figures["zero_point_apart"].value == pytest.approx(-0.03)


@pytest.mark.parametrize("change", ["absent", "relative", "refused", "asked for"])
def test_the_exposure_s_own_stands_in(change: str) -> None:
    changed, settings = given(), MagnitudesSettings(prefer="own" if change == "asked for" else "joint")
    columns = dict(changed["solution"].columns)
    if change == "absent":
        changed["solution"] = None
    if change == "relative":
        changed["solution"] = Catalogue(columns | {"photometric": np.zeros(3, int)})
    if change == "refused":
        changed["solution"] = Catalogue(columns | {"standing": np.full(3, int(Standing.BAD))})
    made = TASK.run(settings, **changed)
    assert made["magnitudes"].header["MAGFROM"] == "own"
    assert made["scale"]["zero_point"].value == 24.03


def test_another_scale_goes_by_its_own_name() -> None:
    changed = given() | {"solution": None, "psf_sources": None}
    changed["zero_points"] = changed["zero_points"] | {"scale": "Vega"}
    made = TASK.run(TASK.settings(), **changed)
    assert "zero_point" not in made["scale"]
    assert made["scale"]["zero_point_vega"].value == 24.03
    assert made["magnitudes"].header["MAGSYS"] == "Vega"
    assert np.all(np.isnan(made["magnitudes"]["mag_psf"]))


def test_without_any_zero_point_it_says_so() -> None:
    with pytest.raises(DataFault) as raised:
        TASK.run(TASK.settings(), **given() | {"solution": None, "zero_points": None})
    assert raised.value.code == "zero-point.none"
    assert raised.value.evidence["detector"] == 1


@pytest.mark.parametrize("of", ["joint", "own"])
def test_what_the_flat_field_got_wrong_is_taken_off(of: str) -> None:
    """A gradient of 0.02 mag from the middle to the edge along x."""
    told = given()
    told["solution"]["flat"][0, 2 if of == "joint" else 0] = 0.02
    told["solution"]["flat_err"][0, :3] = 9.0, 0.003, 0.0015
    told["zero_points"]["flat"] = [0.0, 0.02]
    made = TASK.run(MagnitudesSettings.model_validate({"prefer": of}), **told)
    zero = {"joint": 24.0, "own": 24.03}[of]
    np.testing.assert_allclose(made["magnitudes"]["mag_auto"][[0, 2]], [zero - 5.02, zero - 1.4851], atol=1e-4)
    assert made["scale"]["illumination_range"].value == pytest.approx(0.04)
    assert made["magnitudes"].header["MAGZERO"] == zero
    # Terms of degree 1 scatter by a root of three less over the detector.
    error = {"joint": np.sqrt(0.002**2 + (0.003**2 + 0.0015**2) / 3.0), "own": 0.01}[of]
    assert made["magnitudes"].header["MAGZERR"] == pytest.approx(error, abs=1e-5)
