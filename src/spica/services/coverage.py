"""Maps of coverage (MOC): made of parts of the sky and of other maps, shown, written in the form that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spica.core.faults import SetupFault
from spica.files.hats.moc import Moc
from spica.files.hats.moc_files import read_moc, to_ascii, write_moc
from spica.files.hats.regions import Box, Cone, Polygon
from spica.files.hats.writing import COVERAGE
from spica.services.published import open_catalogue

ORDER = 12
"""Cells of 0.86 arcminutes."""


@dataclass(frozen=True)
class Parts:
    """What a map is made of: all of these together, within some maps and without others.

    Attributes
    ----------
    cones : right ascension, declination, radius [degree].
    box : right ascensions and declinations, from and to [degree].
    outlines : polygons of great circles: vertices [degree].
    maps : files of other maps.
    catalogue, release : a published catalogue, whose objects tell what is covered.
    within, without : files of maps that cut it.
    outside : all that is not in it, instead.
    """

    cones: Sequence[tuple[float, float, float]] = ()
    box: tuple[tuple[float, float], tuple[float, float]] | None = None
    outlines: Sequence[Sequence[tuple[float, float]]] = ()
    maps: Sequence[Path] = ()
    catalogue: Path | None = None
    release: str = ""
    within: Sequence[Path] = field(default=())
    without: Sequence[Path] = field(default=())
    outside: bool = False


@dataclass(frozen=True)
class Shown:
    """A map: area [square degree], part of the sphere, finest order, number of cells, the map as ASCII."""

    path: Path
    area: float
    fraction: float
    order: int
    cells: int
    ascii: str


def show(path: Path) -> Shown:
    """What a map is; SetupFault ``moc.invalid``."""
    moc = read_moc(path)
    cells = sum(int((end - first).sum()) for _, first, end in moc.spans())
    return Shown(path, moc.area, moc.fraction, moc.order, cells, to_ascii(moc))


def make(to: Path, parts: Parts, survey: Path | None = None, *, order: int = ORDER, by_range: bool = False) -> Shown:
    """Make a map and write it.

    Raises
    ------
    SetupFault
        ``order.nothing`` where it is made of nothing, ``order.invalid``, ``moc.invalid``, ``published.unknown``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    found = _pieces(parts, survey, order)
    if not found:
        advice = "name a cone, a box, an outline, a map or a catalogue"
        raise SetupFault("order.nothing", "a map of coverage is made of something", advice=advice)
    moc = found[0]
    for each in found[1:]:
        moc |= each
    for path in parts.within:
        moc &= read_moc(path)
    for path in parts.without:
        moc -= read_moc(path)
    write_moc(to, ~moc if parts.outside else moc, by_range=by_range)
    return show(to)


def _pieces(parts: Parts, survey: Path | None, order: int) -> list[Moc]:
    cones = [Cone(*each) for each in parts.cones]
    found = [Moc.of_cone(each.ra % 360.0, each.dec, each.radius, order) for each in cones]
    if parts.box is not None:
        box = Box(*parts.box)
        found.append(Moc.of_box(box.ra, box.dec, order))
    polygons = [Polygon(tuple(each)) for each in parts.outlines]
    if polygons:
        flat = [np.array(each.vertices) for each in polygons]
        found.append(Moc.of_outlines([(each[:, 0], each[:, 1]) for each in flat], order))
    found += [read_moc(path) for path in parts.maps]
    if parts.catalogue is not None or parts.release:
        found.append(read_moc(open_catalogue(parts.catalogue, parts.release, survey).folder / COVERAGE))
    return found
