"""Exposures whose stars vary over the image as told, with the exact model of them: what `homogenise` and `stack` are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.images import Image
from spica.core.psf import PsfModel, polynomial_terms
from spica.core.records import Grain, Unit
from spica.core.task import Member
from spica.kernels.draw import Psf, add_stars
from spica.kernels.projection import Projection
from spica.kernels.psf_prior import Profiles, draw_profiles
from spica.kernels.wcs import tangent_wcs
from spica.kernels.wcs_cards import to_cards
from spica.tasks.homogenise import TASK, HomogeniseSettings
from spica.tasks.stack import TASK as STACK
from spica.tasks.stack import StackSettings
from tests.support.stacks import Plan, Sky, draw
from tests.support.starfield import even

Float64 = npt.NDArray[np.float64]
Shape = Callable[[Float64, Float64], Psf]
SCALE = 0.2
"""Seconds of arc per pixel."""
UNIT = Unit.parse("detector:demo-1/2")


def exact_model(shape: Shape, size: tuple[int, int], degree: int = 4, sampling: float = 0.5) -> PsfModel:
    """The model of a shape over an image of `size` (nx, ny), as a polynomial through its profiles, each of unit light."""
    nx, ny = size
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(0, nx - 1, 9), np.linspace(0, ny - 1, 9)))
    seen = shape(u, v)
    square = seen.g1**2 + seen.g2**2
    distortion = 2 * seen.g1 / (1 + square), 2 * seen.g2 / (1 + square)
    n = 2 * int(3.5 * float(seen.fwhm.max()) / sampling + 2) + 1
    drawn = draw_profiles(Profiles(seen.fwhm, *distortion, np.full(u.size, seen.beta)), n, sampling)
    drawn = drawn / drawn.sum((1, 2), keepdims=True) / sampling**2
    terms = len(polynomial_terms(degree))
    model = PsfModel(
        np.zeros((terms, n, n), np.float32), degree, (0.5 * (nx - 1), 0.5 * (ny - 1)), (0.5 * nx, 0.5 * ny), sampling,
        float(np.median(seen.fwhm)),
    )  # fmt: skip
    light = np.linalg.pinv(model.values(u, v)) @ drawn.reshape(u.size, -1)
    return replace(model, coefficients=light.reshape(terms, n, n).astype(np.float32))


def cards(size: tuple[int, int], dec: float = 20.0, move: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
    """An undistorted sky solution, its middle moved by pixels."""
    middle = [0.5 * (size[0] - 1) + move[0], 0.5 * (size[1] - 1) + move[1]]
    return dict(to_cards(tangent_wcs([10.0, dec], middle, SCALE / 3600 * np.diag([-1.0, 1.0]))))


def lattice(size: tuple[int, int], step: float, edge: float = 45.0) -> tuple[Float64, Float64]:
    """Places of isolated stars, at any fraction of a pixel."""
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.arange(edge, size[0] - edge, step), np.arange(edge, size[1] - edge, step))
    return x.ravel() + rng.uniform(-0.5, 0.5, x.size), y.ravel() + rng.uniform(-0.5, 0.5, x.size)


def drawn(shape: Shape, size: tuple[int, int], x: Float64, y: Float64, light: Float64) -> npt.NDArray[np.float32]:
    """Stars without noise."""
    out = np.zeros(size[::-1], np.float32)
    add_stars(out, x, y, light, shape(x, y), 1e-4)
    return out


def homogenised(
    image: Image, model: PsfModel, solution: dict[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    """What the task makes of an image."""
    return dict(
        TASK.run(
            HomogeniseSettings(**settings),
            unit=UNIT,
            science=image,
            psf=model.to_catalogue(),
            sky_solution={"cards": solution or cards(image.shape[::-1])},
        )
    )


def plain(pixels: npt.NDArray[Any], variance: float = 100.0) -> Image:
    """An image of a variance that is the same everywhere, without a mask."""
    return Image(pixels.astype(np.float32), np.full(pixels.shape, np.float32(variance)), None, {})


def stacked(sky: Sky, plan: Plan, widths: tuple[float, ...], target: float | None, *, noisy: bool = True) -> Image:
    """The stack of dithered exposures of these full widths [pixel], brought to a target [arcsec] before or not; MAGZERO 30.

    Skies are of `plan.level`, and were taken off.
    """
    rng = np.random.default_rng(plan.seed + 200)
    size = plan.side, plan.side
    members = []
    for number, width in enumerate(widths):
        shift = rng.uniform(-0.5, 0.5, 2)
        light = np.zeros(size, np.float32)
        draw(light, sky, replace(plan, fwhm=width), (shift[0], shift[1]), 1e-3 * np.sqrt(plan.level))
        seen = rng.poisson(light + plan.level) - plan.level if noisy else light
        image = Image(seen.astype(np.float32), light + np.float32(plan.level), np.zeros(size, np.int32), {})
        place = cards(size, move=(shift[0], shift[1]))
        if target is not None:
            model = exact_model(even(width, beta=plan.beta), size, 0)
            image = homogenised(image, model, place, fwhm=target)["homogenised"]
        name = f"detector:e{number}/1"
        members.append((Member(name, MemoryRows(image)), place, plan.level))
    cd = SCALE / 3600 * np.diag([-1.0, 1.0])
    where = Projection("TAN", np.array([10.0, 20.0]), np.array([0.5 * (plan.side - 1)] * 2), cd)
    made = STACK.run(
        StackSettings(),
        unit=Unit(Grain.TILE_BAND, ("t1", "r")),
        tile=SimpleNamespace(nx=plan.side, ny=plan.side, cards=where.cards()),
        inputs=None,
        science=tuple(each for each, _, _ in members),
        sky_solution=tuple(Member(each.unit, {"cards": place, "exposure_time": 1.0}) for each, place, _ in members),
        light=tuple(Member(each.unit, {"zero": plan.zero, "scale": "AB", "flat": []}) for each, _, _ in members),
        sky_mesh=tuple(Member(each.unit, {"level": [[0.0]], "rms": level**0.5}) for each, _, level in members),
    )["stack"]
    bands = list(made.bands)
    planes = {name: np.concatenate([band.planes[name] for band in bands]) for name in ("science", "variance", "mask")}
    return Image(planes["science"], planes["variance"], planes["mask"], made.header)


class MemoryRows:
    """`Rows` over one image."""

    def __init__(self, image: Image) -> None:
        self.image, self.shape, self.dtype, self.header = image, image.shape, image.pixels.dtype, image.header

    def delivered(self) -> dict[str, Any]:
        return {}

    def read(self, y0: int, y1: int, plane: str = "science") -> npt.NDArray[Any]:
        found = {"science": self.image.pixels, "mask": self.image.mask, "variance": self.image.variance}[plane]
        assert found is not None
        return found[y0:y1]
