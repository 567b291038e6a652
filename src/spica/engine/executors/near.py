"""Where the data of a job lie: jobs are pinned to the workers near the storage area that holds most of what they read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spica.engine.executors.dask import Place
from spica.engine.spec import Delivered, Gathered, JobSpec, Raw, Source, Stored


def near(areas: Mapping[str, str], workers: Mapping[str, Sequence[str]]) -> Place:
    """A function that says on which workers a job should run.

    Parameters
    ----------
    areas : storage area to its folder.
    workers : storage area to the workers (addresses, host names or names) that it is near to.

    Returns
    -------
    The workers near the area that holds most bytes of what a job reads; None for any worker, where none of its areas
    is near to some.
    """
    # An area may lie within another one (in the survey folder, say): the innermost holds the file.
    roots = sorted(((f"{folder.rstrip('/')}/", name) for name, folder in areas.items()), key=_length, reverse=True)

    def place(spec: JobSpec) -> Sequence[str] | None:
        held: Counter[str] = Counter()
        for path in dict.fromkeys(path for source in spec.sources for path in _paths(source)):
            area = next((name for root, name in roots if path.startswith(root)), None)
            if area is not None:
                held[area] += _size(path)
        most = max(held, key=lambda name: (held[name], name), default=None)
        return (tuple(workers.get(most, ())) or None) if most is not None else None

    return place


def _length(root: tuple[str, str]) -> int:
    return len(root[0])


def _paths(source: Source) -> Iterator[str]:
    if isinstance(source, (Raw, Delivered)):
        yield from source.paths.values()
    elif isinstance(source, Stored):
        yield source.path
    elif isinstance(source, Gathered):
        for _, member in source.members:
            yield from _paths(member)


def _size(path: str) -> int:
    """Bytes of a file; 0 where it is not there, which its reader will say."""
    return Path(path).stat().st_size if os.access(path, os.R_OK) else 0
