"""Images that lie on the sky: one way to ask every kind of sky solution, and values between pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spica.kernels.associate import unit_vectors
from spica.kernels.compiled import Float32, Float64
from spica.kernels.projection import projection
from spica.kernels.wcs import TangentWcs, pixel_to_sky, sky_to_pixel
from spica.kernels.wcs_cards import from_cards


class Sky(Protocol):
    """Pixels (0-based) to ICRS positions [degree] and back; NaN where there is no answer."""

    def pixel_to_sky(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Right ascension and declination of pixels."""

    def sky_to_pixel(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Pixels of positions."""


@dataclass(frozen=True, eq=False)
class Gnomonic:
    """A gnomonic solution with or without distortion, as `Sky`."""

    wcs: TangentWcs

    def pixel_to_sky(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Right ascension and declination of pixels."""
        return pixel_to_sky(self.wcs, x, y)

    def sky_to_pixel(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Pixels of positions."""
        return sky_to_pixel(self.wcs, ra, dec)


def placed(cards: Mapping[str, object]) -> Sky:
    """The sky solution of a header; ValueError where there is none of a known form."""
    if str(cards.get("CTYPE1", ""))[5:8] in {"TAN", "TPV"}:
        return Gnomonic(from_cards(cards))
    return projection(cards)


def bilinear(image: Float32, x: Float64, y: Float64) -> Float32:
    """Values between the four pixels around each place (0-based); NaN outside and where one that counts is undefined.

    Parameters
    ----------
    image : ``(ny, nx)`` float32.
    x, y : places of any one shape; NaN gives NaN.
    """
    ny, nx = image.shape
    # Half a pixel beyond the centres of the outermost ones still belongs to the image: its value is theirs.
    inside = (x >= -0.5) & (x <= nx - 0.5) & (y >= -0.5) & (y <= ny - 0.5)
    found = np.full(x.shape, np.nan, np.float32)
    if not np.any(inside):
        return found
    xs, ys = np.clip(x[inside], 0, nx - 1), np.clip(y[inside], 0, ny - 1)
    left, low = np.minimum(xs.astype(np.intp), max(nx - 2, 0)), np.minimum(ys.astype(np.intp), max(ny - 2, 0))
    fx, fy = (xs - left).astype(np.float32), (ys - low).astype(np.float32)
    # Taken by their place in the rows laid end to end: half the time of rows and columns.
    values, first = image.reshape(-1), low * nx + left
    right, above = min(1, nx - 1), nx * min(1, ny - 1)
    total = np.zeros(xs.shape, np.float32)
    for step, weight in (
        (0, (1 - fx) * (1 - fy)),
        (right, fx * (1 - fy)),
        (above, (1 - fx) * fy),
        (above + right, fx * fy),
    ):
        # A pixel of no weight has no say, not even an undefined one.
        total += np.where(weight > 0, values[first + step] * weight, np.float32(0))
    found[inside] = total
    return found


def pixel_scale(sky: Sky, shape: tuple[int, int]) -> float:
    """Side of a pixel in the middle of an image of (ny, nx), the root of its area [degree]; NaN off the sky."""
    y, x = (np.array((side - 1) / 2) for side in shape)
    return float(np.sqrt(_areas(sky, x, y)))


def pixel_areas(sky: Sky, shape: tuple[int, int], nodes: int = 17) -> Float32:
    """Areas of pixels of an image of (ny, nx) on a mesh that reaches from its first pixels to its last [square degree].

    Returns
    -------
    (nodes, nodes) float32
        NaN off the sky. A place x, y of the image is one (nodes - 1) x / (nx - 1), … of the mesh.
    """
    y, x = np.meshgrid(*(np.linspace(0.0, side - 1.0, nodes) for side in shape), indexing="ij")
    return _areas(sky, x, y).astype(np.float32)


def _areas(sky: Sky, x: Float64, y: Float64) -> Float64:
    """Areas of pixels [square degree]."""
    corner, right, above = (unit_vectors(*sky.pixel_to_sky(x + dx, y + dy)) for dx, dy in ((0, 0), (1, 0), (0, 1)))
    normal = np.cross(right - corner, above - corner)
    return np.asarray(np.sqrt((normal**2).sum(axis=-1)) * np.degrees(1.0) ** 2)
