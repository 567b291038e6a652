"""A contact sheet: many small pictures with their names, as one PNG or as one HTML page with everything in it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from spica.core.faults import SetupFault
from spica.core.mask import MEANINGS
from spica.files import atomic
from spica.files.pictures import png, read_png
from spica.kernels.paint import ADVANCE, HEIGHT, Canvas, Colour, write
from spica.services.report.page import framed, gallery
from spica.services.report.pictures import Picture
from spica.services.thumbnails import Thumbnail
from spica.services.thumbnails.looks import LEGEND, NOTHING, ZERO

ENDINGS = (".html", ".png")
MOST = 1000
"""Pictures on one sheet."""
_GROUND: Colour = (12, 12, 16)
_INK: Colour = (225, 225, 225)
_GAP = 6
_LINE = HEIGHT + 3


def write_sheet(to: Path, pictures: Sequence[Thumbnail], *, problems: Sequence[str] = ()) -> None:
    """Write a contact sheet; a page groups them by kind and tells what could not be drawn.

    Raises
    ------
    SetupFault
        ``order.invalid`` for more than `MOST` pictures.
    DataFault
        ``data.no-pixels`` where a sheet as a picture would be empty.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    if len(pictures) > MOST:
        message = f"a sheet shows up to {MOST} pictures, not {len(pictures)}"
        raise SetupFault("order.invalid", message, advice="choose fewer: a selection, --kind, --unit")
    if to.suffix.lower() == ".png":
        atomic.write_bytes(to, png(_canvas(pictures)))
    else:
        atomic.write_bytes(to, _page(to.stem, pictures, problems).encode())


def _canvas(pictures: Sequence[Thumbnail]) -> Canvas:
    """Rows of pictures, the first at the upper left, the names below each."""
    drawn = [read_png(each.path) for each in pictures]
    high = max((each.shape[0] for each in drawn), default=1)
    wide = max([*(each.shape[1] for each in drawn), 12 * ADVANCE])
    columns = max(1, int(np.ceil(np.sqrt(len(drawn)))))
    cell = high + 2 * _LINE + 2 * _GAP, wide + _GAP
    rows = max(1, -(-len(drawn) // columns))
    canvas: Canvas = np.empty((rows * cell[0], columns * cell[1] + _GAP, 3), np.uint8)
    canvas[:] = _GROUND
    for number, (each, picture) in enumerate(zip(pictures, drawn, strict=True)):
        row, column = divmod(number, columns)
        y, x = (rows - 1 - row) * cell[0] + _GAP, column * cell[1] + _GAP
        place = canvas[y + 2 * _LINE :, x:][: picture.shape[0], : picture.shape[1]]
        place[:] = picture if picture.ndim == 3 else picture[..., None]
        room = wide // ADVANCE
        # Of a long name the end tells detectors apart.
        write(canvas, each.unit.partition(":")[2][-room:], x, y + _LINE, _INK, shade=False)
        write(canvas, each.kind[:room], x, y, _INK, shade=False)
    return canvas


def _page(name: str, pictures: Sequence[Thumbnail], problems: Sequence[str]) -> str:
    parts = {}
    for kind in dict.fromkeys(each.kind for each in pictures):
        chosen = [Picture(each.unit, each.kind, each.png()) for each in pictures if each.kind == kind]
        parts[kind] = gallery((), ({}, {}), chosen)
    if problems:
        parts["Not drawn"] = "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in problems) + "</ul>\n"
    parts["Colours"] = _legend()
    words = {
        "kind": "Contact sheet",
        "facts": f"{len(pictures)} pictures",
        "grade": "none",
        "letter": "–",
        "meaning": f"{len(problems)} could not be drawn" if problems else "all could be drawn",
        "reasons": "",
    }
    return framed(name, words, parts)


def _legend() -> str:
    told = [(NOTHING, "no value"), (ZERO, "weight zero")]
    told += [(colour, f"mask: {MEANINGS[str(bit.name)]}") for bit, colour in LEGEND.items()]
    rows = "".join(
        f'<tr><td style="background:rgb{colour}">&nbsp;&nbsp;&nbsp;</td><td class="text">{escape(text)}</td></tr>'
        for colour, text in told
    )
    return f"<table><tbody>{rows}</tbody></table>\n"
