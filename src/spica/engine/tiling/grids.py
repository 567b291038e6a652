"""Grids of the sky: rings of declination, HEALPix cells, boxes, named fields, exposures and what overlaps.

Each grid says which tiles come near given places, so that a survey of the whole sky is never listed. HEALPix is imported
where it is used: few releases need it. Rings as in LSST's
ring sky map: bands of equal height between two caps at the poles, each cut into as many equal parts of right ascension as
its widest circle needs; a part is a tract with a projection of its own, cut into patches that share it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from spica.core.outline import Outline, apart
from spica.core.records import Grain, Unit
from spica.core.release import FieldTable, TilesTable
from spica.core.tiles import Tile, vectors
from spica.engine.tiling.frame import Frame, edge_of_box, framed, touches
from spica.kernels.projection import projection

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """Where something lies: its exposure, and vertices of its outline [degree]."""

    exposure: str
    ra: tuple[float, ...]
    dec: tuple[float, ...]


def tiles_near(table: TilesTable, places: Sequence[Place]) -> list[Tile]:
    """The tiles of a grid that places touch, by name; those of fields and boxes all, empty ones too. A map leaves out others.

    Raises
    ------
    SetupFault
        ``release.invalid`` for tiles that are too large, or leave their projection.
    """
    frame = Frame(table.projection, table.scale, table.overlap)
    match table.grid:
        case "rings":
            found = _met(_near_rings(table, frame, places), places)
        case "healpix":
            found = _met(_near_cells(table.order, frame, places), places)
        case "fields":
            found = list(_fields(table, frame))
        case "box":
            found = list(_box(table, frame))
        case "exposure":
            found = list(_exposures(frame, places))
        case _:
            found = list(_overlapping(frame, places))
    if table.moc:
        found = _within(table.moc, found)
    return sorted(found, key=lambda tile: tile.name)


def _within(coverage: str, tiles: Sequence[Tile]) -> list[Tile]:
    """The tiles that touch a map of coverage (ASCII): to a hundredth of their width."""
    from spica.files.hats import healpix
    from spica.files.hats.moc import Moc
    from spica.files.hats.moc_files import parse_moc

    wanted, found = parse_moc(coverage), []
    for tile in tiles:
        _, radius = _circle(*tile.outline)
        order = healpix.order_of(math.degrees(radius) / 50.0)
        if Moc.of_outlines([tile.outline], order).touches(wanted):
            found.append(tile)
    return found


class Footprints:
    """Outlines on the sky, asked which of them touch a tile: those far from it are not looked at."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        circles = [_circle(place.ra, place.dec) for place in places]
        self._middles = np.array([middle for middle, _ in circles]).reshape(-1, 3)
        self._reach = np.array([radius for _, radius in circles])

    def on(self, tile: Tile) -> list[int]:
        """Numbers of the places that touch a tile, at least in part."""
        middle, radius = _circle(*tile.outline)
        angle = np.arccos(np.clip(self._middles @ middle, -1.0, 1.0))
        near = np.flatnonzero(angle <= self._reach + radius + 1e-6).tolist()
        there = touches(tile, [(self._places[number].ra, self._places[number].dec) for number in near])
        return [number for number, here in zip(near, there, strict=True) if here]


def _met(tiles: Iterable[Tile], places: Sequence[Place]) -> list[Tile]:
    footprints = Footprints(places)
    return [tile for tile in tiles if footprints.on(tile)]


def _circle(ra: Sequence[float], dec: Sequence[float]) -> tuple[Floats, float]:
    """Middle (unit vector) and radius [radian] of a circle that holds the vertices."""
    corners = vectors(np.asarray(ra), np.asarray(dec))
    mean = corners.mean(0)
    middle = mean / (np.linalg.norm(mean) or 1.0)
    return middle, float(np.arccos(np.clip(corners @ middle, -1.0, 1.0)).max())


# -- rings ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tract:
    """A part of a ring: number of the ring from the south, of the part from right ascension 0, its box [degree]."""

    ring: int
    part: int
    ra: tuple[float, float]
    dec: tuple[float, float]

    @property
    def name(self) -> str:
        """Such as ``r0123-0456``."""
        return f"r{self.ring:04d}-{self.part:04d}"

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle [degree]; a pole for a cap."""
        if self.dec[0] <= -90.0 or self.dec[1] >= 90.0:
            return 0.0, math.copysign(90.0, self.dec[0])
        return (self.ra[0] + 0.5 * ((self.ra[1] - self.ra[0]) % 360.0 or 360.0)) % 360.0, sum(self.dec) / 2.0


def ring_of(size: float, dec: float) -> int:
    """Number of the ring that holds a declination: 0 is the cap about the south pole."""
    count, height = _heights(size)
    if dec < -90.0 + size / 2.0:
        return 0
    return min(int((dec + 90.0 - size / 2.0) / height) + 1, count + 1)


def tracts_of(size: float, ring: int) -> int:
    """How many parts a ring has."""
    count, height = _heights(size)
    if ring in {0, count + 1}:
        return 1
    south = -90.0 + size / 2.0 + (ring - 1) * height
    widest = 0.0 if south < 0.0 < south + height else min(abs(south), abs(south + height))
    return max(math.ceil(360.0 * math.cos(math.radians(widest)) / size - 1e-9), 1)


def tract(size: float, ring: int, part: int) -> Tract:
    """A part of a ring."""
    count, height = _heights(size)
    edge = 90.0 - size / 2.0
    if ring == 0:
        return Tract(0, 0, (0.0, 360.0), (-90.0, -edge))
    if ring == count + 1:
        return Tract(ring, 0, (0.0, 360.0), (-edge + count * height, 90.0))
    parts = tracts_of(size, ring)
    dec = (-edge + (ring - 1) * height, -edge + ring * height)
    return Tract(ring, part, (360.0 * part / parts, 360.0 * (part + 1) / parts), dec)


def _heights(size: float) -> tuple[int, float]:
    count = max(math.ceil((180.0 - size) / size - 1e-9), 1)
    return count, (180.0 - size) / count


def _near_rings(table: TilesTable, frame: Frame, places: Sequence[Place]) -> Iterator[Tile]:
    """The tiles of all tracts that come near places."""
    wanted: dict[tuple[int, int], None] = {}
    # A tract's image is a little larger than its box where the sky bends.
    more = table.overlap / 3600.0 + 0.1 * table.size
    for place in places:
        middle, radius = _circle(place.ra, place.dec)
        reach = math.degrees(radius) + more
        dec = math.degrees(math.asin(float(np.clip(middle[2], -1.0, 1.0))))
        ra = math.degrees(math.atan2(middle[1], middle[0]))
        for ring in range(
            ring_of(table.size, max(dec - reach, -90.0)), ring_of(table.size, min(dec + reach, 90.0)) + 1
        ):
            wanted.update(((ring, part), None) for part in _parts_near(table.size, ring, ra, dec, reach))
    for ring, part in sorted(wanted):
        yield from patched(tract(table.size, ring, part), table, frame)


def _parts_near(size: float, ring: int, ra: float, dec: float, reach: float) -> Iterable[int]:
    parts = tracts_of(size, ring)
    if abs(dec) + reach >= 89.9:
        return range(parts)
    wide = math.degrees(math.asin(min(math.sin(math.radians(reach)) / math.cos(math.radians(dec)), 1.0)))
    first, last = (math.floor((ra + side * wide) / 360.0 * parts) for side in (-1.0, 1.0))
    return range(parts) if last - first >= parts else {part % parts for part in range(first, last + 1)}


def patched(one: Tract, table: TilesTable, frame: Frame) -> Iterator[Tile]:
    """The tiles of a tract: itself, or its patches on the pixels of its projection."""
    edge = edge_of_box(one.ra, one.dec)
    owner = ({"kind": "box", "ra": list(one.ra), "dec": list(one.dec)},)
    whole = frame.tile(one.name, frame.about(*one.middle), *edge, owner=owner)
    yield from _patches(whole, frame, table.patches)


def _patches(whole: Tile, frame: Frame, count: int) -> Iterator[Tile]:
    """A tile cut into `count` by `count` that overlap by the margin; each owns what is nearest to its middle."""
    if count == 1:
        yield whole
        return
    plane = projection(whole.cards)
    more = math.ceil(frame.margin / frame.scale)
    inner_x, inner_y = ((side - 2 * more) / count for side in (whole.nx, whole.ny))
    cells = list(product(range(count), range(count)))
    middles = {
        (j, i): tuple(
            float(part)
            for part in plane.pixel_to_sky(more + (i + 0.5) * inner_x - 0.5, more + (j + 0.5) * inner_y - 0.5)
        )
        for j, i in cells
    }
    for j, i in cells:
        others = [
            [*middles[v, u], (v, u) < (j, i)]
            for v, u in product(range(j - 1, j + 2), range(i - 1, i + 2))
            if (v, u) != (j, i) and (v, u) in middles
        ]
        near = {"kind": "nearest", "here": list(middles[j, i]), "others": others}
        x0, y0 = math.floor(i * inner_x), math.floor(j * inner_y)
        x1 = min(math.ceil((i + 1) * inner_x) + 2 * more, whole.nx)
        y1 = min(math.ceil((j + 1) * inner_y) + 2 * more, whole.ny)
        yield framed(f"{whole.name}_{i:02d}{j:02d}", plane, (x0, x1, y0, y1), owner=(*whole.owner, near))


# -- cells ------------------------------------------------------------------------------------------------------------


def _near_cells(order: int, frame: Frame, places: Sequence[Place]) -> Iterator[Tile]:
    """The tiles of HEALPix cells that come near places."""
    from spica.files.hats import healpix

    wanted: set[int] = set()
    for place in places:
        middle, radius = _circle(place.ra, place.dec)
        ra, dec = math.degrees(math.atan2(middle[1], middle[0])) % 360.0, math.degrees(math.asin(float(middle[2])))
        reach = math.degrees(radius) + frame.margin / 3600.0 + healpix.width(order)
        first, end = healpix.cone_ranges(ra, dec, reach)
        shift = 2 * (healpix.DEEPEST - order)
        for low, high in zip(first >> shift, ((end - 1) >> shift) + 1, strict=True):
            wanted.update(range(int(low), int(high)))
    for pixel in sorted(wanted):
        yield cell(order, pixel, frame)


def cell(order: int, pixel: int, frame: Frame) -> Tile:
    """The tile of a cell, turned so that its sides lie along the cell's where that is a square."""
    from spica.files.hats import healpix

    ra, dec = healpix.edge(pixel, order)
    middle_ra, middle_dec = (float(part[0]) for part in healpix.centres(np.array([pixel]), order))
    level = frame.about(middle_ra, middle_dec)
    x, y = level.sky_to_pixel(ra, dec)
    # From its southern corner to its eastern one: along a side.
    south, east = int(np.argmin(y)), int(np.argmin(x))
    turn = math.degrees(math.atan2(y[east] - y[south], x[south] - x[east]))
    owner = ({"kind": "cell", "order": order, "pixel": pixel},)
    plane = frame.about(middle_ra, middle_dec, turn)
    return frame.tile(f"h{order}-{pixel:0{len(str(12 * 4**order))}d}", plane, ra, dec, owner=owner)


# -- boxes, fields, exposures -----------------------------------------------------------------------------------------


def _box(table: TilesTable, frame: Frame) -> Iterator[Tile]:
    if table.ra is None or table.dec is None:
        raise ValueError(table)
    box = Tract(0, 0, table.ra, table.dec)
    owner = ({"kind": "box", "ra": list(box.ra), "dec": list(box.dec)},)
    name = sky_name(table.prefix, *box.middle)
    whole = frame.tile(name, frame.about(*box.middle), *edge_of_box(box.ra, box.dec), owner=owner)
    yield from _patches(whole, frame, table.patches)


def _fields(table: TilesTable, frame: Frame) -> Iterator[Tile]:
    """Named fields: where they overlap, the nearer middle owns, the earlier of two as near."""
    named = [(each.name or sky_name(table.prefix, each.ra, each.dec), each) for each in table.field]
    for number, (name, each) in enumerate(named):
        others = [
            [other.ra, other.dec, place < number]
            for place, (_, other) in enumerate(named)
            if place != number
            and apart(each.ra, each.dec, other.ra, other.dec) < _diagonal(table, each) + _diagonal(table, other)
        ]
        owner = ({"kind": "nearest", "here": [each.ra, each.dec], "others": others},) if others else ()
        plane = frame.about(each.ra, each.dec)
        width, height = _sides(table, each)
        half = [math.ceil(0.5 * side * 3600.0 / table.scale + table.overlap / table.scale) for side in (width, height)]
        yield framed(name, plane, (-half[0], half[0] + 1, -half[1], half[1] + 1), owner=owner)


def _sides(table: TilesTable, each: FieldTable) -> tuple[float, float]:
    width = each.width or table.size
    return width, each.height or width


def _diagonal(table: TilesTable, each: FieldTable) -> float:
    return 0.5 * math.hypot(*_sides(table, each)) + table.overlap / 3600.0


def _exposures(frame: Frame, places: Sequence[Place]) -> Iterator[Tile]:
    """A tile about each exposure, of it alone."""
    for name, own in _by_exposure(places).items():
        yield _about(name, frame, own, (name,))


def _overlapping(frame: Frame, places: Sequence[Place]) -> Iterator[Tile]:
    """A tile about each set of exposures that hang together by overlaps, named by the first of them."""
    exposures = _by_exposure(places)
    names = list(exposures)
    circles = [
        _circle([ra for each in own for ra in each.ra], [dec for each in own for dec in each.dec])
        for own in exposures.values()
    ]
    set_of = list(range(len(names)))

    def first(number: int) -> int:
        while set_of[number] != number:
            number = set_of[number]
        return number

    middles, reach = np.array([middle for middle, _ in circles]), np.array([radius for _, radius in circles])
    for one in range(1, len(names)):
        angle = np.arccos(np.clip(middles[:one] @ middles[one], -1.0, 1.0))
        for two in np.flatnonzero(angle < reach[:one] + reach[one]).tolist():
            low, high = sorted((first(one), first(two)))
            if low != high and _cover(exposures[names[one]], exposures[names[two]]):
                set_of[high] = low
    groups: dict[int, list[str]] = {}
    for number, name in enumerate(names):
        groups.setdefault(first(number), []).append(name)
    for members in groups.values():
        own = [place for name in members for place in exposures[name]]
        yield _about(members[0], frame, own, tuple(members))


def _cover(one: Sequence[Place], two: Sequence[Place]) -> bool:
    """Whether any outline of one exposure holds a vertex or the middle of one of the other's."""
    for these, those in ((one, two), (two, one)):
        for place in these:
            outline = Outline(Unit(Grain.EXPOSURE, (place.exposure,)), place.ra, place.dec)
            for other in those:
                middle, _ = _circle(other.ra, other.dec)
                points = [*zip(other.ra, other.dec, strict=True), _place(middle)]
                if any(outline.contains(*point) for point in points):
                    return True
    return False


def _about(name: str, frame: Frame, places: Sequence[Place], only: tuple[str, ...]) -> Tile:
    ra = np.concatenate([place.ra for place in places])
    dec = np.concatenate([place.dec for place in places])
    middle, _ = _circle(ra.tolist(), dec.tolist())
    return frame.tile(name.replace("/", "-"), frame.about(*_place(middle)), ra, dec, only=only)


def _place(vector: Floats) -> tuple[float, float]:
    x, y, z = (float(part) for part in vector)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def _by_exposure(places: Sequence[Place]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.exposure, []).append(place)
    return found


def sky_name(prefix: str, ra: float, dec: float) -> str:
    """A name by the place [degree], as the CFHTLS has them without the band: ``W_021410-041200``."""
    seconds = round((ra % 360.0) * 240.0) % 86400
    arcsec = round(abs(dec) * 3600.0)
    sign = "-" if dec < 0 and arcsec else "+"
    hours = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
    return f"{prefix}_{hours}{sign}{arcsec // 3600:02d}{arcsec // 60 % 60:02d}{arcsec % 60:02d}"
