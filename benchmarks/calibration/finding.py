"""Finding the pointing of a zoo of hard frames: how many are found, how well, at what cost; none wrong, none unnamed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from benchmarks.calibration._zoo import NX, NY, Frame, Wild, solvable, unsolvable
from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from spica.core.faults import DataFault
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.kernels.wcs_correct import corrected
from spica.tasks.pointing import TASK

EACH = int(os.environ.get("SPICA_BENCH_ZOO", "14"))
"""Frames of each kind."""
LOST = int(os.environ.get("SPICA_BENCH_ZOO_LOST", "6"))
RIGHT = 0.3
"""Arcseconds from the truth, rms over a detector."""
WRONG = 1.0
"""Arcseconds from the truth from which a solution is wrong, not merely inexact."""


def figures() -> Iterator[Figure]:
    """Part of the solvable that is solved within 0.3″, wrong ones accepted, unsolvable ones refused with their reason."""
    good, wrong, frames = 0, 0, 0
    costs: dict[str, list[float]] = defaultdict(list)
    worst: dict[str, list[float]] = defaultdict(list)
    for frame in solvable(EACH):
        frames += 1
        with costing() as cost:
            errors, said = _found(frame)
        costs[frame.wild.kind].append(cost.cpu)
        worst[frame.wild.kind].append(max(errors, default=np.inf))
        good += bool(errors) and max(errors) <= RIGHT
        wrong += any(error > WRONG for error in errors)
        if not errors or max(errors) > RIGHT:
            print(f"    {frame.wild.kind} {frame.seed}: {said or np.round(errors, 3)}")
    refused, lost = 0, 0
    for frame in unsolvable(LOST):
        lost += 1
        with costing() as cost:
            errors, said = _found(frame)
        costs[frame.wild.kind].append(cost.cpu)
        refused += said == frame.wild.expected
        wrong += bool(errors)
        if said != frame.wild.expected:
            print(f"    {frame.wild.kind} {frame.seed}: {said or np.round(errors, 3)}")
    yield figure(f"finding, of {frames} solvable hard frames within {RIGHT}″", 100 * good / frames, "%", at_least(99))
    yield figure("finding, wrong solutions accepted", wrong, "frames", at_most(0))
    yield figure(f"finding, of {lost} unsolvable frames refused by name", 100 * refused / lost, "%", at_least(100))
    for kind, spent in costs.items():
        yield figure(f"finding, {kind}", float(np.mean(spent)), "CPU s")
        if kind in worst:
            yield figure(f"finding, {kind}: median error", float(np.median(worst[kind])), "arcsec")


def _found(frame: Frame) -> tuple[list[float], str]:
    """Error of each detector that should be found [arcsec], infinite where it is not; or the fault's code."""
    settings = TASK.settings.model_validate(frame.wild.settings)
    try:
        made = TASK.run(
            settings,
            sources=frame.sources,
            headers=frame.headers,
            exposure=frame.exposure,
            reference=frame.reference,
        )
    except DataFault as fault:
        return [], fault.code
    found = made["pointing"]["detectors"]
    errors = []
    for number in frame.truth:
        if not _alive(frame.wild, number):
            continue
        told = found.get(str(number))
        errors.append(_error(frame, number, told["cards"]) if told and told["cards"] else np.inf)
    return errors, ""


def _alive(wild: Wild, number: int) -> bool:
    return not (wild.wild_detector == "dead" and number == 2)


def _error(frame: Frame, number: int, cards: dict[str, object]) -> float:
    """Of a detector's solution, rms over its pixels [arcsec]."""
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(0, NX - 1, 9), np.linspace(0, NY - 1, 9)))
    x, y = x / frame.wild.binning, y / frame.wild.binning
    wcs = from_cards(cards)
    ra, dec = pixel_to_sky(frame.truth[number], x, y)
    if not frame.wild.distorted:
        # What no linear correction can do is not asked of one.
        best, _ = corrected(wcs, x, y, ra, dec)
        ra, dec = pixel_to_sky(best, x, y)
    got = pixel_to_sky(wcs, x, y)
    away = (got[0] - ra + 180.0) % 360.0 - 180.0
    return float(3600.0 * np.sqrt(np.mean((away * np.cos(np.radians(dec))) ** 2 + (got[1] - dec) ** 2)))
