"""From planned jobs to what workers get: records and paths are fetched in bulk, and only for the jobs at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from spica.core.camera import Camera
from spica.core.faults import DataFault, FaultRecord
from spica.core.jobs import ProductRecord
from spica.core.records import Detector, Exposure, FileRecord, Grain, Unit
from spica.engine.candidates import Quality
from spica.engine.plan import Plan, PlannedJob
from spica.engine.resolvers.base import Stock
from spica.engine.resolvers.indexes import chosen_indexes
from spica.engine.resolvers.reference import chosen_reference
from spica.engine.resolvers.systems import finder
from spica.engine.resolvers.table import RESOLVERS
from spica.engine.spec import Association, JobSpec
from spica.engine.writing import SUFFIXES
from spica.files import standard
from spica.files.standard import Subject
from spica.files.survey import Survey
from spica.instruments import tables
from spica.instruments.sections import section
from spica.pipelines.graph import Output
from spica.pipelines.model import RENAMED
from spica.registry.store import Registry

_PIXELS = frozenset({"raw", "delivered"})
_ALL = frozenset({"exposures", "reference", "wcs"})
"""Sources that look at the records of all rows of a unit."""
_RECORDS = frozenset({"exposure", "detector"}) | _PIXELS


class Dispatch:
    """Makes the specs of a plan's jobs.

    Parameters
    ----------
    plan : the plan; products that its jobs make are told by `made`.
    registry : asked for records in bulk.
    survey : folder and paths.
    """

    def __init__(self, plan: Plan, registry: Registry, survey: Survey) -> None:
        self._plan = plan
        self._registry = registry
        self._survey = survey
        self._products: dict[str, ProductRecord] = dict(plan.products)
        self._folders = (survey.folder("cameras"),)
        self._indexes = cache(lambda: chosen_indexes(survey))
        self._systems = finder(survey, self._camera, lambda purpose: chosen_reference(survey, purpose))

    def made(self, products: Iterable[ProductRecord]) -> None:
        """Products that are there now."""
        self._products.update({record.key: record for record in products})

    def there(self, key: str) -> bool:
        """Whether a product that we know of lies on disk (or needs no file)."""
        record = self._products.get(key)
        return record is not None and (not record.path or self._survey.path_of(record.path).exists())

    def specs(self, numbers: Sequence[int]) -> dict[int, JobSpec | FaultRecord]:
        """The specs of these jobs, in order; a fault for one whose inputs cannot be found any more."""
        stock = self._stock([self._plan.jobs[number] for number in numbers])
        found: dict[int, JobSpec | FaultRecord] = {}
        for number in numbers:
            try:
                found[number] = self._spec(self._plan.jobs[number], stock)
            except DataFault as fault:
                found[number] = fault.record()
        return found

    def _stock(self, jobs: Sequence[PlannedJob]) -> Stock:
        pairs: dict[tuple[str, int], None] = {}
        pixels: dict[tuple[str, int], None] = {}
        registered: dict[str, None] = {}
        for job in jobs:
            row = job.target.head
            sources = {binding.need.source for binding in job.recipe.chain.outside}
            if sources & _RECORDS or _is_told_of(job):
                pairs[row.exposure, row.detector] = None
            if sources & _ALL:
                pairs.update(((each.exposure, each.detector), None) for each in job.target.rows)
            if sources & _PIXELS:
                pixels[row.exposure, row.detector] = None
            for binding, links in zip(job.recipe.chain.outside, job.inputs, strict=True):
                if binding.need.source in RENAMED:
                    registered.update((link.key, None) for link in links if link.key not in self._products)
        if registered:
            self.made(self._registry.products(registered).values())
        detectors = self._registry.detectors(pairs) if pairs else {}
        return Stock(
            camera=self._camera,
            section=self._section,
            path_of=self._survey.path_of,
            references=self._survey.references,
            systems=self._systems,
            indexes=self._indexes,
            detectors=detectors,
            exposures=self._exposures({name for name, _ in pairs}),
            files=self._files([detectors[pair] for pair in pixels if pair in detectors]),
            products=self._products,
        )

    def _exposures(self, names: set[str]) -> dict[str, Exposure]:
        if not names:
            return {}
        listed = ", ".join("'" + name.replace("'", "''") + "'" for name in sorted(names))
        return {exposure.name: exposure for exposure in self._registry.exposures(f"name in ({listed})")}

    def _files(self, detectors: Iterable[Detector]) -> dict[str, FileRecord]:
        checksums = {
            checksum
            for detector in detectors
            for checksum in (
                detector.file,
                *detector.amplifier_files,
                *(plane[0] for plane in detector.planes.values()),
            )
            if checksum
        }
        return self._registry.files(checksums) if checksums else {}

    def _camera(self, name: str) -> Camera:
        return tables.load(name, self._folders)

    def _section(self, camera: str, detector: int, which: str, band: str) -> Mapping[str, Any]:
        return section(self._camera(camera), detector, which, band)

    def _spec(self, job: PlannedJob, stock: Stock) -> JobSpec:
        chain = job.recipe.chain
        sources = tuple(
            RESOLVERS[binding.need.source].load(stock, binding, links, job.target)
            if links or not binding.need.late
            else None
            for binding, links in zip(chain.outside, job.inputs, strict=True)
        )
        masters = any(output.give.master for output in chain.outputs)
        return JobSpec(
            key=job.key,
            unit=job.unit,
            recipe=job.recipe,
            inputs=job.input_records(),
            sources=sources,
            root=str(self._survey.root),
            paths={output.product: self._path(job, output) for output in chain.outputs if output.filed},
            masters=_associations(job),
            facts=job.master_facts() if masters else {},
            subject=_subject(job, stock),
            rung=job.rung,
        )

    def _path(self, job: PlannedJob, output: Output) -> str:
        kind = "scratch" if output.scratch else "masters" if output.give.master else output.product
        suffix = SUFFIXES[output.give.form]
        return self._survey.product_path(kind, job.target.block, job.unit, output.product, job.key, suffix)


def _is_told_of(job: PlannedJob) -> bool:
    """Whether the headers of its files tell of an exposure."""
    chain = job.recipe.chain
    return chain.files and chain.grain in {Grain.DETECTOR, Grain.EXPOSURE}


def _subject(job: PlannedJob, stock: Stock) -> Subject:
    """What a job's files say of the exposure, detector or master that they are of."""
    chain, row = job.recipe.chain, job.target.head
    if _is_told_of(job):
        exposure = stock.exposures[row.exposure]
        if chain.grain is Grain.EXPOSURE:
            return Subject(standard.of_exposure(exposure))
        return standard.of_detector(exposure, stock.detectors[row.exposure, row.detector])
    if any(output.give.master for output in chain.outputs):
        return standard.of_master(job.master_facts())
    return Subject()


def _associations(job: PlannedJob) -> dict[str, Association]:
    """How well each master serves a job; of one that the job goes without, that there is none."""
    found: dict[str, Association] = {}
    for binding, links in zip(job.recipe.chain.outside, job.inputs, strict=True):
        if binding.need.source != "master":
            continue
        quality = Quality(links[0].quality) if links else Quality.NONE
        block = Unit.parse(links[0].unit).keys["block"] if links else ""
        found.setdefault(binding.product, Association(binding.step, int(quality), quality.word, block))
    return found
