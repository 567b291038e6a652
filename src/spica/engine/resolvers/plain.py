"""Needs that the unit itself answers: its records, its pixels as delivered, a section of its camera's table."""

from __future__ import annotations

from collections.abc import Sequence

from spica.core.faults import DataFault
from spica.core.keys import digest
from spica.core.records import FileRecord
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.spec import Delivered, Given, Raw, Source
from spica.engine.targets import Target
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step


class UnitItself:
    """Source 'unit'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The unit's text; it is part of every job's key anyway."""
        return (Link(str(target.unit), str(target.unit), "unit"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """The unit."""
        return Given(target.unit)


class Members:
    """Source 'members'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The numbers of the detectors that the unit has, whether or not anything was made of them."""
        return (Link(" ".join(map(str, _numbers(target))), str(target.unit), "members"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """The numbers."""
        return Given(_numbers(target))


class ExposureRecord:
    """Source 'exposure'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digest of the exposure's facts."""
        return (Link(target.head.exposure_digest, target.head.exposure, "record"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """The record."""
        return Given(stock.exposures[target.head.exposure])


class ExposureRecords:
    """Source 'exposures'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digests of the facts of all its exposures."""
        digests = dict.fromkeys(row.exposure_digest for row in target.rows)
        return (Link(digest(list(digests)), str(target.unit), "records"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """The records, in key order."""
        return Given(tuple(stock.exposures[name] for name in dict.fromkeys(row.exposure for row in target.rows)))


class DetectorRecord:
    """Source 'detector'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digest of the detector's facts and bytes."""
        return (Link(target.head.input_digest, str(target.unit), "record"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """The record."""
        return Given(stock.detectors[target.head.exposure, target.head.detector])


class RawPixels:
    """Source 'raw'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digest of the detector's facts and bytes."""
        return (Link(target.head.input_digest, str(target.unit), "raw"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Records and paths."""
        row = target.head
        detector = stock.detectors[row.exposure, row.detector]
        checksums = dict.fromkeys((detector.file, *detector.amplifier_files))
        return Raw(detector, stock.exposures[row.exposure], _paths(stock, checksums))


class DeliveredImage:
    """Source 'delivered'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digests of the detector's facts and bytes, and of what the camera's table says of its planes."""
        row = target.head
        meaning = Link(ground.delivered(row.camera), row.camera, "section delivered")
        return (Link(row.input_digest, str(target.unit), "delivered"), meaning)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Records and paths."""
        row = target.head
        detector = stock.detectors[row.exposure, row.detector]
        checksums = dict.fromkeys((detector.file, *(checksum for checksum, _ in detector.planes.values())))
        table = stock.camera(row.camera).delivered
        return Delivered(detector, stock.exposures[row.exposure], _paths(stock, checksums), table)


class CameraSection:
    """Source 'camera'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digest of the section: a change elsewhere in the table changes nothing here."""
        row = target.head
        section = binding.need.section
        return (Link(ground.section(row.camera, row.detector, section, row.band), row.camera, f"section {section}"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """The section's values."""
        row = target.head
        return Given(stock.section(row.camera, row.detector, binding.need.section, row.band))


def _numbers(target: Target) -> tuple[int, ...]:
    return tuple(sorted({row.detector for row in target.rows}))


def _paths(stock: Stock, checksums: dict[str, None]) -> dict[str, str]:
    return {checksum: str(stock.path_of(_file(stock, checksum))) for checksum in checksums if checksum}


def _file(stock: Stock, checksum: str) -> FileRecord:
    if checksum not in stock.files:
        raise DataFault("file.missing", f"the registry knows no copy of the file {checksum}", checksum=checksum)
    return stock.files[checksum]
