"""Stacks of 8 exposures of 4 detectors beside SWarp: seconds, memory, pixels of the blank sky."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.figure import Figure, at_least, at_most, figure
from benchmarks.measure import Usage, run_program
from spica.core.images import Image
from spica.files.images import open_rows, write_image
from spica.kernels.projection import Projection
from spica.kernels.warm import compile_all
from spica.kernels.wcs import tangent_wcs
from spica.kernels.wcs_cards import to_cards

SCALE = 0.2 / 3600
NX, NY = 2048, 4096
EXPOSURES = 8
DETECTORS = int(os.environ.get("SPICA_BENCH_DETECTORS", "4"))
NOISE = 10.0


def _write(folder: Path) -> None:
    """Exposures of noise and nothing else, shifted and turned a little, beside each other: as products, and for SWarp."""
    rng = np.random.default_rng(11)
    noise = rng.normal(0.0, NOISE, (NY, NX)).astype(np.float32)
    for exposure in range(EXPOSURES):
        turn, (dx, dy) = 2e-4 * (exposure - 3.5), rng.uniform(-60, 60, 2)
        cd = SCALE * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        for detector in range(DETECTORS):
            crpix = [DETECTORS * NX / 2 - detector * NX + dx, NY / 2 + dy]
            cards = to_cards(tangent_wcs([10.0, 20.0], crpix, cd))
            pixels = np.roll(noise, int(rng.integers(NX * NY)))
            name = f"e{exposure}d{detector}"
            write_image(
                folder / f"{name}.prod.fits",
                Image(pixels, np.full((NY, NX), NOISE**2, np.float32), np.zeros((NY, NX), np.int32), cards),
                {},
                True,
            )
            header = fits.Header(cards)
            fits.writeto(folder / f"{name}.fits", pixels, header)
            fits.writeto(folder / f"{name}.weight.fits", np.full((NY, NX), NOISE**-2, np.float32), header)
    nx, ny = DETECTORS * NX + 100, NY + 100
    where = Projection(
        "TAN",
        np.array([10.0, 20.0]),
        np.array([(nx - 1) / 2, (ny - 1) / 2]),
        SCALE * np.array([[-1.0, 0.0], [0.0, 1.0]]),
    )
    (folder / "tile.json").write_text(json.dumps({"nx": nx, "ny": ny, "cards": where.cards()}))
    fits.Header(where.cards()).totextfile(folder / "swarp.head", endcard=True)


def swarp(folder: Path, method: str) -> Usage:
    """Stack `e?d?.fits` of a folder on `swarp.head` into `swarp.fits`, with its default memory settings and one thread."""
    tile = json.loads((folder / "tile.json").read_text())
    names = [str(path) for path in sorted(folder.glob("e?d?.fits"))]
    order = ["SWarp", *names, "-c", "/dev/null", "-IMAGEOUT_NAME", "swarp.fits", "-WEIGHTOUT_NAME", "swarp.weight.fits"]
    order += [
        "-WEIGHT_TYPE",
        "MAP_WEIGHT",
        "-COMBINE_TYPE",
        method,
        "-RESAMPLING_TYPE",
        "LANCZOS3",
        "-SUBTRACT_BACK",
        "N",
    ]
    order += ["-CENTER_TYPE", "MANUAL", "-CENTER", "10.0,20.0", "-PIXELSCALE_TYPE", "MANUAL", "-PIXEL_SCALE", "0.2"]
    order += [
        "-IMAGE_SIZE",
        f"{tile['nx']},{tile['ny']}",
        "-RESAMPLE_DIR",
        ".",
        "-WRITE_XML",
        "N",
        "-VERBOSE_TYPE",
        "QUIET",
    ]
    order += ["-NTHREADS", "1", "-FSCALASTRO_TYPE", "FIXED", "-FSCALE_DEFAULT", "1.0", "-FSCALE_KEYWORD", "NONE"]
    return run_program(order, cwd=folder)


def figures() -> Iterator[Figure]:
    """Seconds and memory of both, and how far the blank sky of ours is from SWarp's."""
    with tempfile.TemporaryDirectory() as name:
        compile_all()
        folder = Path(name)
        _write(folder)
        for ours, theirs, speed, memory in (
            ("mean", "WEIGHTED", 10.0, 0.7),
            ("median", "MEDIAN", 6.0, 1.0),
            ("clipped", "CLIPPED", 6.0, 1.0),
        ):
            out = folder / f"{ours}.out"
            mine = run_program([sys.executable, "-m", "benchmarks.deep_sky._stack_folder", name, ours, str(out)])
            peer = swarp(folder, theirs)
            yield figure(f"{ours}, speed-up by CPU", peer.cpu / mine.cpu, "", at_least(speed))
            yield figure(
                f"{ours}, speed-up by wall", peer.wall / mine.wall, "", at_least(12.0 if ours == "mean" else 6.0)
            )
            yield figure(f"{ours}, CPU", mine.cpu, "s", peer="SWarp", peer_value=peer.cpu)
            yield figure(
                f"{ours}, memory", mine.peak / 2**30, "GiB", at_most(memory), peer="SWarp", peer_value=peer.peak / 2**30
            )
            if ours == "mean":
                yield figure("blank sky beside SWarp, MAD over noise", _apart(folder, out), "", at_most(0.02))


def _apart(folder: Path, out: Path) -> float:
    part = slice(500, 3500)
    a = np.asarray(open_rows(out).read(part.start, part.stop), np.float64)[:, 300:-300]
    with fits.open(folder / "swarp.fits") as file:
        b = np.asarray(file[0].data[part], np.float64)[:, 300:-300]
    both = np.isfinite(a) & (b != 0.0)
    return float(1.4826 * np.median(np.abs(a - b)[both]) / (1.4826 * np.median(np.abs(b[both]))))
