"""Detection and measurement against source-extractor: CPU, completeness, purity, scatter and bias on known skies.

Both sides work on the same simulated detectors, one thread each, with the same content: background on a mesh of 64
pixels, a Gaussian filter of the seeing's width, 5 sigma of the filtered image, deblending (32 levels, contrast 0.005),
cleaning, isophotal moments, three apertures, AUTO, half-light radius, windowed positions, errors, flags, a weight map.
Completeness and purity are judged near source-extractor's depth (see `_compare`). The whole comparison, bin by bin, is
written to build/detection-bins.txt.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.run import ROOT
from benchmarks.single_frames._compare import Row, sides, table
from benchmarks.single_frames._peers import Found, chain, ours, source_extractor, write_inputs
from benchmarks.single_frames._scene import Scene, scenes

PEER = "source-extractor"
BIASED = ("18-19", "20-21", "22-23", "23-24")
"""Magnitudes at which the AUTO bias is judged."""
JUDGED = (
    "completeness",
    "purity",
    "position scatter [pixel]",
    "AUTO scatter [mag]",
    "aperture 1 scatter [mag]",
    "aperture 2 scatter [mag]",
    "aperture 3 scatter [mag]",
)
SHOWN = ("completeness at full depth", "purity at full depth")
"""All detections of either side, ours deeper: no goal."""
WORSE = 2.0
"""Standard deviations of a paired difference that are still chance."""


def figures() -> Iterator[Figure]:
    """Mpix per CPU-second, CPU by task, sky level, worst bins, biases."""
    drawn = scenes()
    steps = chain()
    ours(drawn[0], steps)
    mine = [ours(scene, steps) for scene in drawn]
    theirs = [_peer(scene) for scene in drawn]
    pixels = sum(scene.sky.size for scene in drawn) / 1e6
    yield figure(
        "background to catalogue with errors",
        pixels / sum(found.seconds for found in mine),
        "Mpix per CPU s",
        at_least(3, of_peer=True),
        peer=PEER,
        peer_value=pixels / sum(found.seconds for found in theirs),
    )
    for step in steps:
        cost = 1e3 * sum(found.cpu[step.label] for found in mine) / pixels
        yield figure(f"of these, {step.label}", cost, "CPU ms per Mpix")
    density = sum(found.number for found in mine) / pixels
    peer_density = sum(found.number for found in theirs) / pixels
    yield figure("detections at 5 sigma", density, "per Mpix", peer=PEER, peer_value=peer_density)
    yield from _sky(drawn, mine, theirs)
    rows = table(drawn, *sides(drawn, mine, theirs))
    _save(rows)
    for what in JUDGED + SHOWN:
        judged = [row for row in rows if row.what == what]
        worst = max(judged, key=lambda row: row.worse)
        name = what.partition(" [")[0]
        goal = at_most(WORSE) if what in JUDGED else None
        yield figure(f"{name}, ours worse in the worst bin", worst.worse, "sigma", goal)
    yield from _biases(rows)


def _peer(scene: Scene) -> Found:
    """Source-extractor: timed without a check image, run again for the level that it subtracted."""
    with tempfile.TemporaryDirectory() as name:
        write_inputs(scene, Path(name))
        timed = source_extractor(Path(name))
        level = source_extractor(Path(name), background=True).background
    return Found(timed.columns, timed.cpu, level)


def lifts(drawn: Sequence[Scene], found: Sequence[Found]) -> list[float]:
    """Mean of background minus true sky on good pixels of each detector, in the sky's noise."""
    return [
        float(np.mean((one.background - scene.sky)[scene.image.mask == 0], dtype=float)) / scene.noise
        for scene, one in zip(drawn, found, strict=True)
        if one.background is not None
    ]


def _sky(drawn: Sequence[Scene], mine: Sequence[Found], theirs: Sequence[Found]) -> Iterator[Figure]:
    value, peer = (float(np.mean(np.abs(lifts(drawn, found)))) for found in (mine, theirs))
    yield figure("sky lifted by sources", value, "sigma", at_most(0.03), peer=PEER, peer_value=peer)


def _biases(rows: Sequence[Row]) -> Iterator[Figure]:
    stars = [row for row in rows if row.kind == "stars"]
    for row in stars:
        if row.what == "AUTO bias [mag]" and row.bin in BIASED:
            goal = at_most(0.5, of_peer=True)
            name = f"AUTO bias, stars of {row.bin}"
            yield figure(name, abs(row.ours), "mag", goal, peer=PEER, peer_value=abs(row.peer))
    for number in (1, 2, 3):
        chosen = [row for row in stars if row.what == f"aperture {number} bias [mag]"]
        value = float(np.mean([abs(row.ours) for row in chosen]))
        peer = float(np.mean([abs(row.peer) for row in chosen]))
        name = f"aperture {number} bias, stars, mean of bins"
        yield figure(name, value, "mag", at_most(1, of_peer=True), peer=PEER, peer_value=peer)


def _save(rows: Sequence[Row]) -> None:
    """The comparison bin by bin, for people."""
    path = ROOT / "build" / "detection-bins.txt"
    path.parent.mkdir(exist_ok=True)
    lines = [f"{'kind':<11}{'what':<28}{'mag':<8}{'n':>6}{'ours':>10}{'peer':>10}{'worse by sigma':>16}"]
    for row in sorted(rows, key=lambda row: (row.kind, row.what)):
        worse = "" if np.isnan(row.worse) else f"{row.worse:.2f}"
        lines.append(
            f"{row.kind:<11}{row.what:<28}{row.bin:<8}{row.number:>6}{row.ours:>10.4f}{row.peer:>10.4f}{worse:>16}"
        )
    path.write_text("\n".join(lines) + "\n")
