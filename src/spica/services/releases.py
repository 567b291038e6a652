"""Releases: which there are, which tiles they have, which exposures are stacked on them, and why others are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import SetupFault
from spica.core.outline import Outline
from spica.core.records import FrameType, Grain, Scalar, Unit
from spica.core.release import Release
from spica.core.tiles import Tile
from spica.engine.targets import NO_BAND
from spica.engine.tiling.choosing import Chosen, choose
from spica.engine.tiling.planning import states_of
from spica.files import heads, releases
from spica.pipelines.graph import TILED, chains
from spica.registry.rows import DetectorRow
from spica.services.pipelines import load_for
from spica.services.surveys import Opened, opened

PIPELINE = "deep"


@dataclass(frozen=True)
class ReleaseLine:
    """A release as its file says it; `problem` where the file cannot be used."""

    name: str
    title: str
    mode: str
    bands: tuple[str, ...]
    grid: str
    rules: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class TileLine:
    """A tile: middle [degree], size [pixel], pixel [arcsec], exposures by band."""

    name: str
    ra: float
    dec: float
    nx: int
    ny: int
    scale: float
    exposures: dict[str, int]


@dataclass(frozen=True)
class StackLine:
    """A stack that the rules make: exposures, detectors, exposure time [s]."""

    tile: str
    band: str
    exposures: tuple[str, ...]
    detectors: int
    exposure_time: float


@dataclass(frozen=True)
class LeftLine:
    """An exposure's detectors that a rule leaves out; `tile` where it is a limit of that tile."""

    exposure: str
    detectors: tuple[int, ...]
    band: str
    rule: str
    why: str
    tile: str


@dataclass(frozen=True)
class Preview:
    """What a release is to be made of.

    Attributes
    ----------
    stacks : tile by tile and band by band.
    left : exposures that rules leave out, by rule.
    rules : how many detectors each rule leaves out.
    astrometry : exposures that the astrometry rests on: all that have an outline, stacked or not.
    stacked : exposures that are stacked somewhere.
    empty : tiles without any exposure.
    """

    release: str
    title: str
    stacks: tuple[StackLine, ...]
    left: tuple[LeftLine, ...]
    rules: dict[str, int]
    astrometry: tuple[str, ...]
    stacked: tuple[str, ...]
    empty: tuple[str, ...]


def listed(folder: Path | None) -> list[ReleaseLine]:
    """The releases of a survey, those too whose files cannot be used."""
    found = []
    with opened(folder) as house:
        for name in releases.names(house.survey):
            try:
                each = releases.load(house.survey, name)
            except SetupFault as fault:
                found.append(ReleaseLine(name, "", "", (), "", (), str(fault)))
                continue
            rules = tuple(rule.name for rule in each.rules())
            found.append(ReleaseLine(name, each.title, each.mode, each.bands, each.tiles.grid, rules))
    return found


def tiles(release: str, folder: Path | None, pipeline: str = PIPELINE) -> list[TileLine]:
    """The tiles of a release, by name.

    Raises
    ------
    SetupFault
        ``release.*``, ``where.invalid``, ``pipeline.unknown``.
    """
    with opened(folder) as house:
        given, chosen = _chosen(release, house, pipeline)
    return [_tile_line(tile, chosen, given.tiles.scale) for tile in chosen.tiles.values()]


def write_heads(release: str, folder: Path | None, to: Path, pipeline: str = PIPELINE) -> list[str]:
    """Write TILE.head for each tile of a release: size and sky solution as the release's file says them, whether it is stacked or not.

    SWarp takes such a file beside its output (IMAGEOUT_NAME's .head) as the grid to resample onto. Errors as `tiles`, ``disk.*``.
    """
    with opened(folder) as house:
        _, chosen = _chosen(release, house, pipeline)
    paths = []
    for tile in chosen.tiles.values():
        size: dict[str, Scalar] = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": tile.nx, "NAXIS2": tile.ny}
        path = to / f"{tile.name}.head"
        heads.write_heads(path, [size | {"EQUINOX": 2000.0} | dict(tile.cards)])
        paths.append(str(path))
    return paths


def preview(release: str, folder: Path | None, pipeline: str = PIPELINE, tile: str = "") -> Preview:
    """What is stacked (on one tile, where it is named), what is left out and by which rule; errors as `tiles`, ``tile.unknown``."""
    with opened(folder) as house:
        given, chosen = _chosen(release, house, pipeline)
    if tile:
        chosen = chosen.only(tile)
    stacked = {row.exposure: None for rows in chosen.rows.values() for row in rows}
    left: dict[tuple[str, str, str, str, str], list[int]] = {}
    for each in chosen.left:
        left.setdefault((each.exposure, each.band, each.rule, each.why, each.tile), []).append(each.detector)
    full = {tile for (tile, _), rows in chosen.rows.items() if rows}
    return Preview(
        release=given.name,
        title=given.title,
        stacks=tuple(_stack_line(*key, rows) for key, rows in sorted(chosen.rows.items()) if rows),
        left=tuple(
            LeftLine(name, tuple(numbers), band, rule, why, tile)
            for (name, band, rule, why, tile), numbers in left.items()
        ),
        rules=dict(Counter(each.rule for each in chosen.left)),
        astrometry=chosen.placed,
        stacked=tuple(stacked),
        empty=tuple(name for name in chosen.tiles if name not in full),
    )


def _chosen(release: str, house: Opened, pipeline: str) -> tuple[Release, Chosen]:
    given = releases.load(house.survey, release)
    linked = chains(load_for(release, pipeline, house.survey))
    frames = {frame for chain in linked if chain.grain in TILED for frame in chain.frames} or {FrameType.OBJECT}
    return given, choose(house.registry, given, frames, states_of(linked))


def _tile_line(tile: Tile, chosen: Chosen, scale: float) -> TileLine:
    ra, dec = Outline(Unit(Grain.TILE, (tile.name,)), *tile.outline).middle
    counts = {
        band or NO_BAND: len({row.exposure for row in rows})
        for (name, band), rows in sorted(chosen.rows.items())
        if name == tile.name and rows
    }
    return TileLine(tile.name, ra, dec, tile.nx, tile.ny, scale, counts)


def _stack_line(tile: str, band: str, rows: tuple[DetectorRow, ...]) -> StackLine:
    times = {row.exposure: row.exposure_time for row in rows}
    return StackLine(tile, band or NO_BAND, tuple(times), len(rows), sum(times.values()))
