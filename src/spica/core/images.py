"""In-memory pixels: one detector's image with its variance and mask, and raw pixels before assembly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spica.core.camera import AmplifierSpec
from spica.core.records import Scalar

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class RawDetector:
    """Raw pixels of one detector, one array per HDU as read out.

    Attributes
    ----------
    pixels : per amplifier, the array of the HDU that holds it, ``(ny_raw, nx_raw)`` uint16, int32 or float32 [ADU];
        amplifiers that share an HDU share the array.
    amplifiers : as read out, parallel to `pixels`.
    nx, ny : size of the assembled detector.
    header : the values of the record that science needs (exposure_time, dark_time, ...), those of one read-out.
    slices : read-outs that each pixel is the mean of.
    """

    pixels: tuple[npt.NDArray[np.generic], ...]
    amplifiers: tuple[AmplifierSpec, ...]
    nx: int
    ny: int
    header: Mapping[str, Scalar] = field(default_factory=dict)
    slices: int = 1


@dataclass(frozen=True, eq=False)
class Image:
    """An image with its error and mask.

    Attributes
    ----------
    pixels : ``(ny, nx)`` float32 [electron unless header['BUNIT'] says otherwise].
    variance : ``(ny, nx)`` float32 [unit²], or None where the product has none (a master bias's is kept).
    mask : ``(ny, nx)`` int32 of `spica.core.mask.Mask` bits, or None.
    header : FITS cards (keyword to scalar) that science adds; the writer adds identity and provenance.
    """

    pixels: Float32
    variance: Float32 | None = None
    mask: Int32 | None = None
    header: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        ny, nx = self.pixels.shape
        return ny, nx
