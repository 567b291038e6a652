"""Lost pointings: headers of another place of the sky, frames found by index files; beside solve-field on the same star lists.

`python -m benchmarks.calibration.blind --each 10` prints a line for each frame. The index files are built by astrometry.net's
own program, of a patch of the sky of the zoo's frames (`benchmarks.calibration._zoo`); both solvers read the same ones.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from benchmarks.calibration._zoo import NX, NY, SCALE, Float64, Frame, Wild, _as_read, _detections, _solutions
from benchmarks.calibration.finding import RIGHT, WRONG, _error
from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import costing
from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.records import Exposure, FrameType, Scalar
from spica.core.task import Member
from spica.files.reference.indexes import open_index
from spica.kernels.indexes import Index
from spica.kernels.placing import apart
from spica.kernels.tangent import tangent_deproject
from spica.kernels.wcs import pixel_to_sky, tangent_wcs
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.kernels.wcs_correct import multiplied
from spica.tasks.pointing import TASK

EACH = int(os.environ.get("SPICA_BENCH_BLIND", "10"))
PATCH = (150.0, 20.0, 2.2)
"""Middle and half the width of the patch of sky [degree]."""
PRESETS = (1, 3)
"""Sizes of asterisms: 2.8 to 4 and 5.6 to 8 arcminutes, for detectors of 9 by 18."""
SPREAD = 0.3
"""By how much the header's scale is wrong, at most."""
PEER = "solve-field"
Sky = tuple[Float64, Float64, Float64]


def _kinds() -> tuple[Wild, ...]:
    plain = Wild("lost pointing", any_rotation=True)
    return (
        plain,
        replace(plain, kind="lost pointing, mirrored", mirrored=True),
        replace(plain, kind="lost pointing, half of it spurious", spurious=0.5),
        replace(plain, kind="lost pointing, 30 stars", stars=30, saturated=0),
        replace(plain, kind="lost pointing, mosaic", mosaic=True),
        replace(plain, kind="lost pointing, another sky", elsewhere="sky", expected="pointing.no-match"),
    )


@dataclass(frozen=True)
class Everywhere:
    """The zoo's sky as a reference catalogue: `spica.core.streams.Places`."""

    sky: Sky

    def around(self, ra: float, dec: float, radius: float) -> Catalogue:
        """Stars within a radius of a place."""
        near = apart(self.sky[0], self.sky[1], ra, dec) < radius
        return Catalogue({"ra": self.sky[0][near], "dec": self.sky[1][near], "mag_r": self.sky[2][near]})


class Ended(NamedTuple):
    """How a frame ended, and at solve-field: error of the worst detector, CPU seconds, whether it was solved, CPU seconds."""

    wild: Wild
    seed: int
    right: bool
    wrong: bool
    error: float
    cpu: float
    hypotheses: int
    peer: bool
    peer_cpu: float


def figures() -> Iterator[Figure]:
    """Lost frames found, wrong ones accepted, other skies refused; CPU seconds beside solve-field's."""
    ended = list(lost(_kinds(), EACH))
    found = [one for one in ended if not one.wild.expected]
    good = 100.0 * float(np.mean([one.right for one in found]))
    yield figure(f"blind, of {len(found)} lost frames within {RIGHT}″", good, "%", at_least(99))
    yield figure("blind, wrong solutions accepted", sum(one.wrong for one in ended), "frames", at_most(0))
    by_kind: dict[str, list[Ended]] = defaultdict(list)
    for one in ended:
        by_kind[one.wild.kind].append(one)
    for kind, some in by_kind.items():
        yield figure(f"blind, {kind}: right of {len(some)}", sum(one.right for one in some), "frames")
        if not some[0].wild.mosaic and not some[0].wild.expected:
            ours, theirs = (float(np.mean([each[place] for each in some])) for place in (5, 8))
            yield figure(f"blind, {kind}: each", ours, "CPU s", peer=PEER, peer_value=theirs)
            yield figure(f"blind, {kind}: {PEER} right of {len(some)}", sum(one.peer for one in some), "frames")


def lost(wilds: Sequence[Wild], each: int) -> Iterator[Ended]:
    """Frames of some kinds."""
    sky = _patch(1)
    with tempfile.TemporaryDirectory() as folder:
        indexes = _built(sky, Path(folder))
        other = _patch(2)
        for wild in wilds:
            for seed in range(7000, 7000 + each):
                frame = _drawn(wild, seed, other if wild.elsewhere else sky)
                yield _ended(frame, sky, indexes, Path(folder))


def _patch(seed: int) -> Sky:
    """Stars all over the patch, as many as the zoo has."""
    rng = np.random.default_rng(seed)
    ra, dec, half = PATCH
    plain = Wild("")
    count = int(plain.stars * plain.depth * (2.0 * half) ** 2 / (NX * NY * SCALE**2))
    z = rng.uniform(-half, half, (2, count))
    mag = np.log10(rng.uniform(0.0, 1.0, count) * plain.depth) / plain.slope
    places = tangent_deproject(z[0], z[1], ra, dec)
    return places[0], places[1], mag


def _built(sky: Sky, folder: Path) -> tuple[Index, ...]:
    """Index files of the sky, by astrometry.net."""
    columns = [fits.Column(name, "D", array=each) for name, each in zip(("RA", "DEC", "MAG"), sky, strict=True)]
    fits.BinTableHDU.from_columns(columns).writeto(folder / "sky.fits")
    for preset in PRESETS:
        order = f"build-astrometry-index -i sky.fits -o index-{preset}.fits -P {preset} -S MAG -E -I 90{preset}"
        subprocess.run(order.split(), cwd=folder, check=True, capture_output=True)
    (folder / "solve.cfg").write_text(f"add_path {folder}\nautoindex\ninparallel\n")
    return tuple(open_index(folder / f"index-{preset}.fits") for preset in PRESETS)


def _drawn(wild: Wild, seed: int, sky: Sky) -> Frame:
    """A frame somewhere in the patch, its header of another place, turned, and of a wrong scale."""
    rng = np.random.default_rng([seed, sum(map(ord, wild.kind))])
    inside = PATCH[2] - 0.4
    xi, eta = rng.uniform(-inside, inside, 2)
    ra, dec = (float(each) for each in tangent_deproject(xi, eta, PATCH[0], PATCH[1]))
    truth = _solutions(wild, ra, dec, float(rng.uniform(0.0, 360.0)))
    sources = tuple(Member(f"detector:zoo/{n}", _detections(wild, wcs, sky, rng, "")) for n, wcs in truth.items())
    angle = rng.uniform(0.0, 2.0 * np.pi)
    turn = float(np.exp(rng.uniform(-SPREAD, SPREAD))) * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    turn = turn @ np.diag([-1.0, 1.0]) if wild.mirrored else turn
    place = float(rng.uniform(0.0, 360.0)), float(rng.uniform(-80.0, 80.0))
    headers: dict[int, dict[str, Scalar]] = {
        n: {**to_cards(multiplied(turn, tangent_wcs(place, wcs.crpix, wcs.cd))), "NAXIS1": NX, "NAXIS2": NY}
        for n, wcs in truth.items()
    }
    exposure = Exposure(0, f"lost-{seed}", "zoo", FrameType.OBJECT, "2026-11-20", 61364.0, 60.0, band="r")
    nothing = Catalogue({"ra": np.zeros(0), "dec": np.zeros(0), "mag_r": np.zeros(0)})
    true = {n: _as_read(wild, wcs, n) for n, wcs in truth.items()}
    return Frame(replace(wild, distorted=False), seed, sources, headers, exposure, nothing, true)


def _ended(frame: Frame, sky: Sky, indexes: tuple[Index, ...], folder: Path) -> Ended:
    wild = frame.wild
    hypotheses, errors = 0, []
    with costing() as cost:
        try:
            made = TASK.run(
                TASK.settings.model_validate({"blind": True}),
                sources=frame.sources,
                headers=frame.headers,
                exposure=frame.exposure,
                reference=frame.reference,
                indexes=indexes,
                everywhere=Everywhere(sky),
            )["pointing"]
        except DataFault as fault:
            hypotheses, said = int(str(fault.evidence.get("hypotheses", 0))), fault.code
        else:
            said = ""
            hypotheses = sum(one["candidates"] for one in made["attempts"])
            told = {n: made["detectors"][str(n)]["cards"] for n in frame.truth}
            errors = [_error(frame, n, cards) if cards else np.inf for n, cards in told.items()]
    worst = np.nan if wild.expected else max(errors, default=np.inf)
    right = said == wild.expected if wild.expected else worst <= RIGHT
    wrong = bool(errors) if wild.expected else any(WRONG < error < np.inf for error in errors)
    peer, peer_cpu = (False, np.nan) if wild.mosaic or wild.expected else _peer(frame, folder)
    return Ended(wild, frame.seed, right, wrong, worst, cost.cpu, hypotheses, peer, peer_cpu)


def _peer(frame: Frame, folder: Path) -> tuple[bool, float]:
    """Whether solve-field finds the frame (within 5″ in its middle), and its CPU seconds; it knows the scale as well as we do."""
    [member] = frame.sources
    stars = member.value
    columns = [fits.Column(name, "E", array=stars[key]) for name, key in (("X", "x"), ("Y", "y"), ("FLUX", "flux_iso"))]
    there = folder / "peer"
    there.mkdir()
    fits.BinTableHDU.from_columns(columns).writeto(there / "list.fits")
    told = 3600.0 * float(np.sqrt(abs(np.linalg.det(from_cards(frame.headers[0]).cd))))
    order = (
        f"solve-field --config {folder}/solve.cfg --no-plots --overwrite --sort-column FLUX --width {NX} --height {NY} "
        f"--scale-units arcsecperpix --scale-low {told / 2} --scale-high {told * 2} --cpulimit 60 --no-tweak -D out list.fits"
    )
    with costing() as cost:
        subprocess.run(order.split(), cwd=there, check=False, capture_output=True)
    solved = there / "out" / "list.wcs"
    right = False
    if solved.exists():
        got = from_cards({**fits.getheader(solved)})
        x, y = (NX - 1) / 2.0, (NY - 1) / 2.0
        # Its pixels begin with 0 where the list's do.
        here, true = pixel_to_sky(got, x - 1.0, y - 1.0), pixel_to_sky(frame.truth[0], x, y)
        right = 3600.0 * float(apart(here[0], here[1], float(true[0]), float(true[1]))) < 5.0
    shutil.rmtree(there)
    return right, cost.cpu


def main() -> None:
    """A line for each frame."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", default="", help="words of the names of the kinds")
    parser.add_argument("--each", type=int, default=EACH)
    asked = parser.parse_args()
    for one in lost([wild for wild in _kinds() if asked.kind in wild.kind], asked.each):
        sign = "right" if one.right else "MISSED"
        theirs = f"{PEER} {'right' if one.peer else 'no'} {one.peer_cpu:6.2f} CPU s"
        print(
            f"{one.wild.kind:36s} {one.seed} {sign:6s} {one.error:8.3f}″ {one.cpu:6.2f} CPU s {one.hypotheses:8d} {theirs}",
            flush=True,
        )


if __name__ == "__main__":
    main()
