"""Source 'indexes': the index files of astrometry.net that the survey names, for pointings that no header tells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spica.core.faults import DataFault, SetupFault
from spica.core.keys import digest
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.spec import Indexed, Source
from spica.engine.targets import Target
from spica.files.survey import Survey
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step

Files = tuple[tuple[str, str], ...]
"""Path and identity of each."""


class Indexes:
    """Source 'indexes'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The identity of all files."""
        files = ground.indexes()
        if files:
            return (Link(_whole(files), how=f"{len(files)} index files"),)
        if step.optional(binding.need):
            return ()
        raise SetupFault("index.none", 'no index files are named: [catalogues] indexes = "FOLDER" in survey.toml')

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """The paths, where they are still the files that the work was planned with."""
        if not links:
            return None
        files = stock.indexes()
        if _whole(files) != links[0].key:
            raise DataFault(
                "index.changed", "the index files are others than when the work was planned", there=len(files)
            )
        return Indexed(files)


def _whole(files: Files) -> str:
    """Of all together: where they lie decides nothing."""
    return digest([identity for _, identity in files])


def chosen_indexes(survey: Survey) -> Files:
    """The index files that a survey names, none where it names none.

    Raises
    ------
    SetupFault
        ``index.none`` where a folder that it names holds none.
    DataFault
        ``index.damaged``, ``file.missing``, ``file.unreadable``.
    """
    named = survey.settings.catalogues.indexes
    if not named:
        return ()
    from spica.files.reference.indexes import files_of, open_index

    places = [survey.root / Path(each).expanduser() for each in ((named,) if isinstance(named, str) else named)]
    for place in places:
        if not files_of([place]):
            raise SetupFault("index.none", f"{place} holds no index files", path=str(place))
    return tuple((str(path), open_index(path).identity) for path in files_of(places))
