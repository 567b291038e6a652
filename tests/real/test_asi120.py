"""A real camera measured: bias, dark and flat frames of a ZWO ASI120MC-S (CMOS, Bayer mosaic, 12 bits in 16)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.mask import Mask
from spica.files.images import read_image
from spica.services import ingest, initialise, measuring
from tests.support.terminal import Terminal, new_survey


@pytest.fixture(scope="module")
def measured(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> measuring.Measured:
    folder = tmp_path_factory.mktemp("asi120") / "survey"
    initialise.initialise(folder)
    ingest.ingest(ingest.Order((str(real_data / "cal_asi120"),), camera="asi120"), folder)
    return measuring.measure(measuring.Order("asi120", executor="inprocess"), folder)


@pytest.fixture(scope="module")
def frames(real_data: Path) -> dict[str, list[np.ndarray]]:
    kinds = {"bias": "Bias_ASIImg_frame*", "flat": "Flat_ASIImg_frame*", "dark": "Dark_ASIImg_*sec_frame*"}
    return {
        kind: [fits.getdata(path).astype(np.float64) for path in sorted((real_data / "cal_asi120").glob(pattern))]
        for kind, pattern in kinds.items()
    }


def figure(measured: measuring.Measured, quantity: str) -> measuring.Figure:
    return next(each for each in measured.figures if each.quantity == quantity)


def test_gain_agrees_with_one_colour_at_a_time(
    measured: measuring.Measured, frames: dict[str, list[np.ndarray]]
) -> None:
    """Independent: row by row, each colour of the mosaic alone. Software scales red and blue by a white balance."""
    gains = []
    bias = float(np.mean(frames["bias"]))
    noise = float(np.var(frames["bias"][3] - frames["bias"][4])) / 2.0
    for first, second in zip(frames["flat"][:-1], frames["flat"][1:], strict=True):
        for y in (0, 1):
            for x in (0, 1):
                a, b = first[y::2, x::2] - bias, second[y::2, x::2] - bias
                m, n = a.mean(axis=1, keepdims=True), b.mean(axis=1, keepdims=True)
                variance = (a / m - b / n).var(axis=1, ddof=1)
                ways = (1.0 / m + 1.0 / n)[:, 0], (1.0 / m**2 + 1.0 / n**2)[:, 0]
                gains.append(float(np.median(ways[0] / (variance - noise * ways[1]))))
    found = figure(measured, "gain")
    assert min(gains) < found.value < max(gains)
    assert found.value == pytest.approx(np.mean(gains), rel=0.03)
    # A 12-bit converter's step of 16: the sensor's data sheet has 3.6 to 4 electrons per step at gain 0.
    assert 3.4 < 16.0 * found.value < 4.2


def test_read_noise_agrees_with_the_scatter_of_pixels(
    measured: measuring.Measured, frames: dict[str, list[np.ndarray]]
) -> None:
    steady = np.array(frames["bias"][2:])
    scatter = float(np.sqrt(np.mean(np.var(steady, axis=0, ddof=1)) - 16.0**2 / 12.0))
    found = figure(measured, "read_noise")
    assert found.value == pytest.approx(scatter * figure(measured, "gain").value, rel=0.15)


def test_dark_signal_is_linear_in_time(measured: measuring.Measured) -> None:
    dark = next(each for each in measured.values if each.name == "dark").value["amplifiers"][0]
    assert sorted(set(dark["times"])) == [10.0, 100.0]
    value, error = dark["bend"]
    assert abs(value) < 3.0 * error
    assert abs(value) < 0.25
    # 26 degrees: some electrons a second.
    assert 0.5 < figure(measured, "dark_current").value < 5.0


def test_the_nominal_gain_of_the_table_is_told_to_differ(measured: measuring.Measured) -> None:
    assert {each.quantity for each in measured.figures} == {"gain", "read_noise", "dark_current", "a10", "a01"}
    assert {each.quantity for each in measured.missing} == {"linearity", "saturation", "full_well", "crosstalk", "a00"}


@pytest.fixture(scope="module")
def masters(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    terminal = new_survey(tmp_path_factory.mktemp("asi120-masters") / "survey")
    terminal.order("ingest", real_data / "cal_asi120", "--camera", "asi120")
    terminal.order("run", "calibrations", "--executor", "inprocess")
    return terminal


GAIN = 0.06
"""Of the camera's table [electron/adu]."""


def test_the_master_bias_is_the_mean_of_the_frames(masters: Terminal, frames: dict[str, list[np.ndarray]]) -> None:
    made = read_image(masters.product("calibration:asi120/1//2024-04-16~0", "bias"))
    expected = np.mean(frames["bias"], axis=0) * GAIN
    one_frame = float(np.std(frames["bias"][3] - frames["bias"][4])) / np.sqrt(2) * GAIN
    off = made.pixels - expected
    assert abs(float(np.mean(off))) < 0.02 * one_frame
    assert float(np.std(off)) < 0.1 * one_frame


def test_the_master_dark_is_the_mean_rate(masters: Terminal, frames: dict[str, list[np.ndarray]]) -> None:
    made = read_image(masters.product("calibration:asi120/1//2024-04-16~0", "dark"))
    bias = np.mean(frames["bias"], axis=0)
    long = (np.mean(frames["dark"][:3], axis=0) - bias) / 100.0 * GAIN
    assert float(np.median(made.pixels)) == pytest.approx(float(np.median(long)), rel=0.03)
    assert np.corrcoef(made.pixels.ravel(), long.ravel())[0, 1] > 0.97


def test_the_master_flat_keeps_the_colours_of_the_mosaic(
    masters: Terminal, frames: dict[str, list[np.ndarray]]
) -> None:
    made = read_image(masters.product("calibration:asi120/1/clear/2024-04-18~0", "flat"))
    assert made.mask is not None
    good = made.mask & int(Mask.NO_DATA) == 0
    # At 26 degrees C 3 % of the pixels are hot, and a hot pixel has no flat.
    assert 0.95 < float(np.mean(good)) < 0.98
    bias = np.mean(frames["bias"], axis=0)
    light = [each - bias for each in frames["flat"]]
    plain = np.mean([each / np.median(each) for each in light], axis=0)
    off = made.pixels[good] / plain[good]
    assert float(np.median(off)) == pytest.approx(1, abs=0.005)
    colours = [
        np.median(np.where(good, made.pixels, np.nan)[y::2, x::2][good[y::2, x::2]]) for y in (0, 1) for x in (0, 1)
    ]
    expected = [np.median(plain[y::2, x::2][good[y::2, x::2]]) for y in (0, 1) for x in (0, 1)]
    assert np.allclose(colours, expected, rtol=0.01)
    assert max(colours) / min(colours) > 1.5
