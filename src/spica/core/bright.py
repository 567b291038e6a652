"""How far a bright star spoils the sky about it: the radius of its circle by its magnitude, and what lies in the circles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.core.faults import SetupFault
from spica.core.tiles import vectors

Floats = npt.NDArray[np.float64]
Term = tuple[float, float, float]

TERMS: tuple[Term, ...] = ((200.0, 0.25, 7.0), (12.0, 0.05, 16.0))
"""Of the first public release of the Hyper Suprime-Cam survey (Aihara et al. 2018, PASJ 70, S8; its page on bright-star masks): 59 arcsec
at 10 mag, 13 arcsec at 16 mag, the same in all bands. Coupon et al. 2018 (PASJ 70, S7) is how they are validated."""
LARGEST = 1800.0
"""No circle is larger [arcsec]."""


@dataclass(frozen=True)
class Law:
    """Radius of the circle about a star: the sum of ``radius * 10 ** (slope * (at - magnitude))`` [arcsec] over the terms, `LARGEST` at most.

    How far a star's light reaches depends on camera and depth; the usual values are careful ones for a large telescope.

    Attributes
    ----------
    faintest : magnitude of the last star that gets a circle.
    terms : radius [arcsec], slope [dex per magnitude] and the magnitude that the radius is of.
    """

    faintest: float = 16.0
    terms: tuple[Term, ...] = TERMS

    def __post_init__(self) -> None:
        sound = all(
            radius > 0 and slope >= 0 and np.isfinite([radius, slope, at]).all() for radius, slope, at in self.terms
        )
        if not (self.terms and sound and np.isfinite(self.faintest)):
            raise SetupFault("order.invalid", f"circles up to {self.faintest} mag by {self.terms}: no law of radii")

    def radii(self, magnitudes: npt.ArrayLike) -> Floats:
        """Radii [degree] of stars."""
        faint = np.asarray(magnitudes, np.float64)
        total = sum(
            (radius * 10.0 ** (slope * (at - faint)) for radius, slope, at in self.terms), np.zeros(faint.shape)
        )
        return np.asarray(np.minimum(total, LARGEST) / 3600.0)


def within(ra: npt.ArrayLike, dec: npt.ArrayLike, stars: tuple[Floats, Floats, Floats]) -> npt.NDArray[np.bool_]:
    """Whether places (n,) [degree] lie in the circle of any star, given by right ascensions, declinations and radii [degree]."""
    # Few know of stars, and it takes long to load.
    from scipy.spatial import cKDTree

    places = vectors(ra, dec)
    inside = np.zeros(len(places), np.bool_)
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    if not known.size or not len(stars[0]):
        return inside
    chords = 2.0 * np.sin(0.5 * np.radians(stars[2]))
    met = cKDTree(places[known]).query_ball_point(vectors(stars[0], stars[1]), chords)
    inside[known[np.concatenate([np.asarray(each, np.int64) for each in met])]] = True
    return inside
