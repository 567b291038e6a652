"""Tasks that measure a camera: amplifiers drawn with known values come back with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from spica.core.camera import AmplifierSpec
from spica.core.faults import DataFault
from spica.core.images import Image, RawDetector
from spica.core.task import Member
from spica.tasks import crosstalk_fit, crosstalk_sums, dark_current, photon_transfer, read_noise, signal
from tests.tasks.test_golden import MemoryRows

NX, NY, BLIND = 96, 160, 32
GAINS, NOISE, BIAS = (1.5, 2.2), (6.0, 4.0), (900.0, 1100.0)


def amplifiers(*, overscan: bool = True) -> tuple[AmplifierSpec, ...]:
    blind = (NX, NX + BLIND, 0, NY) if overscan else None
    common: dict[str, Any] = {"data": (0, NX, 0, NY), "overscan": blind, "saturation": 60000.0}
    return (
        AmplifierSpec(name="A", detector=(0, NX, 0, NY), gain=GAINS[0], read_noise=NOISE[0], hdu=0, **common),
        AmplifierSpec(
            name="B", detector=(NX, 2 * NX, 0, NY), flip_x=True, flip_y=True, gain=GAINS[1], read_noise=NOISE[1], hdu=1,
            **common,
        ),
    )  # fmt: skip


def raw(electrons: float | np.ndarray, seconds: float, seed: int, *, overscan: bool = True) -> RawDetector:
    """Both amplifiers in raw order, whole numbers [ADU]; the bias drifts along the rows."""
    rng = np.random.default_rng(seed)
    hdus = []
    for gain, noise, bias in zip(GAINS, NOISE, BIAS, strict=True):
        level = bias + 3.0 * np.sin(np.linspace(0.0, 2.0, NY) + seed)[:, None]
        charge = rng.poisson(electrons, (NY, NX)).astype(float)
        hdu = np.concatenate([charge, np.zeros((NY, BLIND))], axis=1) + rng.normal(0.0, noise, (NY, NX + BLIND))
        hdu = np.rint(hdu / gain + (level if overscan else bias)).astype(np.uint16)
        hdus.append(hdu if overscan else hdu[:, :NX])
    header = {"exposure_time": seconds, "dark_time": seconds}
    return RawDetector(tuple(hdus), amplifiers(overscan=overscan), 2 * NX, NY, header)


def signals(raws: Sequence[RawDetector]) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    """Frames and layouts as a calibration unit gets them."""
    made = [signal.TASK.run(signal.TASK.settings(), raw=each) for each in raws]
    frames = tuple(Member(f"e{n:02d}/1", MemoryRows(each["signal"])) for n, each in enumerate(made))
    return frames, tuple(Member(f"e{n:02d}/1", each["layout"]) for n, each in enumerate(made))


def noise_of(raws: Sequence[RawDetector]) -> Any:
    frames, layouts = signals(raws)
    return read_noise.TASK.run(read_noise.TASK.settings(), frames=frames, layouts=layouts)["noise"]


def transfer_of(raws: Sequence[RawDetector], noise: Any, **settings: Any) -> Any:
    frames, layouts = signals(raws)
    made = photon_transfer.TASK.settings(**settings)
    return photon_transfer.TASK.run(made, frames=frames, layouts=layouts, noise=noise)


def test_signal_is_assembled_above_its_overscan() -> None:
    electrons = np.outer(np.linspace(500.0, 1000.0, NY), np.linspace(1.0, 2.0, NX))
    made = signal.TASK.run(signal.TASK.settings(), raw=raw(electrons, 5.0, 1))
    pixels, layout = made["signal"].pixels, made["layout"]
    expected = np.concatenate([electrons / GAINS[0], electrons[::-1, ::-1] / GAINS[1]], axis=1)
    sigma = np.sqrt(expected / np.repeat(GAINS, NX)[None, :] + 16.0)
    assert np.abs((pixels - expected) / sigma).mean() == pytest.approx(np.sqrt(2 / np.pi), rel=0.03)
    assert [each["level"] for each in layout["amplifiers"]] == pytest.approx(BIAS, abs=4.0)
    assert layout["exposure_time"] == 5.0
    assert [each["step"] for each in layout["amplifiers"]] == [1.0, 1.0]


def test_signal_refuses_sections_outside_of_the_pixels_and_frames_without_pixels() -> None:
    whole = raw(10.0, 1.0, 1)
    short = RawDetector(tuple(hdu[:, :50] for hdu in whole.pixels), whole.amplifiers, whole.nx, whole.ny)
    with pytest.raises(DataFault, match="outside") as refused:
        signal.TASK.run(signal.TASK.settings(), raw=short)
    assert refused.value.code == "header.bad-geometry"
    lost = RawDetector(
        tuple(np.full(hdu.shape, np.nan, np.float32) for hdu in whole.pixels), whole.amplifiers, whole.nx, whole.ny
    )
    with pytest.raises(DataFault) as refused:
        signal.TASK.run(signal.TASK.settings(), raw=lost)
    assert refused.value.code == "data.no-pixels"


def test_digitisation_of_a_twelve_bit_converter_is_seen() -> None:
    coarse = raw(50000.0, 1.0, 1)
    shifted = RawDetector(
        tuple((hdu // 16 * 16).astype(np.uint16) for hdu in coarse.pixels), coarse.amplifiers, coarse.nx, coarse.ny
    )
    made = signal.TASK.run(signal.TASK.settings(), raw=shifted)
    assert [each["step"] for each in made["layout"]["amplifiers"]] == [16.0, 16.0]


def test_read_noise_is_the_noise_drawn() -> None:
    noise = noise_of([raw(0.0, 0.0, seed) for seed in range(10)])
    for each, gain, drawn in zip(noise["amplifiers"], GAINS, NOISE, strict=True):
        variance = each["variance"] - each["step"] ** 2 / 12.0
        assert variance == pytest.approx((drawn / gain) ** 2, abs=4.0 * each["variance_error"])
        assert each["level"] == pytest.approx(0.0, abs=0.1)
        assert np.abs(each["covariances"]).max() < 5.0 * each["variance_error"]


def test_one_bias_frame_is_too_few() -> None:
    with pytest.raises(DataFault) as refused:
        noise_of([raw(0.0, 0.0, 1)])
    assert refused.value.code == "calibration.too-few"


@pytest.mark.parametrize("overscan", [True, False])
def test_gain_and_read_noise_come_back(*, overscan: bool) -> None:
    noise = noise_of([raw(0.0, 0.0, seed, overscan=overscan) for seed in range(6)])
    levels = np.repeat([1500.0, 5000.0, 12000.0, 30000.0, 60000.0], 2)
    flats = [raw(level, level / 1000.0, 20 + n, overscan=overscan) for n, level in enumerate(levels)]
    made = transfer_of(flats, noise)
    for each, gain, drawn in zip(made["transfer"]["amplifiers"], GAINS, NOISE, strict=True):
        assert each["gain"][0] == pytest.approx(gain, abs=4.0 * each["gain"][1])
        assert each["gain"][1] / gain < 0.02
        assert each["read_noise"][0] == pytest.approx(drawn, abs=4.0 * each["read_noise"][1])
        assert each["linearity"][0][0] == pytest.approx(0.0, abs=4.0 * each["linearity"][1][0])
        assert each["a10"][0] == pytest.approx(0.0, abs=4.0 * each["a10"][1])
        assert each["saturation"] is None
        assert made["photon_transfer"][f"gain.{each['name']}"].value == each["gain"][0]


def test_saturation_is_seen_where_flats_stand_still() -> None:
    noise = noise_of([raw(0.0, 0.0, seed) for seed in range(4)])
    levels = np.repeat([5000.0, 20000.0, 50000.0, 75000.0, 95000.0], 2)
    flats = [raw(level, level / 1000.0, 40 + n) for n, level in enumerate(levels)]
    full = []
    for flat in flats:
        ceilings = [30000.0 + bias for bias in BIAS]
        pixels = tuple(np.minimum(hdu, top).astype(np.uint16) for hdu, top in zip(flat.pixels, ceilings, strict=True))
        full.append(RawDetector(pixels, flat.amplifiers, flat.nx, flat.ny, flat.header))
    made = transfer_of(full, noise)["transfer"]["amplifiers"]
    for each, gain, bias in zip(made, GAINS, BIAS, strict=True):
        assert each["saturation"][0] == pytest.approx(30000.0 + bias, abs=max(4.0 * each["saturation"][1], 5.0))
        assert each["full_well"][0] == pytest.approx(30000.0 * gain, rel=0.03)
        assert each["gain"][0] == pytest.approx(gain, abs=4.0 * each["gain"][1])


def test_flats_without_a_like_and_unknown_bias_are_refused() -> None:
    noise = noise_of([raw(0.0, 0.0, seed) for seed in range(2)])
    with pytest.raises(DataFault) as refused:
        transfer_of([raw(2000.0, 1.0, 1), raw(4000.0, 2.0, 2)], noise)
    assert refused.value.code == "calibration.too-few"
    with pytest.raises(DataFault) as refused:
        transfer_of([raw(2000.0, 1.0, seed, overscan=False) for seed in range(2)], None)
    assert refused.value.code == "calibration.missing"


def test_without_bias_frames_the_tables_noise_counts() -> None:
    made = transfer_of([raw(20000.0, 1.0, seed) for seed in range(4)], None)["transfer"]["amplifiers"]
    for each, gain in zip(made, GAINS, strict=True):
        assert each["gain"][0] == pytest.approx(gain, abs=4.0 * each["gain"][1])
        assert each["a00"] is None
        assert each["linearity"] is None


def dark_of(seconds: Sequence[float], rate: float, noise: Any, bend: float = 0.0) -> Any:
    raws = [raw(rate * each * (1.0 + bend * each), each, 60 + n) for n, each in enumerate(seconds)]
    return dark_current.TASK.run(dark_current.TASK.settings(), layouts=signals(raws)[1], noise=noise)


def test_dark_current_and_its_growth() -> None:
    noise = noise_of([raw(0.0, 0.0, seed) for seed in range(8)])
    times = [10.0, 10.0, 10.0, 100.0, 100.0, 100.0]
    even = dark_of(times, 4.0, noise)["dark"]["amplifiers"]
    for each, gain in zip(even, GAINS, strict=True):
        assert each["rate"][0] == pytest.approx(4.0 / gain, abs=4.0 * each["rate"][1])
        assert each["bend"][0] == pytest.approx(0.0, abs=4.0 * each["bend"][1])
    growing = dark_of(times, 4.0, noise, bend=0.002)["dark"]["amplifiers"]
    for each in growing:
        # From r (1 + 0.002 t): (r_100 100 - r_10 10) / 90 over r_10.
        assert each["bend"][0] == pytest.approx(0.002 * 100.0 / 1.02, abs=4.0 * each["bend"][1])


def test_dark_current_without_bias_needs_two_times() -> None:
    found = dark_of([10.0, 50.0, 100.0], 5.0, None)["dark"]["amplifiers"]
    assert found[0]["rate"][0] == pytest.approx(5.0 / GAINS[0], rel=0.01)
    with pytest.raises(DataFault) as refused:
        dark_of([10.0, 10.0], 5.0, None)
    assert refused.value.code == "calibration.too-few"


TRUE_CROSSTALK = np.array([[0.0, 4e-4], [-2e-4, 0.0]])


def starry(seed: int, fractions: np.ndarray = TRUE_CROSSTALK) -> Image:
    """Stars on both amplifiers and the ghosts that they leave at the same place in raw order."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:NY, :NX]
    planes = []
    for _ in range(2):
        plane = np.full((NY, NX), 300.0)
        for u, v, peak in rng.uniform((5, 5, 3.0), (NX - 5, NY - 5, 5.0), (10, 3)):
            plane += 10.0**peak * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 8.0)
        planes.append(np.minimum(plane, 50000.0))
    seen = [
        plane + sum(fractions[n, m] * (planes[m]) for m in range(2)) + rng.normal(0.0, 5.0, plane.shape)
        for n, plane in enumerate(planes)
    ]
    return Image(np.concatenate([seen[0], seen[1][::-1, ::-1]], axis=1).astype(np.float32))


def crosstalk_of(images: Sequence[Image]) -> Any:
    layout = signal.TASK.run(signal.TASK.settings(), raw=raw(10.0, 1.0, 1))["layout"]
    sums = [
        crosstalk_sums.TASK.run(crosstalk_sums.TASK.settings(), signal=image, layout=layout)["sums"] for image in images
    ]
    members = tuple(Member(f"e{n}/1", each) for n, each in enumerate(sums))
    return crosstalk_fit.TASK.run(crosstalk_fit.TASK.settings(), sums=members)


def test_crosstalk_comes_back_with_its_errors() -> None:
    found = crosstalk_of([starry(seed) for seed in range(8)])
    matrix, errors = (np.array(found["crosstalk"][name]) for name in ("matrix", "errors"))
    off = ~np.eye(2, dtype=bool)
    assert np.abs((matrix - TRUE_CROSSTALK)[off] / errors[off]).max() < 4.0
    assert errors[off].max() < 3e-5
    assert found["crosstalk_fit"]["crosstalk.A.B"].value == matrix[0, 1]


def test_no_crosstalk_is_found_where_there_is_none() -> None:
    found = crosstalk_of([starry(seed, 0.0 * TRUE_CROSSTALK) for seed in range(8)])["crosstalk"]
    off = ~np.eye(2, dtype=bool)
    assert np.abs(np.array(found["matrix"])[off] / np.array(found["errors"])[off]).max() < 4.0


def test_faint_skies_tell_no_crosstalk() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(DataFault) as refused:
        crosstalk_of([Image(rng.normal(100.0, 5.0, (NY, 2 * NX)).astype(np.float32))])
    assert refused.value.code == "data.no-pixels"


def test_one_amplifier_has_no_crosstalk_to_measure() -> None:
    layout = signal.TASK.run(signal.TASK.settings(), raw=raw(10.0, 1.0, 1))["layout"]
    alone = {**layout, "amplifiers": layout["amplifiers"][:1]}
    sums = crosstalk_sums.TASK.run(crosstalk_sums.TASK.settings(), signal=starry(1), layout=alone)["sums"]
    found = crosstalk_fit.TASK.run(crosstalk_fit.TASK.settings(), sums=(Member("e/1", sums),))
    assert found["crosstalk"]["matrix"] == [[0.0]]
    assert found["crosstalk_fit"] == {}
