"""The joint solution of 8 dithered exposures of 4 detectors against SCAMP: cost of the whole process, and the truth."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.calibration import _lists
from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import run_program
from tests.support.joint_field import Plan, draw

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def figures() -> Iterator[Figure]:
    """Ours and SCAMP's on the same lists and reference: CPU seconds, memory, errors against the truth."""
    field = draw(Plan())
    seen = sum(each.x.size for lists in field.detections for each in lists)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lists.write_lists(field, folder)
        command: list[str | Path] = [sys.executable, "-m", "benchmarks.calibration._solve_folder", folder]
        run_program(command, env=ONE_THREAD)
        ours = run_program(command, env=ONE_THREAD)
        catalogues = _lists.write_ldac(field, folder)
        theirs = run_program(_lists.scamp_command(catalogues), cwd=folder)
        mine, scamp = _lists.our_errors(field, folder), _lists.scamp_errors(field, folder)
    yield figure("joint solution, detections", float(seen), "")
    label = "joint solution, solutions per CPU hour"
    yield figure(label, 3600 / ours.cpu, "1/h", at_least(15, of_peer=True), peer="SCAMP", peer_value=3600 / theirs.cpu)
    label = "joint solution, peak memory"
    yield figure(label, ours.peak / 1e6, "MB", at_most(325), peer="SCAMP", peer_value=theirs.peak / 1e6)
    for label, value, peer, limit in (
        ("rms per coordinate", mine.sky, scamp.sky, 1.5),
        ("rms per coordinate between exposures", mine.between, scamp.between, 0.42),
    ):
        name = f"joint solution, sky against truth, {label}"
        yield figure(name, value, "mas", at_most(limit))
        yield figure(f"{name}, against SCAMP", value, "mas", at_most(1, of_peer=True), peer="SCAMP", peer_value=peer)
    label = "joint solution, relative zero points against truth, rms"
    yield figure(label, 1e3 * mine.zero, "mmag", at_most(1.7))
    label += ", against SCAMP"
    yield figure(label, 1e3 * mine.zero, "mmag", at_most(1, of_peer=True), peer="SCAMP", peer_value=1e3 * scamp.zero)


if __name__ == "__main__":
    np.set_printoptions(precision=4)
    for each in figures():
        print(each)
