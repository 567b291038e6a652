"""Catalogue columns, each declared once with dtype, unit, UCD and meaning, and the in-memory catalogue.

Positions in pixels are 0-based centres here; FITS_LDAC exports add one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from spica.core.records import Scalar


@dataclass(frozen=True)
class Column:
    """One column: what every reader of a catalogue needs to know."""

    name: str
    dtype: str
    unit: str
    ucd: str
    meaning: str
    size: int = 1
    """Values per row: more than 1 for a column that holds one value per aperture."""


def _table(*columns: Column) -> dict[str, Column]:
    return {column.name: column for column in columns}


SOURCE_COLUMNS: dict[str, Column] = _table(
    Column("source_id", "i8", "", "meta.id;meta.main", "stable 63-bit identifier"),
    Column("x", "f8", "pixel", "pos.cartesian.x;instr.det", "windowed centroid, 0-based pixel centres"),
    Column("y", "f8", "pixel", "pos.cartesian.y;instr.det", "windowed centroid, 0-based pixel centres"),
    Column("x_err", "f4", "pixel", "stat.error;pos.cartesian.x;instr.det", "standard error of x"),
    Column("y_err", "f4", "pixel", "stat.error;pos.cartesian.y;instr.det", "standard error of y"),
    Column("xy_cov", "f4", "pixel2", "stat.covariance;pos.cartesian;instr.det", "covariance of x and y"),
    Column("x_iso", "f8", "pixel", "pos.cartesian.x;instr.det", "isophotal barycentre"),
    Column("y_iso", "f8", "pixel", "pos.cartesian.y;instr.det", "isophotal barycentre"),
    Column("x_iso_err", "f4", "pixel", "stat.error;pos.cartesian.x;instr.det", "standard error of x_iso"),
    Column("y_iso_err", "f4", "pixel", "stat.error;pos.cartesian.y;instr.det", "standard error of y_iso"),
    Column("ra", "f8", "deg", "pos.eq.ra;meta.main", "ICRS right ascension by the header's WCS"),
    Column("dec", "f8", "deg", "pos.eq.dec;meta.main", "ICRS declination by the header's WCS"),
    Column("x_min", "i4", "pixel", "pos.cartesian.x;stat.min", "bounding box"),
    Column("x_max", "i4", "pixel", "pos.cartesian.x;stat.max", "bounding box"),
    Column("y_min", "i4", "pixel", "pos.cartesian.y;stat.min", "bounding box"),
    Column("y_max", "i4", "pixel", "pos.cartesian.y;stat.max", "bounding box"),
    Column("area", "i4", "pixel", "phys.angArea;instr.det", "pixels above the threshold"),
    Column("flux_iso", "f8", "electron", "phot.flux", "isophotal flux"),
    Column("flux_iso_err", "f4", "electron", "stat.error;phot.flux", "standard error of flux_iso"),
    Column("flux_aper", "f8", "electron", "phot.flux;phot.aperture", "flux in the apertures of the header", 3),
    Column("flux_aper_err", "f4", "electron", "stat.error;phot.flux", "standard errors of flux_aper", 3),
    Column("flux_auto", "f8", "electron", "phot.flux", "Kron flux over auto_fraction"),
    Column("flux_auto_err", "f4", "electron", "stat.error;phot.flux", "standard error of flux_auto"),
    Column("auto_fraction", "f4", "", "arith.factor", "part of the light within the Kron ellipse"),
    Column("kron_radius", "f4", "", "phys.angSize", "Kron radius in units of a"),
    Column("auto_radius", "f4", "pixel", "phys.angSize", "radius of the circle as large as the Kron ellipse"),
    Column(
        "half_light_radius", "f4", "pixel", "phys.angSize", "radius that holds half of the light in the Kron ellipse"
    ),
    Column("half_light_radius_err", "f4", "pixel", "stat.error;phys.angSize", "standard error of half_light_radius"),
    Column("radius_80", "f4", "pixel", "phys.angSize", "radius that holds 0.8 of the light in the Kron ellipse"),
    Column("radius_80_err", "f4", "pixel", "stat.error;phys.angSize", "standard error of radius_80"),
    Column("peak", "f4", "electron", "phot.count;stat.max", "highest pixel above the background"),
    Column("peak_err", "f4", "electron", "stat.error;phot.count", "standard error of peak"),
    Column("background", "f4", "electron", "instr.background", "background at the centroid"),
    Column("x2", "f4", "pixel2", "src.morph.param", "second moment in x"),
    Column("y2", "f4", "pixel2", "src.morph.param", "second moment in y"),
    Column("xy", "f4", "pixel2", "src.morph.param", "mixed second moment"),
    Column("x2_err", "f4", "pixel2", "stat.error;src.morph.param", "standard error of x2"),
    Column("y2_err", "f4", "pixel2", "stat.error;src.morph.param", "standard error of y2"),
    Column("xy_err", "f4", "pixel2", "stat.error;src.morph.param", "standard error of xy"),
    Column("a", "f4", "pixel", "phys.angSize.smajAxis", "rms along the major axis"),
    Column("b", "f4", "pixel", "phys.angSize.sminAxis", "rms along the minor axis"),
    Column("theta", "f4", "deg", "pos.posAng", "angle of the major axis from +x towards +y"),
    Column("elongation", "f4", "", "src.ellipticity", "a / b"),
    Column("a_err", "f4", "pixel", "stat.error;phys.angSize.smajAxis", "standard error of a"),
    Column("b_err", "f4", "pixel", "stat.error;phys.angSize.sminAxis", "standard error of b"),
    Column("theta_err", "f4", "deg", "stat.error;pos.posAng", "standard error of theta, 90 at most"),
    Column("elongation_err", "f4", "", "stat.error;src.ellipticity", "standard error of elongation"),
    Column("fwhm", "f4", "pixel", "phys.angSize", "full width at half maximum of a Gaussian core"),
    Column("fwhm_err", "f4", "pixel", "stat.error;phys.angSize", "standard error of fwhm"),
    Column("snr", "f4", "", "stat.snr", "flux_iso / flux_iso_err"),
    Column("snr_peak", "f4", "", "stat.snr;stat.max", "signal-to-noise of the peak in the filtered image"),
    Column("flags", "i4", "", "meta.code", "measurement flags, spica.core.columns.Flag"),
    Column("mask_bits", "i4", "", "meta.code", "OR of the mask bits under the source"),
)
"""What the task `measure` gives."""

PSF_COLUMNS: dict[str, Column] = _table(
    SOURCE_COLUMNS["source_id"],
    Column("x_psf", "f8", "pixel", "pos.cartesian.x;instr.det", "place of the fitted PSF, 0-based pixel centres"),
    Column("y_psf", "f8", "pixel", "pos.cartesian.y;instr.det", "place of the fitted PSF, 0-based pixel centres"),
    Column("x_psf_err", "f4", "pixel", "stat.error;pos.cartesian.x;instr.det", "standard error of x_psf"),
    Column("y_psf_err", "f4", "pixel", "stat.error;pos.cartesian.y;instr.det", "standard error of y_psf"),
    Column("xy_psf_cov", "f4", "pixel2", "stat.covariance;pos.cartesian;instr.det", "covariance of x_psf and y_psf"),
    Column("flux_psf", "f8", "electron", "phot.flux", "light of the fitted PSF, all of its model"),
    Column("flux_psf_err", "f4", "electron", "stat.error;phot.flux", "standard error of flux_psf"),
    Column("snr_psf", "f4", "", "stat.snr", "flux_psf / flux_psf_err"),
    Column("chi2_psf", "f4", "", "stat.fit.chi2", "chi squared of the pixels that were fitted, per degree of freedom"),
    Column("covered_psf", "f4", "", "stat.fit.param", "part of the fitted profile that falls on good pixels"),
    Column("group_size", "i4", "", "meta.number", "sources that were fitted at once, this one included"),
    Column(
        "flux_beside",
        "f8",
        "electron",
        "phot.flux",
        "light of a companion that was detected as one with the source, 0 for none",
    ),
    Column("spread_model", "f4", "", "src.morph.param", "how much better a slightly extended source fits; 0 for stars"),
    Column("spread_model_err", "f4", "", "stat.error;src.morph.param", "standard error of spread_model"),
    Column("p_star", "f4", "", "stat.probability;src.class.starGalaxy", "probability of being a point source"),
    Column("flags_psf", "i4", "", "meta.code", "flags of the PSF's fit, spica.core.columns.PsfFlag"),
)
"""What the task `psf_measure` gives."""

MAGNITUDE_COLUMNS: dict[str, Column] = _table(
    SOURCE_COLUMNS["source_id"],
    Column("mag_auto", "f4", "mag", "phot.mag", "of flux_auto per second, by the zero point MAGZERO of the header"),
    Column("mag_auto_err", "f4", "mag", "stat.error;phot.mag", "standard error of mag_auto without that of MAGZERO"),
    Column("mag_psf", "f4", "mag", "phot.mag", "of flux_psf per second, by the zero point MAGZERO of the header"),
    Column("mag_psf_err", "f4", "mag", "stat.error;phot.mag", "standard error of mag_psf without that of MAGZERO"),
)
"""What the task `magnitudes` gives."""

DEEP_COLUMNS: dict[str, Column] = _table(
    Column("mag_auto", "f4", "mag", "phot.mag", "AB magnitude of flux_auto, by MAGZERO of the stack"),
    Column("mag_auto_err", "f4", "mag", "stat.error;phot.mag", "standard error of mag_auto"),
    Column("mag_psf", "f4", "mag", "phot.mag", "AB magnitude of flux_psf, by MAGZERO of the stack"),
    Column("mag_psf_err", "f4", "mag", "stat.error;phot.mag", "standard error of mag_psf"),
    Column("mag_aper", "f4", "mag", "phot.mag;phot.aperture", "AB magnitudes of flux_aper, by MAGZERO of the stack", 3),
    Column("mag_aper_err", "f4", "mag", "stat.error;phot.mag", "standard errors of mag_aper", 3),
    Column("exposures", "i4", "", "meta.number;obs", "exposures that saw the place of the source, -1 where not known"),
)
"""What the task `deep_sources` adds to the columns of `measure` and `psf_measure`."""

COLUMNS: dict[str, Column] = SOURCE_COLUMNS | PSF_COLUMNS | MAGNITUDE_COLUMNS


class Flag:
    """Bits of the column `flags`."""

    NEIGHBOUR = 1
    """Other sources lie on more than a tenth of the Kron ellipse (their pixels are replaced)."""
    DEBLENDED = 2
    """A part of a connected set of pixels that was divided."""
    SATURATED = 4
    """A pixel is saturated, or bled into."""
    TRUNCATED = 8
    """Touches the edge of the image."""
    APERTURE_INCOMPLETE = 16
    """A pixel of an aperture or of the Kron ellipse is bad or outside of the image (and replaced)."""
    CENTROID_FAILED = 32
    """No windowed centroid within the source's box: x and y are the isophotal ones."""
    BAD_PIXELS = 64
    """A pixel of the source is bad: a defect, a cosmic ray, a trail, without data (and left out or replaced)."""
    POSITION_UNSURE = 128
    """The error of x or y is absurd: larger than the task's setting `largest_error`, or not finite."""
    SUSPECT = 256
    """A pixel is doubtful: beyond the range of linearity, or touched by crosstalk."""
    INTERPOLATED = 512
    """A pixel's value was interpolated from its neighbours."""


class PsfFlag:
    """Bits of the column `flags_psf`."""

    FORCED = 1
    """Too faint for a place of its own: fitted where it was detected."""
    HELD = 2
    """The place ran away or the light came out negative: held where it was detected."""
    BLENDED = 4
    """Fitted together with neighbours."""
    INCOMPLETE = 8
    """A tenth or more of the profile falls on bad pixels or outside of the image."""
    CORE_LOST = 16
    """Saturated: fitted to what is left around the core."""
    UNFINISHED = 32
    """The fit took all the steps it was given."""
    FAILED = 64
    """No fit: the numbers are not numbers."""
    UNCLASSED = 128
    """Nothing can be said of its kind: `p_star` is not a number."""
    COMPANION = 256
    """Two points were detected as one: these are figures of the brighter one, `flux_beside` is the light of the other."""
    CLEARED = 512
    """Light of an extended neighbour was taken away."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Columns of equal length, in order; names need not be in `COLUMNS` (outside modules add theirs in `extra`).

    Attributes
    ----------
    columns : name to array, ``(n,)`` or ``(n, size)``.
    header : facts about the whole catalogue (aperture radii, thresholds), plain scalars.
    extra : declarations of columns that `COLUMNS` does not know.
    """

    columns: Mapping[str, npt.NDArray[Any]]
    header: Mapping[str, Scalar] = field(default_factory=dict)
    extra: Mapping[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.columns[name]

    def declaration(self, name: str) -> Column:
        """The declaration of a column; KeyError if nobody declared it."""
        return self.extra[name] if name in self.extra else COLUMNS[name]

    def select(self, rows: npt.NDArray[Any], names: Iterable[str] | None = None) -> Catalogue:
        """The rows (a boolean or index array) and columns asked for."""
        wanted = tuple(self.columns) if names is None else tuple(names)
        return Catalogue({name: self.columns[name][rows] for name in wanted}, self.header, self.extra)
