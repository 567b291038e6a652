"""Which detectors of which exposures are stacked on which tile, and which rule refuses each of the others."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from spica.core.faults import SetupFault
from spica.core.records import ExposureState, FrameType, Grain, Unit
from spica.core.release import ChooseTable, Release, RuleTable
from spica.core.tiles import Tile
from spica.engine.plan import Left
from spica.engine.targets import in_key_order
from spica.engine.tiling.grids import Footprints, Place, tiles_near
from spica.engine.tiling.moon import moon_apart
from spica.registry.rows import DetectorRow
from spica.registry.store import Registry

Pair = tuple[str, int]
NOWHERE = "place"
"""Rule that refuses what has no outline on the sky: its astrometry did not end."""
BAND = "band"
"""Rule that refuses the bands which a release leaves out."""


@dataclass(frozen=True)
class Chosen:
    """What a release is made of.

    Attributes
    ----------
    tiles : by name; tiles without any exposure too, where the release names them.
    rows : detectors of each tile and band, in key order.
    left : what the rules leave out.
    placed : exposures that have a place on the sky, by which the astrometry is constrained, stacked or not.
    """

    tiles: Mapping[str, Tile]
    rows: Mapping[tuple[str, str], tuple[DetectorRow, ...]]
    left: tuple[Left, ...]
    placed: tuple[str, ...] = ()

    def only(self, name: str) -> Chosen:
        """The same of one tile alone; SetupFault ``tile.unknown``."""
        self.refuse_strangers([name])
        rows = {key: members for key, members in self.rows.items() if key[0] == name}
        left = tuple(each for each in self.left if each.tile in {"", name})
        return Chosen({name: self.tiles[name]}, rows, left, self.placed)

    def refuse_strangers(self, names: Iterable[str]) -> None:
        """SetupFault ``tile.unknown`` for a tile that there is not, with the nearest name."""
        for name in names:
            if name not in self.tiles:
                near = difflib.get_close_matches(name, list(self.tiles), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise SetupFault("tile.unknown", f"the release has no tile {name!r}{hint}", tile=name)


def choose(
    registry: Registry, release: Release, frames: Collection[FrameType], states: Collection[ExposureState]
) -> Chosen:
    """Choose by the rules, over the whole survey.

    Parameters
    ----------
    registry : exposures, their outlines, metrics and grades.
    release : rules and tiles.
    frames, states : which exposures the pipeline works on at all; none for all.

    Raises
    ------
    SetupFault
        ``where.invalid`` for a rule that names no column or metric; ``release.invalid`` for tiles that cannot be.
    """
    there = [
        row
        for row in in_key_order(registry.detector_rows(frame_types=tuple(frames)))
        if not states or row.state in states
    ]
    own = _bands(registry, release)
    rows = [row._replace(band=own.get((row.exposure, row.detector), row.band)) for row in there]
    kept, left = _by_rules(registry, release, rows)
    outlines = registry.outlines(Unit(Grain.DETECTOR, (row.exposure, str(row.detector))) for row in rows)
    solved = {unit.values[0]: None for unit in outlines}
    placed, places = [], []
    for row in kept:
        outline = outlines.get(Unit(Grain.DETECTOR, (row.exposure, str(row.detector))))
        if outline is None:
            left.append(_left(row, NOWHERE, "it has no place on the sky: its astrometry did not end"))
        else:
            placed.append(row)
            places.append(Place(row.exposure, outline.ra, outline.dec))
    tiles = {tile.name: tile for tile in tiles_near(release.tiles, places)}
    found: dict[tuple[str, str], tuple[DetectorRow, ...]] = {}
    footprints = Footprints(places)
    for tile in tiles.values():
        members = [
            row for row in map(placed.__getitem__, footprints.on(tile)) if not tile.only or row.exposure in tile.only
        ]
        for band in sorted({row.band for row in members}):
            best, others = _best(registry, release.choose, [row for row in members if row.band == band])
            left += [_left(row, rule, why, tile.name) for row, rule, why in others]
            found[tile.name, band] = tuple(best)
    return Chosen(tiles, found, tuple(left), tuple(sorted(solved)))


def _bands(registry: Registry, release: Release) -> dict[Pair, str]:
    """The release's own band of each detector that has one."""
    found: dict[Pair, str] = {}
    for table in release.band:
        for row in registry.detector_rows(where=table.where):
            found.setdefault((row.exposure, row.detector), table.name)
    return found


def _left(row: DetectorRow, rule: str, why: str, tile: str = "") -> Left:
    return Left(row.exposure, row.detector, row.band, rule, why, tile)


def _by_rules(
    registry: Registry, release: Release, rows: Sequence[DetectorRow]
) -> tuple[list[DetectorRow], list[Left]]:
    """What fulfils all rules; the first that a row does not fulfil is told."""
    left: list[Left] = []
    kept = list(rows)
    if release.bands:
        left = [
            _left(row, BAND, f"the release has {', '.join(release.bands)}")
            for row in kept
            if row.band not in release.bands
        ]
        kept = [row for row in kept if row.band in release.bands]
    for rule in release.rules():
        if not kept:
            break
        good = _fulfil(registry, rule, kept)
        why = rule.where or f"at least {rule.moon:g} degrees from the Moon"
        left += [_left(row, rule.name, why) for row in kept if (row.exposure, row.detector) not in good]
        kept = [row for row in kept if (row.exposure, row.detector) in good]
    return kept, left


def _fulfil(registry: Registry, rule: RuleTable, rows: Sequence[DetectorRow]) -> set[Pair]:
    if rule.moon is None:
        return {(row.exposure, row.detector) for row in registry.detector_rows(where=rule.where)}
    far = {
        exposure.name
        for exposure in registry.exposures()
        if exposure.ra is not None
        and exposure.dec is not None
        and moon_apart(exposure.ra, exposure.dec, exposure.mjd) >= rule.moon
    }
    return {(row.exposure, row.detector) for row in rows if row.exposure in far}


def _best(
    registry: Registry, table: ChooseTable, rows: Sequence[DetectorRow]
) -> tuple[list[DetectorRow], list[tuple[DetectorRow, str, str]]]:
    """The exposures that are taken of those that may be, and the others with the limit that leaves them out."""
    if table.best is None and table.fraction is None and table.depth is None:
        return list(rows), []
    names = list(dict.fromkeys(row.exposure for row in rows))
    by, sign = table.by.removeprefix("-"), -1.0 if table.by.startswith("-") else 1.0
    rank, depths = _means(registry, by, rows), _means(registry, "point_depth", rows) if table.depth else {}
    # What was not measured comes last; of equals, the earlier exposure first.
    order = sorted(
        range(len(names)), key=lambda number: (sign * rank.get(names[number], math.copysign(math.inf, sign)), number)
    )
    taken: dict[str, None] = {}
    reasons: dict[str, tuple[str, str]] = {}
    most = min(table.best or len(names), max(1, math.floor((table.fraction or 1.0) * len(names) + 1e-9)))
    light = 0.0
    for place, number in enumerate(order, 1):
        name = names[number]
        if place > most:
            reasons[name] = ("best", f"place {place} by {table.by}, {most} are taken")
        elif table.depth is not None and light >= 10.0 ** (0.8 * table.depth):
            reasons[name] = ("depth", f"the stack is {1.25 * math.log10(light):.2f} mag deep without it")
        else:
            taken[name] = None
            light += 10.0 ** (0.8 * depths[name]) if name in depths else 0.0
    best = [row for row in rows if row.exposure in taken]
    return best, [(row, *reasons[row.exposure]) for row in rows if row.exposure in reasons]


def _means(registry: Registry, metric: str, rows: Iterable[DetectorRow]) -> dict[str, float]:
    """Mean of a metric over the rows of each exposure, where it was measured."""
    wanted = {(row.exposure, row.detector) for row in rows}
    values: dict[str, list[float]] = {}
    for each in registry.search(columns=(metric,)):
        value = each[metric]
        if value is not None and math.isfinite(value) and (each["exposure"], each["detector"]) in wanted:
            values.setdefault(each["exposure"], []).append(float(value))
    return {name: sum(given) / len(given) for name, given in values.items()}
