"""`.head` files from joint solutions: what SCAMP would leave beside images, for SWarp and whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.faults import SetupFault
from spica.core.records import Grain, Scalar, Unit
from spica.files import heads
from spica.files.maps import ENDINGS
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.kernels.wcs_convert import polynomial_of, to_tpv
from spica.services import sky
from spica.services.products import latest
from spica.services.surveys import Opened, opened

ZERO_POINT = 30.0
"""Magnitude that one unit of the scaled pixels has."""
_MAS = 1.0 / 3.6e6


@dataclass(frozen=True)
class Written:
    """Files in the order of their units, and the detectors that have no joint solution."""

    paths: tuple[str, ...]
    without: tuple[str, ...]


def write(
    to: Path,
    folder: Path | None,
    *,
    unit: str = "",
    where: str = "",
    zero_point: float = ZERO_POINT,
    mosaic: bool = False,
) -> Written:
    """Write `.head` files of a unit, or of what a selection takes, into a folder.

    Parameters
    ----------
    zero_point : magnitude of 1 in the images that SWarp makes with them (FLXSCALE).
    mosaic : one file for each exposure with a block for each detector by number, named after the exposure; else one for
        each detector, named as 'spica export --as maps' names its pixels.

    Raises
    ------
    SetupFault
        ``order.nothing`` where nothing has a joint solution, ``order.unknown-unit``, ``where.invalid``.
    """
    with opened(folder) as house:
        names = _names(house, unit, where)
        blocks: dict[Unit, dict[str, Scalar]] = {}
        without: list[str] = []
        for each in names:
            told = sky.solved(house.registry, each)
            if told:
                blocks[each] = block(told, zero_point)
            else:
                without.append(str(each))
    if not blocks:
        what = unit or where or "this survey"
        advice = "'spica run calibrate' makes them"
        raise SetupFault("order.nothing", f"no detector of {what} has a joint solution", advice=advice)
    files: dict[Path, list[dict[str, Scalar]]] = {}
    for each, cards in blocks.items():
        stem = each.values[0] if mosaic else names[each] + ENDINGS[0].removesuffix(".fits")
        files.setdefault(to / f"{stem}.head", []).append(cards)
    for path, each_block in files.items():
        heads.write_heads(path, each_block)
    return Written(tuple(map(str, files)), tuple(without))


def _names(house: Opened, unit: str, where: str) -> dict[Unit, str]:
    """Detectors with an image, and the names that 'spica export' gives those."""
    found = latest(house.registry, unit, where)
    return {
        each: Path(product.path).stem
        for (each, name), product in sorted(found.items(), key=lambda item: _order(item[0][0]))
        if name == "science" and each.grain is Grain.DETECTOR
    }


def _order(unit: Unit) -> tuple[str, int]:
    return unit.values[0], int(unit.values[1]) if unit.grain is Grain.DETECTOR else -1


def block(told: Mapping[str, Any], zero_point: float) -> dict[str, Scalar]:
    """The cards of one image, under SCAMP's names: sky solution as TPV, scatter [deg], flux scale, zero points.

    Parameters
    ----------
    told : as `spica.tasks.express` gives it.
    """
    wcs = from_cards(told["cards"])
    polynomial = polynomial_of(wcs)
    cards: dict[str, Scalar] = {"EQUINOX": 2000.0}
    cards |= to_cards(wcs if polynomial is None or not wcs.sip_a.size else to_tpv(polynomial))
    figures = {name: float(value) for name, (value, _) in told["figures"].items()}
    for name, card in (("astrometry_internal", "ASTIRMS"), ("astrometry_external", "ASTRRMS")):
        if name in figures:
            cards |= {f"{card}{axis}": _MAS * figures[name] for axis in (1, 2)}
    cards |= {"ASTINST": 1, "PHOTINST": 1, "FGROUPNO": 1}
    if "zero_point" in figures:
        scale = 10.0 ** (0.4 * (zero_point - figures["zero_point"])) / max(float(told["exposure_time"]), 1e-3)
        cards |= {"FLXSCALE": scale, "MAGZEROP": zero_point, "PHOTLINK": told["photometric"] == 1}
        if "photometry_scatter" in figures:
            cards["PHOTIRMS"] = figures["photometry_scatter"]
        if told["photometric"] == 1 and "zero_point_err" in figures:
            cards["PHOTRRMS"] = figures["zero_point_err"]
    return cards
