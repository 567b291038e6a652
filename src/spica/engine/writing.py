"""In a worker: from a task's products to bytes on disk and their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spica.core.jobs import ProductRecord
from spica.core.records import Scalar, Unit
from spica.core.streams import Banded, Parts
from spica.core.task import Form
from spica.engine.meter import Meter
from spica.engine.reading import Reader
from spica.engine.spec import JobSpec
from spica.pipelines.graph import Output

SUFFIXES: Mapping[Form, str] = {Form.IMAGE: ".fits", Form.CATALOGUE: ".parquet", Form.PICTURE: ".png"}
"""Forms that lie on disk, and how their files' names end."""


def identity(job: str, unit: Unit, product: str) -> dict[str, Scalar]:
    """What a product says of itself on disk: the job that made it, the unit it is of, its name."""
    return {"SPICAKEY": job, "SPICAUNI": str(unit), "SPICAPRO": product}


def provenance(spec: JobSpec, output: Output) -> dict[str, Scalar]:
    """The tasks up to the one that gave a product with their versions, the masters that were used and how they serve."""
    chain = spec.recipe.chain
    cards: dict[str, Scalar] = {}
    for number, step in enumerate(chain.steps):
        cards[f"TASK{number:02d}"] = f"{step.task.name} {step.task.version}"
        if step.label == output.step:
            break
    masters = {f"{binding.step}.{binding.need.name}" for binding in chain.outside if binding.need.source == "master"}
    keys = [each.key for each in spec.inputs if each.need in masters and each.key]
    cards |= {f"MASTER{number:02d}": key for number, key in enumerate(dict.fromkeys(keys))}
    return cards | {
        f"CAL{name}"[:8].upper(): f"{each.word} {each.block}".strip() for name, each in spec.masters.items()
    }


class Writer:
    """Writes the products of one job; takes all of them back where the job fails."""

    def __init__(self, spec: JobSpec, meter: Meter, reader: Reader) -> None:
        self._spec = spec
        self._meter = meter
        self._reader = reader
        self._written: list[Path] = []
        self.records: list[ProductRecord] = []
        self._frames = 0

    def path(self, output: Output) -> Path:
        """Where a product lies."""
        return Path(self._spec.root) / self._spec.paths[output.product]

    def write(self, output: Output, value: Any) -> None:
        """Write a product (or take note of a value) and record it."""
        give = output.give
        if give.master:
            told = value.get("frames") if give.form is Form.VALUE else value.header.get("NCOMBINE")
            self._frames = int(told or 0)
        if give.form is Form.VALUE:
            self._record(output, value=dict(value))
            return
        path = self.path(output)
        self._written.append(path)
        self._put(output, path, value)
        from spica.files.checksums import of_file

        size = path.stat().st_size
        self._meter.bytes_written += size
        self._record(output, path=self._spec.paths[output.product], checksum=of_file(path), size=size)

    def note(self, name: str, value: Mapping[str, Any]) -> None:
        """Record a value that is no step's product."""
        spec = self._spec
        self.records.append(
            ProductRecord(f"{spec.key}/{name}", name, Form.VALUE, spec.unit, spec.key, value=dict(value))
        )

    def withdraw(self) -> None:
        """The job failed: nothing half-made stays."""
        for path in self._written:
            path.unlink(missing_ok=True)
        self._written.clear()
        self.records.clear()

    def _put(self, output: Output, path: Path, value: Any) -> None:
        told = identity(self._spec.key, self._spec.unit, output.product)
        subject = self._spec.subject
        lossless = output.scratch
        if isinstance(value, Banded):
            full = replace(value, header=subject.header(value.header, value.shape))
            _stream(path, full, told | provenance(self._spec, output), lossless=lossless)
        elif output.give.form is Form.IMAGE:
            from spica.files.images import write_image

            full = replace(value, header=subject.header(value.header, value.shape))
            kept = () if lossless else tuple(self._reader.original)
            write_image(path, full, told | provenance(self._spec, output), lossless, kept)
        elif isinstance(value, Parts):
            from spica.files.catalogues import write_parts

            write_parts(path, replace(value, header=subject.header(value.header, subject.shape)), told)
        elif output.give.form is Form.CATALOGUE:
            from spica.files.catalogues import write_catalogue

            write_catalogue(path, replace(value, header=subject.header(value.header, subject.shape)), told)
        else:
            from spica.files.pictures import write_png

            write_png(path, value)

    def _record(self, output: Output, **given: Any) -> None:
        spec = self._spec
        self.records.append(
            ProductRecord(
                key=f"{spec.key}/{output.product}",
                name=output.product,
                form=output.give.form,
                unit=spec.unit,
                job=spec.key,
                scratch=output.scratch,
                master=output.give.master,
                facts=dict(spec.facts) | {"frames": self._frames} if output.give.master else {},
                **given,
            )
        )


def _stream(path: Path, image: Banded, identity: Mapping[str, Scalar], *, lossless: bool) -> None:
    from spica.files.images import ImageSink

    sink = ImageSink(path, image.shape, identity, lossless, image.header)
    try:
        for band in image.bands:
            sink.write(band)
        sink.close()
    finally:
        sink.abandon()
