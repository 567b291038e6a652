"""The registry as everyone else sees it: one class, whose answers are plain records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from spica.core.faults import DataFault, FaultKind, FaultRecord, InternalFault
from spica.core.jobs import InputRecord, JobReport, ProductRecord
from spica.core.outline import Outline
from spica.core.records import Detector, Exposure, FileRecord, FrameType, Grain, IngestRecord, Metric, Unit
from spica.registry import (
    ask,
    calibration_orders,
    catalogues,
    counts,
    footprints,
    intake,
    jobs,
    last,
    lifecycle,
    metrics,
    notes,
    provenance,
    reload,
)
from spica.registry.catalogues import Listed
from spica.registry.counts import Counts
from spica.registry.door import BUSY_SECONDS, Door
from spica.registry.queue import Queue
from spica.registry.rows import (
    Added,
    AddStatus,
    CalibrationOrder,
    DetectorRow,
    Event,
    FaultRow,
    JobRow,
    JobState,
    LastDone,
    MasterRow,
    Note,
    QuarantineRow,
)


class Registry:
    """What exists, where, made by what, in which state.

    Make one with `create` or `open`. Each method is one transaction; times are Unix seconds (UTC) unless a name says
    MJD. Any method may raise ``registry.busy`` (ResourceFault), ``disk.full``, ``disk.read-only`` (ResourceFault),
    ``registry.corrupt`` or ``registry.missing`` (SetupFault).
    """

    def __init__(self, door: Door) -> None:
        self._door = door

    @classmethod
    def create(cls, url: str) -> Self:
        """Make the tables of a new registry and open it (``survey.exists`` where there are some already)."""
        lifecycle.create(url)
        return cls.open(url)

    @classmethod
    def open(cls, url: str, *, busy: float = BUSY_SECONDS) -> Self:
        """Open a registry; SetupFault ``registry.missing``, ``.corrupt``, ``.newer`` or ``.older``.

        `busy` is how many seconds SQLite waits for another writer.
        """
        return cls(lifecycle.opened(url, busy))

    @property
    def queue(self) -> Queue:
        """The productions: what was ordered, what waits, what came of each; and who works them off."""
        return Queue(self._door)

    def close(self) -> None:
        """Close all connections."""
        self._door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- taking in ----------------------------------------------------------------------------------------------------

    def add(self, record: IngestRecord) -> Added:
        """Record one delivered file.

        Raises
        ------
        DataFault
            ``exposure.conflict`` naming both files when another file holds the same detector (or amplifier, or plane)
            or tells another exposure under the same name; ``header.absurd`` for values no database should hold.
        InternalFault
            ``exposure.id-clash``.
        """
        (answer,) = self.add_many([record])
        if answer.status is AddStatus.REFUSED and answer.fault is not None:
            fault = answer.fault
            kind = DataFault if fault.kind is FaultKind.DATA else InternalFault
            raise kind(fault.code, fault.message, advice=fault.advice, **fault.evidence)
        return answer

    def add_many(self, records: Sequence[IngestRecord]) -> list[Added]:
        """Record a batch in one transaction; what `add` would raise is answered as refused, with the fault."""
        return intake.add_many(self._door, records)

    def reload(self, record: IngestRecord) -> Added:
        """Replace what is recorded of a file (same path, origin or bytes) by this record."""
        return reload.reload(self._door, record)

    def quarantine(self, path: str, checksum: str, fault: FaultRecord) -> None:
        """Record a delivered file that could not be taken."""
        notes.put_in_quarantine(self._door, path, checksum, fault)

    def release_from_quarantine(self, path: str) -> int:
        """Note that a file left quarantine; answers how many records it had."""
        return notes.release(self._door, path)

    def quarantined(self, *, released: bool = False) -> list[QuarantineRow]:
        """Files in quarantine, oldest first; with those that left it for `released`."""
        return notes.quarantine_list(self._door, released=released)

    def known_file(self, path: str, size: int, mtime: float) -> str | None:
        """Checksum of the file delivered from `path` (its origin) with this size and time of modification."""
        return ask.known_file(self._door, path, size, mtime)

    # -- asking -------------------------------------------------------------------------------------------------------

    def exposures(self, where: str = "", limit: int | None = None, order: str = "mjd") -> list[Exposure]:
        """Exposures that a selection takes: by their columns, metrics or grade, or by those of any detector."""
        return ask.exposure_list(self._door, where, limit, order)

    def exposure(self, name: str) -> Exposure:
        """One exposure; SetupFault ``order.unknown-unit`` where there is none."""
        return ask.exposure(self._door, name)

    def detector_rows(self, where: str = "", frame_types: Collection[FrameType] = ()) -> Iterator[DetectorRow]:
        """Compact rows of detectors, by exposure's name and detector, read as they are consumed."""
        return ask.detector_rows(self._door, where, frame_types)

    def detectors(self, pairs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Detector]:
        """Full detector records by (exposure's name, detector)."""
        with self._door.read() as connection:
            return ask.detectors_of(self._door, connection, pairs)

    def files(self, checksums: Iterable[str] | None = None) -> dict[str, FileRecord]:
        """Files by checksum, each with its oldest copy; all of them for None."""
        return ask.file_records(self._door, checksums)

    def copies(self, checksum: str) -> list[tuple[str, str]]:
        """(area, path) of each copy of a file, oldest first."""
        return ask.copies_of(self._door, checksum)

    def detectors_in_file(self, path: str) -> list[tuple[str, int]]:
        """Exposure and detector of each record of a file, by the path it came from or lies at, or the end of either."""
        return ask.detectors_in_file(self._door, path)

    def headers(self, checksum: str) -> tuple[str, ...]:
        """Each HDU's header as text, primary first."""
        return ask.header_texts(self._door, checksum)

    def order_masters(self, order: CalibrationOrder) -> int:
        """Record an order on masters (its number and times are given here); answers the number."""
        return calibration_orders.give(self._door, order)

    def master_orders(self, *, withdrawn: bool = False) -> list[CalibrationOrder]:
        """Orders on masters that hold (and those withdrawn), in the order in which they were given."""
        return calibration_orders.listed(self._door, withdrawn=withdrawn)

    def withdraw_order(self, number: int) -> bool:
        """Let an order on masters hold no longer; False where there is none."""
        return calibration_orders.withdraw(self._door, number)

    def masters(self, camera: str | None = None, kind: str | None = None) -> list[MasterRow]:
        """Masters whose bytes are there, oldest record first; `kind` is the product's name."""
        return ask.masters(self._door, camera, kind)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def states(self, keys: Iterable[str]) -> dict[str, JobState]:
        """How far job keys have got; keys never recorded are left out."""
        return jobs.states(self._door, keys)

    def lease(self, keys: Iterable[str], owner: str, seconds: float) -> set[str]:
        """Take the keys that nobody else holds (or whose lease ran out); answers those taken.

        Ask `states` again for them: another coordinator may have finished some since the plan was made.
        """
        return jobs.lease(self._door, keys, owner, seconds)

    def leased(self, keys: Iterable[str]) -> set[str]:
        """Those of the job keys that somebody works on now."""
        return jobs.leased(self._door, keys)

    def renew(self, owner: str, seconds: float) -> int:
        """Prolong all leases of an owner; answers how many it holds."""
        return jobs.renew(self._door, owner, seconds)

    def release(self, owner: str, keys: Iterable[str] | None = None) -> int:
        """Give back all leases of an owner, or those of some keys."""
        return jobs.release(self._door, owner, keys)

    def record(self, report: JobReport, production: int | None = None, owner: str = "") -> None:
        """Record how a job ended, with inputs, products, metrics and fault; gives back its lease."""
        jobs.record_many(self._door, [report], production, owner)

    def record_many(self, reports: Sequence[JobReport], production: int | None = None, owner: str = "") -> None:
        """Record many at once, in one transaction. A done job stays done."""
        jobs.record_many(self._door, reports, production, owner)

    def products(self, keys: Iterable[str]) -> dict[str, ProductRecord]:
        """Products by key; those whose bytes are gone are left out."""
        return provenance.product_records(self._door, keys)

    def products_of(self, unit: Unit) -> list[ProductRecord]:
        """Products of a unit, oldest first."""
        return provenance.products_of(self._door, unit)

    def catalogues(self, where: str, name: str) -> list[Listed]:
        """The newest catalogue called `name` of each detector that a selection takes."""
        return catalogues.newest(self._door, where, name)

    def outlines(self, units: Iterable[Unit]) -> dict[Unit, Outline]:
        """Where units lie on the sky by their solutions; those without one are left out."""
        return footprints.of_units(self._door, units)

    def covering(self, ra: float, dec: float, radius: float = 0.0, grain: Grain = Grain.DETECTOR) -> list[Outline]:
        """Outlines of detectors or exposures that hold a position [degree], by unit.

        With a `radius` those that come within it, by the circles about the outlines: some may only come near.
        """
        return footprints.near(self._door, ra, dec, radius, grain)

    def all_products(self) -> Iterator[ProductRecord]:
        """Every product that should be on disk, by path."""
        return provenance.all_products(self._door)

    def forget_products(self, keys: Iterable[str]) -> int:
        """Note that products' bytes were deleted; the records stay."""
        return provenance.forget_products(self._door, keys)

    def rewritten_products(self, checksums: Mapping[str, str]) -> int:
        """Note that products have other bytes of the same size (their headers were refreshed); answers how many."""
        return provenance.rewritten_products(self._door, checksums)

    def job(self, key: str) -> JobReport:
        """A job in full, less its metrics; SetupFault ``order.unknown-unit`` where there is none."""
        return provenance.job(self._door, key)

    def jobs_of(self, unit: Unit) -> list[JobRow]:
        """Jobs of a unit, oldest first."""
        return provenance.jobs_of(self._door, unit)

    def last_done(self, labels: Sequence[str], units: Iterable[Unit]) -> Iterator[LastDone]:
        """Of each unit the last job that ended done with steps of these labels, in the order of the units.

        Units without one are left out. Read in chunks, as they are consumed.
        """
        return last.last_done(self._door, labels, units)

    def jobs_of_production(self, number: int) -> list[JobRow]:
        """Jobs last recorded in a production, by unit."""
        return provenance.jobs_of_production(self._door, number)

    def inputs_of(self, job: str) -> list[InputRecord]:
        """What a job used."""
        return provenance.inputs_of(self._door, job)

    def consumers_of(self, key: str) -> list[str]:
        """Keys of the jobs that used a product or file."""
        return provenance.consumers_of(self._door, key)

    def costs(self, production: int | None = None) -> Mapping[str, float]:
        """Sums over jobs: number, wall and CPU seconds, bytes; and the greatest peak of memory."""
        return provenance.costs(self._door, production)

    # -- metrics, faults, notes ---------------------------------------------------------------------------------------

    def add_metrics(self, given: Iterable[Metric]) -> None:
        """Record metrics; a unit's earlier value of the same name is replaced; NaN is kept but never found by range."""
        metrics.add(self._door, list(given))

    def metrics_of(self, unit: Unit) -> list[Metric]:
        """All metrics of a unit, by name."""
        return metrics.of_unit(self._door, unit)

    def metric_of_all(self, name: str, grains: Sequence[Grain]) -> dict[Unit, float]:
        """A metric's value of every unit of these grains that has it."""
        return metrics.of_all(self._door, name, grains)

    def metric_names(self) -> dict[str, tuple[str, ...]]:
        """Every metric's name with the grains at which it is recorded."""
        return metrics.known_names(self._door)

    def search(
        self, where: str = "", columns: Sequence[str] = (), sort: str = "", limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Detectors that a selection takes: exposure, detector, and the columns and metrics asked for.

        `sort` is a column or metric, ``-name`` for descending; absent values come last.
        """
        return metrics.search(self._door, where, columns, sort, limit)

    def faults(
        self,
        unit: Unit | None = None,
        code: str = "",
        pipeline: str | None = None,
        *,
        cleared: bool = False,
        limit: int | None = None,
    ) -> list[FaultRow]:
        """Open faults, the newest first; with those that a later success settled for `cleared`."""
        return notes.fault_list(self._door, unit, code, pipeline, cleared=cleared, limit=limit)

    def add_fault(self, unit: Unit, fault: FaultRecord, pipeline: str = "") -> None:
        """Record a fault that no job made."""
        notes.record_fault(self._door, unit, fault, pipeline)

    def clear_faults(self, unit: Unit, pipeline: str = "") -> int:
        """Settle a unit's open faults in a pipeline ('' for ingest); answers how many."""
        return notes.clear_faults(self._door, unit, pipeline)

    def grade(self, unit: Unit, grade: str, comment: str = "", who: str = "") -> None:
        """Grade a unit, with a comment; '' leaves either out. Earlier ones are kept."""
        notes.note(self._door, unit, grade, comment, who)

    def notes_of(self, unit: Unit) -> list[Note]:
        """Grades and comments, oldest first; the last grade holds."""
        return notes.notes_of(self._door, unit)

    def event(
        self, kind: str, message: str, unit: str = "", details: Mapping[str, Any] | None = None, who: str = ""
    ) -> None:
        """Record that something happened."""
        notes.record_event(self._door, kind, message, unit, details or {}, who)

    def events(self, kind: str = "", since: float = 0.0, limit: int | None = None) -> list[Event]:
        """What happened, the newest first."""
        return notes.event_list(self._door, kind, since, limit)

    def counts(self) -> Counts:
        """The registry at a glance."""
        with self._door.read() as connection:
            return counts.gather(lambda query: connection.exec_driver_sql(query).all())
