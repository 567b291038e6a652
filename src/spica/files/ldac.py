"""Catalogues in the form FITS_LDAC of the AstrOmatic programs (SExtractor, SCAMP, PSFEx): their names, pixels from 1.

A file holds a primary, LDAC_IMHEAD (one row: the image's header as text) and LDAC_OBJECTS (the sources). The names are
those of SExtractor 2.25; columns that it does not know keep theirs in capitals. What is not finite becomes 0, as there: the
programs do not know NaN, the flags tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spica.core.columns import Catalogue
from spica.core.images import Float32, Image
from spica.core.mask import Mask
from spica.core.records import Scalar
from spica.files import atomic, bintable, cards
from spica.files.bintable import TableColumn
from spica.files.cards import CARD
from spica.files.fits import Card

NAMES: Mapping[str, str] = {
    "x": "XWIN_IMAGE", "y": "YWIN_IMAGE", "x_iso": "X_IMAGE", "y_iso": "Y_IMAGE", "ra": "ALPHA_J2000",
    "dec": "DELTA_J2000", "x_min": "XMIN_IMAGE", "x_max": "XMAX_IMAGE", "y_min": "YMIN_IMAGE", "y_max": "YMAX_IMAGE",
    "area": "ISOAREA_IMAGE", "flux_iso": "FLUX_ISO", "flux_iso_err": "FLUXERR_ISO", "flux_aper": "FLUX_APER",
    "flux_aper_err": "FLUXERR_APER", "flux_auto": "FLUX_AUTO", "flux_auto_err": "FLUXERR_AUTO",
    "kron_radius": "KRON_RADIUS", "half_light_radius": "FLUX_RADIUS", "peak": "FLUX_MAX", "background": "BACKGROUND",
    "x2": "X2_IMAGE", "y2": "Y2_IMAGE", "xy": "XY_IMAGE", "a": "A_IMAGE", "b": "B_IMAGE", "theta": "THETA_IMAGE",
    "elongation": "ELONGATION", "fwhm": "FWHM_IMAGE", "snr": "SNR_WIN", "flags": "FLAGS", "mask_bits": "IMAFLAGS_ISO",
}  # fmt: skip
"""Column to its name in SExtractor."""
FROM_ONE = frozenset({"x", "y", "x_iso", "y_iso", "x_min", "x_max", "y_min", "y_max"})
"""Columns that count pixels: from 0 in spica, from 1 there."""
DOUBLE = frozenset({"x", "y", "ra", "dec"})
"""Columns of 64-bit floats there; the programs take every other float for one of 32 bits, whatever the file says."""
UNDEFINED = np.float32(-1e30)
"""What SExtractor writes for pixels of a vignette that have no value."""


def write_ldac(
    path: Path, catalogue: Catalogue, header: Mapping[str, Scalar], science: Image | None = None, vignette: int = 35
) -> None:
    """Write a catalogue for SCAMP and, where the image is given, for PSFEx.

    Parameters
    ----------
    path : where; replaced in one step.
    catalogue : with the columns of `spica.core.columns`.
    header : of the image: facts and sky solution.
    science : its image; each source then gets a VIGNET of `vignette` × `vignette` pixels above its background.
    """
    columns = [_column(catalogue, name) for name in catalogue.columns]
    number = np.arange(1, len(catalogue) + 1, dtype=np.int32)
    columns = [TableColumn("NUMBER", number, "", "running number"), *columns, *_ellipse_of_error(catalogue)]
    if science is not None:
        stamps = vignettes(science, catalogue, vignette)
        columns.append(TableColumn("VIGNET", stamps, "count", "pixels above the background"))
    text = "".join(cards.card(*item) for item in _image_cards(header, science)) + "END".ljust(CARD)
    lines = np.array([[text[at : at + CARD] for at in range(0, len(text), CARD)]], f"S{CARD}")
    with atomic.writing(path) as part:
        part.write_bytes(
            bintable.primary()
            + bintable.table("LDAC_IMHEAD", [TableColumn("Field Header Card", lines)])
            + bintable.table("LDAC_OBJECTS", columns)
        )


def vignettes(science: Image, catalogue: Catalogue, size: int) -> Float32:
    """Stamps ``(n, size, size)`` about the pixels nearest to the isophotal centres, minus the sources' background."""
    half = size // 2
    good = np.isfinite(science.pixels)
    if science.mask is not None:
        good &= science.mask & int(Mask.unusable() & ~Mask.SATURATED) == 0
    padded = np.pad(np.where(good, science.pixels, UNDEFINED), half, constant_values=UNDEFINED)
    y, x = (np.rint(catalogue[name]).astype(np.int64) for name in ("y_iso", "x_iso"))
    stamps = np.lib.stride_tricks.sliding_window_view(padded, (size, size))[y, x]
    sky = catalogue["background"].astype(np.float32)[:, None, None]
    return np.where(stamps > UNDEFINED / 2, stamps - sky, UNDEFINED).astype(np.float32)


def _column(catalogue: Catalogue, name: str) -> TableColumn:
    declared = catalogue.declaration(name)
    values = catalogue[name]
    if values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, values.dtype.type(0))
    if name in FROM_ONE:
        values = values + values.dtype.type(1)
    if name not in DOUBLE and values.dtype == np.float64:
        values = values.astype(np.float32)
    if name == "flags":
        values = values.astype(np.int16)
    return TableColumn(NAMES.get(name, name.upper()), values, declared.unit, declared.meaning)


def _ellipse_of_error(catalogue: Catalogue) -> list[TableColumn]:
    """The errors of x and y as the ellipse that SCAMP asks for."""
    if "x_err" not in catalogue.columns:
        return []
    x, y = catalogue["x_err"].astype(np.float32), catalogue["y_err"].astype(np.float32)
    angle = np.where(x >= y, np.float32(0), np.float32(90))
    return [
        TableColumn("ERRAWIN_IMAGE", np.maximum(x, y), "pixel", "error along the major axis"),
        TableColumn("ERRBWIN_IMAGE", np.minimum(x, y), "pixel", "error along the minor axis"),
        TableColumn("ERRTHETAWIN_IMAGE", angle, "deg", "angle of the major axis"),
    ]


def _image_cards(header: Mapping[str, Scalar], science: Image | None) -> list[Card]:
    """The image's header as SCAMP and PSFEx expect it."""
    plain: dict[str, Scalar] = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2}
    if science is not None:
        plain |= {"NAXIS1": science.shape[1], "NAXIS2": science.shape[0]}
        plain["SEXBKDEV"] = _noise(science)
    gain = header.get("GAIN")
    plain |= {"EXTEND": True, "SEXGAIN": float(gain) if isinstance(gain, int | float) else 1.0}
    ordered = sorted(header.items(), key=lambda item: item[0] != "WCSAXES")
    return [(key, value, "") for key, value in (plain | dict(ordered)).items()]


def _noise(science: Image) -> float:
    """Standard deviation of the background, from the lower half of the variances."""
    if science.variance is None:
        return 0.0
    usable = science.variance[np.isfinite(science.variance) & (science.variance > 0)]
    return float(np.sqrt(np.quantile(usable, 0.25))) if usable.size else 0.0
