"""Images that lie on the sky: one way to ask every kind of sky solution, and values between pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

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
    right, high = np.minimum(left + 1, nx - 1), np.minimum(low + 1, ny - 1)
    fx, fy = (xs - left).astype(np.float32), (ys - low).astype(np.float32)
    total = np.zeros(xs.shape, np.float32)
    for row, column, weight in (
        (low, left, (1 - fx) * (1 - fy)),
        (low, right, fx * (1 - fy)),
        (high, left, (1 - fx) * fy),
        (high, right, fx * fy),
    ):
        # A pixel of no weight has no say, not even an undefined one.
        total += np.where(weight > 0, image[row, column] * weight, np.float32(0))
    found[inside] = total
    return found


def pixel_scale(sky: Sky, shape: tuple[int, int]) -> float:
    """Side of a pixel in the middle of an image of (ny, nx), the root of its area [degree]; NaN off the sky."""
    y, x = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    ra, dec = sky.pixel_to_sky(np.array([x, x + 1, x]), np.array([y, y, y + 1]))
    east = ((ra[1:] - ra[0] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec[0]))
    north = dec[1:] - dec[0]
    return float(np.sqrt(np.abs(east[0] * north[1] - east[1] * north[0])))
