"""Catalogues of objects as tiles give them: drawn sources of one sky, seen by tiles that overlap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from spica.core.columns import DEEP_COLUMNS, SOURCE_COLUMNS, Catalogue, Column
from spica.files.catalogues import write_catalogue

DECLARED = {
    each.name: each
    for each in (
        Column("object_id", "i8", "", "meta.id;meta.main", "identifier"),
        Column("own", "i4", "", "meta.code", "1 where this tile owns the place"),
        *(SOURCE_COLUMNS[name] for name in ("ra", "dec", "x", "y", "flags")),
        replace(SOURCE_COLUMNS["flux_aper"], size=3),
    )
}
SHARED = ("flux_psf", "mag_psf", "mag_psf_err", "exposures")


def drawn(n: int, seed: int = 1, centre: tuple[float, float] = (10.0, 20.0), width: float = 2.0) -> Catalogue:
    """Objects in a square about a centre [degree], which all are one tile's own."""
    rng = np.random.default_rng(seed)
    dec = centre[1] + rng.uniform(-width / 2, width / 2, n)
    ra = (centre[0] + rng.uniform(-width / 2, width / 2, n) / np.cos(np.radians(dec))) % 360
    columns: dict[str, np.ndarray] = {
        "object_id": rng.permutation(n).astype(np.int64) * 16 + (seed << 40),
        "own": np.ones(n, np.int32),
        "ra": ra,
        "dec": dec,
        "x": rng.uniform(0, 9000, n),
        "y": rng.uniform(0, 9000, n),
        "flags": rng.integers(0, 4, n, dtype=np.int32),
        "flux_aper": rng.lognormal(4, 1, (n, 3)),
    }
    return Catalogue(columns, {}, DECLARED)


def as_tile(path: Path, sky: Catalogue, tile: str, own: np.ndarray, bands: tuple[str, ...] = ("g", "r")) -> Path:
    """Write what a tile says of a sky: its own rows marked, columns of its bands filled."""
    rng = np.random.default_rng(len(sky))
    columns, declared = dict(sky.columns) | {"own": own.astype(np.int32)}, dict(DECLARED)
    for band in bands:
        for name in SHARED:
            column = DEEP_COLUMNS.get(name) or Column(name, "f8", "nJy", "phot.flux", "light")
            full = f"{name}_{band}"
            declared[full] = replace(column, name=full)
            columns[full] = rng.uniform(1, 25, len(sky)).astype(column.dtype)
    header = {"TILE": tile, "BANDS": " ".join(bands)}
    write_catalogue(path, Catalogue(columns, header, declared), {})
    return path


def two_tiles(folder: Path, n: int = 3000, centre: tuple[float, float] = (10.0, 20.0)) -> tuple[Catalogue, list[Path]]:
    """A sky and its catalogues by two tiles that overlap; the eastern one has a band more."""
    folder.mkdir(parents=True, exist_ok=True)
    sky = drawn(n, centre=centre)
    east = (sky["ra"] - centre[0] + 180.0) % 360.0 - 180.0
    parts = [
        as_tile(folder / f"{name}.parquet", sky.select(seen), name, own[seen], bands)
        for name, seen, own, bands in (
            ("t-west", east < 0.1, east < 0.0, ("g", "r")),
            ("t-east", east > -0.1, east >= 0.0, ("g", "r", "i")),
        )
    ]
    return sky, parts
