"""Photon transfer: gain, linearity, full well and brighter-fatter coefficients of the amplifiers from flats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.transfer import (
    LAGS,
    Moments,
    Transfer,
    fit_area_change,
    fit_linearity,
    fit_transfer,
    linearised,
    pair_moments,
    shot_variance,
)

Floats = npt.NDArray[np.float64]

_SATURATED = 0.4
"""A pair with less than this share of the shot noise it should have is saturated."""
_SPAN = 1.5
"""Levels must span this factor for a curve's bend to be told from its slope."""


class PhotonTransferSettings(Settings):
    """Which flats are paired, and what is fitted."""

    pair_ratio: float = setting(1.1, "flats are a pair where their levels differ by less than this factor", gt=1)
    least_level: float = setting(50.0, "flats below this mean are left out", "ADU", ge=0)
    by_row: int = setting(
        0,
        "flats are scaled row by row, this many colours of a row apart: bands of a rolling shutter; 0: as a whole",
        ge=0,
    )
    degree: int = setting(1, "number of coefficients of the non-linearity", ge=1, le=4)


@dataclass(frozen=True)
class _Chip:
    """One amplifier as read, with what the bias frames say of it, and the moments of its pairs in order of level."""

    layout: Mapping[str, Any]
    level: float
    variance: float
    covariances: tuple[float, ...]
    moments: Sequence[Moments]

    def column(self, name: str) -> Floats:
        return np.array([getattr(each, name) for each in self.moments], dtype=np.float64)

    def shot(self) -> Floats:
        """Shot noise at the mean signal of each pair [ADU²]."""
        return (self.column("variance") - self.variance * self.column("noise_share")) / self.column("share")


def photon_transfer(
    settings: PhotonTransferSettings,
    frames: tuple[Member, ...],
    layouts: tuple[Member, ...],
    noise: Mapping[str, Any] | None,
) -> Products:
    """Gain and the rest from the differences of flats of one level, at one level or many.

    Parameters
    ----------
    frames : one `Rows` per flat [ADU above overscan].
    layouts : what `signal` says of each.
    noise : levels and read noise of the amplifiers from bias frames; without it the table's read noise counts, and an
        amplifier without overscan cannot be measured.

    Returns
    -------
    transfer : per amplifier `gain` [electron/ADU], `read_noise` [electron], `linearity` [1/ADU …], `saturation` [ADU,
        raw], `full_well` [electron], `a00`, `a10`, `a01`, `a11`, `a20`, `a02` [1/electron], each as ``[value, error]``
        or None where the flats do not tell; `curve` and `ramp`, the points they rest on.
    photon_transfer : ``gain.AMPLIFIER``, ``read_noise.AMPLIFIER`` … , as far as measured.

    Raises
    ------
    DataFault
        ``calibration.too-few`` where no two flats make a pair; ``calibration.missing`` where the bias is unknown.
    """
    known = {member.unit: member.value for member in layouts}
    pairs = _pairs(settings, frames, known, noise)
    amplifiers = known[frames[0].unit]["amplifiers"]
    moments: list[list[Moments]] = [[] for _ in amplifiers]
    levels = [_bias(number, amplifier, noise) for number, amplifier in enumerate(amplifiers)]
    for first, second in pairs:
        ny = first.value.shape[0]
        planes = first.value.read(0, ny), second.value.read(0, ny)
        for number, amplifier in enumerate(amplifiers):
            x0, x1, y0, y1 = amplifier["detector"]
            a, b = (plane[y0:y1, x0:x1] - np.float32(levels[number][0]) for plane in planes)
            # A mean of read-outs has the noise of one over their number; both frames of a pair have that of as many.
            found = pair_moments(a, b, by_row=settings.by_row).times(float(known[first.unit]["slices"]))
            moments[number].append(found)
    measured = []
    for number, amplifier in enumerate(amplifiers):
        chip = _Chip(amplifier, *levels[number], moments[number])
        ramp = [(known[m.unit]["exposure_time"], known[m.unit]["amplifiers"][number]) for m in frames]
        measured.append(_amplifier(settings, chip, ramp))
    return {"transfer": {"amplifiers": measured, "frames": len(frames)}, "photon_transfer": _metrics(measured)}


def _bias(
    number: int, amplifier: Mapping[str, Any], noise: Mapping[str, Any] | None
) -> tuple[float, float, tuple[float, ...]]:
    """Level above the overscan, variance and covariances of a read-out [ADU, ADU²]."""
    if noise is not None:
        found = noise["amplifiers"][number]
        return found["level"], found["variance"], tuple(found["covariances"])
    if not amplifier["overscan"]:
        raise DataFault(
            "calibration.missing",
            f"amplifier {amplifier['name']} has no overscan, and there are no bias frames that tell its level",
            need="noise",
        )
    variance = (amplifier["read_noise"] / amplifier["gain"]) ** 2 + amplifier["step"] ** 2 / 12.0
    return 0.0, variance, (0.0,) * len(LAGS)


def _pairs(
    settings: PhotonTransferSettings,
    frames: Sequence[Member],
    known: Mapping[str, Mapping[str, Any]],
    noise: Mapping[str, Any] | None,
) -> list[tuple[Member, Member]]:
    """Flats two by two, from the faintest; one without a like, in level and number of read-outs, stays alone."""

    def level(member: Member) -> float:
        each = [
            amplifier["mean"] - _bias(number, amplifier, noise)[0]
            for number, amplifier in enumerate(known[member.unit]["amplifiers"])
        ]
        return float(np.mean(each))

    every = [(known[member.unit]["slices"], level(member), member.unit, member) for member in frames]
    bright = sorted((each for each in every if each[1] >= settings.least_level), key=lambda each: each[:3])
    found, place = [], 0
    while place + 1 < len(bright):
        (depth, low, _, first), (like, high, _, second) = bright[place : place + 2]
        if depth == like and high <= low * settings.pair_ratio:
            found.append((low, first.unit, (first, second)))
            place += 1
        place += 1
    if not found:
        raise DataFault(
            "calibration.too-few",
            f"no two of {len(frames)} flats have levels within a factor {settings.pair_ratio} of each other",
            frames=len(frames),
            bright=len(bright),
        )
    return [pair for _, _, pair in sorted(found, key=lambda each: each[:2])]


def _amplifier(
    settings: PhotonTransferSettings, chip: _Chip, ramp: Sequence[tuple[float, Mapping[str, Any]]]
) -> dict[str, Any]:
    layout = chip.layout
    mean, shot, count = chip.column("mean"), chip.shot(), chip.column("pixels")
    plateau = _plateau(mean, shot)
    below = mean < (0.97 * plateau[0] if plateau else np.inf)
    good = below & (shot > 0.0) & (count > 0)
    if not good.any():
        raise DataFault(
            "calibration.too-few", f"no pair of flats of amplifier {layout['name']} can be used", name=layout["name"]
        )
    line = _linearity(settings, chip, ramp, plateau)
    bend = line["linearity"][0] if line["linearity"] else list(layout["linearity"])
    true, slope = linearised(mean, bend)
    straight = shot * slope**2
    relative = np.sqrt(2.0 / count[good]) * (chip.column("variance") / chip.column("share"))[good] / shot[good]
    curved = int(good.sum()) >= 3 and true[good].max() > _SPAN * true[good].min()
    law = fit_transfer(true[good], straight[good], relative, curved=curved)
    pure = max(chip.variance - layout["step"] ** 2 / 12.0, 0.0)
    noise = float(np.sqrt(pure)) * law.gain
    return {
        "name": layout["name"],
        "gain": [law.gain, law.gain_error],
        "read_noise": [noise, noise * float(np.hypot(law.gain_error / law.gain, np.sqrt(1.0 / (2.0 * count.max()))))],
        **line,
        **_well(chip, plateau, law, bend),
        **_areas(chip, good, (true, slope), law, curved=curved),
        "chi2": law.chi2 if np.isfinite(law.chi2) else None,
        "curve": {
            "mean": true[good].tolist(),
            "shot": straight[good].tolist(),
            "error": (straight[good] * relative).tolist(),
            "model": shot_variance(true[good], law.gain, law.a00).tolist(),
            "left_out": [[float(m), float(v)] for m, v in zip(mean[~good], shot[~good], strict=True)],
        },
    }


def _plateau(mean: Floats, shot: Floats) -> tuple[float, float] | None:
    """Mean signal of saturated flats [ADU] and how well it is known; None where none is saturated."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = shot / mean
    faint = share[mean <= np.median(mean)]
    full = np.flatnonzero((share < _SATURATED * np.median(faint)) & (mean > np.median(mean)))
    if len(full) == 0:
        return None
    levels = mean[full]
    return float(levels.max()), float(max(levels.std(), np.sqrt(np.abs(shot[full]).min()), 1.0))


def _linearity(
    settings: PhotonTransferSettings,
    chip: _Chip,
    ramp: Sequence[tuple[float, Mapping[str, Any]]],
    plateau: tuple[float, float] | None,
) -> dict[str, Any]:
    """Coefficients from signal against exposure time, of frames with no pixel near to the plateau."""
    highest = 0.99 * plateau[0] if plateau else np.inf
    used = [
        (seconds, each["mean"] - chip.level)
        for seconds, each in ramp
        if settings.least_level <= each["mean"] - chip.level and each["top"] - chip.level < highest and seconds > 0.0
    ]
    seconds, signal = np.array(used, dtype=np.float64).reshape(-1, 2).T
    found = fit_linearity(signal, seconds, settings.degree)
    if found is None:
        return {"linearity": None, "ramp": None}
    return {
        "linearity": [list(found.coefficients), list(found.errors)],
        "ramp": {"seconds": seconds.tolist(), "signal": signal.tolist(), "residual": list(found.residuals)},
    }


def _well(chip: _Chip, plateau: tuple[float, float] | None, law: Transfer, bend: Sequence[float]) -> dict[str, Any]:
    """Raw level at which pixels are full, and the electrons that are in them then."""
    if plateau is None:
        return {"saturation": None, "full_well": None}
    level, error = plateau
    true, _ = linearised(np.array([level]), bend)
    electrons = float(true[0]) * law.gain
    raw = level + chip.level + chip.layout["level"]
    relative = float(np.hypot(error / level, law.gain_error / law.gain))
    return {"saturation": [raw, error], "full_well": [electrons, electrons * relative]}


def _areas(
    chip: _Chip, good: npt.NDArray[np.bool_], linear: tuple[Floats, Floats], law: Transfer, *, curved: bool
) -> dict[str, Any]:
    """Brighter-fatter coefficients from the covariances between pixels."""
    true, slope = linear
    share, noise_share = chip.column("share"), chip.column("noise_share")
    error = (chip.column("variance") / share / np.sqrt(chip.column("pixels")) * slope**2)[good]
    found: dict[str, Any] = {"a00": [law.a00, law.a00_error] if curved else None}
    for number, (dx, dy) in enumerate(LAGS):
        seen = np.array([each.covariances[number] for each in chip.moments])
        covariance = ((seen - chip.covariances[number] * noise_share) / share * slope**2)[good]
        scale = error / np.sqrt(2.0) if dx and dy else error
        found[f"a{dx}{dy}"] = list(fit_area_change(true[good], covariance, scale, law.gain, law.a00))
    return found


def _metrics(measured: Sequence[Mapping[str, Any]]) -> dict[str, Measured]:
    units = {"gain": "electron/adu", "read_noise": "electron", "saturation": "adu", "full_well": "electron"}
    units |= dict.fromkeys(("a00", "a10", "a01"), "1/electron")
    found = {}
    for each in measured:
        for name, unit in units.items():
            if each[name] is not None:
                found[f"{name}.{each['name']}"] = Measured(each[name][0], unit)
                found[f"{name}_error.{each['name']}"] = Measured(each[name][1], unit)
        if each["linearity"] is not None:
            found[f"linearity.{each['name']}"] = Measured(each["linearity"][0][0], "1/adu")
            found[f"linearity_error.{each['name']}"] = Measured(each["linearity"][1][0], "1/adu")
    return found


TASK = Task(
    name="photon_transfer",
    version=1,
    grain=Grain.CALIBRATION,
    settings=PhotonTransferSettings,
    needs=(
        Need("frames", grain=Grain.DETECTOR, stream=True, quorum=1),
        Need("layouts", grain=Grain.DETECTOR, quorum=1),
        Need("noise", source="master", optional=True),
    ),
    gives=(
        Give("transfer", Form.VALUE, meaning="gain, linearity, full well, brighter-fatter coefficients of amplifiers"),
        Give("photon_transfer", Form.METRICS, meaning="the same as metrics, by amplifier"),
    ),
    run=photon_transfer,
)
