"""Read noise: level and variance of the amplifiers from pairs of bias frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from spica.core.faults import DataFault
from spica.core.records import Grain
from spica.core.settings import NoSettings
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.transfer import LAGS, Moments, pair_moments


def read_noise(settings: NoSettings, frames: tuple[Member, ...], layouts: tuple[Member, ...]) -> Products:  # noqa: ARG001
    """Noise of one read-out from the differences of successive bias frames (each perhaps the mean of several).

    Parameters
    ----------
    frames : one `Rows` per bias frame [ADU above overscan], in order of time; frame 1 is paired with 2, 3 with 4 …
    layouts : what `signal` says of each.

    Returns
    -------
    noise : per amplifier: `level` of the data above the overscan [ADU] (of the bias itself where there is none) and
        its error, `variance` of a read-out and its error [ADU²], `covariances` between pixels [ADU²] parallel to
        `spica.kernels.transfer.LAGS`, `step` of the digitisation [ADU], whose variance step²/12 is in `variance`.
    read_noise : ``read_noise_adu.AMPLIFIER``, without the digitisation's share.

    Raises
    ------
    DataFault
        ``calibration.too-few`` for fewer than two frames.
    """
    if len(frames) < 2:
        raise DataFault(
            "calibration.too-few", f"read noise needs two bias frames, there is {len(frames)}", frames=len(frames)
        )
    amplifiers = layouts[0].value["amplifiers"]
    moments: list[list[Moments]] = [[] for _ in amplifiers]
    slices = {each.unit: each.value["slices"] for each in layouts}
    for first, second in zip(frames[0::2], frames[1::2], strict=False):
        # The difference has the variance of a read-out once for each frame, over the read-outs that it is the mean of.
        factor = 2.0 / sum(1.0 / slices[each.unit] for each in (first, second))
        ny = first.value.shape[0]
        pair = first.value.read(0, ny), second.value.read(0, ny)
        for amplifier, found in zip(amplifiers, moments, strict=True):
            x0, x1, y0, y1 = amplifier["detector"]
            here = pair_moments(pair[0][y0:y1, x0:x1], pair[1][y0:y1, x0:x1], scaled=False)
            found.append(here.times(factor))
    levels = np.array([[a["mean"] for a in layout.value["amplifiers"]] for layout in layouts])
    measured = [
        _amplifier(amplifier, found, levels[:, number])
        for number, (amplifier, found) in enumerate(zip(amplifiers, moments, strict=True))
    ]
    metrics = {
        f"read_noise_adu.{each['name']}": Measured(
            float(np.sqrt(max(each["variance"] - each["step"] ** 2 / 12.0, 0.0))), "adu"
        )
        for each in measured
    }
    return {"noise": {"amplifiers": measured, "frames": len(frames)}, "read_noise": metrics}


def _amplifier(amplifier: dict[str, Any], found: list[Moments], levels: np.ndarray[Any, Any]) -> dict[str, Any]:
    used = [each for each in found if each.pixels]
    if not used:
        raise DataFault("data.no-pixels", f"amplifier {amplifier['name']} has no good pixel", name=amplifier["name"])
    weights = np.array([each.pixels for each in used], dtype=np.float64)
    variance = float(np.average([each.variance for each in used], weights=weights)) / 2.0
    return {
        "name": amplifier["name"],
        "level": float(levels.mean()),
        "level_error": float(levels.std(ddof=1) / np.sqrt(len(levels))),
        "variance": variance,
        "variance_error": variance * float(np.sqrt(2.0 / weights.sum())),
        "covariances": [
            float(np.average([each.covariances[lag] for each in used], weights=weights)) / 2.0
            for lag in range(len(LAGS))
        ],
        "step": max(amplifier["step"], 0.0),
        "pairs": len(used),
    }


TASK = Task(
    name="read_noise",
    version=1,
    grain=Grain.CALIBRATION,
    settings=NoSettings,
    needs=(
        Need("frames", grain=Grain.DETECTOR, stream=True, quorum=1),
        Need("layouts", grain=Grain.DETECTOR, quorum=1),
    ),
    gives=(
        Give("noise", Form.VALUE, master=True, meaning="level and read noise of each amplifier [ADU]"),
        Give("read_noise", Form.METRICS, meaning="read noise of each amplifier [ADU]"),
    ),
    run=read_noise,
)
