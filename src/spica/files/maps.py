"""An image product as plain FITS files that any program reads: pixels, weight map, flag map, one file each.

SExtractor reads the weights as MAP_WEIGHT and the flags as FLAG_IMAGE, SWarp the weights as MAP_WEIGHT.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.images import Float32, Image
from spica.core.keywords import comment
from spica.core.mask import MEANINGS, Mask
from spica.core.records import Scalar
from spica.files import atomic, fits
from spica.files.encode import STRUCTURE
from spica.files.fits import Card

ENDINGS = (".sci.fits", ".weight.fits", ".flag.fits")


def write_maps(stem: Path, image: Image) -> tuple[Path, ...]:
    """Write pixels (0 where undefined), weights and flags beside each other; `stem` is their common name.

    The weight is one over the variance, 0 for pixels that are unusable or undefined (saturated ones keep theirs: the
    flags tell). An image without variance has weights 1 and 0; one without mask has no flag map.
    """
    made = []
    weight = weights(image)
    bits: dict[str, Scalar] = {f"BIT{bit.bit_length() - 1}": str(bit.name) for bit in Mask}
    sky = {key: value for key, value in image.header.items() if key in _SKY or key.startswith(_SKY_STEMS)}
    planes = [
        (np.where(np.isfinite(image.pixels), image.pixels, np.float32(0)), image.header),
        (weight, sky),
        *([(image.mask, {**sky, **bits})] if image.mask is not None else []),
    ]
    for ending, (pixels, header) in zip(ENDINGS, planes, strict=False):
        path = stem.with_name(stem.name + ending)
        write_plain(path, pixels, header)
        made.append(path)
    return tuple(made)


_SKY = frozenset({"WCSAXES", "EQUINOX", "RADESYS", "LONPOLE", "LATPOLE"})
_SKY_STEMS = ("CTYPE", "CUNIT", "CRPIX", "CRVAL", "CDELT", "CROTA", "CD1_", "CD2_", "PC1_", "PC2_", "PV1_", "PV2_",
              "A_", "B_", "AP_", "BP_")  # fmt: skip


def weights(image: Image) -> Float32:
    """One over the variance, 0 where a pixel is not to be used; ``(ny, nx)`` float32."""
    usable = np.isfinite(image.pixels)
    if image.mask is not None:
        usable &= image.mask & int(Mask.unusable() & ~Mask.SATURATED) == 0
    if image.variance is None:
        return usable.astype(np.float32)
    usable &= np.isfinite(image.variance) & (image.variance > 0)
    found = np.zeros(image.shape, np.float32)
    np.divide(np.float32(1), image.variance, out=found, where=usable)
    return found


def write_plain(path: Path, pixels: npt.NDArray[Any], header: Mapping[str, Scalar]) -> None:
    """Write ``(ny, nx)`` float32 or int32 as the primary of an uncompressed file."""
    with atomic.writing(path) as part:
        part.write_bytes(plain(pixels, header))


def plain(pixels: npt.NDArray[Any], header: Mapping[str, Scalar]) -> bytes:
    """The bytes of an uncompressed primary image."""
    integer = pixels.dtype.kind == "i"
    raw = np.ascontiguousarray(pixels, ">i4" if integer else ">f4").tobytes()
    cards: list[Card] = [("SIMPLE", True, ""), ("BITPIX", 32 if integer else -32, ""), ("NAXIS", 2, "")]
    cards += [("NAXIS1", pixels.shape[1], ""), ("NAXIS2", pixels.shape[0], ""), ("EXTEND", True, "")]
    ordered = sorted(header.items(), key=lambda item: item[0] != "WCSAXES")
    for key, value in ordered:
        if key not in STRUCTURE:
            meaning = MEANINGS.get(str(value), "") if key.startswith("BIT") else comment(key)
            cards.append((key, value, meaning))
    return fits.header_bytes(cards, fits.data_sum(raw)) + raw + fits.padding(len(raw))
