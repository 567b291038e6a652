"""`spica report`: one self-contained page about an exposure, a detector, a night or a joint solution, with every plot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import SetupFault
from spica.files import atomic
from spica.services.plots.plot import Plot, rendered
from spica.services.progress import Step, Watcher, unwatched
from spica.services.report.facts import Facts, facts_of
from spica.services.report.gather import Material
from spica.services.report.page import page
from spica.services.report.pictures import pictures_of
from spica.services.report.plots import plots_of
from spica.services.report.scope import scope_of
from spica.services.surveys import opened

_PAGE = ".html"


@dataclass(frozen=True)
class PlotLine:
    """A plot: drawn, or why it is missing; its files where they were asked for."""

    name: str
    chapter: str
    title: str
    missing: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What was written, and what it says."""

    kind: str
    name: str
    page: str
    size: int
    facts: Facts
    plots: tuple[PlotLine, ...]


def report(
    text: str,
    folder: Path | None,
    *,
    where: str = "",
    output: Path | None = None,
    plots: Path | None = None,
    watcher: Watcher = unwatched,
) -> Report:
    """Write the page of a night, a group, an exposure or a detector, and its plots as files where asked for.

    Parameters
    ----------
    where : of its exposures only these.
    output : the page; a folder takes it under its own name; None: here.
    plots : folder for each plot as PNG and SVG.

    Raises
    ------
    SetupFault
        ``order.unknown-unit``, ``order.nothing``, ``order.invalid``, ``where.invalid``, ``survey.*``, ``registry.*``.
    DataFault
        ``file.*`` where a product cannot be read.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    with opened(folder) as house:
        scope = scope_of(house, text, where)
        watcher(Step("report", 0, 4, "products"))
        material = Material.of(house, scope)
        facts = facts_of(material)
        watcher(Step("report", 1, 4, "numbers"))
        chapters = plots_of(material)
        target = page_path(output, scope.name)
        pictures = pictures_of(material)
        root = house.survey.root
    watcher(Step("report", 2, 4, "plots"))
    drawn = {p.name: rendered(p, "png") for each in chapters.values() for p in each if p.draw is not None}
    coloured = [p for each in chapters.values() for p in each if p.draw is not None and p.coloured]
    dark = {p.name: rendered(p, "png", dark=True) for p in coloured}
    whole = page(scope, facts, chapters, (drawn, dark), pictures, (root, target.parent))
    atomic.write_bytes(target, whole.encode())
    lines = [
        PlotLine(p.name, chapter, p.title, p.missing, _written(p, drawn, plots))
        for chapter, each in chapters.items()
        for p in each
    ]
    watcher(Step("report", 4, 4, "page"))
    return Report(scope.kind, scope.name, str(target), len(whole.encode()), facts, tuple(lines))


def page_path(output: Path | None, name: str) -> Path:
    """The path of the page."""
    plain = re.sub(r"[^\w.~-]+", "_", name).strip("_") + _PAGE
    if output is None:
        return Path(plain)
    if output.is_dir():
        return output / plain
    if output.suffix.lower() not in {_PAGE, ".htm"}:
        message = f"--output {output} is neither a folder that is there nor a page: its name ends in .html"
        raise SetupFault("order.invalid", message, path=str(output))
    return output


def _written(plot: Plot, drawn: dict[str, bytes], folder: Path | None) -> tuple[str, ...]:
    """Write a plot's files; none without a folder or anything to draw."""
    if folder is None or plot.draw is None:
        return ()
    paths = folder / f"{plot.name}.png", folder / f"{plot.name}.svg"
    atomic.write_bytes(paths[0], drawn[plot.name])
    atomic.write_bytes(paths[1], rendered(plot, "svg"))
    return tuple(str(path) for path in paths)
