"""What a joint solution says: the columns of its products, and how each image of it ended."""

from __future__ import annotations

from enum import IntEnum

from spica.core.columns import Column


class Standing(IntEnum):
    """How an image of a joint solution ended; the numbers stand in the column `standing`."""

    SOLVED = 0
    UNTIED = 1
    """Its exposure, and all that overlap with it, have too few reference stars: `solve.untied`."""
    UNMATCHED = 2
    """Its exposure has too few sources in common with anything: `solve.unmatched`."""
    SPARSE = 3
    """Solved by its neighbours in the mosaic: too few of its own sources count for its own terms."""
    BAD = 4
    """The exposure scatters far more than its errors say: `solve.bad-fit`."""


def _named(*columns: Column) -> dict[str, Column]:
    return {column.name: column for column in columns}


SKY_COLUMNS = _named(
    Column("crval", "f8", "deg", "pos.wcs.crval", "right ascension and declination of the tangent point", 2),
    Column("crpix", "f8", "pixel", "pos.wcs.crpix", "reference pixel x, y, 0-based", 2),
    Column("cd", "f8", "deg/pixel", "pos.wcs.cdmatrix", "matrix from pixels to the plane, by rows", 4),
    Column("pv", "f8", "", "pos.wcs", "TPV coefficients, PV1_0 to PV1_39, then PV2_0 to PV2_39", 80),
)
"""A sky solution in one row; see `spica.kernels.wcs_rows`."""

SOLUTION_COLUMNS = _named(
    Column("exposure_id", "i8", "", "meta.id;obs.exposure", "the exposure's number"),
    Column("detector", "i4", "", "meta.id;instr.det", "number of the detector"),
    Column("standing", "i4", "", "meta.code", "spica.core.solution.Standing"),
    Column("nx", "i4", "pixel", "phys.size;instr.det", "width of the image"),
    Column("ny", "i4", "pixel", "phys.size;instr.det", "height of the image"),
    *SKY_COLUMNS.values(),
    Column("expressed", "f4", "mas", "stat.error", "largest departure of the coefficients from the solution"),
    Column(
        "sky_err", "f4", "mas", "stat.error;pos.eq", "standard error of the solution per coordinate, rms over the image"
    ),
    Column("stretch", "f4", "", "arith.ratio", "largest departure of the scale from that of the first focal plane"),
    Column("used", "i4", "", "meta.number", "detections that count"),
    Column("rejected", "i4", "", "meta.number", "detections that were matched and do not count"),
    Column("ties", "i4", "", "meta.number", "of those that count, with a reference star that counts"),
    Column(
        "rms_internal",
        "f4",
        "mas",
        "stat.stdev;pos",
        "per coordinate, of bright detections about the means of their sources",
    ),
    Column("rms_external", "f4", "mas", "stat.stdev;pos", "per coordinate, of detections about their reference stars"),
    Column("chi2", "f4", "", "stat.fit.chi2", "mean of the squared pulls of the detections that count"),
    Column("share", "f4", "", "stat.value", "of the reference stars on the image that have a detection that counts"),
    Column(
        "rung", "i4", "", "meta.code", "how its exposure was found: 0 by itself, 1 by a neighbour, 2 in a wider circle"
    ),
    Column(
        "field_sigma", "f4", "mas", "stat.stdev;pos", "of the exposure's residual field, per coordinate; 0 for none"
    ),
    Column("field_gain", "f4", "", "stat.value", "mean square of stars left out, without that field over with it"),
    Column("zero_point", "f8", "mag", "phot.mag;arith.zp", "magnitude of a source of 1 electron per second"),
    Column("zero_point_err", "f4", "mag", "stat.error;phot.mag;arith.zp", "standard error of zero_point"),
    Column("photometric", "i4", "", "meta.code", "1 where tied to reference magnitudes, 0 where relative, -1 for none"),
    Column(
        "flat",
        "f4",
        "mag",
        "phot.mag;arith.diff",
        "what a place on the detector adds to zero_point: spica.kernels.illumination.departure",
        15,
    ),
    Column(
        "flat_err", "f4", "mag", "stat.error;phot.mag", "standard errors of flat; 0 for terms that were not fitted", 15
    ),
    Column("mag_used", "i4", "", "meta.number", "detections that count for the zero point"),
    Column(
        "island", "i4", "", "meta.id", "exposures that hang together by common sources have the same number; -1: none"
    ),
    Column("island_ties", "i4", "", "meta.number", "sources of known magnitude that the island's exposures see"),
    Column("mag_scatter", "f4", "mag", "stat.stdev;phot.mag", "of bright detections about the means of their sources"),
)
"""Product `solution`: one row for each image."""

MATCH_COLUMNS = _named(
    Column("exposure_id", "i8", "", "meta.id;obs.exposure", "the exposure's number; 0 in rows of reference stars"),
    Column("detector", "i4", "", "meta.id;instr.det", "number of the detector; -1 in rows of reference stars"),
    Column("match_id", "i8", "", "meta.id", "the source as the solution knows it, from 0"),
    Column("source_id", "i8", "", "meta.id", "identifier of the detection, or in the reference catalogue"),
    Column("x", "f8", "pixel", "pos.cartesian.x;instr.det", "as measured"),
    Column("y", "f8", "pixel", "pos.cartesian.y;instr.det", "as measured"),
    Column("ra", "f8", "deg", "pos.eq.ra", "of the source, mean of all that count"),
    Column("dec", "f8", "deg", "pos.eq.dec", "of the source, mean of all that count"),
    Column("off_east", "f4", "mas", "pos.eq;arith.diff", "detection or reference star minus mean, east"),
    Column("off_north", "f4", "mas", "pos.eq;arith.diff", "detection or reference star minus mean, north"),
    Column("sigma", "f4", "mas", "stat.error;pos", "standard error per coordinate as it was weighted"),
    Column("pull", "f4", "", "stat.value", "distance from the mean of the others in standard deviations"),
    Column("used", "i4", "", "meta.code", "1 where it counts for positions"),
    Column("mag", "f4", "mag", "phot.mag", "magnitude by the solution; nan where not asked for"),
    Column("mag_off", "f4", "mag", "phot.mag;arith.diff", "magnitude minus the mean of the source"),
    Column("mag_pull", "f4", "", "stat.value", "the same against the others, in standard deviations"),
    Column("mag_used", "i4", "", "meta.code", "1 where it counts for zero points"),
)
"""Product `matches`: one row for each detection and reference star that the solution was made of."""
