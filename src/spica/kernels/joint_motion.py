"""Motions of stars within a joint solution: exposures of different years see the same star in different places.

A reference catalogue is brought to one time. By its proper motion and parallax a star was elsewhere when an exposure
looked; each detection is taken back by that much before it is compared with the others of its source.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from spica.kernels.associate import Numbering, unit_vectors
from spica.kernels.compiled import Float64, Int64
from spica.kernels.focal_model import Complex, frames
from spica.kernels.propagation import earth

_MAS = np.pi / 6.48e8
_FAST = 0.25
"""Stars that move by a larger part of the linking length are looked for where they were."""


@dataclass(frozen=True)
class Moving:
    """Motions of reference stars, and when exposures looked.

    Attributes
    ----------
    direction : (r, 3) unit vectors at `epoch`.
    motion : (r,) complex [mas/yr], east + i north; NaN where not known.
    parallax : (r,) [mas], 0 where not known.
    epoch : (r,) [Julian year] of the positions, with the parallax of that time in them.
    year : (exposures,) [Julian year]
    """

    direction: Float64
    motion: Complex
    parallax: Float64
    epoch: Float64
    year: Float64

    @cached_property
    def usual(self) -> tuple[complex, float]:
        """Median of the motions that are known, and their scatter per coordinate about it [mas/yr], from medians."""
        known = self.motion[np.isfinite(self.motion)]
        if known.size == 0:
            return 0.0j, 0.0
        middle = complex(np.median(known.real), np.median(known.imag))
        return middle, float(np.median(np.abs(known - middle))) / np.sqrt(2.0 * np.log(2.0))

    @cached_property
    def _observers(self) -> tuple[Float64, Float64, Int64]:
        """Where the Earth was [au] at each exposure, and at each epoch; which epoch each star has."""
        epochs, which = np.unique(self.epoch, return_inverse=True)
        mjd = [51544.5 + 365.25 * (years - 2000.0) for years in (self.year, epochs)]
        return earth(mjd[0]), earth(mjd[1]), which

    @property
    def largest(self) -> Float64:
        """How far each star is from its place at any exposure, at most [mas]."""
        ends = np.array([self.year.min(), self.year.max()])
        span = np.abs(ends[:, None] - self.epoch).max(axis=0)
        return np.asarray(
            np.abs(np.nan_to_num(self.motion)) * span + np.abs(self.parallax) * np.minimum(2.0, 7.0 * span)
        )

    def away(self, star: Numbering, exposure: Numbering) -> Complex:
        """How far stars were from their places when exposures looked: (n,) complex [mas], east + i north.

        A star whose motion is not known moves as is usual.
        """
        there, here, which = self._observers
        east, north = frames(self.direction[star])
        shift = there[exposure] - here[which[star]]
        parallax = np.einsum("nk,nk->n", east, shift) + 1j * np.einsum("nk,nk->n", north, shift)
        span = self.year[exposure] - self.epoch[star]
        motion = np.where(np.isfinite(self.motion[star]), self.motion[star], self.usual[0])
        return np.asarray(motion * span - self.parallax[star] * parallax)

    def unknown(self, star: Numbering, exposure: Numbering) -> tuple[Complex, Float64]:
        """For detections of stars (-1: none that the reference knows): displacement, and its standard error [mas].

        Who is not known moves as the known ones usually do, with their scatter for an error.
        """
        middle, scatter = self.usual
        year = self.year[exposure] - self.year.mean()
        out, error = middle * year, scatter * np.abs(year)
        tied = np.flatnonzero(star >= 0)
        out[tied] = self.away(star[tied], exposure[tied])
        error[tied[np.isfinite(self.motion[star[tied]])]] = 0.0
        return out, error

    def follow(self, ra: Float64, dec: Float64, exposure: Numbering, radius: float) -> None:
        """Take detections of stars that move far back to where the reference has them, in place.

        Parameters
        ----------
        ra, dec : (n,) [degree], changed.
        exposure : (n,) of each detection.
        radius : [arcsec] linking length; a star that moves by a quarter of it is looked for where it was, within it.
        """
        fast = np.flatnonzero(self.largest > _FAST * 1e3 * radius)
        if fast.size == 0:
            return
        order = np.argsort(exposure, kind="stable")
        bounds = np.searchsorted(exposure[order], np.arange(self.year.size + 1))
        east, north = frames(self.direction[fast])
        for number in range(self.year.size):
            rows = order[bounds[number] : bounds[number + 1]]
            if rows.size == 0:
                continue
            moved = self.away(fast, np.full(fast.size, number))
            place = self.direction[fast] + _MAS * (moved.real[:, None] * east + moved.imag[:, None] * north)
            near, which = cKDTree(place).query(
                unit_vectors(ra[rows], dec[rows]), distance_upper_bound=radius * 1e3 * _MAS
            )
            found = np.flatnonzero(np.isfinite(near))
            # The nearest detection of each star alone.
            found = found[np.lexsort((near[found], which[found]))]
            found = found[np.diff(which[found], prepend=-1) > 0]
            back, at = moved[which[found]], rows[found]
            ra[at] = (ra[at] - back.real / (3.6e6 * np.cos(np.radians(dec[at])))) % 360.0
            dec[at] -= back.imag / 3.6e6
