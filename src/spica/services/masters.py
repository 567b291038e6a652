"""Masters: which there are, how well each serves a night, and what people order of them."""

from __future__ import annotations

import getpass
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from spica.core.faults import SetupFault
from spica.registry.rows import CalibrationOrder, MasterRow
from spica.services.surveys import opened

_MJD_ZERO = date(1858, 11, 17)
_DAYS_OF_NIGHT = 1.0
"""From the beginning of a night's date to about its middle."""


@dataclass(frozen=True)
class MasterLine:
    """One master.

    Attributes
    ----------
    unit, master : its calibration unit and its name.
    night, kind : of its block: night (or span), kind of flat.
    gain, frames : electron/ADU and number of frames, 0 where not known.
    valid_from, valid_to : UTC dates, '' for ever.
    serves : how it would serve the night that was asked for, '' where none was.
    origin : '' for one made here, else the file that it was imported from.
    """

    unit: str
    master: str
    camera: str
    detector: int
    band: str
    night: str
    kind: str
    binning: str
    readout_mode: str
    gain: float
    frames: int
    valid_from: str
    valid_to: str
    serves: str
    origin: str
    path: str
    key: str


@dataclass(frozen=True)
class OrderLine:
    """An order on masters; '' and None mean all."""

    id: int
    action: str
    camera: str
    block: str
    master: str
    band: str
    detector: int | None
    first: str
    last: str
    who: str


@dataclass(frozen=True)
class Wanted:
    """Which masters are meant.

    Attributes
    ----------
    camera, band, detector, kinds : '' , None and nothing mean all.
    night : they shall serve.
    """

    camera: str = ""
    band: str = ""
    detector: int | None = None
    kinds: tuple[str, ...] = ()
    night: str = ""


@dataclass(frozen=True)
class Listing:
    """Masters, and the orders that hold."""

    masters: tuple[MasterLine, ...]
    orders: tuple[OrderLine, ...]


def listing(wanted: Wanted, folder: Path | None) -> Listing:
    """The newest masters of each block, by name, camera, detector and time.

    Raises
    ------
    SetupFault
        ``order.invalid`` for a night that is none; ``survey.*``, ``registry.*``.
    """
    mjd = _mjd(wanted.night) if wanted.night else None
    with opened(folder) as house:
        rows = house.registry.masters(wanted.camera or None)
        orders = house.registry.master_orders()
    newest = {(row.name, row.camera, row.detector, row.band, row.block): row for row in rows}
    chosen = [row for row in newest.values() if _is_wanted(row, wanted)]
    chosen.sort(key=lambda row: (row.name, row.camera, row.detector, row.band, row.valid_from, row.block))
    lines = [_line(row, wanted.night, mjd, orders) for row in chosen]
    return Listing(tuple(line for line in lines if mjd is None or line.serves), tuple(map(_order_line, orders)))


def _is_wanted(row: MasterRow, wanted: Wanted) -> bool:
    return (
        (not wanted.kinds or row.name in wanted.kinds)
        and (not wanted.band or row.band == wanted.band)
        and wanted.detector in {None, row.detector}
    )


def _line(row: MasterRow, night: str, mjd: float | None, orders: Sequence[CalibrationOrder]) -> MasterLine:
    return MasterLine(
        unit=f"calibration:{row.camera}/{row.detector}/{row.band}/{row.block}",
        master=row.name,
        camera=row.camera,
        detector=row.detector,
        band=row.band,
        night=row.block.partition("~")[0],
        kind=row.flat_kind,
        binning="{}x{}".format(*row.binning),
        readout_mode=row.readout_mode,
        gain=row.gain,
        frames=row.frames,
        valid_from=_date(row.valid_from),
        valid_to=_date(row.valid_to),
        serves="" if mjd is None else _serves(row, night, mjd, orders),
        origin=row.origin,
        path=row.path,
        key=row.key,
    )


def _serves(row: MasterRow, night: str, mjd: float, orders: Sequence[CalibrationOrder]) -> str:
    """How a master would serve a night (in its middle), '' where it would not."""
    actions = [order.action for order in orders if _about(order, row) and order.first <= night <= order.last]
    valid = row.valid_from <= mjd < row.valid_to
    tests = {
        "fixed": "use" in actions,
        "same-night": valid and not row.origin and row.block.partition("~")[0] == night,
        "nearest": valid and not row.origin,
        "copied": "copy" in actions,
        "imported": valid,
    }
    return next((word for word, true in tests.items() if true), "")


def _about(order: CalibrationOrder, row: MasterRow) -> bool:
    return (
        (order.camera, order.block) == (row.camera, row.block)
        and order.name in {"", row.name}
        and order.band in {"", row.band}
        and order.detector in {None, row.detector}
    )


def _order_line(order: CalibrationOrder) -> OrderLine:
    return OrderLine(
        *(order.id, order.action, order.camera, order.block, order.name, order.band, order.detector),
        *(order.first, order.last, order.who),
    )


def order(action: str, block: str, nights: str, wanted: Wanted, folder: Path | None) -> tuple[OrderLine, ...]:
    """Give an order on the masters of a block.

    Parameters
    ----------
    action : 'use': in those nights they and no others of their names; 'copy': they too, where there are no better ones.
    block : as `listing` shows it in a unit: a night, with what sets it apart (``2026-11-20``, ``2026-11-20~2x2``).
    nights : ``NIGHT`` or ``NIGHT..NIGHT``, of the exposures that are to be reduced.
    wanted : which masters of the block.

    Returns
    -------
    One order for each kind named, or one for all kinds.

    Raises
    ------
    SetupFault
        ``order.invalid`` for nights that are none, or where the block belongs to several cameras and none is named;
        ``order.nothing`` where no such master is there, with the blocks that are.
    """
    first, last = _nights(nights)
    with opened(folder) as house:
        known = [row for row in house.registry.masters(wanted.camera or None) if _is_wanted(row, wanted)]
        meant = [row for row in known if row.block == block]
        cameras = sorted({row.camera for row in meant})
        if not meant:
            there = sorted({row.block for row in known})
            message = f"there are no such masters of block {block!r}; there are those of {', '.join(there) or 'none'}"
            raise SetupFault("order.nothing", message, advice="see 'spica calib list'", block=block)
        if len(cameras) > 1:
            message = f"cameras {', '.join(cameras)} have masters of block {block!r}: name one with --camera"
            raise SetupFault("order.invalid", message, block=block)
        found = []
        for name in wanted.kinds or ("",):
            given = CalibrationOrder(
                *(action, cameras[0], block, name, wanted.band, wanted.detector, first, last, getpass.getuser())
            )
            number = house.registry.order_masters(given)
            found.append(number)
        return tuple(_order_line(each) for each in house.registry.master_orders() if each.id in found)


def withdraw(number: int, folder: Path | None) -> int:
    """Let an order on masters hold no longer; SetupFault ``order.nothing`` where there is none of that number."""
    with opened(folder) as house:
        if not house.registry.withdraw_order(number):
            raise SetupFault(
                "order.nothing", f"there is no order {number} on masters that holds", advice="see 'spica calib list'"
            )
    return number


def _nights(text: str) -> tuple[str, str]:
    first, _, last = text.partition("..")
    last = last or first
    if _mjd(first) > _mjd(last):
        raise SetupFault("order.invalid", f"{text!r}: the nights run backwards", nights=text)
    return first, last


def night_start(night: str) -> float:
    """Beginning of the date of a night, MJD; SetupFault ``order.invalid`` where it is no date."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", night):
        try:
            return float((date.fromisoformat(night) - _MJD_ZERO).days)
        except ValueError:
            pass
    raise SetupFault("order.invalid", f"{night!r} is no night: write YYYY-MM-DD", night=night)


def _mjd(night: str) -> float:
    return night_start(night) + _DAYS_OF_NIGHT


def _date(mjd: float) -> str:
    """A time as a date, '' beyond what a calendar has."""
    day = int(mjd // 1) + _MJD_ZERO.toordinal()
    return date.fromordinal(day).isoformat() if 400_000 < day < date.max.toordinal() else ""
