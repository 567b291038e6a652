"""Make the picture and the tables of a real focal plane in docs/real-frames.md, from the star lists of an HSC visit.

    python docs/real_focal_plane.py DATA      # folder of the real frames; see tests/support/groups.py

Writes docs/images/real-focal-plane.png, docs/real-focal-plane-figures.txt and docs/real-focal-plane-detectors.txt.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image as PilImage

from spica.kernels.associate import unit_vectors
from spica.kernels.focal_model import to_plane
from spica.kernels.joint import Images, Matching
from spica.kernels.joint_astrometry import Options
from spica.kernels.joint_turbulence import follow
from spica.kernels.wcs import pixel_to_sky
from spica.services.plots.astrometry import against_magnitude
from spica.services.plots.plot import BLUE, GREY, ORANGE
from spica.services.plots.records import Residuals

mpl.use("Agg")
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.real.test_hsc_focal_plane import HELD
from tests.support.hsc import SIZE, Common, Solution, Visit, common, solved, visit

HERE = Path(__file__).parent
CENTRE = (150.2, 2.2)
EDGES = np.array([0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0])


def write(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for the page."""
    lines = [head, ("---",) * len(head), *rows]
    (HERE / f"real-{name}.txt").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


def scatter(values: np.ndarray, *, robust: bool = False) -> tuple[str, str]:
    """Rms, or robust scatter, of both coordinates."""
    one, other = (1.4826 * np.median(np.abs(each)) if robust else np.std(each) for each in (values.real, values.imag))
    return f"{one:.1f}", f"{other:.1f}"


def residuals_of(made: Solution) -> np.ndarray:
    """Detection minus star [mas] of what counts."""
    star = np.full(int(made.found.seen.group.max()) + 1, -1)
    star[made.found.known.group] = np.arange(made.found.known.group.size)
    rows = np.flatnonzero(made.used)
    there = star[made.found.seen.group[rows]]
    return np.asarray(made.fit.residual[rows] - made.fit.known_residual[there], np.complex128)


def corners(images: Images) -> np.ndarray:
    """Outlines of the detectors about the field's middle, (n, 4) complex [arcmin]."""
    x, y = np.array([0.0, SIZE[0], SIZE[0], 0.0]), np.array([0.0, 0.0, SIZE[1], SIZE[1]])
    return np.array([60.0 * to_plane(unit_vectors(*pixel_to_sky(wcs, x, y)), *CENTRE) for wcs in images.wcs])


def outlines(axes: Any, edges: np.ndarray) -> None:
    """Detectors on the sky, east to the left."""
    for edge in edges:
        axes.fill(edge.real, edge.imag, fill=False, ec=GREY, lw=0.6)
    axes.set(xlabel="east [arcmin]", ylabel="north [arcmin]", aspect="equal", xlim=(52, -52), ylim=(-52, 52))


def by_magnitude(figure: Any, alone: Common, given: Visit) -> None:
    """The plot that reports have, of the residuals that stars have when they are left out."""
    count, nothing = alone.weight.size, np.zeros(alone.weight.size)
    told = np.sqrt(1.0 / alone.weight - 64.0)
    off = alone.foretold
    values: dict[str, Any] = dict.fromkeys(Residuals.__dataclass_fields__, nothing)
    values |= {"east": off.real, "north": off.imag, "sigma": told, "expected": told, "used": np.ones(count, bool)}
    plot = against_magnitude(Residuals(**values | {"mag": given.gaia["mag_G"][alone.star].astype(float)}))
    if plot.draw is None:
        raise SystemExit(plot.missing)
    plot.draw(figure)
    figure.axes[0].set(xlabel="G of Gaia [mag]", ylim=(0.1, 100.0))
    figure.axes[0].set_title("by magnitude", fontsize=10)


def picture(given: Visit, edges: np.ndarray, alone: Common) -> None:
    """Residuals star by star, their size by detector, their correlation with distance, and by magnitude."""
    figure = plt.figure(figsize=(11.5, 10.4), layout="constrained")
    parts = np.ravel(np.asarray(figure.subfigures(2, 2), object))
    axes = [part.subplots() for part in parts[:3]]
    outlines(axes[0], edges)
    place = 60.0 * alone.place
    quiver = axes[0].quiver(
        *(place.real, place.imag, alone.residual.real, alone.residual.imag),
        angles="xy", scale_units="xy", scale=4.0, width=0.002, color=BLUE,
    )  # fmt: skip
    axes[0].quiverkey(quiver, 0.86, 0.96, 20.0, "20 mas", labelpos="S", fontproperties={"size": 8})
    axes[0].set_title("detection minus Gaia, star by star", fontsize=10)
    outlines(axes[1], edges)
    size = np.array([np.sqrt(0.5 * np.mean(np.abs(alone.foretold[alone.image == k]) ** 2)) for k in range(len(edges))])
    collection = mpl.collections.PolyCollection([np.stack([e.real, e.imag], axis=1) for e in edges], array=size)
    collection.set(cmap="viridis", clim=(5.0, 20.0))
    axes[1].add_collection(collection)
    for number, edge in enumerate(edges):
        count = np.count_nonzero(alone.image == number)
        axes[1].annotate(
            str(count), (edge.mean().real, edge.mean().imag), ha="center", va="center", fontsize=7, color="white"
        )
    figure.colorbar(collection, ax=axes[1], label="rms per coordinate, star left out [mas]", shrink=0.8, extend="both")
    axes[1].set_title("by detector, with the number of stars", fontsize=10)
    found, error, _ = alone.correlation(EDGES)
    middle = 0.5 * (EDGES[:-1] + EDGES[1:])
    axes[2].errorbar(middle, found, error, [middle - EDGES[:-1], EDGES[1:] - middle], "o", color=BLUE, lw=1.0)
    axes[2].axhline(0.0, color=GREY, lw=0.8)
    axes[2].axhline(1.0, color=ORANGE, lw=1.0, ls="--")
    axes[2].text(14.5, 0.96, "all noise in common", ha="right", va="top", color=ORANGE, fontsize=9)
    axes[2].set(xlabel="distance of two stars [arcmin]", ylabel="correlation of their residuals", ylim=(-0.15, 1.08))
    axes[2].set_title("correlation with distance", fontsize=10)
    by_magnitude(parts[3], alone, given)
    path = HERE / "images" / "real-focal-plane.png"
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)
    with PilImage.open(path) as image:
        image.convert("RGB").quantize(128).save(path, optimize=True)


def main() -> None:
    """Solve the visit in several ways, and write what the page shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data.resolve()
    with tempfile.TemporaryDirectory() as home:
        given = visit(data, Path(home))
    pointed = given.pointed()
    rows = []
    models = (
        ("from the headers, degree 2 of each detector's own", given.images, 2.5, 2, Options()),
        ("from `pointing`, degree 2 of each detector's own", pointed, 0.5, 2, Options()),
        ("from `pointing`, degree 3 of each detector's own", pointed, 0.5, 3, Options()),
        ("the same, held to the bending of `pointing`", pointed, 0.5, 3, HELD),
    )
    for name, images, radius, degree, options in models:
        made = solved(given, images, Matching(search=5.0, radius=radius, degree=degree), options)
        rows.append((name, str(made.used.sum()), *scatter(residuals_of(made)), *scatter(made.left_out(), robust=True)))
    alone = common(made.found, CENTRE)
    name = "one polynomial of degree 7 for all, flat detectors (plain least squares)"
    rows.append((name, str(alone.weight.size), *scatter(alone.residual), *scatter(alone.foretold, robust=True)))
    field = follow(made.mosaic, made.found.seen, made.found.known, made.fit, HELD)[2][0]
    print("residual field:", field)  # noqa: T201 - a script that says what it found
    head = ("distortion", "stars", "rms east [mas]", "north", "left out: scatter east", "north")
    write("focal-plane-figures", head, rows)
    detectors: list[tuple[str, ...]] = []
    edges = corners(pointed)
    for place, number in enumerate(given.numbers):
        mine = alone.image == place
        stars = given.lists.image == place
        old, new = (
            unit_vectors(*pixel_to_sky(wcs, given.lists.x[stars], given.lists.y[stars]))
            for wcs in (given.images.wcs[place], pointed.wcs[place])
        )
        off = float(np.median(206264.8 * np.linalg.norm(new - old, axis=1)))
        middle = complex(np.median(alone.residual[mine].real), np.median(alone.residual[mine].imag))
        rms = np.sqrt(0.5 * np.mean(np.abs(alone.foretold[mine]) ** 2))
        detectors.append((f"{number:3d}", str(mine.sum()), f"{off:.2f}", f"{abs(middle):.1f}", f"{rms:.1f}"))
    columns = (
        "detector",
        "stars",
        "header off by (median) [arcsec]",
        "median offset after [mas]",
        "rms per coordinate, left out [mas]",
    )
    write("focal-plane-detectors", columns, sorted(detectors))
    picture(given, edges, alone)


if __name__ == "__main__":
    main()
