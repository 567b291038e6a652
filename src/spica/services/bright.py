"""Masks of bright stars: a circle about each star of a reference catalogue, as regions and as a map of coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.bright import LARGEST, Law
from spica.core.faults import SetupFault
from spica.files.hats.moc import Moc
from spica.files.hats.moc_files import write_moc
from spica.files.hats.regions import Cone
from spica.files.reference.catalogue import open_reference
from spica.files.regions import Circle, write_circles
from spica.services import releases
from spica.services.surveys import locate

Float64 = npt.NDArray[np.float64]

REGIONS = ".reg"
USUAL = Law()
ORDER = 15
"""Of the cells of a map: 6.4 arcsec."""


@dataclass(frozen=True)
class Masked:
    """What was made: the file, the stars, the area of their circles together [square degree]."""

    path: Path
    stars: int
    area: float


def mask(
    to: Path,
    reference: str,
    band: str,
    survey: Path | None,
    *,
    cones: Sequence[tuple[float, float, float]] = (),
    release: str = "",
    law: Law = USUAL,
    order: int = ORDER,
) -> Masked:
    """Write circles about the bright stars that reach into cones [degree], or about the tiles of a release.

    Parameters
    ----------
    to : ``.reg``: regions of DS9; ``.fits``, ``.json``, ``.txt``: a map of coverage.
    reference, band : the catalogue, and the band of its magnitudes.
    order : of the cells of the map; 15: 6.4 arcsec.

    Raises
    ------
    SetupFault
        ``order.nothing`` without a place, ``order.invalid``, ``refcat.unknown``, ``release.*``.
    DataFault
        ``refcat.damaged``.
    """
    places = [Cone(*each) for each in cones]
    if release:
        places += [
            Cone(each.ra, each.dec, math.hypot(each.nx, each.ny) / 2 * each.scale / 3600.0)
            for each in releases.tiles(release, survey)
        ]
    if not places:
        raise SetupFault("order.nothing", "stars about which place? name a cone, or a release with tiles")
    ra, dec, magnitude = _stars(reference, band, survey, places, law)
    radius = law.radii(magnitude)
    return write(to, (ra, dec, radius, magnitude), band, order)


def write(to: Path, stars: tuple[Float64, Float64, Float64, Float64], band: str, order: int = ORDER) -> Masked:
    """Write circles as the file's name asks: right ascension, declination, radius [degree], magnitude."""
    ra, dec, radius, magnitude = stars
    moc = Moc.of([], [])
    if ra.size:
        each = [Moc.of_cone(*place, order) for place in zip(ra.tolist(), dec.tolist(), radius.tolist(), strict=True)]
        moc = Moc.of(np.concatenate([one.first for one in each]), np.concatenate([one.end for one in each]))
    if to.suffix == REGIONS:
        rows = zip(ra.tolist(), dec.tolist(), radius.tolist(), magnitude.tolist(), strict=True)
        write_circles(to, [Circle(a, d, r, f"{band} = {m:.2f}") for a, d, r, m in rows])
    else:
        write_moc(to, moc)
    return Masked(to, int(ra.size), moc.area)


def _stars(
    reference: str, band: str, survey: Path | None, places: Sequence[Cone], law: Law
) -> tuple[Float64, Float64, Float64]:
    """Place [degree] and magnitude of each star whose circle reaches into a place, the brightest first."""
    catalogue = open_reference(locate(survey).references, reference)
    column = f"mag_{band}"
    if column not in catalogue.info.columns:
        there = ", ".join(catalogue.info.bands) or "none"
        message = f"{reference} has no magnitudes in {band!r}; it has {there}"
        raise SetupFault("order.invalid", message, band=band)
    names = ("source_id", "ra", "dec", column)
    met: dict[int, tuple[float, float, float]] = {}
    for place in places:
        found = catalogue.find(place.grown(LARGEST / 3600.0), names, f"{column} <= {law.faintest}")
        reach = law.radii(found[column].astype(np.float64))
        for number, each in enumerate(reach.tolist()):
            row = float(found["ra"][number]), float(found["dec"][number]), float(found[column][number])
            if place.grown(each).contains(np.array(row[:1]), np.array(row[1:2]))[0]:
                met[int(found["source_id"][number])] = row
    rows = np.array([row for _, row in sorted(met.items(), key=lambda item: (item[1][2], item[0]))]).reshape(-1, 3)
    return rows[:, 0], rows[:, 1], rows[:, 2]
