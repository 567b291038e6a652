"""Crosstalk of one exposure: the normal equations of what bright sources leave in the other amplifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.images import Image
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Need, Products, Task
from spica.kernels.robust import MAD_TO_SIGMA

Floats = npt.NDArray[np.float32]

_CELL = 32
_ROUNDS = 3
_CLIPS = 5


class CrosstalkSumsSettings(Settings):
    """Which pixels tell of crosstalk."""

    bright: float = setting(2000.0, "pixels of a source amplifier above its sky by this much are used", "ADU", gt=0)
    kappa: float = setting(4.0, "pixels of the victim farther from the ghost expected are sources of its own", gt=0)
    most: float = setting(0.01, "largest fraction that is looked for", gt=0, lt=0.5)


def crosstalk_sums(settings: CrosstalkSumsSettings, signal: Image, layout: Mapping[str, Any]) -> Products:
    """Regress each amplifier on all others where those are bright.

    Pixels of amplifiers that are read together are those at one place of their data sections in raw order.

    Parameters
    ----------
    signal : ``(ny, nx)`` [ADU above overscan].
    layout : its amplifiers.

    Returns
    -------
    sums : per victim (in the amplifiers' order) `normal`, the matrix Σ s_j s_k / σ², and `right`, Σ v s_j / σ², over
        the others' signals s above their sky and the victim's residual v above its own; `misfit`, Σ (v - c s)² / σ²
        at the exposure's own solution; `pixels`.
    """
    amplifiers = layout["amplifiers"]
    planes = [_raw_order(signal.pixels, each) for each in amplifiers]
    ny, nx = (min(plane.shape[axis] for plane in planes) for axis in (0, 1))
    above = [_above_sky(plane[:ny, :nx]) for plane in planes]
    bright = [plane > settings.bright for plane in above]
    victims = [_victim(settings, number, above, bright) for number in range(len(planes))]
    return {"sums": {"names": [each["name"] for each in amplifiers], "victims": victims}}


def _raw_order(pixels: Floats, amplifier: Mapping[str, Any]) -> Floats:
    x0, x1, y0, y1 = amplifier["detector"]
    return pixels[y0:y1, x0:x1][:: -1 if amplifier["flip_y"] else 1, :: -1 if amplifier["flip_x"] else 1]


def _above_sky(plane: Floats) -> Floats:
    """The plane less the sky of its cells."""
    above = np.nan_to_num(plane, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    ny, nx = plane.shape
    for y in range(0, ny, _CELL):
        for x in range(0, nx, _CELL):
            cell = above[y : y + _CELL, x : x + _CELL]
            cell -= _sky(cell)
    return above


def _sky(cell: Floats) -> np.float32:
    """Median of a cell without what is brighter than its sky."""
    values = cell.ravel()
    for _ in range(_CLIPS):
        middle = np.median(values)
        width = MAD_TO_SIGMA * np.median(np.abs(values - middle))
        kept = values[values <= middle + 2.5 * width]
        if kept.size in {0, values.size}:
            break
        values = kept
    return np.float32(np.median(values))


def _victim(
    settings: CrosstalkSumsSettings, number: int, above: Sequence[Floats], bright: Sequence[npt.NDArray[np.bool_]]
) -> dict[str, Any]:
    others = [other for other in range(len(above)) if other != number]
    lit = np.zeros(above[0].shape, dtype=bool)
    for other in others:
        lit |= bright[other]
    value = above[number]
    dark = value[~lit]
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(dark - np.median(dark)))) if dark.size else 0.0
    empty = {"normal": [], "right": [], "misfit": 0.0, "pixels": 0}
    if not lit.any() or sigma <= 0.0:
        return empty
    # Faint sources of the victim's own lift all pixels alike: those that no ghost can reach tell by how much.
    centre = float(np.median(dark))
    base = float(np.mean(dark[np.abs(dark - centre) < settings.kappa * sigma], dtype=np.float64))
    v = value[lit].astype(np.float64) - base
    s = np.stack([above[other][lit] for other in others], axis=1).astype(np.float64)
    # Below half of what counts as bright a signal is sky, noise and faint wings: nothing that would leave a ghost.
    s[s < 0.5 * settings.bright] = 0.0
    coefficients = _first_guess(settings, v, s)
    for _ in range(_ROUNDS):
        kept = np.abs(v - s @ coefficients) < settings.kappa * sigma
        normal = s[kept].T @ s[kept]
        right = s[kept].T @ v[kept]
        coefficients = np.asarray(np.linalg.lstsq(normal, right, rcond=None)[0], dtype=np.float64)
    misfit = float(np.square(v[kept] - s[kept] @ coefficients).sum())
    weight = 1.0 / sigma**2
    return {
        "normal": (normal * weight).tolist(),
        "right": (right * weight).tolist(),
        "misfit": misfit * weight,
        "pixels": int(kept.sum()),
    }


def _first_guess(
    settings: CrosstalkSumsSettings, v: npt.NDArray[np.float64], s: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Medians of v/s over the brighter half of the pixels in which a source is the brightest of all."""
    guess = np.zeros(s.shape[1])
    leader = s.argmax(axis=1)
    for number in range(len(guess)):
        mine = leader == number
        if mine.any():
            mine &= s[:, number] >= np.median(s[mine, number])
            guess[number] = np.clip(np.median(v[mine] / s[mine, number]), -settings.most, settings.most)
    return guess


TASK = Task(
    name="crosstalk_sums",
    version=1,
    grain=Grain.DETECTOR,
    settings=CrosstalkSumsSettings,
    needs=(Need("signal"), Need("layout")),
    gives=(Give("sums", Form.VALUE, meaning="an exposure's normal equations of crosstalk"),),
    run=crosstalk_sums,
)
