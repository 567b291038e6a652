"""Random numbers and read-out: moments against theory, the distribution against scipy, exactness without noise."""

import numpy as np
import pytest
from scipy import stats

from spica.kernels.detrend import Box
from spica.kernels.noise import (
    Chain,
    Pedestal,
    add_crosstalk_into,
    counts,
    digitise_into,
    fill_normal_into,
    measured,
    next_bits,
    read_blind_into,
    read_data_into,
    seeded,
    uniform,
)


def test_generator_is_xoshiro256_plus_plus() -> None:
    # First outputs for the state 1, 2, 3, 4, as the authors' reference code gives them.
    state = np.array([1, 2, 3, 4], dtype=np.uint64)
    found = [int(next_bits(state)) for _ in range(4)]
    assert found == [41943041, 58720359, 3588806011781223, 3591011842654386]


def test_streams_differ_by_any_word_and_repeat() -> None:
    first = [uniform(state) for state in [seeded([1, 2, 3])] for _ in range(5)]
    assert first == [uniform(state) for state in [seeded([1, 2, 3])] for _ in range(5)]
    others = [seeded(words) for words in ([1, 2, 4], [1, 3, 2], [2, 1, 3], [1, 2], [1, 2, 3, 0])]
    assert len({uniform(state) for state in others} | {first[0]}) == 6


def test_normal_deviates_are_normal() -> None:
    sample = np.empty(400_000, dtype=np.float32)
    fill_normal_into(sample, seeded([7]), 0.0, 1.0)
    assert stats.kstest(sample, "norm").pvalue > 1e-3
    # The tail beyond 3.5 sigma, where the ziggurat ends, has the right share.
    expected = 2 * stats.norm.sf(3.5) * sample.size
    assert abs(np.sum(np.abs(sample) > 3.5) - expected) < 4 * np.sqrt(expected)


@pytest.mark.parametrize("mean", [0.3, 5.0, 23.0, 25.0, 60.0, 1000.0])
def test_counts_have_the_moments_of_poisson_plus_normal(mean: float) -> None:
    state = seeded([11])
    sample = np.array([counts(state, mean, 2.0) for _ in range(150_000)])
    variance = mean + 4.0
    assert abs(sample.mean() - mean) < 4 * np.sqrt(variance / sample.size)
    assert abs(sample.var() / variance - 1) < 0.02
    third = np.mean((sample - mean) ** 3)
    assert abs(third - mean) < 0.06 * variance**1.5


def _pedestal(shape: tuple[int, int]) -> Pedestal:
    ny, nx = shape
    return Pedestal(1000.0, np.linspace(0.0, 0.6, ny), np.linspace(0.0, 0.07, nx), np.ones(ny), np.full(nx, 3.0))


@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
def test_read_out_without_noise_is_the_formula(flip_x: bool, flip_y: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(3)
    electrons = rng.uniform(0, 1e5, (12, 14)).astype(np.float32)
    raw = np.full((10, 20), -1.0, dtype=np.float32)
    data, place = Box(2, 9, 3, 11), Box(4, 11, 5, 13)
    chain = Chain(2.0, 0.0, 8e4, 1e-6, noisy=False)
    pedestal = _pedestal(data.shape)
    read_data_into(raw, data, electrons, place, (flip_x, flip_y), chain, pedestal, seeded([1]))
    light = np.minimum(electrons[4:11, 5:13], 8e4)[:: -1 if flip_y else 1, :: -1 if flip_x else 1] / 2.0
    signal = raw[2:9, 3:11] - 1003.0 - pedestal.rows[:, None] - pedestal.columns
    np.testing.assert_allclose(signal * (1 + 1e-6 * signal), light, atol=0.02)
    untouched = raw.copy()
    untouched[2:9, 3:11] = -1.0
    assert np.all(untouched == -1.0)


def test_non_linearity_is_inverted() -> None:
    for true in (0.0, 10.0, 6e4):
        x = measured(true, 1e-7, -2e-12, 1e-18)
        assert x * (1 + x * (1e-7 + x * (-2e-12 + x * 1e-18))) == pytest.approx(true, abs=1e-6)


def test_blind_pixels_have_bias_and_read_noise() -> None:
    raw = np.zeros((400, 60), dtype=np.float32)
    rows = np.linspace(0, 5, 400)
    read_blind_into(raw, Box(0, 400, 40, 60), 900.0, rows, 4.0, seeded([5]))
    blind = raw[:, 40:] - rows[:, None]
    assert abs(blind.mean() - 900.0) < 4 * 4.0 / np.sqrt(blind.size)
    assert abs(blind.std() - 4.0) < 0.1
    assert not raw[:, :40].any()


def test_crosstalk_adds_a_fraction_of_the_signal_above_bias() -> None:
    raw = np.zeros((4, 10), dtype=np.float32)
    other = np.full((4, 10), 100.0, dtype=np.float32)
    other[2, 7] = 1100.0
    add_crosstalk_into(raw, Box(0, 4, 0, 5), other, Box(0, 4, 5, 10), 100.0, 1e-3)
    expected = np.zeros((4, 10))
    expected[2, 2] = 1.0
    np.testing.assert_allclose(raw, expected)


def test_numbers_are_rounded_and_clipped() -> None:
    raw = np.array([[-5.0, 0.4, 0.6, 1234.5001, 65534.7, 1e6]], dtype=np.float32)
    out = np.empty(raw.shape, dtype=np.uint16)
    digitise_into(out, raw, 65535.0)
    np.testing.assert_array_equal(out, [[0, 0, 1, 1235, 65535, 65535]])
