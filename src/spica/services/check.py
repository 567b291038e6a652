"""Comparing registry and disk both ways: what is recorded must be there, and what is there must be recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import Fault
from spica.core.jobs import ProductRecord
from spica.core.records import Scalar
from spica.core.task import Form
from spica.files import atomic
from spica.files.survey import Survey
from spica.services.conforming import Conformance, conformance
from spica.services.progress import Step, Watcher, unwatched
from spica.services.surveys import opened

OURS = ("raw", "products", "scratch")
"""Folders that hold nothing but what the registry knows."""


@dataclass(frozen=True)
class Difference:
    """Something in which registry and disk disagree."""

    path: str
    what: str
    advice: str


@dataclass(frozen=True)
class Checked:
    """How many files and products were compared, and what differs; conformance to FITS where it was asked for."""

    files: int
    products: int
    deep: bool
    differences: tuple[Difference, ...]
    conformance: Conformance | None = None


@dataclass(frozen=True)
class _Expected:
    """A file that should be on disk; `product` is None for delivered files."""

    path: Path
    size: int
    checksum: str
    lost: str
    product: ProductRecord | None = None


RAW_LOST = "restore it from another copy, or ingest it again from where it came"
IDENTIFIED = frozenset({Form.IMAGE, Form.CATALOGUE})
"""Forms whose files say what they are."""
PRODUCT_LOST = "the run that made it makes it again"


def check(
    folder: Path | None, *, deep: bool = False, conforming: bool = False, watcher: Watcher = unwatched
) -> Checked:
    """Compare registry and disk.

    Parameters
    ----------
    deep : also read every byte and compare checksums, and the identity that products say of themselves.
    conforming : also check delivered files and kept images against the FITS standard.

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``.
    """
    with opened(folder) as house:
        survey = house.survey
        files = [
            _Expected(survey.path_of(record), record.size, record.checksum, RAW_LOST)
            for record in house.registry.files().values()
            if not survey.areas.get(record.area, "://").count("://")
        ]
        products = [
            _Expected(survey.root / record.path, record.size, record.checksum, PRODUCT_LOST, record)
            for record in house.registry.all_products()
            if record.path
        ]
    expected = [*files, *products]
    differences: list[Difference] = []
    for number, each in enumerate(expected, start=1):
        differences.extend(_compare(each, deep=deep))
        watcher(Step("check", number, len(expected), each.path.name))
    differences.extend(_unrecorded(survey, {each.path for each in expected}))
    images = [each for each in products if _is_kept_image(each)]
    fits = [*(("raw", each.path) for each in files), *(("product", each.path) for each in images)]
    found = conformance(fits, watcher) if conforming else None
    return Checked(len(files), len(products), deep, tuple(differences), found)


def _is_kept_image(expected: _Expected) -> bool:
    product = expected.product
    return product is not None and product.form is Form.IMAGE and not product.scratch


def _compare(expected: _Expected, *, deep: bool) -> Iterator[Difference]:
    from spica.files import checksums

    path = expected.path
    if not path.is_file():
        yield Difference(str(path), "recorded, but not on disk", expected.lost)
        return
    size = path.stat().st_size
    if size != expected.size:
        yield Difference(str(path), f"has {size} bytes, {expected.size} are recorded", expected.lost)
        return
    if not deep:
        return
    try:
        found = checksums.of_file(path)
    except Fault as fault:
        yield Difference(str(path), f"{fault.code}: {fault.message}", fault.advice)
        return
    if found != expected.checksum:
        yield Difference(str(path), "its bytes are not those recorded", expected.lost)
    if expected.product is not None:
        yield from _compare_identity(path, expected.product, intact=found == expected.checksum)


def _compare_identity(path: Path, product: ProductRecord, *, intact: bool) -> Iterator[Difference]:
    """Whether a product says of itself that it is what is recorded: of this unit, made by this job."""
    from spica.engine.writing import identity

    if product.form not in IDENTIFIED:
        return
    try:
        told = _identity(path, product.form)
    except Fault as fault:
        # Of one whose bytes have changed that is said already.
        if intact:
            yield Difference(str(path), f"{fault.code}: {fault.message}", fault.advice)
        return
    recorded = identity(product.job, product.unit, product.name)
    wrong = [f"{name} {told.get(name)!r}, not {value!r}" for name, value in recorded.items() if told.get(name) != value]
    if wrong:
        yield Difference(
            str(path), f"it says that it is {', '.join(wrong)}", "delete it: the run that made it makes it again"
        )


def _identity(path: Path, form: Form) -> dict[str, Scalar]:
    """What a file says it is."""
    from spica.files import catalogues, images

    return images.read_identity(path) if form is Form.IMAGE else catalogues.read_identity(path)


def _unrecorded(survey: Survey, known: set[Path]) -> Iterator[Difference]:
    """Files in the survey's own folders that the registry does not know."""
    for name in OURS:
        for path in sorted(survey.folder(name).rglob("*")):
            if path.is_file() and path not in known:
                if any(part.endswith(atomic.PART) for part in path.relative_to(survey.root).parts):
                    yield Difference(str(path), "half-written", "left by a process that was killed: it may be deleted")
                    continue
                advice = f"ingest it: spica ingest {path}" if name == "raw" else "nobody needs it: it may be deleted"
                yield Difference(str(path), "on disk, but not recorded", advice)
