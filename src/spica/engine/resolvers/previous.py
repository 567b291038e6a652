"""Source 'previous': the objects of the release before, as it was published, about a tile."""

from __future__ import annotations

from collections.abc import Sequence

from spica.core.faults import SetupFault
from spica.core.outline import Outline
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.spec import Given, Source
from spica.engine.targets import Target
from spica.files import frozen, releases
from spica.files.survey import Survey
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step

COLUMNS = ("object_id", "ra", "dec")
MARGIN = 1.1
"""The circle about a tile is that much wider: an outline's vertices are joined by great circles."""
Before = tuple[str, str]
"""Folder and checksum of a published catalogue; '' and '' where there is none."""


class Previous:
    """Source 'previous'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The catalogue's checksum; nothing where the release follows no other."""
        folder, checksum = ground.previous()
        return (Link(checksum, folder, "the release before"),) if folder else ()

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Identifiers and places about the tile."""
        if not links or target.tile is None:
            return None
        # Tables of published catalogues need pyarrow, which planning does without.
        from spica.files.hats.regions import Cone
        from spica.files.published.catalogue import PublishedCatalogue

        outline = Outline(target.unit, *target.tile.outline)
        around = Cone(*outline.middle, MARGIN * outline.radius)
        return Given(PublishedCatalogue(stock.path_of(links[0].unit)).find(around, COLUMNS))


def chosen_previous(survey: Survey, release: str) -> Before:
    """The published catalogue of objects that a release follows.

    Raises
    ------
    SetupFault
        ``release.unpublished`` where that release was not published, or without objects; ``release.*``.
    """
    name = releases.load(survey, release).previous
    if not name:
        return "", ""
    manifest = frozen.read(survey, name)
    objects = next((each for each in manifest.more if each.path == frozen.OBJECTS), None)
    if objects is None:
        raise SetupFault("release.unpublished", f"release {name!r} has no catalogue of objects", release=name)
    folder = frozen.folder_of(survey, name) / objects.path
    return folder.relative_to(survey.root).as_posix(), objects.checksum
