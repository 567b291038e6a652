"""Source 'systems': how the bands of the unit's camera follow from the magnitudes of the reference catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.keys import digest
from spica.core.systems import Systems
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.spec import Given, Source
from spica.engine.targets import Target
from spica.files.survey import Survey
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step

Finder = Callable[[str, str], Systems]
"""Of a camera and a purpose."""


class PhotometricSystems:
    """Source 'systems'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:
        """The digest of what concerns the camera and the catalogue: a change elsewhere in the tables changes nothing."""
        try:
            found = ground.systems(target.head.camera, binding.need.section)
        except SetupFault as fault:
            if step.optional(binding.need) and fault.code == "refcat.unnamed":
                return ()
            raise
        return (Link(digest(_plain(found)), target.head.camera, "photometric systems"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:
        """The value."""
        return Given(stock.systems(target.head.camera, binding.need.section)) if links else None


def finder(survey: Survey, camera: Callable[[str], Camera], chosen: Callable[[str], tuple[str, str]]) -> Finder:
    """What finds it: tables are read once, and only where a step asks.

    Parameters
    ----------
    chosen : name and checksum of the reference catalogue for a purpose.
    """

    @cache
    def find(name: str, purpose: str) -> Systems:
        from spica.files.reference import store, systems

        info = store.read_info(store.folder_of(survey.references, chosen(purpose)[0]))
        return systems.concerning(camera(name), info, systems.known((survey.folder("systems"),)))

    return find


def _plain(found: Systems) -> dict[str, Any]:
    given = asdict(found)
    return given | {name: [each.model_dump(mode="json") for each in given[name]] for name in ("relations", "colours")}
