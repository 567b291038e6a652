"""Taking products out of a survey: copied, or in the forms of other programs; each checked first.

Images go out with the newest sky solution and figures in their headers, whether or not theirs were refreshed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.records import Scalar
from spica.core.task import Form
from spica.files import checksums, refresh, storage
from spica.services import sky
from spica.services.headers import released_as, values_of
from spica.services.products import latest
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import Opened, opened

SCIENCE = "science"
"""Product whose pixels go with a catalogue in LDAC."""


@dataclass(frozen=True)
class Exported:
    """What was written: paths in the target folder, in the order of their units; of them, those without room for news."""

    folder: Path
    paths: tuple[str, ...]
    stale: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Work:
    """One product to be written in another form: where it lies, its unit's image if there is one, the name to take.

    `sky` are the cards of its joint solution, empty where there is none.
    """

    path: Path
    image: Path | None
    stem: Path
    sky: Mapping[str, Scalar]


def export(
    to: Path,
    folder: Path | None,
    *,
    unit: str = "",
    where: str = "",
    kind: str = "",
    form: str = "",
    watcher: Watcher = unwatched,
) -> Exported:
    """Write the latest products of a unit, or of all detectors that a selection takes, into a folder.

    Parameters
    ----------
    kind : only products of this name; all that are files where empty.
    form : as they are where empty; else one of `FORMS`: products of another kind are left out then.

    Raises
    ------
    SetupFault
        ``order.nothing``, ``order.unknown-unit``, ``order.invalid``, ``where.invalid``.
    DataFault
        ``file.missing``, ``file.corrupt`` where a product's bytes are not those recorded.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    if form and form not in FORMS:
        raise SetupFault("order.invalid", f"there is no form {form!r} to export in; there are {', '.join(FORMS)}")
    with opened(folder) as house:
        found = latest(house.registry, unit, where)
        root = house.survey.root
    there = sorted({product.name for product in found.values()})
    fitting = FORMS[form][0] if form else None
    products = [product for product in found.values() if kind in {"", product.name} and fitting in {None, product.form}]
    if not products:
        what = f"product {kind!r}" if kind else "product"
        hint = f"; there are {', '.join(there)}" if there else ""
        raise SetupFault(
            "order.nothing",
            f"there is no {what} {f'for {form} ' if form else ''}of {unit or where or 'this survey'}{hint}",
        )
    written: list[str] = []
    stale: list[str] = []
    with opened(folder) as house:
        for number, product in enumerate(products, start=1):
            target = to / Path(product.path).name
            if form:
                _sound(root / product.path, product)
                image = found.get((product.unit, SCIENCE))
                cards = sky.cards_of(house.registry, product.unit)
                work = _Work(root / product.path, root / image.path if image else None, target.with_suffix(""), cards)
                written += map(str, FORMS[form][1](work))
            else:
                storage.copy(root / product.path, target)
                _sound(target, product, copied=True)
                written.append(str(target))
                if not _up_to_date(house, product, target):
                    stale.append(str(target))
            watcher(Step("export", number, len(products), target.name))
    return Exported(to, tuple(written), tuple(stale))


def _sound(path: Path, product: ProductRecord, *, copied: bool = False) -> None:
    """Refuse a product whose bytes are not those recorded (and take a copy of it away)."""
    if checksums.of_file(path) == product.checksum:
        return
    if copied:
        path.unlink()
    message = f"{product.path} has other bytes than recorded"
    raise DataFault("file.corrupt", message, advice="'spica check --deep', then run it again", path=product.path)


def _up_to_date(house: Opened, product: ProductRecord, target: Path) -> bool:
    """Bring the headers of a copied image to what the registry knows now; False where they have no room for it."""
    if product.form is not Form.IMAGE:
        return True
    values = values_of(house.registry, product.unit)
    values |= released_as(target)
    cards = sky.cards_of(house.registry, product.unit)
    try:
        change = refresh.change(target.parent, target.name, product.key, product.checksum, values, cards)
    except DataFault as fault:
        if fault.code != "header.no-room":
            raise
        return False
    if change is not None:
        refresh.apply(target, change.pieces)
    return True


def _ldac(work: _Work) -> list[Path]:
    from spica.files.catalogues import read_catalogue
    from spica.files.images import read_image
    from spica.files.ldac import write_ldac

    catalogue = read_catalogue(work.path)
    image = read_image(work.image) if work.image is not None else None
    target = work.stem.with_name(work.stem.name + ".ldac")
    header = catalogue.header if image is None else image.header
    write_ldac(target, catalogue, sky.overlaid(header, work.sky), image)
    return [target]


def _table(suffix: str, writer: str) -> Callable[[_Work], list[Path]]:
    def write(work: _Work) -> list[Path]:
        from spica.files import transfer
        from spica.files.catalogues import read_catalogue

        target = work.stem.with_name(work.stem.name + suffix)
        getattr(transfer, writer)(target, read_catalogue(work.path))
        return [target]

    return write


def _maps(work: _Work) -> list[Path]:
    from spica.files.images import read_image
    from spica.files.maps import write_maps

    return list(write_maps(work.stem, sky.solved_image(read_image(work.path), work.sky)))


FORMS: Mapping[str, tuple[Form, Callable[[_Work], list[Path]]]] = {
    "ldac": (Form.CATALOGUE, _ldac),
    "votable": (Form.CATALOGUE, _table(".vot", "write_votable")),
    "csv": (Form.CATALOGUE, _table(".csv", "write_csv")),
    "fits": (Form.CATALOGUE, _table(".fits", "write_fits_table")),
    "maps": (Form.IMAGE, _maps),
}
"""Name of a form to the products that it is for, and who writes it."""
