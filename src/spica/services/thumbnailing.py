"""Small pictures of whatever is selected, as files and as a contact sheet; what cannot be drawn is told and stops nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spica.core.faults import DataFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.records import Grain, Unit
from spica.core.task import Form
from spica.files import storage
from spica.services.contact_sheet import ENDINGS, write_sheet
from spica.services.products import latest
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import Opened, opened
from spica.services.thumbnails import MOSAIC, SHOWN, SIZE, Thumbnail, mosaic, planes_of, thumbnail
from spica.services.thumbnails.looks import PIXELS

_FORMS = (Form.IMAGE, Form.PICTURE)


@dataclass(frozen=True)
class Undrawn:
    """A product without a picture: which one, and why."""

    unit: str
    product: str
    path: str
    code: str
    message: str
    advice: str


@dataclass(frozen=True)
class Thumbnails:
    """The pictures (in `folder` where one was asked for, else as the survey keeps them), the sheet, what could not be drawn."""

    pictures: tuple[Thumbnail, ...]
    problems: tuple[Undrawn, ...]
    folder: Path | None
    sheet: Path | None


@dataclass(frozen=True)
class ThumbnailsOrder:
    """Which pictures, and where to.

    Attributes
    ----------
    where : of detectors; unit : a unit of any grain; neither: all of the survey.
    kind : of these alone: PRODUCT (its pixels), a plane such as 'weight', PRODUCT:PLANE, 'mosaic'; all where empty.
    size : longest side at most [pixel].
    folder : takes copies under names of their own.
    sheet : a page (.html) or picture (.png) of them all.
    """

    where: str = ""
    unit: str = ""
    kind: str = ""
    size: int = SIZE
    folder: Path | None = None
    sheet: Path | None = None


def thumbnails(folder: Path | None, order: ThumbnailsOrder | None = None, watcher: Watcher = unwatched) -> Thumbnails:
    """Make the small pictures of the latest products, and the contact sheet where one is asked for.

    Raises
    ------
    SetupFault
        ``order.invalid``, ``order.nothing``, ``order.unknown-unit``, ``where.invalid``, ``survey.*``.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    order = order or ThumbnailsOrder()
    _sensible(order)
    found: list[Thumbnail] = []
    problems: list[Undrawn] = []
    with opened(folder) as house:
        products = _chosen(house, order)
        exposures = _exposures(products, order)
        total = len(products) + len(exposures)
        for number, product in enumerate(products):
            watcher(Step("thumbnails", number, total, str(product.unit)))
            found += _tried(product, problems, partial(_of, house, product, order))
        for number, exposure in enumerate(exposures):
            watcher(Step("thumbnails", len(products) + number, total, exposure))
            whole = _detectors(house, exposure)
            found += _tried(whole[0], problems, partial(_mosaic, house, whole, order))
        watcher(Step("thumbnails", total, total))
    if not found and not problems:
        what = f" {order.kind!r}" if order.kind else ""
        message = f"there is no image{what} of {order.unit or order.where or 'this survey'}"
        raise SetupFault("order.nothing", message, advice="'spica why UNIT' names the products of a unit")
    if order.folder is not None:
        found = [_copied(each, order.folder) for each in found]
    if order.sheet is not None:
        write_sheet(order.sheet, found, problems=[f"{each.unit} {each.product}: {each.message}" for each in problems])
    return Thumbnails(tuple(found), tuple(problems), order.folder, order.sheet)


def _sensible(order: ThumbnailsOrder) -> None:
    if order.unit and order.where:
        raise SetupFault("order.invalid", "choose by a selection or by --unit, not by both")
    if not 16 <= order.size <= 4096:
        raise SetupFault("order.invalid", f"a small picture has 16 to 4096 pixels, not {order.size}")
    if order.sheet is not None and order.sheet.suffix.lower() not in ENDINGS:
        raise SetupFault("order.invalid", f"{order.sheet}: the name of a sheet ends in {', '.join(ENDINGS)}")


def _chosen(house: Opened, order: ThumbnailsOrder) -> list[ProductRecord]:
    """The latest products that are images or pictures and may have what is asked for."""
    if order.unit or order.where:
        every = latest(house.registry, order.unit, order.where)
    else:
        units = {each.unit for each in house.registry.all_products() if each.form in _FORMS and not each.scratch}
        every = {
            (unit, each.name): each
            for unit in sorted(units, key=str)
            for each in house.registry.products_of(unit)
            if each.path and not each.scratch
        }
    return [each for each in every.values() if each.form in _FORMS and _perhaps(order.kind, each.name)]


def _perhaps(kind: str, name: str) -> bool:
    """Whether a product of this name may be what is asked for; a mosaic needs the detectors' images."""
    first, colon, _ = kind.partition(":")
    return kind == "" or (kind == MOSAIC and name == SHOWN) or first == name or not colon


def _fits(kind: str, name: str, plane: str) -> bool:
    mine = {f"{name}:{plane}", name if plane == PIXELS else plane}
    return kind == "" or kind in mine


def _of(house: Opened, product: ProductRecord, order: ThumbnailsOrder) -> Iterator[Thumbnail]:
    for plane in planes_of(house.survey, product) if order.kind != MOSAIC else ():
        if _fits(order.kind, product.name, plane):
            yield thumbnail(house.survey, product, plane, order.size)


def _exposures(products: Sequence[ProductRecord], order: ThumbnailsOrder) -> list[str]:
    """Exposures whose mosaic is asked for: those of the detectors chosen, unless one detector was named."""
    if order.kind not in {"", MOSAIC, f"{SHOWN}:{MOSAIC}"} or (
        order.unit and Unit.parse(order.unit).grain is not Grain.EXPOSURE
    ):
        return []
    mine = (each for each in products if each.unit.grain is Grain.DETECTOR and each.name == SHOWN)
    return list(dict.fromkeys(each.unit.keys["exposure"] for each in mine))


def _detectors(house: Opened, exposure: str) -> list[ProductRecord]:
    every = latest(house.registry, f"exposure:{exposure}", "")
    return [each for (_, name), each in every.items() if name == SHOWN and each.form is Form.IMAGE]


def _mosaic(house: Opened, products: list[ProductRecord], order: ThumbnailsOrder) -> Iterator[Thumbnail]:
    yield mosaic(house, house.registry.exposure(products[0].unit.keys["exposure"]), products, order.size)


def _tried(product: ProductRecord, problems: list[Undrawn], draw: Callable[[], Iterator[Thumbnail]]) -> list[Thumbnail]:
    """The pictures of a product; where its data are at fault that is told once, and none."""
    try:
        return list(draw())
    except DataFault as fault:
        told = str(product.unit), product.name, product.path, fault.code, fault.message, fault.advice
        problems.append(Undrawn(*told))
        return []


def _copied(each: Thumbnail, folder: Path) -> Thumbnail:
    """The same picture under a name that tells what it is of."""
    name = re.sub(r"[^\w.~+-]+", "_", f"{each.unit.partition(':')[2]}_{each.kind}") + ".png"
    storage.copy(each.path, folder / name)
    return Thumbnail(each.unit, each.product, each.plane, folder / name, each.made)
