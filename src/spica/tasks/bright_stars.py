"""Bright stars: circles on a tile about the stars of a reference catalogue, in which light of objects is not to be trusted."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from spica.core.bright import LARGEST, TERMS, Law
from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.core.tiles import vectors

Floats = npt.NDArray[np.float64]
ARCSEC = 3600.0
_USUAL = "G"


class BrightStarsSettings(Settings):
    """Which stars, and how large their circles are."""

    band: str = setting("", "band of the catalogue's magnitudes; G where left out, or what most of its stars have")
    faintest: float = setting(16.0, "magnitude of the last star that gets a circle", "mag")
    terms: tuple[tuple[float, float, float], ...] = setting(
        TERMS, "radius [arcsec], slope [dex/mag] and magnitude of each exponential of the radius's law"
    )
    reach: float = setting(LARGEST / ARCSEC, "stars so far beyond the exposures are looked at", "degree", ge=0, le=5)


class Place(Protocol):
    """A tile: the vertices around its pixels (`spica.core.tiles.Tile`)."""

    @property
    def outline(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Right ascensions and declinations [degree]."""


def bright_stars(settings: BrightStarsSettings, tile: Place, reference: Catalogue | None) -> Products:
    """A circle about each bright star that reaches the tile, larger for brighter ones; see `spica.core.bright.Law`.

    Returns
    -------
    bright_stars : Catalogue, the brightest first: place at the exposures' time [degree], magnitude, radius [arcsec]. Its card STARBAND is blank where no
        reference catalogue tells of stars.
    bright_star_figures : metrics: how many circles there are.

    Raises
    ------
    DataFault
        ``data.bad-value`` where the catalogue has no magnitudes in the band.
    """
    law = Law(settings.faintest, settings.terms)
    band = "" if reference is None else _band(settings.band, reference)
    ra, dec, magnitude = (np.zeros(0),) * 3
    if reference is not None and band:
        ra, dec, magnitude = (np.asarray(reference[name], np.float64) for name in ("ra", "dec", f"mag_{band}"))
    radius = law.radii(magnitude)
    with np.errstate(invalid="ignore"):
        near = (magnitude <= law.faintest) & _reaches(tile, ra, dec, radius)
    rows = np.flatnonzero(near)[np.argsort(magnitude[near], kind="stable")]
    header: dict[str, Scalar] = {"STARBAND": band}
    columns = {"ra": ra[rows], "dec": dec[rows], "mag": magnitude[rows], "radius": ARCSEC * radius[rows]}
    typed = {name: values.astype(DECLARED[name].dtype) for name, values in columns.items()}
    figures = {"bright_stars": Measured(float(rows.size))}
    return {"bright_stars": Catalogue(typed, header, DECLARED), "bright_star_figures": figures}


def _band(wanted: str, reference: Catalogue) -> str:
    """The band of magnitudes that decides; '' where the catalogue has none at all."""
    there = {name[4:]: int(np.isfinite(reference[name]).sum()) for name in reference.columns if _magnitude(name)}
    if wanted and wanted not in there:
        message = f"the reference catalogue has no magnitudes in {wanted!r}; it has {', '.join(there) or 'none'}"
        raise DataFault("data.bad-value", message, band=wanted)
    return wanted or (_USUAL if _USUAL in there else max(there, key=lambda name: there[name], default=""))


def _magnitude(name: str) -> bool:
    return name.startswith("mag_") and not name.endswith("_err")


def _reaches(tile: Place, ra: Floats, dec: Floats, radius: Floats) -> npt.NDArray[np.bool_]:
    """Whether circles touch the one about the tile."""
    corners = vectors(*tile.outline)
    middle = corners.mean(axis=0) / np.linalg.norm(corners.mean(axis=0))
    wide = np.arccos(np.clip((corners @ middle).min(), -1.0, 1.0))
    away = np.arccos(np.clip(vectors(ra, dec) @ middle, -1.0, 1.0))
    return np.asarray(away <= wide + np.radians(radius))


DECLARED = {
    column.name: column
    for column in (
        Column("ra", "f8", "deg", "pos.eq.ra;meta.main", "right ascension of the star"),
        Column("dec", "f8", "deg", "pos.eq.dec;meta.main", "declination of the star"),
        Column("mag", "f4", "mag", "phot.mag", "magnitude in the band that STARBAND names"),
        Column("radius", "f4", "arcsec", "phys.angSize", "radius of the circle about it"),
    )
}

TASK = Task(
    name="bright_stars",
    version=1,
    grain=Grain.TILE,
    settings=BrightStarsSettings,
    needs=(
        Need("tile", source="tile"),
        Need("reference", source="reference", margin="reach", columns=("ra", "dec", "mag_*"), optional=True),
    ),
    gives=(
        Give("bright_stars", Form.CATALOGUE, meaning="bright stars about a tile, and the circles that they spoil"),
        Give("bright_star_figures", Form.METRICS, meaning="how many bright stars a tile has"),
    ),
    run=bright_stars,
)
