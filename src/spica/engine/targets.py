"""From rows of detectors to the units of a chain: one each, one an exposure, one a calibration block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spica.core.records import FrameType, Grain, Unit
from spica.core.tiles import Tile
from spica.registry.rows import DetectorRow

PLAIN_MODES = frozenset({"", "normal"})
"""What cameras say that have one read-out mode only: blocks of theirs are called by the night alone."""
PLAIN_FLATS = frozenset({"", "dome"})
"""Kinds of flat whose blocks are called so too; twilight flats are told apart, and never meet dome flats in a master."""

NO_BAND = "none"
"""Stands for the band of frames without any in the names of units."""

GROUPED = ("night", "band", "field")
"""What the exposures of a group may have in common, in the order in which their names tell it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A unit to work on, with the rows that it stands for, in key order (exposure's time, name, detector).

    `block` is the night, the calibration block or the tile; it names the folder of the products. `tile` is that of
    units of tiles.
    """

    unit: Unit
    rows: tuple[DetectorRow, ...]
    block: str
    tile: Tile | None = None

    @property
    def head(self) -> DetectorRow:
        """The first row: facts that all rows share (camera, band, binning, read-out mode; at detector grain all)."""
        return self.rows[0]

    @property
    def mjd(self) -> float:
        """Mean time of the rows, MJD TAI."""
        return self.rows[0].mjd if len(self.rows) == 1 else sum(row.mjd for row in self.rows) / len(self.rows)


def in_key_order(rows: Iterable[DetectorRow]) -> list[DetectorRow]:
    """Rows sorted by time, exposure and detector: the same order on every database."""
    return sorted(rows, key=lambda row: (row.mjd, row.exposure, row.detector))


def targets(
    grain: Grain, rows: Sequence[DetectorRow], nights: int = 1, common: Sequence[str] = ("night", "band")
) -> list[Target]:
    """The units that rows (in key order) make at a grain.

    Calibration blocks span `nights` nights; the exposures of a group have a camera and what `common` says in common.
    """
    if grain is Grain.DETECTOR:
        return [Target(Unit(grain, (row.exposure, str(row.detector))), (row,), row.night) for row in rows]
    groups: dict[tuple[str, ...], list[DetectorRow]] = {}
    if grain is Grain.EXPOSURE:
        for row in rows:
            groups.setdefault((row.exposure,), []).append(row)
        return [Target(Unit(grain, values), tuple(group), group[0].night) for values, group in groups.items()]
    if grain is Grain.GROUP:
        for row in rows:
            groups.setdefault((group_of(row, common),), []).append(row)
        night = "night" in common
        return [
            Target(Unit(grain, values), tuple(groups[values]), groups[values][0].night if night else "")
            for values in sorted(groups)
        ]
    for row in rows:
        values = (row.camera, str(row.detector), row.band, block_of(row, nights))
        groups.setdefault(values, []).append(row)
    return [
        Target(Unit(grain, values), tuple(groups[values]), values[-1]) for values in sorted(groups, key=_block_order)
    ]


def tile_targets(
    grain: Grain, tiles: Mapping[str, Tile], rows: Mapping[tuple[str, str], Sequence[DetectorRow]]
) -> list[Target]:
    """The units of tiles, by tile or by tile and band, that rows by both make."""
    groups: dict[tuple[str, ...], dict[DetectorRow, None]] = {}
    for (tile, band), members in rows.items():
        values = (tile, band or NO_BAND) if grain is Grain.TILE_BAND else (tile,)
        groups.setdefault(values, {}).update(dict.fromkeys(members))
    return [
        Target(Unit(grain, values), tuple(in_key_order(groups[values])), values[0], tiles[values[0]])
        for values in sorted(groups)
        if groups[values]
    ]


def group_of(row: DetectorRow, common: Sequence[str]) -> str:
    """Name of the joint solution that a row is part of: ``decam~2026-11-20~r``."""
    values = [row.camera, *(str(getattr(row, name)) for name in GROUPED if name in common)]
    return "~".join(value.replace("/", "-").replace("~", "-") or "none" for value in values)


def _block_order(values: tuple[str, ...]) -> tuple[str, str, str, int]:
    camera, detector, band, block = values
    return block, camera, band, int(detector)


def block_of(row: DetectorRow, nights: int) -> str:
    """Calibration block of a frame: its night, or the span of nights that holds it; binning, mode, kind where not plain.

    Frames of another binning, read-out mode or kind of flat are no part of the same master: ``2026-11-20~2x2~fast``,
    ``2026-11-20~twilight``.
    """
    block = row.night if nights == 1 else f"{int(row.mjd) // nights * nights}+{nights}"
    if row.binning != (1, 1):
        block += f"~{row.binning[0]}x{row.binning[1]}"
    if row.readout_mode not in PLAIN_MODES:
        block += f"~{row.readout_mode.replace('/', '-')}"
    return block if kind_of_flat(row) in PLAIN_FLATS else f"{block}~{kind_of_flat(row)}"


def kind_of_flat(row: DetectorRow) -> str:
    """Kind of a flat ('dome', 'twilight'), '' for all other frames."""
    return row.flat_kind if row.frame_type is FrameType.FLAT else ""
