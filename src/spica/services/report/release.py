"""One self-contained page about a release: how far it is, each stack's figures, pictures and plots of its tiles."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from spica.core.bands import by_wavelength
from spica.core.records import Unit
from spica.files import atomic, frozen, releases
from spica.files.catalogues import read_catalogue
from spica.files.images import open_rows
from spica.services.plots import deep
from spica.services.plots.plot import Plot, rendered
from spica.services.progress import Step, Watcher, unwatched
from spica.services.publishing import ranking, status
from spica.services.publishing.compare import KEY, Side, sides_of
from spica.services.publishing.parts import PIPELINE, band_of
from spica.services.publishing.status import UnitStatus
from spica.services.report import page_path
from spica.services.report.page import framed, gallery
from spica.services.report.pictures import Picture
from spica.services.surveys import opened

MOST = 8
"""Tiles that are shown with pictures and plots: those with the worst stacks first."""
_ASKED = (*KEY, "completeness_galaxy_80", "reliability", "stack_clipped")


@dataclass(frozen=True)
class ReleasePage:
    """What was written: the page, its size [byte], tiles shown of how many, plots that could not be drawn and why."""

    release: str
    page: str
    size: int
    shown: int
    tiles: int
    missing: Mapping[str, str]


def release_page(
    release: str,
    folder: Path | None,
    *,
    output: Path | None = None,
    pipeline: str = PIPELINE,
    watcher: Watcher = unwatched,
) -> ReleasePage:
    """Write the page of a release, open or published.

    Parameters
    ----------
    output : the page; a folder takes it under its own name; None: here.

    Raises
    ------
    SetupFault
        ``release.*``, ``order.invalid``, ``survey.*``.
    DataFault
        ``file.*`` where a product cannot be read.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    told = status.status(release, folder, pipeline)
    with opened(folder) as house:
        given = releases.load(house.survey, told.release)
        sides = sides_of(house, given.name, pipeline)
        published = frozen.folder_of(house.survey, given.name) if told.published else None
    ranked = ranking.stacks(given.name, folder, pipeline)
    order = _worst_first(sides, ranked)
    parts = {"Stacks": _table(told.units, sides, ranked)}
    if published is not None:
        parts["Sky"] = gallery((), ({}, {}), _previews(published))
    missing: dict[str, str] = {}
    for number, tile in enumerate(order[:MOST]):
        watcher(Step("tiles", number, min(MOST, len(order)), tile))
        parts[f"Tile {tile}"] = _tile(tile, sides, missing)
    counts = ", ".join(f"{count} {state}" for state, count in told.counts.items() if count)
    words = {
        "kind": "Release",
        "facts": escape(" · ".join(filter(None, [given.title, f"mode {given.mode}", f"tiles {given.tiles.grid}"]))),
        "grade": "none",
        "letter": "✓" if told.published else "…",
        "meaning": escape(f"published on {told.published}" if told.published else "open"),
        "reasons": f"<ul><li>{escape(counts or 'nothing is made yet')}</li></ul>\n",
    }
    whole = framed(given.name, words, parts).encode()
    target = page_path(output, f"release-{given.name}")
    atomic.write_bytes(target, whole)
    return ReleasePage(given.name, str(target), len(whole), min(MOST, len(order)), len(order), missing)


def _worst_first(sides: Mapping[str, Side], ranked: Sequence[ranking.Ranked]) -> list[str]:
    """Names of tiles; of those whose stacks are alike by name."""
    worst: dict[str, float] = {}
    for each in ranked:
        tile = Unit.parse(each.unit).keys["tile"]
        worst[tile] = min(worst.get(tile, math.inf), each.score)
    tiles = {Unit.parse(name).keys["tile"] for name in sides}
    return sorted(tiles, key=lambda tile: (worst.get(tile, math.inf), tile))


def _table(units: Sequence[UnitStatus], sides: Mapping[str, Side], ranked: Sequence[ranking.Ranked]) -> str:
    """Every stack with its state, grade and figures."""
    grades = {each.unit: each for each in ranked}
    names = [name for name in _ASKED if any(name in side.figures for side in sides.values())]
    heads = ["tile", "band", "state", "grade", "exposures", "time [s]", *names, "why"]
    rows = []
    for each in units:
        if not each.band:
            continue
        rank = grades.get(each.unit)
        grade = rank.grade if rank else ""
        figures = sides[each.unit].figures if each.unit in sides else {}
        why = "; ".join([*(rank.reasons if rank else ()), *(rank.comments if rank else ()), each.why])
        cells = [f"<td>{escape(each.tile)}</td><td>{escape(each.band)}</td><td>{escape(each.state)}</td>"]
        cells += [f'<td class="grade-{grade}">{escape(grade) or "–"}</td>']
        numbers = [f"{each.exposures}", f"{each.exposure_time:.0f}"]
        numbers += [f"{figures[name][0]:.4g}" if name in figures else "–" for name in names]
        cells += [f'<td class="number">{text}</td>' for text in numbers]
        cells += [f'<td class="text">{escape(why.strip("; ")) or "–"}</td>']
        rows.append(f"<tr>{''.join(cells)}</tr>")
    if not rows:
        return "<p>No stack is planned yet: 'spica release status' tells what it waits for.</p>\n"
    units_of = {name: unit for side in sides.values() for name, (_, unit) in side.figures.items()}
    told = [f"<th>{escape(head)}{f' [{units_of[head]}]' if units_of.get(head) else ''}</th>" for head in heads]
    head = f"<thead><tr>{''.join(told)}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>\n'


def _previews(published: Path) -> list[Picture]:
    """The previews of the HiPS."""
    found = []
    for path in sorted((published / "hips").glob("*/preview.jpg")):
        png = io.BytesIO()
        with Image.open(path) as image:
            image.save(png, "PNG")
        text = f"Of the HiPS hips/{path.parent.name}, which Aladin shows in full."
        found.append(Picture(f"The sky in {path.parent.name}", text, png.getvalue()))
    return found


def _tile(tile: str, sides: Mapping[str, Side], missing: dict[str, str]) -> str:
    """Pictures and plots of a tile."""
    stacks = {band_of(Unit.parse(name)): side for name, side in sides.items() if Unit.parse(name).keys["tile"] == tile}
    bands = by_wavelength(band for band in stacks if band)
    pictures = list(_pictures(bands, stacks))
    plots = [plot for band in bands for plot in _of_band(tile, band, stacks[band])]
    if "" in stacks and "objects" in stacks[""].files and len(bands) >= 3:
        three = bands[0], bands[len(bands) // 2], bands[-1]
        plot = deep.colours(read_catalogue(stacks[""].files["objects"]), three)
        plots.append(replace(plot, name=f"{plot.name}-{tile}"))
    missing.update({f"{tile}: {plot.title}": plot.missing for plot in plots if plot.draw is None})
    drawn = {plot.name: rendered(plot, "png") for plot in plots if plot.draw is not None}
    return gallery(plots, (drawn, {}), pictures)


def _pictures(bands: Sequence[str], stacks: Mapping[str, Side]) -> Iterator[Picture]:
    if "" in stacks and "colour" in stacks[""].files:
        text = f"{', '.join(bands)} by Lupton et al. (2004)."
        yield Picture("In colour", text, stacks[""].files["colour"].read_bytes())
    for band in bands:
        path = stacks[band].files.get("thumbnail")
        if path is not None:
            yield Picture(f"Stack in {band}", "The whole tile, small.", path.read_bytes())


def _of_band(tile: str, band: str, side: Side) -> Iterator[Plot]:
    figures = {name: value for name, (value, _) in side.figures.items()}
    if "completeness" in side.files:
        yield _of(deep.completeness(read_catalogue(side.files["completeness"]), figures), tile, band)
    if "deep_sources" in side.files and "stack" in side.files:
        magnitudes = np.asarray(read_catalogue(side.files["deep_sources"])["mag_auto"], np.float64)
        limit = figures.get("completeness_star_80", math.nan)
        yield _of(deep.counts(magnitudes, _area(side), limit), tile, band)


def _of(plot: Plot, tile: str, band: str) -> Plot:
    return replace(plot, name=f"{plot.name}-{tile}-{band}", title=f"{plot.title}, {band}")


def _area(side: Side) -> float:
    """Area of sky that a stack covers [deg²]."""
    rows = open_rows(side.files["stack"])
    cards = {name: float(rows.header.get(f"CD{name}") or 0.0) for name in ("1_1", "1_2", "2_1", "2_2")}
    pixel = abs(cards["1_1"] * cards["2_2"] - cards["1_2"] * cards["2_1"])
    covered = side.figures.get("stack_coverage", (1.0, ""))[0]
    return pixel * covered * rows.shape[0] * rows.shape[1]
