"""Objects: one row for each object of a tile, columns for each band."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spica.core.bright import within
from spica.core.columns import Catalogue, Column
from spica.core.extinction import reddened
from spica.core.faults import DataFault
from spica.core.records import Grain, Scalar, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.identity import identifiers

Values = npt.NDArray[Any]


class ObjectsSettings(Settings):
    """Which objects are the same."""

    radius: float = setting(0.4, "each other's nearest within it are one object in two releases", "arcsec", gt=0, le=10)


class Owner(Protocol):
    """A tile: its name, and which places are its own (`spica.core.tiles.Tile`)."""

    @property
    def name(self) -> str:
        """Of the tile."""

    def owns(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether places [degree] are its own."""


def objects(
    settings: ObjectsSettings,
    tile: Owner,
    detected: Catalogue,
    forced: tuple[Member, ...],
    previous: Catalogue | None,
    bright_stars: Catalogue | None,
    dust: Mapping[str, Any] | None,
) -> Products:
    """Put what each band says of the tile's sources side by side; say which of them are the tile's own.

    Returns
    -------
    objects : Catalogue in the order of `object_id`: places and shapes, and the columns of `forced` of each band with ``_band`` behind
        their names. `own` is 1 where no other tile of the release has the object; `bright_star` is 1 in the circle of a bright star. With a
        dust map `reddening`, E(B-V), and `extinction_BAND` of each band of which the coefficient is known.
    object_figures : metrics.

    Raises
    ------
    DataFault
        ``data.bad-value`` where a band measured other sources than were detected.
    """
    names = ("object_id", "ra", "dec")
    before = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    if previous is not None and len(previous):
        before = (
            previous[names[0]].astype(np.int64),
            previous["ra"].astype(np.float64),
            previous["dec"].astype(np.float64),
        )
    place = detected["ra"].astype(np.float64), detected["dec"].astype(np.float64)
    number, kept = identifiers(place, detected["snr_peak"].astype(np.float64), before, settings.radius)
    own = tile.owns(*place)
    columns: dict[str, Values] = {
        "object_id": number, "own": own, "kept": kept, "bright_star": _spoiled(place, bright_stars)
    }  # fmt: skip
    columns |= {name: detected[name] for name in detected.columns}
    declared = dict(_OWN) | {name: detected.declaration(name) for name in detected.columns}
    header: dict[str, Scalar] = {**detected.header, "TILE": tile.name}
    bands = []
    for member in forced:
        band, table = Unit.parse(member.unit).keys["band"], member.value
        if len(table) != len(detected):
            message = f"{len(table)} sources in {band}, {len(detected)} were detected"
            raise DataFault("data.bad-value", message, band=band)
        bands.append(band)
        for name in table.columns:
            each = table.declaration(name)
            full = f"{name}_{band}"
            columns[full] = table[name]
            declared[full] = replace(each, name=full, meaning=f"{each.meaning}; band {band}")
    header["BANDS"] = " ".join(bands)
    if dust is not None:
        added, kinds = reddened(dust, detected, bands)
        columns |= added
        declared |= kinds
    order = np.argsort(number, kind="stable")
    typed = {name: np.asarray(columns[name])[order].astype(each.dtype) for name, each in declared.items()}
    figures = {
        "objects": Measured(float(number.size)),
        "objects_own": Measured(float(np.count_nonzero(own))),
        "objects_kept": Measured(float(np.count_nonzero(kept))),
        "object_bands": Measured(float(len(bands))),
    }
    return {"objects": Catalogue(typed, header, declared), "object_figures": figures}


def _spoiled(place: tuple[Values, Values], stars: Catalogue | None) -> Values:
    """1 in the circle of a bright star, 0 elsewhere; -1 where nobody knows of stars."""
    if stars is None or not stars.header.get("STARBAND"):
        return np.full(place[0].size, -1)
    circles = tuple(np.asarray(stars[name], np.float64) for name in ("ra", "dec", "radius"))
    return within(*place, (circles[0], circles[1], circles[2] / 3600.0)).astype(np.int32)


_OWN = {
    column.name: column
    for column in (
        Column(
            "object_id", "i8", "", "meta.id;meta.main", "the same from release to release where the object is the same"
        ),
        Column("own", "i4", "", "meta.code", "1 where this tile, of those that overlap, owns the place"),
        Column("kept", "i4", "", "meta.code", "1 where the release before has the object"),
        Column(
            "bright_star", "i4", "", "meta.code", "1 in the circle of a bright star, 0 elsewhere, -1 where not known"
        ),
    )
}

TASK = Task(
    name="objects",
    version=2,
    grain=Grain.TILE,
    settings=ObjectsSettings,
    needs=(
        Need("tile", source="tile"),
        Need("detected"),
        Need("forced", grain=Grain.TILE_BAND, quorum=1),
        Need("previous", source="previous", optional=True),
        Need("bright_stars", optional=True),
        Need("dust", source="dust", optional=True),
    ),
    gives=(
        Give("objects", Form.CATALOGUE, meaning="the objects of a tile, all bands side by side"),
        Give("object_figures", Form.METRICS, meaning="how many objects a tile has, and owns"),
    ),
    run=objects,
)
