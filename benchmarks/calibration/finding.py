"""Finding the pointing of a zoo of hard frames: how many are found, how well, at what cost; none wrong, none unnamed.

`python -m benchmarks.calibration.finding --kind bulge --each 3` runs the kinds whose name has these words alone.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.calibration._zoo import NX, NY, Frame, Wild, drawn, kinds
from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from spica.core.faults import DataFault
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.kernels.wcs_correct import corrected
from spica.tasks.pointing import TASK

EACH = int(os.environ.get("SPICA_BENCH_ZOO", "13"))
"""Frames of each solvable kind."""
LOST = int(os.environ.get("SPICA_BENCH_ZOO_LOST", "3"))
FIRST = int(os.environ.get("SPICA_BENCH_ZOO_SEED", "5000"))
"""First seed: the frames that are reported are none of those by which the finder was made (below 2000)."""
RIGHT = 0.3
"""Arcseconds from the truth, rms over a detector."""
WRONG = 1.0
"""Arcseconds from the truth from which a solution is wrong, not merely inexact."""


class Ended(NamedTuple):
    """How a frame ended.

    right : all its detectors that live within `RIGHT` of the truth, or refused by the name that is expected.
    wrong : something was accepted that is wrong, or that cannot be right.
    error : of the worst detector [arcsec], infinite where it was not found; NaN for one that has to be refused.
    """

    wild: Wild
    seed: int
    right: bool
    wrong: bool
    error: float
    cpu: float
    said: str


def figures() -> Iterator[Figure]:
    """Part of the solvable that is solved within 0.3″, wrong ones accepted, unsolvable ones refused with their reason."""
    ended = list(zoo(kinds().values(), EACH, LOST, FIRST))
    found = [one for one in ended if not one.wild.expected]
    lost = [one for one in ended if one.wild.expected]
    good = 100 * float(np.mean([one.right for one in found]))
    yield figure(f"finding, of {len(found)} solvable hard frames within {RIGHT}″", good, "%", at_least(99))
    yield figure("finding, wrong solutions accepted", sum(one.wrong for one in ended), "frames", at_most(0))
    named = 100 * float(np.mean([one.right for one in lost]))
    yield figure(f"finding, of {len(lost)} unsolvable frames refused by name", named, "%", at_least(100))
    by_kind: dict[str, list[Ended]] = defaultdict(list)
    for one in ended:
        by_kind[one.wild.kind].append(one)
    for kind, some in by_kind.items():
        yield figure(f"finding, {kind}: right of {len(some)}", sum(one.right for one in some), "frames")
        if not some[0].wild.expected:
            yield figure(f"finding, {kind}: median error", float(np.median([one.error for one in some])), "arcsec")
        yield figure(f"finding, {kind}: each", float(np.mean([one.cpu for one in some])), "CPU s")


def zoo(wilds: Iterable[Wild], each: int, lost: int, first: int) -> Iterator[Ended]:
    """Frames of some kinds, found or refused: `each` of the solvable ones, `lost` of the others; misses are printed."""
    for wild in wilds:
        for seed in range(first, first + (lost if wild.expected else each)):
            frame = drawn(wild, seed)
            with costing() as cost:
                errors, said = _found(frame)
            worst = np.nan if wild.expected else max(errors, default=np.inf)
            right = said == wild.expected if wild.expected else worst <= RIGHT
            wrong = bool(errors) if wild.expected else any(WRONG < error < np.inf for error in errors)
            if not right:
                print(f"    {wild.kind} {seed}: {said or np.round(errors, 3)}", flush=True)
            yield Ended(wild, seed, right, wrong, worst, cost.cpu, said)


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


def main() -> None:
    """All kinds, or some alone: a line for each frame, then how many of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", default="", help="words of the names of the kinds")
    parser.add_argument("--each", type=int, default=EACH, help="frames of each kind that can be solved")
    parser.add_argument("--lost", type=int, help="frames of each kind that cannot; as many if not said")
    parser.add_argument("--first", type=int, default=FIRST)
    asked = parser.parse_args()
    wanted = [wild for wild in kinds().values() if asked.kind in wild.kind]
    lost = asked.each if asked.lost is None else asked.lost
    ended = []
    for one in zoo(wanted, asked.each, lost, asked.first):
        ended.append(one)
        sign = "right" if one.right else "MISSED"
        print(f"{one.wild.kind:36s} {one.seed} {sign:6s} {one.error:8.3f}″ {one.cpu:6.2f} CPU s {one.said}", flush=True)
    for name, some in (
        ("solvable", [one for one in ended if not one.wild.expected]),
        ("unsolvable", [one for one in ended if one.wild.expected]),
    ):
        print(
            f"{name}: {sum(one.right for one in some)} of {len(some)} right, {sum(one.wrong for one in some)} wrong accepted"
        )
    print(f"{sum(one.cpu for one in ended):.0f} CPU s")


if __name__ == "__main__":
    main()
