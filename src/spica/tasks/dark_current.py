"""Dark current: signal of dark frames against dark time, per amplifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.records import Grain
from spica.core.settings import NoSettings
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task

Floats = npt.NDArray[np.float64]


def dark_current(
    settings: NoSettings,  # noqa: ARG001
    layouts: tuple[Member, ...],
    noise: Mapping[str, Any] | None,
) -> Products:
    """Dark current of each amplifier, and whether it grows in proportion to time.

    Parameters
    ----------
    layouts : what `signal` says of each dark frame: its times and the mean of each amplifier, hot pixels left out.
    noise : the amplifiers' bias levels; without them dark frames of two times at least are needed.

    Returns
    -------
    dark : per amplifier `rate` ``[value, error]`` [ADU/second], `bend` ``[value, error]``: how much faster (relative)
        the signal grows between the longest and shortest dark time than between that and zero (None where unknown);
        `times` and `signals`, the points.
    dark_current : ``dark_rate_adu.AMPLIFIER``.

    Raises
    ------
    DataFault
        ``calibration.too-few`` where neither bias levels nor two dark times are there.
    """
    times = np.array([each.value["dark_time"] or each.value["exposure_time"] for each in layouts])
    spread = len(np.unique(times[times > 0.0]))
    if spread < (1 if noise is not None else 2):
        raise DataFault(
            "calibration.too-few",
            f"{len(layouts)} dark frames of {spread} dark times do not tell a current without bias frames",
            frames=len(layouts),
            times=spread,
        )
    measured = []
    for number, amplifier in enumerate(layouts[0].value["amplifiers"]):
        signals = np.array([each.value["amplifiers"][number]["mean"] for each in layouts])
        bias = noise["amplifiers"][number] if noise is not None else None
        measured.append({"name": amplifier["name"], **_amplifier(times, signals, bias)})
    rates = {f"dark_rate_adu.{each['name']}": Measured(each["rate"][0], "adu/s") for each in measured}
    return {"dark": {"amplifiers": measured, "frames": len(layouts)}, "dark_current": rates}


def _amplifier(times: Floats, signals: Floats, bias: Mapping[str, Any] | None) -> dict[str, Any]:
    """Rate by least squares: of lines through the bias level where it is known."""
    scatter = _scatter(times, signals)
    if bias is None:
        design = np.column_stack([times, np.ones(len(times))])
        normal = np.linalg.inv(design.T @ design)
        (rate, start), error = normal @ design.T @ signals, scatter * float(np.sqrt(normal[0, 0]))
        lift = signals - start
    else:
        lift = signals - bias["level"]
        weight = float(times @ times)
        rate = float(times @ lift) / weight
        error = float(np.hypot(scatter / np.sqrt(weight), bias["level_error"] * times.sum() / weight))
    found = {"rate": [float(rate), error], "times": times.tolist(), "signals": lift.tolist()}
    return {**found, "bend": None if bias is None else _bend(times, lift, scatter, bias["level_error"])}


def _scatter(times: Floats, signals: Floats) -> float:
    """Standard deviation of frames of the same time [ADU]; of all about a line where no time is there twice."""
    groups: Sequence[Floats] = [signals[times == each] for each in np.unique(times)]
    freedom = sum(len(group) - 1 for group in groups)
    if freedom > 0:
        return float(np.sqrt(sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / freedom))
    if len(groups) > 2:
        return float(np.std(signals - np.polyval(np.polyfit(times, signals, 1), times), ddof=2))
    return 0.0


def _bend(times: Floats, lift: Floats, scatter: float, level_error: float) -> list[float] | None:
    short, long = times.min(), times.max()
    if long < 1.5 * short or short <= 0.0:
        return None
    few, many = times == short, times == long
    low, high = float(lift[few].mean()), float(lift[many].mean())
    first = low / short
    second = (high - low) / (long - short)
    if first <= 0.0:
        return None
    low_error = float(np.hypot(scatter / np.sqrt(few.sum()), level_error))
    high_error = scatter / float(np.sqrt(many.sum()))
    relative = float(np.hypot(low_error / low * (1.0 + low / (high - low)), high_error / (high - low)))
    return [second / first - 1.0, second / first * relative]


TASK = Task(
    name="dark_current",
    version=1,
    grain=Grain.CALIBRATION,
    settings=NoSettings,
    needs=(Need("layouts", grain=Grain.DETECTOR, quorum=1), Need("noise", source="master", optional=True)),
    gives=(
        Give("dark", Form.VALUE, meaning="dark current of each amplifier [ADU/s] and its growth with time"),
        Give("dark_current", Form.METRICS, meaning="dark current of each amplifier [ADU/s]"),
    ),
    run=dark_current,
)
