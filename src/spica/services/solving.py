"""One frame or star list placed on the sky without a header, by index files of astrometry.net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits as astropy_fits

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, FrameType, Scalar
from spica.core.task import Member
from spica.files import fits, heads
from spica.files.reference.indexes import files_of, open_index
from spica.files.reference.reading import open_tables
from spica.kernels.robust import robust_statistics
from spica.kernels.wcs import pixel_to_sky, tangent_wcs
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.tasks.background import BackgroundSettings, background
from spica.tasks.detect import DetectSettings, detect
from spica.tasks.measure import MeasureSettings, measure
from spica.tasks.pointing import PointingSettings, pointing

_NAMES = {
    "x": ("x", "x_win", "xwin_image", "x_image", "xcentroid"),
    "y": ("y", "y_win", "ywin_image", "y_image", "ycentroid"),
    "flux": ("flux_iso", "flux", "flux_auto", "flux_aper", "flux_best"),
}
"""Columns of star lists, the preferred first, in small letters."""
_FROM_ONE = ("xwin_image", "x_image", "ywin_image", "y_image")
"""Columns whose pixels begin with 1."""
_FACTOR = 1.05
"""By which a scale that is told may be wrong."""
_RAW = 65000.0
"""Pixels as bright are taken for saturated."""


@dataclass(frozen=True)
class Placing:
    """Where a frame is.

    Attributes
    ----------
    ra, dec : of its middle [degree].
    scale : [arcsec per pixel]; rotation : of +y, east of north [degree]; mirrored : the image shows the sky's mirror image.
    stars, matches, rms : of the list, that match, per coordinate [arcsec].
    log_false : decimal logarithm of the probability that as many match by chance.
    index, hypotheses : file that told, and how many places were tested.
    cards : of the sky solution.
    """

    ra: float
    dec: float
    scale: float
    rotation: float
    mirrored: bool
    stars: int
    matches: int
    rms: float
    log_false: float
    index: str
    hypotheses: int
    cards: dict[str, Scalar]


def solve(
    path: Path,
    indexes: Sequence[Path],
    *,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    hdu: int | None = None,
    to: Path | None = None,
) -> Placing:
    """Find where a frame is, whatever its header says.

    Parameters
    ----------
    path : an image (FITS, also compressed), or a table of its sources (FITS, FITS_LDAC, Parquet, CSV) with columns of place and flux.
    indexes : index files, or folders of them.
    scale : [arcsec per pixel], to 5 per cent; any where it is not told.
    size : of the image in pixels, for a table; that of its sources where it is not told.
    hdu : of the image; the first that has one.
    to : a .head file for the solution.

    Raises
    ------
    SetupFault
        ``index.none``, ``order.invalid``.
    DataFault
        ``index.damaged``, ``pointing.no-sources``, ``pointing.no-match``, and what is wrong with the file.
    """
    if to is not None and to.suffix not in heads.SUFFIXES:
        raise SetupFault("order.invalid", f"{to} has to be a .head or .ahead file")
    files = files_of(indexes)
    if not files:
        raise SetupFault("index.none", f"no index files in {', '.join(map(str, indexes))}")
    sources, (nx, ny) = _sources(path, size, hdu)
    pixel = scale or 1.0
    first = to_cards(tangent_wcs((0.0, 0.0), ((nx - 1) / 2.0, (ny - 1) / 2.0), np.eye(2) * pixel / 3600.0))
    header: dict[str, Scalar] = {"NAXIS1": nx, "NAXIS2": ny}
    exposure = Exposure(0, path.name, "", FrameType.OBJECT, "", 0.0, 0.0)
    made = pointing(
        PointingSettings(blind=True, blind_scale=_FACTOR),
        (Member(f"detector:{path.name}/1", sources),),
        {1: header | first if scale else header},
        exposure,
        Catalogue({"ra": np.zeros(0), "dec": np.zeros(0)}),
        tuple(open_index(each) for each in files),
    )["pointing"]
    told = made["detectors"]["1"]
    if to is not None:
        heads.write_heads(to, [told["cards"]])
    return _placing(made, told, len(sources), (nx, ny))


def _placing(made: dict[str, Any], told: dict[str, Any], stars: int, size: tuple[int, int]) -> Placing:
    wcs = from_cards(told["cards"])
    x, y = (size[0] - 1) / 2.0, (size[1] - 1) / 2.0
    ra, dec = (float(each) for each in pixel_to_sky(wcs, x, y))
    determinant = float(np.linalg.det(wcs.cd))
    return Placing(
        ra,
        dec,
        3600.0 * float(np.sqrt(abs(determinant))),
        float(np.degrees(np.arctan2(wcs.cd[0, 1], wcs.cd[1, 1]))),
        determinant > 0.0,
        stars,
        told["matches"],
        told["rms"],
        made["log_false"],
        made["reference"]["index"],
        sum(one["candidates"] for one in made["attempts"]),
        told["cards"],
    )


def _sources(path: Path, size: tuple[int, int] | None, hdu: int | None) -> tuple[Catalogue, tuple[int, int]]:
    """Sources and the size of the image."""
    image = _image(path, hdu)
    if image is not None:
        return _measured(image), (image.shape[1], image.shape[0])
    found = open_tables(path)[0]
    names = {each.lower(): each for each in found.names}
    chosen = {}
    for what, known in _NAMES.items():
        there = [names[each] for each in known if each in names]
        if not there:
            message = f"{path} has no column {what!r} (one of {', '.join(known)})"
            raise DataFault("refcat.lacking", message, column=what, path=str(path))
        chosen[what] = there[0]
    chunks = list(found.chunks(dict.fromkeys(chosen.values(), "number")))
    x, y, flux = (np.concatenate([chunk[name] for chunk in chunks]) for name in chosen.values())
    x, y = (each - 1.0 if chosen[axis].lower() in _FROM_ONE else each for axis, each in (("x", x), ("y", y)))
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    table = Catalogue({"x": x[good], "y": y[good], "flux": flux[good]})
    whole = size or tuple(int(np.ceil(np.max(each[good], initial=0.0))) + 1 for each in (x, y))
    return table, (whole[0], whole[1])


def _image(path: Path, wanted: int | None) -> Image | None:
    """The image of a FITS file, the noise that of its sky; None where it has none, or is another kind of table."""
    data = fits.open_bytes(path)
    if not path.name.endswith(fits.SUFFIXES) and bytes(data[:9]) != b"SIMPLE  =":
        return None
    fits.layout(data, path)  # what is no FITS file, or ends too early, is told by name
    with astropy_fits.open(path) as hdus:
        for number, each in enumerate(hdus):
            if each.is_image and each.header.get("NAXIS") == 2 and wanted in (None, number):
                pixels = np.asarray(each.data, np.float32)
                break
        else:
            if wanted is not None:
                raise SetupFault("order.invalid", f"{path}: HDU {wanted} holds no image", path=str(path))
            return None
    good = np.isfinite(pixels)
    noise = robust_statistics(pixels[good]).sigma
    mask = np.where(good & (pixels < _RAW), 0, int(Mask.SATURATED)).astype(np.int32)
    return Image(np.where(good, pixels, np.float32(0)), np.full_like(pixels, noise**2), mask)


def _measured(image: Image) -> Catalogue:
    sky = background(BackgroundSettings(), image)["background"]
    segments = detect(DetectSettings(), image, sky)["segments"]
    where = Detector("image", 1, "", (0,), (), image.shape[1], image.shape[0])
    exposure = Exposure(0, "image", "", FrameType.OBJECT, "", 0.0, 0.0)
    found = measure(MeasureSettings(), image, sky, segments, exposure, where)["sources"]
    assert isinstance(found, Catalogue)  # noqa: S101 - its form
    return found
