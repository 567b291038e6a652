"""What plots are made of: plain columns, gathered from products by `spica.services.report.gather`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from spica.services.plots.plot import Bools, Floats, Integers

Words = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Columns:
    """Parallel arrays: rows can be chosen, and sets of them joined."""

    def select(self, rows: npt.NDArray[np.generic]) -> Self:
        """The rows (a boolean or index array) asked for."""
        return replace(self, **{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self | None:
        """One set of columns from several; None from none."""
        if not parts:
            return None
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))


@dataclass(frozen=True, eq=False)
class Outlines(Columns):
    """Detectors in the focal plane, ``corners`` (n, 4, 2) [mm]."""

    detector: Integers
    name: Words
    corners: Floats


@dataclass(frozen=True, eq=False)
class Residuals(Columns):
    """Detections of joint solutions.

    Attributes
    ----------
    x, y : on the detector [pixel]; `part_x`, `part_y` the same in parts of its width and height.
    focal_x, focal_y : [mm].
    east, north : detection minus mean of its source [mas]; `along_x`, `along_y` the same in the focal plane's directions.
    sigma : error per coordinate [mas], and of the residual `expected`, since a detection takes part in the mean; `pull` the
        distance from the others in standard deviations, 0 where there are none.
    used : whether it counts for positions; `mag_used` for zero points.
    mag, mag_off, mag_pull : magnitude, its difference from the source's mean, distance from the others.
    colour : of its source [mag], NaN where unknown.
    band : of its exposure.
    """

    exposure: Integers
    detector: Integers
    band: Words
    x: Floats
    y: Floats
    part_x: Floats
    part_y: Floats
    focal_x: Floats
    focal_y: Floats
    east: Floats
    north: Floats
    along_x: Floats
    along_y: Floats
    sigma: Floats
    expected: Floats
    pull: Floats
    used: Bools
    mag: Floats
    mag_off: Floats
    mag_pull: Floats
    mag_used: Bools
    colour: Floats


@dataclass(frozen=True, eq=False)
class ZeroPoints(Columns):
    """Zero points of exposures.

    Attributes
    ----------
    hours : since the first exposure's midday (UTC of the night).
    zero, error : median over the detectors [mag of 1 electron/s]; `spread` between its detectors.
    usual : what the camera's table says at the zenith, NaN where it does not; `extinction` [mag per airmass].
    tied : to reference magnitudes; else relative to the other exposures of the solution.
    chosen : what the report is about, among its neighbours.
    """

    exposure: Words
    band: Words
    hours: Floats
    airmass: Floats
    zero: Floats
    error: Floats
    spread: Floats
    usual: Floats
    extinction: Floats
    tied: Bools
    chosen: Bools


@dataclass(frozen=True, eq=False)
class Ties(Columns):
    """Zero points of detectors on the sky.

    Attributes
    ----------
    corners : (n, 4, 2) right ascension and declination [deg].
    error : standard error of the zero point [mag]; `tied` to reference magnitudes or not.
    island : the same for exposures that hang together by common sources.
    """

    exposure: Words
    band: Words
    corners: Floats
    error: Floats
    tied: Bools
    island: Integers


@dataclass(frozen=True, eq=False)
class Flats(Columns):
    """What cells of detectors add to the zero point: ``cells`` (n, 4, 2) [mm], ``value`` [mag]."""

    band: Words
    cells: Floats
    value: Floats


@dataclass(frozen=True, eq=False)
class Shapes(Columns):
    """Models of the point spread function at places over the focal plane.

    Attributes
    ----------
    cells : (n, 4, 2) corners of the part of the detector that a place stands for [mm].
    fwhm : [arcsec].
    e_x, e_y : ellipticity 1 - b/a along and at 45 degrees to the focal plane's x.
    """

    exposure: Words
    detector: Integers
    focal_x: Floats
    focal_y: Floats
    cells: Floats
    fwhm: Floats
    e_x: Floats
    e_y: Floats


@dataclass(frozen=True, eq=False)
class Stars(Columns):
    """Stars of PSF models: light [electron], χ² per degree of freedom, whether fitted or only judging."""

    detector: Integers
    focal_x: Floats
    focal_y: Floats
    flux: Floats
    chi2: Floats
    used: Bools
    held: Bools


@dataclass(frozen=True, eq=False)
class Points(Columns):
    """Sources with their PSF fits: calibrated magnitude where `calibrated`, else nominal; sky positions [deg]."""

    exposure: Words
    detector: Integers
    band: Words
    ra: Floats
    dec: Floats
    mag: Floats
    snr: Floats
    spread: Floats
    spread_error: Floats
    p_star: Floats
    clean: Bools
    calibrated: Bools


@dataclass(frozen=True, eq=False)
class Depths(Columns):
    """Depth of exposures: light of a point source of 5 σ [mag], by the noise of its faint sources' PSF fits."""

    exposure: Words
    band: Words
    hours: Floats
    limit: Floats
    spread: Floats
    calibrated: Bools
    chosen: Bools
