"""The work itself: one job from its inputs to its products and report. Runs in worker processes; knows no registry."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spica.core.faults import DataFault, Fault, FaultRecord, InternalFault, Outcome, ResourceFault
from spica.core.jobs import FIGURES, JobReport, ProductRecord
from spica.core.outline import Outline
from spica.core.records import Grain, Metric, Unit
from spica.core.streams import Banded, Parts
from spica.core.task import Form, Measured
from spica.engine.meter import Meter
from spica.engine.reading import Reader, ReferencePlaces, as_rows, cones_of
from spica.engine.returned import checked
from spica.engine.spec import JobSpec, Referred, Source, Stored
from spica.engine.writing import Writer
from spica.pipelines.graph import TILED, Binding, Output
from spica.pipelines.model import Rescue, Step

_VERSIONS = ("spica", "numpy", "numba", "astropy", "pyarrow")


@dataclass(frozen=True)
class _Made:
    products: tuple[ProductRecord, ...]
    metrics: tuple[Metric, ...]
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class _Failed:
    fault: FaultRecord
    trace: str


@cache
def versions() -> Mapping[str, str]:
    """Versions of what decides the bytes, as installed here."""
    found = {}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def work(spec: JobSpec) -> JobReport:
    """Work on one job; climbs the rescue ladder where a rung fits the fault. Always returns a report."""
    meter = Meter()
    settings = list(spec.recipe.settings)
    told: list[str] = []
    taken, left = _begun(spec)
    for first in taken:
        _climb(spec, first, settings, told)
    ended = _attempt(spec, settings, meter)
    while isinstance(ended, _Failed):
        rung = next((rung for rung in left if rung.after == ended.fault.code), None)
        if rung is None or rung.borrow:
            break  # one that borrows is taken in another job, when the others have ended
        left.remove(rung)
        if not _climb(spec, rung, settings, told):
            continue
        ended = _attempt(spec, settings, meter)
    failed = ended if isinstance(ended, _Failed) else None
    made = ended if isinstance(ended, _Made) else _Made((), (), ())
    return JobReport(
        key=spec.key,
        unit=spec.unit,
        pipeline=spec.recipe.pipeline,
        steps=spec.recipe.step_records(tuple(settings)),
        inputs=spec.inputs,
        outcome=Outcome.FAILED if failed else Outcome.DONE,
        products=made.products,
        metrics=made.metrics,
        outlines=made.outlines,
        fault=failed.fault if failed else None,
        cost=meter.cost(),
        attempt=spec.attempt,
        rungs=tuple(told),
        traceback=failed.trace if failed else "",
        versions={**versions(), **_programs(spec)},
    )


def _programs(spec: JobSpec) -> dict[str, str]:
    """Versions of the programs that the job's steps run, where they are still there."""
    found = {}
    for external in (step.task.external for step in spec.recipe.chain.steps):
        if external is not None:
            try:
                found[external.name] = external.version()
            except Fault as fault:
                found[external.name] = fault.code
    return found


def _begun(spec: JobSpec) -> tuple[list[Rescue], list[Rescue]]:
    """The rungs with which a job begins, and those that are left: it borrows once."""
    ladder = spec.recipe.rescues
    if spec.rung < 0:
        return [], list(ladder)
    first = ladder[spec.rung]
    taken = [rung for rung in ladder[: spec.rung] if rung.after == first.after and not rung.borrow]
    left = [rung for rung in ladder if not rung.borrow and rung is not first and rung not in taken]
    return [*taken, first], left


def _climb(spec: JobSpec, rung: Rescue, settings: list[Mapping[str, Any]], told: list[str]) -> bool:
    """Take a rung; False where it is passed over, for lack of what it needs, or since it would change nothing."""
    if rung.needs and _lacks(spec, rung):
        told.append(f"{rung}: passed over, there are no {rung.needs}")
        return False
    place = [step.label for step in spec.recipe.chain.steps].index(rung.step)
    if not rung.borrow and rung.settings.items() <= settings[place].items():
        return False
    told.append(str(rung))
    settings[place] = {**settings[place], **rung.settings}
    return True


def _lacks(spec: JobSpec, rung: Rescue) -> bool:
    """Whether nothing satisfies what a rung needs."""
    outside = zip(spec.recipe.chain.outside, spec.sources, strict=True)
    return all(source is None for each, source in outside if (each.step, each.need.name) == (rung.step, rung.needs))


def _attempt(spec: JobSpec, settings: list[Mapping[str, Any]], meter: Meter) -> _Made | _Failed:
    """Run the chain once. Here stands the one broad except of spica: whatever a task raises becomes a named fault."""
    reader = Reader(meter)
    writer = Writer(spec, meter, reader)
    run = _Run(spec, settings, reader, writer)
    try:
        return run.chain()
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the engine's one broad except
        trace = "".join(traceback.format_exception(error))
        fault = _named(error, spec.unit, run.label)
        writer.withdraw()
        return _Failed(fault, trace)


def _named(error: BaseException, unit: Unit, label: str) -> FaultRecord:
    from spica.files.atomic import disk_fault

    where = f"{unit}: step {label!r}"
    if isinstance(error, Fault):
        # A task need not know which unit it works on; who reads the fault must.
        fault = error.record()
        named = "/".join(unit.values) in fault.message
        return fault if named else replace(fault, message=f"{unit}: {fault.message}")
    if isinstance(error, MemoryError):
        return ResourceFault("worker.memory", f"{where} ran out of memory: {error}", step=label).record()
    if isinstance(error, FileNotFoundError):
        return DataFault("file.missing", f"{where}: {error}", path=str(error.filename)).record()
    if isinstance(error, OSError):
        from pathlib import Path

        known = disk_fault(error, Path(str(error.filename or ".")))
        if known is not None:
            return known.record()
    kind = type(error).__name__
    return InternalFault("internal.error", f"{where} raised {kind}: {error}", step=label, error=kind).record()


class _Run:
    """One pass through a chain, with the products that later steps need in memory."""

    def __init__(self, spec: JobSpec, settings: list[Mapping[str, Any]], reader: Reader, writer: Writer) -> None:
        self._spec = spec
        self._settings = settings
        self._reader = reader
        self._writer = writer
        self._memory: dict[str, Any] = {}
        self._metrics: list[Metric] = []
        self._outlines: list[Outline] = []
        chain = spec.recipe.chain
        self._sources: dict[int, Source] = {
            id(binding): source for binding, source in zip(chain.outside, spec.sources, strict=True)
        }
        self.label = chain.label

    def chain(self) -> _Made:
        """Run all steps, keep what is to be kept."""
        chain = self._spec.recipe.chain
        for step, plain in zip(chain.steps, self._settings, strict=True):
            self.label = step.label
            bindings = [binding for binding in chain.bindings if binding.step == step.label]
            needs = {binding.need.name: self._need(binding, plain) for binding in bindings}
            needs |= dict.fromkeys(step.without)
            given = step.task.run(step.task.settings.model_validate(plain), **needs)
            del needs
            self._take(step, checked(step, given))
            self._let_go(step)
        if chain.grain in TILED and self._metrics:
            told = {each.name: [each.value, each.units, each.source] for each in self._metrics}
            self._writer.note(FIGURES, told)
        return _Made(tuple(self._writer.records), (*self._metrics, *self._associations()), tuple(self._outlines))

    def _associations(self) -> Iterator[Metric]:
        """How well each master served a detector, as metrics: 0 the best; a frame without one is told so too."""
        if self._spec.unit.grain is Grain.DETECTOR:
            for name, each in self._spec.masters.items():
                yield Metric(self._spec.unit, f"master_{name}", float(each.quality), "", each.step)

    def _need(self, binding: Binding, settings: Mapping[str, Any]) -> Any:
        if id(binding) in self._sources:
            source = self._sources[id(binding)]
            return (
                self._stars(binding, source, settings) if isinstance(source, Referred) else self._reader.value(source)
            )
        value = self._memory[binding.product]
        if isinstance(value, Stored):  # it was streamed to disk a moment ago
            value = self._reader.value(Stored(value.path, value.form, stream=binding.need.stream))
        elif binding.need.stream:
            value = as_rows(value)
        return value

    def _stars(self, binding: Binding, source: Referred, settings: Mapping[str, Any]) -> Any:
        """Reference stars: where, is not known when the job is planned. A rung of the rescue ladder may look farther."""
        need = binding.need
        if need.stream:
            return ReferencePlaces(source)
        margin = float(settings[need.margin]) if need.margin else 0.0
        opposite = bool(need.opposite and settings[need.opposite])
        also = cones_of(self._beside(binding, need.placed, settings)) if need.placed else ()
        if need.placed and not source.cones and not also:
            message = "it does not tell where on the sky it is, and was not found"
            raise DataFault("data.no-pointing", message, unit=str(self._spec.unit))
        return self._reader.around(source, margin, opposite=opposite, also=also)

    def _beside(self, binding: Binding, name: str, settings: Mapping[str, Any]) -> Any:
        """Another need of the same step; None where it is absent."""
        bindings = self._spec.recipe.chain.bindings
        found = [each for each in bindings if each.step == binding.step and each.need.name == name]
        return self._need(found[0], settings) if found else None

    def _take(self, step: Step, given: Mapping[str, Any]) -> None:
        for output in self._spec.recipe.chain.outputs:
            if output.step == step.label:
                self._take_one(step, output, given[output.give.name])

    def _take_one(self, step: Step, output: Output, value: Any) -> None:
        if output.give.form is Form.METRICS:
            self._metrics.extend(self._metric(step, name, measured) for name, measured in value.items())
            return
        if output.give.form is Form.OUTLINE:
            self._outlines.append(Outline.of(self._spec.unit, value))
            return
        if output.written:
            self._writer.write(output, value)
        if isinstance(value, Banded | Parts):
            value = Stored(str(self._writer.path(output)), output.give.form)
        self._memory[output.product] = value

    def _metric(self, step: Step, name: str, measured: Measured) -> Metric:
        return Metric(self._spec.unit, name, float(measured.value), measured.units, step.label)

    def _let_go(self, step: Step) -> None:
        """Forget what no later step of the chain needs."""
        chain = self._spec.recipe.chain
        labels = [each.label for each in chain.steps]
        later = set(labels[labels.index(step.label) + 1 :])
        wanted = [binding for binding in chain.bindings if binding.step in later]
        products = {binding.product for binding in wanted}
        for product in [product for product in self._memory if product not in products]:
            del self._memory[product]
        ahead = {id(self._sources[id(binding)]) for binding in wanted if id(binding) in self._sources}
        for source in self._sources.values():
            if id(source) not in ahead:
                self._reader.forget(source)
