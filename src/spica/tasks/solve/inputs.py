"""What a joint solution starts from: plain arrays out of records and catalogues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue, Flag
from spica.core.faults import DataFault
from spica.core.records import Exposure, Scalar, Unit
from spica.core.reference import ReferenceFlag
from spica.core.solution import Standing
from spica.core.streams import Table
from spica.core.task import Member
from spica.kernels.associate import unit_vectors
from spica.kernels.focal_model import Mosaic
from spica.kernels.joint import Identified, Images, Lists
from spica.kernels.joint_motion import Moving
from spica.kernels.joint_refraction import Air
from spica.kernels.joint_report import star_of
from spica.kernels.refraction import index, zenith_of
from spica.kernels.wcs import TangentWcs
from spica.kernels.wcs_cards import from_cards
from spica.kernels.wcs_rows import from_columns
from spica.tasks.solve.settings import SolveSettings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Values = npt.NDArray[Any]
_COMPACT = {"x": "f8", "y": "f8", "source_id": "i8", "err": "f4", "flux": "f4", "error": "f4", "snr": "f4"}
"""What is held of each detection: errors and fluxes need no more digits than they have."""

_WAVELENGTH = 600.0
"""Taken for a band whose wavelength the camera's table does not tell [nm]."""
_STILL = 0.01
"""Motions below this do not matter [mas]."""
SPOILT = Flag.SATURATED | Flag.TRUNCATED | Flag.CENTROID_FAILED | Flag.POSITION_UNSURE | Flag.BAD_PIXELS
DOUBTFUL = ReferenceFlag.DUPLICATED | ReferenceFlag.EXTENDED | ReferenceFlag.POOR_POSITION


@dataclass(frozen=True)
class Stars:
    """The reference: unit vectors, errors per coordinate [mas], colours, identifiers.

    `motion` [mas/yr], east + i north, NaN where not known; `parallax` [mas], `epoch` [yr], 0 where not known.
    """

    direction: Floats
    error: Floats
    colour: Floats
    source_id: Integers
    without_error: int
    motion: npt.NDArray[np.complex128]
    parallax: Floats
    epoch: Floats


@dataclass(frozen=True)
class Inputs:
    """All that goes into a solution, in the order of exposures and detectors.

    Attributes
    ----------
    exposures : their records.
    detector : (m,) number of each image's detector.
    images, lists : as the kernels take them.
    flux, flux_err : (n,) electrons per second.
    source_id : (n,)
    """

    exposures: tuple[Exposure, ...]
    detector: Integers
    images: Images
    lists: Lists
    flux: Values
    flux_err: Values
    source_id: Integers
    stars: Stars

    def placed(self) -> Inputs:
        """The same without the lists: once it is known which source each detection is of, they are not looked at again."""
        nothing = np.zeros(0)
        return replace(self, lists=Lists(np.zeros(0, np.int32), nothing, nothing, nothing, nothing))


def gather(
    settings: SolveSettings,
    exposures: Sequence[Exposure],
    wcs: Mapping[str, Mapping[str, Scalar]],
    sources: Sequence[Member],
    pointing: Sequence[Member] | None,
    reference: Catalogue,
) -> Inputs:
    """Put the inputs in order: exposures by time and name, so that the order of the members does not matter."""
    records = {record.name: record for record in exposures}
    names = sorted(records, key=lambda name: (records[name].mjd, name))
    catalogues = {_key(member): member.value for member in sources}
    place = {name: at for at, name in enumerate(names)}
    keys = sorted((key for key in catalogues if key[0] in place), key=lambda key: (place[key[0]], key[1]))
    if not keys:
        raise DataFault(
            "solve.no-sources", "no catalogue belongs to a detector of the group", catalogues=len(catalogues)
        )
    better = _better(pointing or ())
    solutions = [
        better.get((name, number)) or better.get((records[name].id, number)) or _header(f"{name}/{number}", wcs)
        for name, number in keys
    ]
    headers = [_told(wcs[f"{name}/{number}"], known) for (name, number), known in zip(keys, solutions, strict=True)]
    place = {name: at for at, name in enumerate(dict.fromkeys(name for name, _ in keys))}
    kinds = sorted({(_context(records[name]), number) for name, number in keys})
    contexts = sorted({context for context, _ in kinds})
    images = Images(
        np.array([place[name] for name, _ in keys]),
        np.array([kinds.index((_context(records[name]), number)) for name, number in keys]),
        np.array([_size(wcs[f"{name}/{number}"]) for name, number in keys], np.float64),
        np.array([contexts.index(context) for context, _ in kinds]),
        solutions,
        headers if better else (),
    )
    lists, light, number = _lists(settings, [catalogues[key] for key in keys])
    seconds = np.array([max(records[name].exposure_time, 1e-3) for name in place], np.float32)
    seconds = seconds[images.exposure]
    flux, flux_err = (values / seconds[lists.image] for values in light)
    return Inputs(
        *(tuple(records[name] for name in place), np.array([number for _, number in keys]), images, lists),
        *(flux, flux_err, number, _stars(settings, reference)),
    )


def moving(inputs: Inputs) -> Moving | None:
    """Motions of the reference stars; None where none is known, or all exposures are of one time."""
    stars = inputs.stars
    year = np.array([2000.0 + (record.mjd - 51544.5) / 365.25 for record in inputs.exposures])
    if not np.any(np.isfinite(stars.motion)):
        return None
    # A catalogue that does not tell its epoch has been brought to the time of the group.
    epoch = np.where(stars.epoch > 0.0, stars.epoch, year.mean())
    found = Moving(stars.direction, stars.motion, stars.parallax, epoch, year)
    return found if np.max(found.largest) > _STILL else None


def air(settings: SolveSettings, inputs: Inputs, mosaic: Mosaic, found: Identified, site: Mapping[str, Any]) -> Air:
    """Zeniths, refractivities, colours: what refraction needs to know."""
    mjd = np.array([record.mjd + 0.5 * record.exposure_time / 86400.0 for record in inputs.exposures])
    zenith = zenith_of(mjd, float(site["longitude"]), float(site["latitude"]))
    bands = [""] * (int(mosaic.context.max()) + 1)
    for exposure, sensor in zip(mosaic.exposure, mosaic.sensor, strict=True):
        bands[mosaic.context[sensor]] = inputs.exposures[exposure].band
    waves = [float(site["wavelengths"].get(band) or 0.0) or _WAVELENGTH for band in bands]
    refractivity = np.array([index(wave, float(site["height"])) for wave in waves])
    colour = None
    if settings.colour is not None:
        star = star_of(found.seen, found.known)
        hue = inputs.stars.colour[found.stars]
        hue = hue - np.nanmedian(hue) if np.any(np.isfinite(hue)) else hue
        colour = np.where(star >= 0, np.nan_to_num(hue)[star], 0.0).astype(np.float32)
    return Air(zenith, refractivity, colour)


def _key(member: Member) -> tuple[str, int]:
    keys = Unit.parse(member.unit).keys
    return keys["exposure"], int(keys["detector"])


def _context(record: Exposure) -> tuple[str, str, str]:
    return record.camera, record.run, record.filter or record.band


def _better(pointing: Sequence[Member]) -> dict[tuple[str | int, int], TangentWcs]:
    """Solutions that an earlier step found: cards by detector, or the rows of a former joint solution."""
    found: dict[tuple[str | int, int], TangentWcs] = {}
    for member in pointing:
        if isinstance(member.value, Catalogue):
            rows = member.value
            for row in np.flatnonzero(rows["standing"] == Standing.SOLVED):
                key = int(rows["exposure_id"][row]), int(rows["detector"][row])
                found[key] = from_columns(rows.columns, int(row))
            continue
        name = Unit.parse(member.unit).keys["exposure"]
        for number, told in member.value["detectors"].items():
            if told["cards"]:
                found[name, int(number)] = from_cards(told["cards"])
    return found


def _header(unit: str, wcs: Mapping[str, Mapping[str, Scalar]]) -> TangentWcs:
    try:
        return from_cards(wcs[unit])
    except ValueError as error:
        message = f"{unit} has neither a pointing nor a sky solution in its header: {error}"
        raise DataFault("solve.no-header", message, unit=unit) from error


def _told(cards: Mapping[str, Scalar], known: TangentWcs) -> TangentWcs:
    """What the header tells of the sky; what is known where it tells nothing."""
    try:
        return from_cards(cards)
    except ValueError:
        return known


def _size(cards: Mapping[str, Scalar]) -> tuple[float, float]:
    return float(cards["NAXIS1"] or 0), float(cards["NAXIS2"] or 0)


def _lists(
    settings: SolveSettings, catalogues: Sequence[Catalogue | Table]
) -> tuple[Lists, tuple[Values, Values], Integers]:
    """Clean detections of all images with finite errors: lists, fluxes with errors [electron], identifiers.

    A table is read when its turn comes: what is not used of a catalogue is never held.
    """
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _COMPACT}
    sizes = []
    for each in catalogues:
        catalogue = each if isinstance(each, Catalogue) else each.read()
        spread = np.sqrt(0.5 * (catalogue["x_err"].astype(float) ** 2 + catalogue["y_err"].astype(float) ** 2))
        flux, error = catalogue["flux_auto"].astype(float), catalogue["flux_auto_err"].astype(float)
        ratio = np.where(error > 0.0, flux / np.where(error > 0.0, error, 1.0), 0.0)
        rows = (catalogue["flags"].astype(np.int64) & int(SPOILT)) == 0
        rows &= np.isfinite(spread) & (spread > 0.0) & np.isfinite(catalogue["x"]) & np.isfinite(catalogue["y"])
        rows &= np.isfinite(ratio) & (ratio >= settings.least_snr)
        sizes.append(int(np.count_nonzero(rows)))
        given = {name: catalogue[name] for name in ("x", "y", "source_id")}
        given |= {"err": spread, "flux": flux, "error": error, "snr": ratio}
        for name, values in given.items():
            columns[name].append(values[rows].astype(_COMPACT[name]))
    if sum(sizes) == 0:
        raise DataFault(
            "solve.no-sources", "no catalogue has a clean source of enough signal", catalogues=len(catalogues)
        )
    # Column by column: the parts of one go before the next is joined.
    joined = {name: np.concatenate(columns.pop(name)) for name in _COMPACT}
    image = np.repeat(np.arange(len(catalogues), dtype=np.int32), sizes)
    lists = Lists(image, *(joined[name] for name in ("x", "y", "err", "snr")))
    return lists, (joined["flux"], joined["error"]), joined["source_id"]


def _stars(settings: SolveSettings, reference: Catalogue) -> Stars:
    """Reference stars with finite, undoubted positions."""
    ra, dec = reference["ra"].astype(float), reference["dec"].astype(float)
    rows = np.isfinite(ra) & np.isfinite(dec)
    if "flags" in reference.columns:
        rows &= (reference["flags"].astype(np.int64) & DOUBTFUL) == 0
    if not np.any(rows):
        raise DataFault("solve.no-reference", "the reference catalogue has no star here", rows=len(reference))
    errors = [_column(reference, name, rows) for name in ("ra_err", "dec_err")]
    spread = np.sqrt(0.5 * (errors[0] ** 2 + errors[1] ** 2))
    known = np.isfinite(spread) & (spread > 0.0)
    colour = np.zeros(int(rows.sum()))
    if settings.colour is not None:
        colour = _column(reference, settings.colour[0], rows) - _column(reference, settings.colour[1], rows)
    number = reference["source_id"][rows] if "source_id" in reference.columns else np.flatnonzero(rows)
    motion = _column(reference, "pmra", rows) + 1j * _column(reference, "pmdec", rows)
    parallax, epoch = (np.nan_to_num(_column(reference, name, rows)) for name in ("parallax", "epoch"))
    return Stars(
        unit_vectors(ra[rows], dec[rows]),
        np.where(known, spread, settings.reference_error),
        colour,
        number.astype(np.int64),
        int(np.count_nonzero(~known)),
        motion,
        parallax,
        epoch,
    )


def _column(reference: Catalogue, name: str, rows: npt.NDArray[np.bool_]) -> Floats:
    """Values of a column; NaN where the catalogue lacks it."""
    if name not in reference.columns:
        return np.full(int(rows.sum()), np.nan)
    return np.asarray(reference[name][rows], np.float64)
