"""Random numbers that are the same everywhere, and the read-out of an amplifier with its noise: fused passes.

The generator is xoshiro256++ (Blackman & Vigna 2021, ACM Trans. Math. Softw. 47, 36), seeded through splitmix64;
normal deviates come from a ziggurat of 256 layers (Marsaglia & Tsang 2000, J. Stat. Softw. 5, 8; sign, layer and
abscissa from separate bits of one draw, after Doornik 2005).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from spica.kernels.compiled import Float32, Float64, compiled, inner
from spica.kernels.detrend import Box

UInt64: TypeAlias = npt.NDArray[np.uint64]
UInt16: TypeAlias = npt.NDArray[np.uint16]

_WORD = (1 << 64) - 1
_TAIL = 3.6541528853610088
"""Where the tail of the 256-layer ziggurat begins; each layer has the area of `_AREA`."""
_AREA = 0.00492867323399
_FEW = 24.0
"""Mean below which Poisson deviates are drawn by inversion, above which by an expansion about the normal."""


def _ziggurat() -> tuple[Float64, Float64]:
    """Right edges of the layers (257, falling to 0) and the density at them."""
    edges = np.empty(257)
    edges[0] = _AREA / math.exp(-0.5 * _TAIL * _TAIL)
    edges[1] = _TAIL
    for i in range(2, 256):
        edges[i] = math.sqrt(-2.0 * math.log(_AREA / edges[i - 1] + math.exp(-0.5 * edges[i - 1] ** 2)))
    edges[256] = 0.0
    return edges, np.exp(-0.5 * edges**2)


_EDGES, _DENSITY = _ziggurat()


def seeded(words: Sequence[int]) -> UInt64:
    """State of a generator that depends on all of the integers given, in their order.

    Parameters
    ----------
    words : sequence of int
        What names the stream: seed, exposure, detector ...

    Returns
    -------
    (4,) uint64
        State for the functions below, which change it.
    """
    mixed = 0
    state = np.empty(4, dtype=np.uint64)
    for word in words:
        mixed = _splitmix(mixed ^ _splitmix(int(word) & _WORD))
    for i in range(4):
        mixed = (mixed + 0x9E3779B97F4A7C15) & _WORD
        state[i] = _splitmix(mixed)
    return state


def _splitmix(word: int) -> int:
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)


@compiled
def next_bits(state: UInt64) -> np.uint64:
    """Next 64 random bits; advances the state."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    total = s0 + s3
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3
    return result  # type: ignore[no-any-return]


@compiled
def uniform(state: UInt64) -> float:
    """Uniform deviate in [0, 1); advances the state."""
    return float(next_bits(state) >> np.uint64(11)) * 1.1102230246251565e-16


@inner
def normal(state: UInt64) -> float:
    """Standard normal deviate; advances the state."""
    while True:
        bits = next_bits(state)
        layer = np.int64(bits & np.uint64(255))
        sign = 1.0 - 2.0 * float((bits >> np.uint64(8)) & np.uint64(1))
        x = float(bits >> np.uint64(11)) * 1.1102230246251565e-16 * _EDGES[layer]
        if x < _EDGES[layer + 1]:
            return float(sign * x)
        if layer == 0:
            while True:
                x = -math.log(1.0 - uniform(state)) / _TAIL
                if -2.0 * math.log(1.0 - uniform(state)) >= x * x:
                    return sign * (_TAIL + x)
        low, high = _DENSITY[layer], _DENSITY[layer + 1]
        if low + uniform(state) * (high - low) < math.exp(-0.5 * x * x):
            return float(sign * x)


@inner
def poisson_few(state: UInt64, mean: float) -> float:
    """Poisson deviate of a small mean (≤ 24 or so), by inversion; advances the state."""
    if mean <= 0.0:
        return 0.0
    u = uniform(state)
    probability = math.exp(-mean)
    reached = probability
    count = 0.0
    while u > reached and count < 200.0:
        count += 1.0
        probability *= mean / count
        reached += probability
    return count


@compiled
def counts(state: UInt64, mean: float, spread: float) -> float:
    """Poisson deviate of `mean` plus a normal one of standard deviation `spread`; advances the state.

    Small means are drawn as they are. For others the sum of both has mean μ, variance μ + s² and third moment μ; one
    normal deviate z gives μ + σ' z + γ (z² - 1) with γ = μ / 6(μ + s²) and σ'² = μ + s² - 2γ², which has the same
    mean and variance and (to γ²/σ²) third moment (Cornish & Fisher 1938, Rev. Inst. Int. Stat. 5, 307).
    """
    if mean < _FEW:
        return poisson_few(state, mean) + spread * normal(state)
    variance = mean + spread * spread
    skew = mean / (6.0 * variance)
    z = normal(state)
    return mean + math.sqrt(variance - 2.0 * skew * skew) * z + skew * (z * z - 1.0)


@compiled
def fill_normal_into(out: Float32, state: UInt64, mean: float, spread: float) -> None:
    """Fill a one-dimensional array with normal deviates; advances the state."""
    for i in range(out.size):
        out[i] = mean + spread * normal(state)


class Chain(NamedTuple):
    """What an amplifier does to electrons.

    ``gain`` [electron/ADU], ``read_noise`` [electron], ``full_well`` [electron], ``c0``, ``c1``, ``c2``:
    non-linearity, true = x (1 + c0 x + c1 x² + c2 x³) with x the measured signal [ADU].
    """

    gain: float
    read_noise: float
    full_well: float
    c0: float = 0.0
    c1: float = 0.0
    c2: float = 0.0
    noisy: bool = True
    """Off: the expected electrons are read as they are."""


class Pedestal(NamedTuple):
    """Bias of the amplifier's raw pixels [ADU], float64 in raw order of the data section.

    Pixel (y, x) has ``level + rows[y] + columns[x] + glow_y[y] glow_x[x]``; ``rows`` is what the serial overscan
    sees too.
    """

    level: float
    rows: Float64
    columns: Float64
    glow_y: Float64
    glow_x: Float64


@compiled
def measured(true: float, c0: float, c1: float, c2: float) -> float:
    """Signal that a non-linear amplifier gives for a true one [ADU]: inverse of x (1 + c0 x + c1 x² + c2 x³)."""
    x = true
    for _ in range(8):
        value = x * (1.0 + x * (c0 + x * (c1 + x * c2))) - true
        change = value / (1.0 + x * (2.0 * c0 + x * (3.0 * c1 + x * 4.0 * c2)))
        x -= change
        # Newton's steps shrink quadratically: the one after this is far below the digitisation.
        if abs(change) < 1e-2:
            break
    return x


@compiled
def read_data_into(
    raw: Float32,
    data: Box,
    electrons: Float32,
    place: Box,
    flips: tuple[bool, bool],
    chain: Chain,
    pedestal: Pedestal,
    state: UInt64,
) -> None:
    """Read an amplifier's light-sensitive pixels: shot and read noise, full well, non-linearity, gain, bias.

    Parameters
    ----------
    raw : (ny_raw, nx_raw) float32
        The HDU's raw array [ADU], not yet rounded; the section `data` is written, in raw order.
    data : Box
        The amplifier's data section.
    electrons : (ny, nx) float32
        Expected electrons of the detector; the section `place` is read.
    place : Box
        The amplifier's section of the detector, of the same shape.
    flips : two bool
        Raw order runs against the detector's in x, in y.
    chain, pedestal : Chain, Pedestal
        The amplifier.
    state : (4,) uint64
        Generator; advanced.
    """
    ny, nx = data.y1 - data.y0, data.x1 - data.x0
    step = 1.0 / chain.gain
    bent = chain.c0 != 0.0 or chain.c1 != 0.0 or chain.c2 != 0.0
    for y in range(ny):
        source = electrons[place.y1 - 1 - y if flips[1] else place.y0 + y]
        line = raw[data.y0 + y]
        base = pedestal.level + pedestal.rows[y]
        glow = pedestal.glow_y[y]
        for x in range(nx):
            mean = float(source[place.x1 - 1 - x if flips[0] else place.x0 + x])
            charge = counts(state, mean, chain.read_noise) if chain.noisy else mean
            signal = min(charge, chain.full_well) * step
            if bent:
                signal = measured(signal, chain.c0, chain.c1, chain.c2)
            line[data.x0 + x] = base + pedestal.columns[x] + glow * pedestal.glow_x[x] + signal


@compiled
def collect_into(wells: Float32, electrons: Float32, steps: int, along_x: float, along_y: float, state: UInt64) -> None:
    """Fill wells with photo-electrons that those already there push across the pixels' borders; advances the state.

    The exposure goes by in `steps`: in each, a pixel's area is smaller by `along_x` (`along_y`) for every electron that
    it has more than a neighbour in x (y), which gains that area; charge is kept. So the covariance of neighbours in a
    flat of mean μ is a μ² and the variance of a pixel μ - 2 (a_x + a_y) μ² to first order, as in Astier et al. (2019),
    A&A 629, A36, with no reach beyond the nearest pixels.

    Parameters
    ----------
    wells : (ny, nx) float32
        Zeros; gets the electrons of one realisation, shot noise included.
    electrons : (ny, nx) float32
        Expected electrons.
    steps : int
        At least 2; the discrete sum is made exact to first order.
    along_x, along_y : float
        Relative change of area per electron [1/electron].
    state : (4,) uint64
        Generator; advanced.
    """
    ny, nx = wells.shape
    before = np.zeros((ny, nx), dtype=np.float32)
    # Steps 0 … n-1 see i/n of the charge: their mean is (n-1)/2n where time that flows would give 1/2.
    ax, ay = along_x * steps / (steps - 1.0), along_y * steps / (steps - 1.0)
    for _ in range(steps):
        # By its pixels: laid into it as a whole, the words of numba's error would take seconds to compile.
        for y in range(ny):
            for x in range(nx):
                before[y, x] = wells[y, x]
        for y in range(ny):
            for x in range(nx):
                here = float(before[y, x])
                area = 1.0
                if x > 0:
                    area += ax * (float(before[y, x - 1]) - here)
                if x + 1 < nx:
                    area += ax * (float(before[y, x + 1]) - here)
                if y > 0:
                    area += ay * (float(before[y - 1, x]) - here)
                if y + 1 < ny:
                    area += ay * (float(before[y + 1, x]) - here)
                wells[y, x] += max(counts(state, float(electrons[y, x]) / steps * max(area, 0.0), 0.0), 0.0)


@compiled
def read_blind_into(raw: Float32, blind: Box, level: float, rows: Float64, noise: float, state: UInt64) -> None:
    """Read pixels that see no light (a prescan or overscan section): level, row drift and read noise, all in ADU.

    `rows` is the drift of every row of the raw array.
    """
    for y in range(blind.y0, blind.y1):
        base = level + rows[y]
        line = raw[y]
        for x in range(blind.x0, blind.x1):
            line[x] = base + noise * normal(state)


@compiled
def add_crosstalk_into(raw: Float32, victim: Box, other: Float32, source: Box, level: float, fraction: float) -> None:
    """Add a fraction of another amplifier's signal above its bias level to the pixels read at the same moment.

    Those are at the same place of both data sections in raw order; `raw` is changed, `other` (the array that holds the
    source, before any crosstalk) is not. What one section has more than the other takes no part.
    """
    ny = min(victim.y1 - victim.y0, source.y1 - source.y0)
    nx = min(victim.x1 - victim.x0, source.x1 - source.x0)
    for y in range(ny):
        to, of = raw[victim.y0 + y], other[source.y0 + y]
        for x in range(nx):
            to[victim.x0 + x] += fraction * (of[source.x0 + x] - level)


@compiled
def digitise_into(out: UInt16, raw: Float32, highest: float) -> None:
    """Round to whole ADU and clip to [0, highest ≤ 65535]."""
    ny, nx = raw.shape
    for y in range(ny):
        line, to = raw[y], out[y]
        for x in range(nx):
            to[x] = np.uint16(min(max(line[x] + np.float32(0.5), np.float32(0.0)), np.float32(highest)))
