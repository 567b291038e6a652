"""Circles on the sky as a region file of SAOImage DS9 (format 4.1), in ICRS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spica.files import atomic


@dataclass(frozen=True)
class Circle:
    """A circle: middle and radius [degree], and what is written beside it."""

    ra: float
    dec: float
    radius: float
    text: str = ""


def write_circles(path: Path, circles: Iterable[Circle]) -> int:
    """Write circles, places to 0.04 mas and radii to a milliarcsecond; answers how many.

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    lines = ["# Region file format: DS9 version 4.1", "icrs"]
    for each in circles:
        # Braces end a text in DS9.
        told = each.text.replace("{", "(").replace("}", ")")
        beside = f" # text={{{told}}}" if told else ""
        lines.append(f'circle({each.ra:.8f},{each.dec:.8f},{3600.0 * each.radius:.3f}"){beside}')
    atomic.write_bytes(path, ("\n".join(lines) + "\n").encode())
    return len(lines) - 2
