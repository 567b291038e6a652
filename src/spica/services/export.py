"""Taking products out of a survey: copied as they are, or in the forms of other programs; each checked first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault, SetupFault
from spica.core.jobs import ProductRecord
from spica.core.task import Form
from spica.files import checksums, storage
from spica.services.products import latest
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import opened

SCIENCE = "science"
"""Product whose pixels go with a catalogue in LDAC."""


@dataclass(frozen=True)
class Exported:
    """What was written: paths in the target folder, in the order of their units."""

    folder: Path
    paths: tuple[str, ...]


@dataclass(frozen=True)
class _Work:
    """One product to be written in another form: where it lies, its unit's image if there is one, the name to take."""

    path: Path
    image: Path | None
    stem: Path


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
    for number, product in enumerate(products, start=1):
        target = to / Path(product.path).name
        if form:
            _sound(root / product.path, product)
            image = found.get((product.unit, SCIENCE))
            work = _Work(root / product.path, root / image.path if image else None, target.with_suffix(""))
            written += map(str, FORMS[form][1](work))
        else:
            storage.copy(root / product.path, target)
            _sound(target, product, copied=True)
            written.append(str(target))
        watcher(Step("export", number, len(products), target.name))
    return Exported(to, tuple(written))


def _sound(path: Path, product: ProductRecord, *, copied: bool = False) -> None:
    """Refuse a product whose bytes are not those recorded (and take a copy of it away)."""
    if checksums.of_file(path) == product.checksum:
        return
    if copied:
        path.unlink()
    message = f"{product.path} has other bytes than recorded"
    raise DataFault("file.corrupt", message, advice="'spica check --deep', then run it again", path=product.path)


def _ldac(work: _Work) -> list[Path]:
    from spica.files.catalogues import read_catalogue
    from spica.files.images import read_image
    from spica.files.ldac import write_ldac

    catalogue = read_catalogue(work.path)
    image = read_image(work.image) if work.image is not None else None
    target = work.stem.with_name(work.stem.name + ".ldac")
    write_ldac(target, catalogue, catalogue.header if image is None else image.header, image)
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

    return list(write_maps(work.stem, read_image(work.path)))


FORMS: Mapping[str, tuple[Form, Callable[[_Work], list[Path]]]] = {
    "ldac": (Form.CATALOGUE, _ldac),
    "votable": (Form.CATALOGUE, _table(".vot", "write_votable")),
    "csv": (Form.CATALOGUE, _table(".csv", "write_csv")),
    "fits": (Form.CATALOGUE, _table(".fits", "write_fits_table")),
    "maps": (Form.IMAGE, _maps),
}
"""Name of a form to the products that it is for, and who writes it."""
