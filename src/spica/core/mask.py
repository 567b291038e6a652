"""Mask bits of every spica image: one table, written into each product's header."""

from __future__ import annotations

from enum import IntFlag


class Mask(IntFlag):
    """Bits of an ``(ny, nx) int32`` mask plane; 0 is a good pixel."""

    BAD = 1 << 0
    """Defect: hot, dead, or in a bad column."""
    SATURATED = 1 << 1
    """At or above the amplifier's saturation level."""
    BLEED = 1 << 2
    """Charge bled from a saturated pixel."""
    COSMIC = 1 << 3
    """Cosmic-ray hit."""
    TRAIL = 1 << 4
    """Satellite or aircraft trail."""
    NO_DATA = 1 << 5
    """No usable value: outside the amplifiers, zero or undefined flat, not finite."""
    INTERPOLATED = 1 << 6
    """The value was interpolated from neighbours."""
    DETECTED = 1 << 7
    """Belongs to a detected source."""
    EDGE = 1 << 8
    """Too near to the edge for a full measurement."""
    SUSPECT = 1 << 9
    """Above the range of linearity, or otherwise doubtful."""
    CROSSTALK = 1 << 10
    """Touched by crosstalk of a saturated source."""
    CLIPPED = 1 << 11
    """In a stack: the value of an exposure at least was clipped."""

    @classmethod
    def unusable(cls) -> Mask:
        """The bits that keep a pixel out of statistics and photometry."""
        return cls.BAD | cls.SATURATED | cls.BLEED | cls.COSMIC | cls.TRAIL | cls.NO_DATA


MEANINGS: dict[str, str] = {
    "BAD": "defect: hot, dead or in a bad column",
    "SATURATED": "at or above the saturation level",
    "BLEED": "charge bled from a saturated pixel",
    "COSMIC": "cosmic-ray hit",
    "TRAIL": "satellite or aircraft trail",
    "NO_DATA": "no usable value",
    "INTERPOLATED": "interpolated from neighbours",
    "DETECTED": "belongs to a detected source",
    "EDGE": "too near to the edge",
    "SUSPECT": "above the range of linearity, or doubtful",
    "CROSSTALK": "touched by crosstalk of a saturated source",
    "CLIPPED": "an exposure's value was clipped",
}
