"""Compare: each calibration frame with its siblings; a bad one is left out of the master, and the reason is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Member, Need, Products, Task

Cells = npt.NDArray[np.float64]
_JUDGES = 3
"""Fewer frames cannot tell which of them is the odd one."""
_GAIN = 0.02
"""Frames whose gains differ by more than this, relative, are not of one read-out."""

_TIMES = 0.2
"""Dark times that differ by less, relative, are taken for the same."""


class CompareSettings(Settings):
    """Which frames make a master, and how they are brought to a common level."""

    scale: Literal["none", "level", "dark_time"] = setting(
        "none", "frames are divided by their level (flat: the master is about 1) or dark time (dark: per second)"
    )
    least_level: float | None = setting(None, "frames below this level are left out", "electron")
    most_level: float | None = setting(None, "frames above this level are left out", "electron")
    most_saturated: float = setting(0.05, "frames with a larger saturated fraction are left out", ge=0, le=1)
    siblings: bool = setting(True, "frames are compared with their siblings, where there are three or more")
    offset: float = setting(10.0, "deviation from the siblings that is always allowed (not scaled)", "electron", ge=0)
    ratio: float = setting(0.03, "deviation from the siblings that is always allowed (scaled by level)", ge=0)
    kappa: float = setting(6.0, "and so many errors of a cell's level, or of the levels' scatter", "sigma", gt=0)
    cells: float = setting(0.05, "a frame with a larger fraction of deviating cells has another pattern", ge=0, le=1)
    noise: float = setting(1.5, "a frame whose noise differs by more than this factor is left out", ge=1)
    outliers: float = setting(0.003, "excess fraction of bright or dark pixels (trailed stars) that is allowed", ge=0)


@dataclass(frozen=True)
class _Frame:
    """One frame's numbers: `factor` scales it for the master, `own` its pattern to what its siblings have."""

    unit: str
    level: Mapping[str, Any]
    factor: float
    own: float
    pattern: Cells


def compare(
    settings: CompareSettings, levels: tuple[Member, ...], planes: tuple[Member, ...] | None = None
) -> Products:
    """Choose the frames of a master by their levels and patterns.

    A frame is left out where its own numbers say so (too low, saturated …), where it was read with another gain than
    most, and where it differs from the median of its siblings by more than the settings allow: in level, in pattern (a
    lost amplifier, a light leak), in noise, or in the number of its outlying pixels (trailed stars). Frames are judged
    anew without those left out until nothing changes.

    Parameters
    ----------
    levels : what `level` found, per exposure.
    planes : level of the focal plane, per exposure; without it each detector's flats are divided by their own level.

    Returns
    -------
    choice : `factors` (unit to the factor that scales it), `left_out` (unit to reason), `scale`, `norm` ('detector',
        'focal plane' or ''), median, least and greatest `level` [electron], and `sensitivity`, the median level
        relative to the focal plane.
    """
    plane_of = {member.unit.partition(":")[2]: float(member.value["level"]) for member in planes or ()}
    times = [float(member.value["dark_time"]) for member in levels]
    usual_time = float(np.median([time for time in times if time > 0] or [1.0]))
    left_out: dict[str, str] = {}
    frames: list[_Frame] = []
    for member in levels:
        plane = plane_of.get(member.unit.partition(":")[2].partition("/")[0], 0.0)
        reason = _unfit(settings, member.value) or ("" if plane > 0 or not plane_of else "its focal plane has no level")
        if reason:
            left_out[member.unit] = reason
        else:
            frames.append(_frame(settings, member, plane, usual_time))
    frames, others = _of_one_gain(frames)
    left_out |= others
    while settings.siblings and len(frames) >= _JUDGES:
        odd = _odd(settings, frames)
        if not odd:
            break
        left_out |= odd
        frames = [frame for frame in frames if frame.unit not in odd]
    medians = [float(frame.level["median"]) for frame in frames] or [0.0]
    return {
        "choice": {
            "factors": {frame.unit: frame.factor for frame in frames},
            "left_out": left_out,
            "scale": settings.scale,
            "norm": ("focal plane" if plane_of else "detector") if settings.scale == "level" else "",
            "level": [float(np.median(medians)), min(medians), max(medians)],
            "sensitivity": float(np.median([f.factor * float(f.level["median"]) for f in frames] or [1.0])),
        }
    }


def _unfit(settings: CompareSettings, level: Mapping[str, Any]) -> str:
    """Why a frame cannot be used, by its own numbers; '' where it can."""
    median, saturated, dark_time = (float(level[name]) for name in ("median", "saturated", "dark_time"))
    tests = (
        (settings.least_level is not None and median < settings.least_level, f"level {median:.6g} is too low"),
        (settings.most_level is not None and median > settings.most_level, f"level {median:.6g} is too high"),
        (saturated > settings.most_saturated, f"{saturated:.1%} of its pixels are saturated"),
        (settings.scale == "level" and not median > 0, f"level {median:.6g} is not positive"),
        (settings.scale == "dark_time" and not dark_time > 0, "it has no dark time"),
    )
    return next((reason for is_so, reason in tests if is_so), "")


def _frame(settings: CompareSettings, member: Member, plane: float, usual_time: float) -> _Frame:
    level = member.value
    factor = own = 1.0
    if settings.scale == "level":
        own = 1.0 / float(level["median"])
        factor = 1.0 / plane if plane > 0 else own
    if settings.scale == "dark_time":
        factor = 1.0 / float(level["dark_time"])
        own = usual_time * factor
    pattern = np.array([[np.nan if x is None else x for x in row] for row in level["pattern"]], np.float64)
    return _Frame(member.unit, level, factor, own, pattern * own)


def _of_one_gain(frames: list[_Frame]) -> tuple[list[_Frame], dict[str, str]]:
    """The frames of the most common gain, and why the others are left out."""
    gains = np.array([float(frame.level["gain"]) for frame in frames])
    if len(gains) == 0 or np.ptp(gains) == 0:
        return frames, {}
    alike = np.array([np.count_nonzero(np.abs(gains - gain) <= _GAIN * gain) for gain in gains])
    usual = gains[int(np.argmax(alike))]
    odd = {
        frame.unit: f"its gain is {gain:.4g}, that of most frames {usual:.4g} electron/ADU"
        for frame, gain in zip(frames, gains, strict=True)
        if abs(gain - usual) > _GAIN * usual
    }
    return [frame for frame in frames if frame.unit not in odd], odd


def _odd(settings: CompareSettings, frames: list[_Frame]) -> dict[str, str]:
    """Frames that differ from the median of all, and in what."""
    shapes = {frame.pattern.shape for frame in frames}
    if len(shapes) > 1:
        return {}  # frames of several sizes: `combine` names them
    patterns = np.array([frame.pattern for frame in frames])
    tests = (
        _by_level(settings, frames),
        _by_pattern(settings, frames, patterns),
        _by_noise(settings, frames),
        _by_outliers(settings, frames),
    )
    found = [next(filter(None, reasons), "") for reasons in zip(*tests, strict=True)]
    return {frame.unit: reason for frame, reason in zip(frames, found, strict=True) if reason}


def _by_level(settings: CompareSettings, frames: list[_Frame]) -> list[str]:
    """Reasons by level: of a bias or dark as it is, of a flat relative to its focal plane."""
    if settings.scale == "level":
        shares = np.array([frame.factor * float(frame.level["median"]) for frame in frames])
        middle = float(np.median(shares))
        limit = max(settings.ratio * middle, settings.kappa * _scatter(shares))
        return [
            f"its level relative to the focal plane is {share:.4g}, that of its siblings {middle:.4g}"
            if abs(share - middle) > limit
            else ""
            for share in shares
        ]
    values = np.array([frame.own * float(frame.level["median"]) for frame in frames])
    middle = float(np.median(values))
    spread = settings.kappa * _scatter(values)
    return [
        f"its level is {value:.4g} electron, that of its siblings {middle:.4g}"
        if abs(value - middle) > max(settings.offset * max(frame.own, 1.0), spread)
        else ""
        for frame, value in zip(frames, values, strict=True)
    ]


def _by_pattern(settings: CompareSettings, frames: list[_Frame], patterns: npt.NDArray[np.float64]) -> list[str]:
    """Reasons by pattern: the levels of cells about the frame's own."""
    with np.errstate(all="ignore"):
        lost = ~np.isfinite(patterns)
        centred = patterns - np.array([frame.own * float(frame.level["median"]) for frame in frames])[:, None, None]
        filled = np.where(lost.all(axis=0), 0.0, centred)
        usual = np.nanmedian(np.where(np.isfinite(filled), filled, np.nan), axis=0)
        error = 1.4826 * np.nanmedian(np.abs(filled - usual), axis=0)
    allowed = settings.ratio if settings.scale == "level" else settings.offset
    seldom_lost = np.mean(lost, axis=0) <= 0.5
    reasons = []
    for frame, own, gone in zip(frames, filled, lost, strict=True):
        # What is wrong with the bias of a short dark is multiplied where it is brought to the time of a long one.
        limit = np.maximum(
            allowed * (max(frame.own, 1.0) if settings.scale == "dark_time" else 1.0), settings.kappa * error
        )
        off = np.where(gone, seldom_lost, np.abs(own - usual) > limit)
        share = float(np.mean(off))
        reasons.append(f"{share:.0%} of its area differs from its siblings" if share > settings.cells else "")
    return reasons


def _by_noise(settings: CompareSettings, frames: list[_Frame]) -> list[str]:
    """Reasons by noise.

    That of a flat goes with the root of its level where photons make it, and with the level itself where the pixels'
    own responses do: a flat is odd where it is too noisy, or too quiet, by both. The mean of several read-outs has less
    of the noise of photons and read-out, but not of the pixels' own.
    """
    noise = np.array([float(frame.level["noise"]) for frame in frames])
    slices = _slices(frames)
    ratios = []
    for power, times in ((0.5, slices), (1.0, 1.0)) if settings.scale == "level" else ((0.0, slices), (0.0, 1.0)):
        scaled = noise / np.array([float(frame.level["median"]) if power else 1.0 for frame in frames]) ** power
        scaled = scaled * np.sqrt(times)
        middle = float(np.median(scaled))
        ratios.append(scaled / middle if middle > 0 else np.ones(len(frames)))
    low, high = np.min(ratios, axis=0), np.max(ratios, axis=0)
    comparable = _of_usual_time(settings, frames)
    return [
        f"its noise is {at_least if at_least > 1 else at_most:.3g} times that of its siblings"
        if alike and (at_least > settings.noise or at_most < 1 / settings.noise)
        else ""
        for at_least, at_most, alike in zip(low, high, comparable, strict=True)
    ]


def _slices(frames: list[_Frame]) -> npt.NDArray[np.float64]:
    """Read-outs that each frame is the mean of."""
    return np.array([float(frame.level.get("slices", 1)) for frame in frames])


def _of_usual_time(settings: CompareSettings, frames: list[_Frame]) -> list[bool]:
    """Which frames can be compared in noise and in hot pixels: darks of another time differ in both."""
    return [settings.scale != "dark_time" or abs(frame.own - 1.0) < _TIMES for frame in frames]


def _by_outliers(settings: CompareSettings, frames: list[_Frame]) -> list[str]:
    """Reasons by the number of pixels far above or below their surroundings, in units of noise: of like means."""
    found = np.array([[float(frame.level["bright"]), float(frame.level["dark"])] for frame in frames])
    slices = _slices(frames)
    like = slices == np.sort(slices)[slices.size // 2]
    usual = np.median(found[like], axis=0)
    reasons = []
    comparable = like & _of_usual_time(settings, frames)
    for (bright, dark), alike in zip(found - usual, comparable, strict=True):
        kind, excess = ("bright", bright) if bright >= dark else ("dark", dark)
        reasons.append(
            f"it has {excess:.2%} more {kind} pixels than its siblings" if alike and excess > settings.outliers else ""
        )
    return reasons


def _scatter(values: npt.NDArray[np.float64]) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


TASK = Task(
    name="compare",
    version=1,
    grain=Grain.CALIBRATION,
    settings=CompareSettings,
    needs=(
        Need("levels", grain=Grain.DETECTOR, quorum=1),
        Need("planes", grain=Grain.EXPOSURE, optional=True),
    ),
    gives=(
        Give("choice", Form.VALUE, meaning="frames of a master with their scales, and those left out with reasons"),
    ),
    run=compare,
)
