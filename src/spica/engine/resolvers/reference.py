"""Sources 'reference' and 'wcs': the reference stars around a unit, and the first sky solutions of its detectors.

What knows the sky is imported where it is used: few orders need it, and it takes long to load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from spica.core.faults import DataFault, SetupFault
from spica.core.keys import digest
from spica.core.records import Detector, Exposure, Grain
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.spec import Given, Referred, Source
from spica.engine.targets import Target
from spica.files.survey import Survey
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step


class Reference:
    """Source 'reference'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:
        """The catalogue that the survey names for the purpose, and where the unit stands on the sky."""
        try:
            name, checksum = ground.reference(binding.need.section)
        except SetupFault:
            if step.optional(binding.need):
                return ()
            raise
        places = [row.input_digest for row in target.rows]
        place = digest(places if target.tile is None else [target.tile.plain(), *places])
        return (Link(checksum, name, f"reference {name}", mark=f" {place}"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:
        """A cone around each of its exposures, or around the tile."""
        from spica.engine.footprints import outline

        if not links:
            return None
        need, link = binding.need, links[0]
        folder = str(stock.references / link.unit)
        if target.tile is not None:
            around = (_cone(zip(*target.tile.outline, strict=True)),)
            return Referred(folder, link.key, around, need.columns, need.where, target.mjd)
        corners: dict[str, list[tuple[float, float]]] = {}
        for exposure, detector in _records(stock, target):
            found = outline(stock.camera(exposure.camera), exposure, detector)
            if found is not None:
                corners.setdefault(exposure.name, []).extend(found.vertices)
        if not corners and not (binding.need.placed or binding.need.nowhere):
            message = f"{target.unit} does not tell where on the sky it is: its header has no pointing and no WCS"
            raise DataFault("data.no-pointing", message, unit=str(target.unit))
        cones = tuple(_cone(each) for each in corners.values())
        return Referred(folder, link.key, cones, need.columns, need.where, target.mjd)


class FirstSolutions:
    """Source 'wcs'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digests of the detectors' facts, and of the focal plane that stands in where a header tells no solution."""
        row = target.head
        plane = Link(
            ground.section(row.camera, row.detector, "focal plane", row.band), row.camera, "section focal plane"
        )
        return (Link(digest([each.input_digest for each in target.rows]), str(target.unit), "headers"), plane)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Cards by detector number (of a group: by ``exposure/detector``), with its size as NAXIS1 and NAXIS2.

        No others where its place is unknown.
        """
        from spica.engine.footprints import plate

        grouped = target.unit.grain is Grain.GROUP
        return Given(
            {
                f"{exposure.name}/{detector.detector}" if grouped else detector.detector: {
                    **plate(stock.camera(exposure.camera), exposure, detector),
                    "NAXIS1": detector.nx,
                    "NAXIS2": detector.ny,
                }
                for exposure, detector in _records(stock, target)
            }
        )


def chosen_reference(survey: Survey, purpose: str) -> tuple[str, str]:
    """Name and checksum of the catalogue that serves 'astrometry' or 'photometry'.

    Raises
    ------
    SetupFault
        ``refcat.unnamed``; ``refcat.unknown`` where the one that the survey names is not there.
    DataFault
        ``refcat.damaged``.
    """
    from spica.files.reference import store

    given = survey.settings.catalogues
    name = given.photometry if purpose == "photometry" else given.astrometry
    known = store.names(survey.references)
    if not name and len(known) != 1:
        there = f"there are {', '.join(known)}" if known else "there is none"
        message = f"which reference catalogue of {survey.references} serves {purpose or 'astrometry'}? {there}"
        raise SetupFault("refcat.unnamed", message, purpose=purpose, path=str(survey.references))
    folder = store.folder_of(survey.references, name or known[0])
    return folder.name, store.read_info(folder).checksum


def _records(stock: Stock, target: Target) -> Iterator[tuple[Exposure, Detector]]:
    for row in target.rows:
        yield stock.exposures[row.exposure], stock.detectors[row.exposure, row.detector]


def _cone(corners: Iterable[tuple[float, float]]) -> tuple[float, float, float]:
    """A cone that holds them all."""
    from spica.files.hats.regions import Polygon

    bounds = Polygon(tuple(dict.fromkeys(corners))).bounds
    return bounds.ra, bounds.dec, bounds.radius
