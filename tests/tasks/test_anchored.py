"""Frames of a series on the sky of one of them: places, light, and what cannot be placed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.keys import exposure_id
from spica.core.records import Detector, Exposure, FrameType, Grain, Unit
from spica.kernels.wcs import TangentWcs, pixel_to_sky, tangent_wcs
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.kernels.wcs_convert import laid
from spica.pipelines.catalogue import load
from spica.tasks.anchored import AnchoredSettings, anchored

CD = 1e-4 * np.array([[-0.9, 0.2], [0.1, 1.1]])
SIP = np.zeros((4, 4))
SIP[2, 0], SIP[1, 2] = 2e-6, -1e-9
PV = np.zeros((2, 40))
PV[:, 1], PV[0, 7], PV[1, 4] = 1.0, 0.02, 0.01
WAYS = {
    "plain": tangent_wcs((10.0, 20.0), (500.0, 400.0), CD),
    "sip": tangent_wcs((10.0, 20.0), (500.0, 400.0), CD, sip_a=SIP, sip_b=SIP.T),
    "tpv": tangent_wcs((10.0, 89.9), (500.0, 400.0), CD, pv=PV),
}
TURN, OFFSET = 1.02 * np.exp(2.0j), 700.0 + 150.0j


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("wcs", WAYS.values(), ids=WAYS)
def test_a_place_on_a_frame_is_where_the_reference_has_it(wcs: TangentWcs, *, mirrored: bool) -> None:
    z = np.random.default_rng(3).uniform(0, 900, 50) + 1j * np.random.default_rng(4).uniform(0, 900, 50)
    there = TURN * (np.conj(z) if mirrored else z) + OFFSET
    found = pixel_to_sky(laid(wcs, TURN, OFFSET, mirrored=mirrored), z.real.copy(), z.imag.copy())
    expected = pixel_to_sky(wcs, there.real.copy(), there.imag.copy())
    np.testing.assert_allclose(found, expected, atol=1e-10, rtol=0)


def run(number: int = 2, **anchor: Any) -> dict[str, Any]:
    name = f"demo-{number}"
    frame = Exposure(exposure_id("demo", name), name, "demo", FrameType.OBJECT, "2026-11-20", 61364.0, 60.0)
    columns = {
        "exposure_id": [exposure_id("demo", "demo-2")], "detector": [1], "turn_x": [TURN.real], "turn_y": [TURN.imag], "offset_x": [OFFSET.real],
        "offset_y": [OFFSET.imag], "mirrored": [0], "fainter": [0.5], "fainter_scatter": [0.1], "matches": [25],
    }  # fmt: skip
    reference = {"exposure": "demo-1", "exposure_time": 30.0, "cards": to_cards(WAYS["plain"])} | anchor
    given = Catalogue({key: np.array(values) for key, values in columns.items()}), {"1": reference}
    unit = Unit(Grain.DETECTOR, (name, "1"))
    return dict(anchored(AnchoredSettings(), unit, frame, Detector(name, 1, "c" * 40, (1,), (), 800, 600), *given))


def test_a_frame_has_its_place_its_outline_and_its_light() -> None:
    made = run()
    wcs = from_cards(made["sky_solution"]["cards"])
    there = TURN * (799.5 + 599.5j) + OFFSET
    corner = pixel_to_sky(WAYS["plain"], there.real, there.imag)
    assert np.allclose(pixel_to_sky(wcs, 799.5, 599.5), corner, atol=1e-9)
    assert (
        np.hypot(made["detector_outline"]["ra"] - corner[0], made["detector_outline"]["dec"] - corner[1]).min() < 1e-9
    )
    # As many electrons in twice the time, and half a magnitude less of them.
    assert made["light"]["zero"] == pytest.approx(25.0 - 0.5 - 2.5 * np.log10(2.0))
    assert made["light"]["error"] == pytest.approx(0.02)
    assert made["light"]["scale"] == "relative"


def test_what_has_no_place_is_named() -> None:
    with pytest.raises(DataFault) as fault:
        run(cards={"NAXIS1": 800})
    assert fault.value.code == "data.no-pointing"
    assert "demo-1" in str(fault.value)
    with pytest.raises(DataFault) as fault:
        run(number=3)
    assert fault.value.code == "register.unseen"


def test_the_shipped_pipeline_stacks_what_series_has_laid() -> None:
    deep, series = load("series-deep"), load("series")
    labels = [step.label for step in deep.steps]
    assert labels[: len(series.steps)] == [step.label for step in series.steps]
    assert labels[len(series.steps) :] == ["anchored"] + [
        step.label for step in load("deep").steps if step.label not in {each.label for each in load("calibrate").steps}
    ]
