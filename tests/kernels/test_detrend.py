"""Detrending: truth in, truth out; orientation; marks; the same as plain numpy."""

import numpy as np
import pytest

from spica.kernels.detrend import Box, Masters, Planes, Readout, detrend_amplifier, empty_planes, overscan_rows

SATURATED, NO_DATA, DEFECT = 2, 32, 1
NY, NX = 24, 18


def readout(*, flip_x: bool = False, flip_y: bool = False, place: Box | None = None) -> Readout:
    return Readout(Box(2, 2 + NY, 3, 3 + NX), place or Box(0, NY, 0, NX), flip_x, flip_y, 1.7, 6.0, 60_000.0)


def run(raw: np.ndarray, amplifier: Readout, masters: Masters | None = None, levels: float = 1000.0) -> Planes:
    out = empty_planes((NY, NX), NO_DATA)
    detrend_amplifier(
        raw,
        amplifier,
        out,
        levels=levels,
        masters=masters,
        dark_seconds=30.0,
        saturated_bit=SATURATED,
        no_data_bit=NO_DATA,
    )
    return out


@pytest.fixture
def masters() -> Masters:
    rng = np.random.default_rng(3)
    return Masters(
        bias=rng.normal(0.0, 2.0, (NY, NX)).astype(np.float32),
        dark=rng.uniform(0.0, 0.2, (NY, NX)).astype(np.float32),
        flat=rng.normal(1.0, 0.05, (NY, NX)).astype(np.float32),
        defects=(rng.random((NY, NX)) < 0.05).astype(np.int32) * DEFECT,
    )


@pytest.fixture
def raw() -> np.ndarray:
    return np.random.default_rng(4).integers(900, 5000, (NY + 4, NX + 5)).astype(np.uint16)


def test_it_is_the_formula_in_numpy(raw: np.ndarray, masters: Masters) -> None:
    before = raw.copy()
    out = run(raw, readout(), masters)
    assert masters.bias is not None
    assert masters.dark is not None
    assert masters.flat is not None
    section = raw[2 : 2 + NY, 3 : 3 + NX].astype(float)
    electrons = (section - 1000.0) * 1.7 - masters.bias
    np.testing.assert_allclose(out.science, (electrons - 30.0 * masters.dark) / masters.flat, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(out.variance, (np.maximum(electrons, 0) + 36.0) / masters.flat**2, rtol=1e-5)
    np.testing.assert_array_equal(out.mask, masters.defects)
    np.testing.assert_array_equal(raw, before)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, ">i2", ">f4"])
def test_every_kind_of_raw_number_gives_the_same_bytes(raw: np.ndarray, masters: Masters, dtype: str) -> None:
    expected = run(raw, readout(), masters)
    for one, other in zip(expected, run(raw.astype(dtype), readout(), masters), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
def test_flipping_the_readout_flips_the_image(raw: np.ndarray, *, flip_x: bool, flip_y: bool) -> None:
    straight = run(raw, readout()).science
    steps = (slice(None, None, -1 if flip_y else 1), slice(None, None, -1 if flip_x else 1))
    np.testing.assert_array_equal(run(raw, readout(flip_x=flip_x, flip_y=flip_y)).science, straight[steps])


def test_row_levels_follow_the_raw_rows(raw: np.ndarray) -> None:
    levels = np.linspace(950.0, 1050.0, NY)
    out = empty_planes((NY, NX), NO_DATA)
    detrend_amplifier(raw, readout(flip_y=True), out, levels=levels)
    expected = (raw[2 : 2 + NY, 3 : 3 + NX] - levels[:, None])[::-1] * 1.7
    np.testing.assert_allclose(out.science, expected, rtol=1e-4, atol=1e-2)


def test_only_the_place_is_written(raw: np.ndarray) -> None:
    out = empty_planes((NY + 6, 2 * NX), NO_DATA)
    place = Box(4, 4 + NY, NX, 2 * NX)
    detrend_amplifier(raw, readout(place=place), out, no_data_bit=NO_DATA)
    inside = np.zeros(out.mask.shape, dtype=bool)
    inside[place.y0 : place.y1, place.x0 : place.x1] = True
    assert np.all(out.mask[inside] == 0)
    assert np.all(out.mask[~inside] == NO_DATA)
    assert np.all(out.science[~inside] == 0)


def test_saturation_and_missing_response_are_marked(raw: np.ndarray) -> None:
    bright = raw.astype(np.float32)
    bright[2, 3], bright[2, 4], bright[2, 5] = 60_000, 59_999, np.nan
    flat = np.ones((NY, NX), dtype=np.float32)
    flat[5, :4] = [0.0, -1.0, np.nan, np.inf]
    out = run(bright, readout(), Masters(flat=flat))
    assert list(out.mask[0, :3]) == [SATURATED, 0, NO_DATA]
    assert np.all(out.mask[5, :4] == NO_DATA)
    bad = out.mask & NO_DATA != 0
    assert bad.sum() == 5
    assert np.all(out.science[bad] == 0)
    assert np.all(out.variance[bad] == 0)
    assert np.all(np.isfinite(out.science))


def test_gain_scales_the_signal_and_its_photon_noise(raw: np.ndarray) -> None:
    single = readout()._replace(read_noise=0.0)
    one, two = run(raw, single, levels=100.0), run(raw, single._replace(gain=3.4), levels=100.0)
    np.testing.assert_allclose(two.science, 2 * one.science, rtol=1e-6)
    np.testing.assert_allclose(two.variance, 2 * one.variance, rtol=1e-6)


def test_sections_that_do_not_fit_are_refused(raw: np.ndarray) -> None:
    out = empty_planes((NY, NX), NO_DATA)
    with pytest.raises(ValueError, match="data section"):
        detrend_amplifier(raw[:-5], readout(), out)
    with pytest.raises(ValueError, match=r"flat has shape \(3, 3\)"):
        detrend_amplifier(raw, readout(), out, masters=Masters(flat=np.ones((3, 3), dtype=np.float32)))
    with pytest.raises(ValueError, match="differ in shape"):
        detrend_amplifier(raw, readout(place=Box(0, NY, 0, NX - 1)), out)


@pytest.mark.parametrize("method", ["median", "mean"])
def test_overscan_is_free_of_outliers(method: str) -> None:
    rng = np.random.default_rng(5)
    levels = np.linspace(990.0, 1010.0, 200)
    section = rng.normal(levels[:, None], 4.0, (200, 64)).round()
    section[::3, 7] = 65_535
    found = overscan_rows(section.astype(np.uint16), method=method)
    scatter = 4.0 / 8.0 * (1.25 if method == "median" else 1.0)
    assert np.std(found - levels) == pytest.approx(scatter, rel=0.2)
    assert abs(np.mean(found - levels)) < 0.15


def test_overscan_without_clipping_is_the_plain_mean() -> None:
    section = np.random.default_rng(6).integers(0, 100, (5, 9)).astype(np.uint16)
    np.testing.assert_allclose(overscan_rows(section, method="mean", iterations=0), section.mean(1), rtol=1e-6)
    assert np.isnan(overscan_rows(np.full((1, 4), np.nan))[0])
    with pytest.raises(ValueError, match="'mode'"):
        overscan_rows(section, method="mode")
