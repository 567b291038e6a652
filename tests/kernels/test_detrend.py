"""Detrending: truth in, truth out; orientation; marks; the same as plain numpy."""

import numpy as np
import pytest

from spica.kernels.detrend import (
    Amplifier,
    Bits,
    Box,
    Masters,
    Planes,
    Readout,
    all_alike,
    detrend_amplifiers,
    empty_planes,
    planes_for,
)

SATURATED, NO_DATA, DEFECT = 2, 32, 1
BITS = Bits(saturated=SATURATED, suspect=512, no_data=NO_DATA, bad=DEFECT)
NY, NX = 24, 18


def readout(*, flip_x: bool = False, flip_y: bool = False, place: Box | None = None) -> Readout:
    return Readout(Box(2, 2 + NY, 3, 3 + NX), place or Box(0, NY, 0, NX), flip_x, flip_y, 1.7, 6.0, 60_000.0)


def run(raw: np.ndarray, amplifier: Readout, masters: Masters | None = None, levels: float = 1000.0) -> Planes:
    out = empty_planes((NY, NX), NO_DATA)
    detrend_amplifiers(
        raw,
        [Amplifier(amplifier, levels)],
        out,
        masters=masters,
        dark_seconds=30.0,
        bits=BITS,
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
    np.testing.assert_allclose(out.variance, np.maximum(electrons + 36.0, 9.0) / masters.flat**2, rtol=1e-5)
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
    detrend_amplifiers(raw, [Amplifier(readout(flip_y=True), levels)], out)
    expected = (raw[2 : 2 + NY, 3 : 3 + NX] - levels[:, None])[::-1] * 1.7
    np.testing.assert_allclose(out.science, expected, rtol=1e-4, atol=1e-2)


def test_only_the_place_is_written(raw: np.ndarray) -> None:
    out = empty_planes((NY + 6, 2 * NX), NO_DATA)
    place = Box(4, 4 + NY, NX, 2 * NX)
    detrend_amplifiers(raw, [Amplifier(readout(place=place))], out, bits=BITS)
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
    assert list(out.mask[5, :4]) == [NO_DATA, NO_DATA | DEFECT, NO_DATA, NO_DATA]
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
        detrend_amplifiers(raw[:-5], [Amplifier(readout())], out)
    with pytest.raises(ValueError, match=r"flat has shape \(3, 3\)"):
        detrend_amplifiers(raw, [Amplifier(readout())], out, masters=Masters(flat=np.ones((3, 3), dtype=np.float32)))
    with pytest.raises(ValueError, match="differ in shape"):
        detrend_amplifiers(raw, [Amplifier(readout(place=Box(0, NY, 0, NX - 1)))], out)


def test_the_noise_of_masters_and_level_is_in_the_variance(raw: np.ndarray, masters: Masters) -> None:
    rng = np.random.default_rng(8)
    spreads = [rng.uniform(0.5, 2.0, (NY, NX)).astype(np.float32) * scale for scale in (9.0, 1e-3, 1e-5)]
    plain = run(raw, readout(), masters)
    noisy = masters._replace(bias_variance=spreads[0], dark_variance=spreads[1], flat_variance=spreads[2])
    out = empty_planes((NY, NX), NO_DATA)
    detrend_amplifiers(raw, [Amplifier(readout(), 1000.0, 0.4)], out, masters=noisy, dark_seconds=30.0)
    assert masters.flat is not None
    more = (spreads[0] + 900.0 * spreads[1] + 0.4 * 1.7**2 + plain.science**2 * spreads[2]) / masters.flat**2
    np.testing.assert_array_equal(out.science, plain.science)
    high = plain.science > 0
    np.testing.assert_allclose((out.variance - plain.variance)[high], more[high], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("linearity", [(2e-6,), (1e-6, 3e-11), (1e-6, 0.0, 2e-15, 1e-20)])
def test_non_linearity_is_undone(linearity: tuple[float, ...]) -> None:
    signal = np.linspace(-20.0, 50_000.0, NY * NX).reshape(NY, NX)
    raw = np.zeros((NY + 4, NX + 5), np.float32)
    raw[2 : 2 + NY, 3 : 3 + NX] = signal + 1000.0
    out = run(raw, readout()._replace(linearity=linearity))
    true = signal * (1.0 + sum(c * signal ** (k + 1) for k, c in enumerate(linearity)))
    np.testing.assert_allclose(out.science, true * 1.7, rtol=1e-5, atol=0.02)


def test_a_linearity_of_zeros_changes_no_byte(raw: np.ndarray, masters: Masters) -> None:
    bent = run(raw, readout()._replace(linearity=(0.0, 0.0)), masters)
    for one, other in zip(bent, run(raw, readout(), masters), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_above_the_range_of_linearity_is_suspect(raw: np.ndarray) -> None:
    out = run(raw, readout()._replace(linear_limit=3000.0))
    np.testing.assert_array_equal(out.mask == 512, raw[2 : 2 + NY, 3 : 3 + NX] > 3000)


def test_rows_with_saturated_pixels_are_told() -> None:
    bright = np.full((NY + 4, NX + 5), 1500.0, np.float32)
    bright[2 + 7, 3 + 4] = 60_000.0
    rows = np.zeros(NY, np.int32)
    detrend_amplifiers(bright, [Amplifier(readout(flip_y=True))], empty_planes((NY, NX), 0), bits=BITS, full_rows=rows)
    assert np.flatnonzero(rows).tolist() == [NY - 1 - 7]


def test_planes_are_filled_only_where_amplifiers_leave_pixels_out() -> None:
    halves = [Box(0, NY, 0, 9), Box(0, NY, 9, NX)]
    assert planes_for(halves, (NY, NX), NO_DATA).mask.shape == (NY, NX)
    for places in (halves[:1], [halves[0], Box(0, NY, 8, NX)], [halves[0], halves[0]]):
        assert np.all(planes_for(places, (NY, NX), NO_DATA).mask == NO_DATA)


def test_a_stuck_amplifier_is_told_from_a_quiet_one() -> None:
    stuck = np.full((200, 50), 32768, np.uint16)
    assert all_alike(stuck)
    stuck[171, 3] = 32769
    assert not all_alike(stuck)
