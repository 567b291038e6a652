"""The page of a report: one HTML file with everything in it, no script, nothing asked of any network."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from urllib.parse import quote

from spica import __version__
from spica.services.plots.plot import Plot
from spica.services.report.facts import Facts, FigureLine, UnitLine
from spica.services.report.pictures import Picture
from spica.services.report.scope import Scope

_KINDS = {"night": "Night", "group": "Joint solution", "exposure": "Exposure", "detector": "Detector of an exposure"}
_REASONS = 3
"""Reasons of a verdict in a row of a table, at most."""
_Places = tuple[Path, Path]
"""The survey's folder, and that of the page."""
_Drawn = tuple[Mapping[str, bytes], Mapping[str, bytes]]


def page(
    scope: Scope,
    facts: Facts,
    chapters: Mapping[str, Sequence[Plot]],
    drawn: _Drawn,
    pictures: Mapping[str, Sequence[Picture]],
    places: _Places,
) -> str:
    """The whole page.

    Parameters
    ----------
    chapters : plots by chapter.
    drawn : PNG of each plot by its name, and of those with colours that stand for numbers once more on a dark ground.
    pictures : by chapter; of chapters without plots they come first.
    places : the survey's folder, and the one that the page will lie in: links are relative.
    """
    parts: dict[str, str] = {}
    if len(scope.exposures) == 1:
        [line] = facts.detectors if scope.kind == "detector" else facts.exposures
        parts["Figures"] = _figures(line.figures)
    else:
        parts["Exposures"] = _table(facts.exposures, "exposure")
    for name, shown in pictures.items():
        if name not in chapters:
            parts[name] = gallery((), drawn, shown)
    for name, plots in chapters.items():
        parts[name] = gallery(plots, drawn, pictures.get(name, ()))
    if facts.detectors and scope.kind != "detector":
        parts["Detectors"] = _table(facts.detectors, "detector")
    if facts.groups:
        parts["Joint solutions"] = _table(facts.groups, "solution")
    parts["Faults"] = _faults(facts)
    parts["Products"] = _products((*facts.exposures, *facts.detectors, *facts.groups), places)
    parts["How it was made"] = _made(facts)
    words = {
        "kind": _KINDS[scope.kind],
        "facts": _told(scope),
        "grade": facts.grade or "none",
        "letter": facts.grade or "–",
        "meaning": escape(facts.meaning),
        "reasons": _reasons(facts),
    }
    return framed(scope.name, words, parts)


def framed(name: str, words: Mapping[str, str], parts: Mapping[str, str]) -> str:
    """A page of a name, of words for the place holders of ``page.html``, and of chapters, all of them HTML."""
    common = {
        "version": escape(__version__),
        "title": escape(f"{name} - spica report"),
        "style": _resource("page.css").rstrip(),
        "heading": escape(name),
        "nav": "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in parts),
        "body": "\n".join(
            f'<section id="{_anchor(name)}"><h2>{escape(name)}</h2>\n{text}</section>' for name, text in parts.items()
        ),
    }
    return Template(_resource("page.html")).substitute(common | dict(words))


def _resource(name: str) -> str:
    return resources.files(__package__ or "spica.services.report").joinpath(name).read_text("utf-8")


def _anchor(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def _told(scope: Scope) -> str:
    """What it is of, in a line."""
    camera = f"{scope.camera.title} ({scope.camera.name})"
    if len(scope.exposures) > 1:
        bands = ", ".join(dict.fromkeys(each.band for each in scope.exposures))
        nights = ", ".join(dict.fromkeys(each.night for each in scope.exposures))
        told = [camera, f"{len(scope.exposures)} exposures", f"bands {bands}", f"night {nights}"]
        return escape(" · ".join(told))
    [each] = scope.exposures
    told = [camera, f"night {each.night}", f"MJD {each.mjd:.6f} TAI", f"{each.band} ({each.filter})"]
    told += [f"{each.exposure_time:g} s"]
    told += [f"airmass {each.airmass:.3f}"] if each.airmass is not None else []
    told += [f"RA {each.ra:.5f} Dec {each.dec:+.5f}"] if each.ra is not None and each.dec is not None else []
    told += [f"field {each.field}"] if each.field else []
    return escape(" · ".join(told))


def _reasons(facts: Facts) -> str:
    """Why it has its grade, and what people said."""
    people = [f"by hand: {text}" for each in (*facts.exposures, *facts.detectors) for text in each.people]
    lines = [*facts.reasons, *people] or ["nothing stands against it"]
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in lines) + "</ul>\n"


def _figures(figures: Iterable[FigureLine]) -> str:
    cells = "".join(
        f'<div title="{escape(each.metric)}"><dt>{escape(each.label)}</dt><dd>{escape(each.text)}</dd></div>'
        for each in figures
    )
    return f'<dl class="figures">{cells}</dl>\n' if cells else "<p>No figure was measured yet.</p>\n"


def gallery(plots: Iterable[Plot], drawn: _Drawn, pictures: Iterable[Picture]) -> str:
    """Plots and pictures side by side."""
    cards = [_card(plot, drawn) for plot in plots] + [_picture(each) for each in pictures]
    return '<div class="plots">\n' + "\n".join(cards) + "\n</div>\n"


def _card(plot: Plot, drawn: _Drawn) -> str:
    title, text = escape(plot.title), escape(plot.text)
    light, dark = drawn
    if plot.name not in light:
        why = f"<p>Not drawn: {escape(plot.missing)}.</p>"
        return f'<figure class="plot missing" id="{plot.name}"><h3>{title}</h3>{why}<figcaption>{text}</figcaption></figure>'
    image = _image(light[plot.name], title)
    if plot.name in dark:
        other = f'<source media="screen and (prefers-color-scheme: dark)" srcset="{_data(dark[plot.name])}">'
        image = f"<picture>{other}{image}</picture>"
    return f'<figure class="plot" id="{plot.name}"><h3>{title}</h3>{image}<figcaption>{text}</figcaption></figure>'


def _picture(each: Picture) -> str:
    title = escape(each.title)
    if each.missing:
        return f'<figure class="missing"><h3>{title}</h3><p>Not shown: {escape(each.missing)}.</p></figure>'
    kind = "picture wide" if each.wide else "picture"
    return f'<figure class="{kind}"><h3>{title}</h3>{_image(each.png, title)}<figcaption>{escape(each.text)}</figcaption></figure>'


def _image(png: bytes, title: str) -> str:
    """An image inside the page; its size stands in the bytes 16 to 24 of a PNG."""
    wide, high = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    return f'<img alt="{title}" width="{wide}" height="{high}" src="{_data(png)}">'


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _table(lines: Sequence[UnitLine], what: str) -> str:
    """Units by row with their figures, and what is wrong with each."""
    names = {f.metric: f for each in lines for f in each.figures}
    ordered = [name for name, _, _ in _ordered(names)]
    judged = what != "solution"
    heads = [f"<th>{what}</th>", *(("<th>band</th>", "<th>verdict</th>", "<th>why</th>") if judged else ())]
    heads += [f'<th class="number">{escape(names[name].label)}{_unit(names[name].units)}</th>' for name in ordered]
    rows = []
    for each in lines:
        known = {f.metric: f.text.removesuffix(f" {f.units}") for f in each.figures}
        cells = [f"<td>{escape(each.unit)}</td>"]
        if judged:
            told = [reason for reason in each.reasons if reason[1:2] == ":"]
            more = [f"and {len(told) - _REASONS} more: its own page has them"] if len(told) > _REASONS else []
            why = "; ".join([*told[:_REASONS], *more])
            cells += [f"<td>{escape(each.band)}</td>", f'<td class="grade-{each.grade}">{each.grade or "–"}</td>']
            cells += [f'<td class="text">{escape(why) or "–"}</td>']
        cells += [f'<td class="number">{escape(known.get(name, "–"))}</td>' for name in ordered]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><thead><tr>{"".join(heads)}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>\n'


def _ordered(names: Mapping[str, FigureLine]) -> Iterator[tuple[str, str, str]]:
    from spica.services.report.facts import FIGURES

    return (each for each in FIGURES if each[0] in names)


def _unit(units: str) -> str:
    return f' <span class="units">[{escape(units)}]</span>' if units else ""


def _faults(facts: Facts) -> str:
    if not facts.faults:
        return "<p>No open faults.</p>\n"
    rows = "".join(
        f"<tr><td>{escape(each.subject)}</td><td><code>{escape(each.code)}</code></td>"
        f'<td class="text">{escape(each.message)}</td><td class="text">{escape(each.advice)}</td></tr>'
        for each in facts.faults
    )
    heads = "<th>unit</th><th>code</th><th>what</th><th>next</th>"
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>\n'


def _products(lines: Iterable[UnitLine], places: _Places) -> str:
    """Links by name, relative to the page, unit by unit."""
    root, here = places
    parts = []
    for each in lines:
        links = " · ".join(
            f'<a href="{quote(os.path.relpath(root / path, here.absolute()))}">{escape(name)}</a>'
            for name, path in each.products.items()
        )
        if links:
            parts.append(f"<tr><td>{escape(each.unit)}</td><td class='text'>{links}</td></tr>")
    if not parts:
        return "<p>The pages of the exposures name their products.</p>\n"
    body = f'<div class="scroll"><table><tbody>{"".join(parts)}</tbody></table></div>'
    return f"<details open><summary>{len(parts)} units with files</summary>{body}</details>\n"


def _made(facts: Facts) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.pipeline)}</td><td>{escape(each.step)}</td><td class='number'>{each.version}</td>"
        f'<td class="text">{escape(", ".join(f"{k} = {v}" for k, v in each.changed.items())) or "–"}</td>'
        f"<td class='number'>{each.units}</td></tr>"
        for each in facts.made
    )
    heads = '<th>pipeline</th><th>step</th><th class="number">version</th><th>settings that are not the default (from)</th><th class="number">jobs</th>'
    table = f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    versions = ", ".join(f"{name} {text}" for name, text in sorted(facts.versions.items()))
    count = len(facts.made)
    return f"<details><summary>{count} steps, with versions and settings</summary>{table}<p>{escape(versions)}</p></details>\n"
