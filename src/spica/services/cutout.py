"""Cut-outs: the same place in every image that covers it, by sky position, by source or by pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, SetupFault
from spica.core.images import Image
from spica.core.jobs import ProductRecord
from spica.core.keys import DETECTOR_BITS, SOURCE_BITS
from spica.core.mask import Mask
from spica.core.outline import apart
from spica.core.records import Detector, Grain, Scalar, Unit
from spica.files.catalogues import read_catalogue
from spica.files.images import FileRows, open_rows, read_identity, write_image
from spica.files.pictures import write_png
from spica.kernels.wcs import pixel_to_sky, sky_to_pixel
from spica.kernels.wcs_cards import from_cards
from spica.registry.store import Registry
from spica.services import sky
from spica.services.products import latest
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import Opened, opened
from spica.services.units import detector_of, known_unit, quoted

SOURCES = "sources"
LARGEST = 4096
WIDEST = 20.0
"""No detector lies so far from the boresight [degree]."""
_CHUNK = 500
_ZOOMED = 256
"""Pictures of smaller cut-outs are drawn with larger pixels, up to about this size."""


@dataclass(frozen=True)
class Place:
    """What is to be cut out: `ra`, `dec` [degree, ICRS], a `source` (its identifier), or `pixel` (x, y, from 0) of `unit`."""

    ra: float | None = None
    dec: float | None = None
    source: int | None = None
    unit: str = ""
    pixel: tuple[float, float] | None = None


@dataclass(frozen=True)
class Cut:
    """One cut-out: of which detector, its centre there [pixel, from 0], the fraction of it on the detector, its files."""

    unit: str
    x: float
    y: float
    inside: float
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Cuts:
    """All cut-outs of a place; `ra`, `dec` are None where only a pixel was named and there is no sky solution."""

    ra: float | None
    dec: float | None
    cuts: tuple[Cut, ...]


def cutout(
    to: Path,
    folder: Path | None,
    place: Place,
    *,
    size: int = 64,
    where: str = "",
    kind: str = "science",
    picture: bool = False,
    watcher: Watcher = unwatched,
) -> Cuts:
    """Write cut-outs of `size` × `size` pixels into a folder: FITS with all planes, and PNG where asked for.

    Only the rows that are needed are read and decoded. Pixels beyond the detector are NaN, and NO_DATA in the mask; the
    sky solution is moved with the cut.

    Parameters
    ----------
    place : a sky position or a source: every image that covers it; a pixel of a unit: that image alone.
    where : of these exposures only.
    kind : name of the image product.

    Raises
    ------
    SetupFault
        ``order.invalid`` for a place that cannot be, ``order.nothing`` where no image covers it, ``order.unknown-unit``,
        ``where.invalid``.
    DataFault
        ``file.*``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    _sensible(place, size)
    with opened(folder) as house:
        ra, dec, found = _found(house, place, where, kind)
        root = house.survey.root
        solutions = {product.unit: sky.cards_of(house.registry, product.unit) for product, _, _ in found}
    if not found:
        where_to = f"pixel {place.pixel} of {place.unit}" if place.pixel else f"RA {ra:.6f}, Dec {dec:+.6f}"
        chosen = f" where {where}" if where else ""
        advice = "'spica status' shows what is reduced; a position is given in degrees, ICRS"
        raise SetupFault("order.nothing", f"no image {kind!r}{chosen} covers {where_to}", advice=advice)
    cuts = []
    for number, (product, x, y) in enumerate(found, start=1):
        cuts.append(_cut(root / product.path, product.unit, (x, y), size, to, solutions[product.unit], picture=picture))
        watcher(Step("cutout", number, len(found), str(product.unit)))
    return Cuts(ra, dec, tuple(cuts))


def _sensible(place: Place, size: int) -> None:
    given = [place.ra is not None, place.source is not None, place.pixel is not None]
    if sum(given) != 1 or (place.ra is None) != (place.dec is None) or (place.pixel is None) != (not place.unit):
        raise SetupFault("order.invalid", "name one place: RA and Dec, --source, or --unit with --pixel")
    if place.ra is not None and place.dec is not None and not (0 <= place.ra < 360 and -90 <= place.dec <= 90):
        message = f"RA {place.ra}, Dec {place.dec} is not on the sky: RA from 0 to 360, Dec from -90 to 90 degrees"
        raise SetupFault("order.invalid", message, ra=place.ra, dec=place.dec)
    if not 1 <= size <= LARGEST:
        raise SetupFault("order.invalid", f"a cut-out has 1 to {LARGEST} pixels a side, not {size}", size=size)


_Found = list[tuple[ProductRecord, float, float]]


def _found(house: Opened, place: Place, where: str, kind: str) -> tuple[float | None, float | None, _Found]:
    """The position, and the products that cover it with the pixel that it falls on."""
    registry = house.registry
    if place.pixel is not None:
        unit = known_unit(registry, place.unit)
        return _of_pixel(registry, unit, place.pixel, kind)
    ra, dec = place.ra, place.dec
    if place.source is not None:
        unit, ra, dec, pixel = _of_source(house, place.source)
        if not np.isfinite(ra + dec):
            return _of_pixel(registry, unit, pixel, kind)
    if ra is None or dec is None:
        raise SetupFault("order.invalid", "a position has a right ascension and a declination")
    return ra, dec, list(_covering(registry, ra, dec, where, kind))


def _of_pixel(
    registry: Registry, unit: Unit, pixel: tuple[float, float], kind: str
) -> tuple[float | None, float | None, _Found]:
    if unit.grain is not Grain.DETECTOR:
        raise SetupFault("order.invalid", f"{unit} is no detector: a pixel is one of EXPOSURE/DETECTOR", unit=str(unit))
    pair = detector_of(unit)
    detector = registry.detectors([pair])[pair]
    if not _on(detector, *pixel):
        message = f"pixel {pixel} is not on {unit}, which has {detector.nx} × {detector.ny}"
        raise SetupFault("order.invalid", message, unit=str(unit))
    product = latest(registry, str(unit), "").get((unit, kind))
    try:
        ra, dec = (float(each) for each in pixel_to_sky(from_cards(sky.plate_of(registry, detector)), *pixel))
    except ValueError:
        return None, None, [] if product is None else [(product, *pixel)]
    return ra, dec, [] if product is None else [(product, *pixel)]


def _of_source(house: Opened, source: int) -> tuple[Unit, float, float, tuple[float, float]]:
    """Detector, sky position and pixel of a source, from the newest catalogue of its detector."""
    number, detector = source >> (DETECTOR_BITS + SOURCE_BITS), (source >> SOURCE_BITS) & ((1 << DETECTOR_BITS) - 1)
    names = [exposure.name for exposure in house.registry.exposures() if exposure.id == number] if source >= 0 else []
    if names:
        unit = Unit(Grain.DETECTOR, (names[0], str(detector)))
        listed = house.registry.catalogues(f"exposure = '{quoted(names[0])}' and detector = {detector}", SOURCES)
        for each in listed:
            path = house.survey.root / each.path
            rows = read_catalogue(path, ("ra", "dec", "x", "y"), f"source_id = {source}")
            if len(rows):
                ra, dec, x, y = (float(rows[name][0]) for name in ("ra", "dec", "x", "y"))
                return unit, ra, dec, (x, y)
    raise SetupFault("order.nothing", f"no catalogue of this survey holds the source {source}", source=source)


def _covering(
    registry: Registry, ra: float, dec: float, where: str, kind: str
) -> Iterator[tuple[ProductRecord, float, float]]:
    held = {outline.unit.values[0] for outline in registry.covering(ra, dec)}
    near = {
        exposure.name
        for exposure in registry.exposures(where)
        if exposure.name in held
        or (exposure.ra is not None and exposure.dec is not None and apart(ra, dec, exposure.ra, exposure.dec) < WIDEST)
    }
    pairs = [(row.exposure, row.detector) for row in registry.detector_rows(where) if row.exposure in near]
    for first in range(0, len(pairs), _CHUNK):
        records = registry.detectors(pairs[first : first + _CHUNK])
        outlines = registry.outlines(record.unit for record in records.values())
        for pair in pairs[first : first + _CHUNK]:
            unit = records[pair].unit
            outline = outlines.get(unit)
            if outline is not None and apart(ra, dec, *outline.middle) > outline.radius:
                continue
            cards = records[pair].wcs if outline is None else sky.plate_of(registry, records[pair])
            pixel = _pixel_of(records[pair], cards, ra, dec)
            if pixel is None:
                continue
            products = [
                each for each in registry.products_of(unit) if each.name == kind and each.path and not each.scratch
            ]
            if products:
                yield products[-1], *pixel


def _pixel_of(detector: Detector, cards: Mapping[str, Scalar], ra: float, dec: float) -> tuple[float, float] | None:
    """The pixel of a detector that a position falls on; None where it is elsewhere, or the sky there is unknown."""
    try:
        wcs = from_cards(cards)
    except ValueError:
        return None
    x = np.array([(detector.nx - 1) / 2, 0.0, detector.nx - 1])
    y = np.array([(detector.ny - 1) / 2, 0.0, detector.ny - 1])
    there = pixel_to_sky(wcs, x, y)
    reach = max(apart(*(float(each[0]) for each in there), *(float(each[n]) for each in there)) for n in (1, 2))
    if apart(ra, dec, float(there[0][0]), float(there[1][0])) > 1.5 * reach:
        return None
    px, py = (float(each) for each in sky_to_pixel(wcs, ra, dec))
    return (px, py) if _on(detector, px, py) else None


def _on(detector: Detector, x: float, y: float) -> bool:
    return bool(-0.5 <= x < detector.nx - 0.5 and -0.5 <= y < detector.ny - 0.5)


def _cut(
    path: Path,
    unit: Unit,
    centre: tuple[float, float],
    size: int,
    to: Path,
    cards: Mapping[str, Scalar],
    *,
    picture: bool,
) -> Cut:
    rows = open_rows(path)
    x0, y0 = (int(np.floor(each + 0.5)) - size // 2 for each in centre)
    image, inside = window(rows, x0, y0, size, cards)
    stem = f"{'_'.join(unit.values)}_x{x0}_y{y0}_{size}"
    made = [to / f"{stem}.fits"]
    write_image(made[0], image, read_identity(path), lossless=True)
    if picture:
        made.append(to / f"{stem}.png")
        write_png(made[1], drawn(image))
    return Cut(str(unit), centre[0], centre[1], inside, tuple(map(str, made)))


def window(
    rows: FileRows, x0: int, y0: int, size: int, cards: Mapping[str, Scalar] | None = None
) -> tuple[Image, float]:
    """The pixels from (x0, y0) on, `size` a side, with the header of their place; and the fraction that is there.

    `cards` are those of a better sky solution than the header's.
    """
    ny, nx = rows.shape
    left, right, low, high = max(x0, 0), min(x0 + size, nx), max(y0, 0), min(y0 + size, ny)
    if left >= right or low >= high:
        raise DataFault("data.no-pixels", f"a cut-out from {x0}, {y0} lies outside of {nx} × {ny} pixels", x=x0, y=y0)
    into = np.s_[low - y0 : high - y0, left - x0 : right - x0]

    def plane(name: str, kind: type[np.generic], fill: float) -> npt.NDArray[np.generic] | None:
        if name not in rows.planes:
            return None
        made: npt.NDArray[np.generic] = np.full((size, size), fill, kind)
        made[into] = rows.read(low, high, name)[:, left:right]
        return made

    header: dict[str, Scalar] = sky.overlaid(rows.header, cards or {}) | {"CUTX": x0, "CUTY": y0}
    for axis, start in (("CRPIX1", x0), ("CRPIX2", y0)):
        value = header.get(axis)
        if isinstance(value, int | float):
            header[axis] = value - start
    image = Image(
        plane("science", np.float32, np.nan),  # type: ignore[arg-type]  # every image has it
        plane("variance", np.float32, np.inf),  # type: ignore[arg-type]
        plane("mask", np.int32, int(Mask.NO_DATA)),  # type: ignore[arg-type]
        header,
    )
    return image, (right - left) * (high - low) / size**2


def drawn(image: Image) -> npt.NDArray[np.uint8]:
    """A picture in an asinh scale about the median, black at -2 and white at 100 times the scatter."""
    finite = image.pixels[np.isfinite(image.pixels)]
    middle = float(np.median(finite)) if finite.size else 0.0
    scatter = 1.4826 * float(np.median(np.abs(finite - middle))) if finite.size else 1.0
    stretched = np.arcsinh((image.pixels - middle) / (3 * (scatter or 1.0)))
    low, high = np.arcsinh([-2 / 3, 100 / 3])
    grey = np.nan_to_num(np.clip((stretched - low) / (high - low), 0, 1))
    zoom = max(1, _ZOOMED // len(grey))
    return np.kron((grey * 255).round().astype(np.uint8), np.ones((zoom, zoom), np.uint8))
