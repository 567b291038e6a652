"""Source 'product': made earlier in the pipeline, at the same grain or gathered from a finer one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from spica.core.faults import DataFault, FaultRecord
from spica.core.records import Grain, Unit
from spica.core.task import Form
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.spec import Gathered, Given, Source, Stored
from spica.engine.targets import NO_BAND, Target, group_of
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step
from spica.registry.rows import DetectorRow


class Product:
    """The product of one unit, or of all units below this one in key order."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:
        """Links to the jobs that make it; a quorum decides whether some may be missing."""
        if binding.chain is None:
            return ()
        place = ground.places[binding.chain]
        gathers = binding.gathers
        rows = ground.circles.of(binding.need.among, target.head) if binding.need.among else target.rows
        units = list(_members(binding, target, rows)) if gathers else [_single(binding, target)]
        links: list[Link] = []
        missing: list[tuple[Unit, FaultRecord | None]] = []
        for unit in units:
            number = place.get(unit.values)
            if number is None:
                missing.append((unit, None))
            elif number < 0:
                missing.append((unit, ground.refusals[-1 - number]))
            elif number in ground.broken:
                missing.append((unit, ground.broken[number]))
            else:
                links.append(Link(f"{ground.keys[number]}/{binding.product}", str(unit), "product", number))
        if not missing or _enough(binding, len(links), len(units)):
            return tuple(links)
        if step.optional(binding.need):
            return ()
        return _refusal(binding, target, missing, len(links), len(units))

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Where the product lies, or its value."""
        sources = [(link.unit, stored(stock, binding, link)) for link in links]
        if binding.gathers:
            return Gathered(tuple(sources))
        return sources[0][1] if sources else None


def stored(stock: Stock, binding: Binding, link: Link) -> Source:
    """Where a recorded product lies, or its value."""
    record = stock.products.get(link.key)
    if record is None:
        raise DataFault(
            "file.missing", f"the product {link.key} of {link.unit} is not there any more", product=link.key
        )
    if record.form is Form.VALUE:
        return Given(record.value)
    need = binding.need
    return Stored(str(stock.path_of(record.path)), record.form, need.stream, need.columns, need.where, need.planes)


def _members(binding: Binding, target: Target, rows: Iterable[DetectorRow]) -> Iterator[Unit]:
    """The units whose products are gathered, in key order."""
    if binding.grain is Grain.EXPOSURE:
        for name in dict.fromkeys(row.exposure for row in rows):
            yield Unit(Grain.EXPOSURE, (name,))
        return
    if binding.grain is Grain.TILE_BAND:
        for band in sorted({row.band or NO_BAND for row in target.rows}):
            yield Unit(Grain.TILE_BAND, (target.unit.keys["tile"], band))
        return
    for row in rows:
        yield Unit(Grain.DETECTOR, (row.exposure, str(row.detector)))


def _single(binding: Binding, target: Target) -> Unit:
    if binding.grain is Grain.EXPOSURE:
        return Unit(Grain.EXPOSURE, (target.head.exposure,))
    if binding.grain is Grain.GROUP:
        return Unit(Grain.GROUP, (group_of(target.head, binding.group),))
    if binding.grain is Grain.TILE:
        return Unit(Grain.TILE, (target.unit.keys["tile"],))
    return target.unit


def _enough(binding: Binding, there: int, wanted: int) -> bool:
    """Whether a fan-in may go on without its missing members."""
    quorum = binding.need.quorum
    if not binding.gathers or isinstance(quorum, str):
        return False
    least = quorum * wanted if isinstance(quorum, float) else quorum
    return there >= max(least, 1)


def _refusal(
    binding: Binding, target: Target, missing: list[tuple[Unit, FaultRecord | None]], there: int, wanted: int
) -> FaultRecord:
    unit, fault = missing[0]
    if fault is not None and unit == target.unit:
        # A later job of the same unit shares its fate: what went wrong is told once, by its own name.
        return fault
    reason = f": {fault.code}" if fault else ": it is not in the plan"
    code = "data.upstream"
    message = f"{target.unit} needs {binding.product!r} of {unit}, which did not finish{reason}"
    if binding.gathers and not isinstance(binding.need.quorum, str):
        code = "data.quorum"
        message = (
            f"{target.unit} has {there} of {wanted} inputs {binding.product!r}, the quorum is {binding.need.quorum}; "
            f"the first that is missing is {unit}{reason}"
        )
    return DataFault(
        code, message, upstream=str(unit), cause=fault.code if fault else "", there=there, wanted=wanted
    ).record()
