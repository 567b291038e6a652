"""Exposures that belong together: the snaps of a visit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from spica.registry.rows import DetectorRow

Visit = Callable[[DetectorRow], str]
"""Name of the visit that a row's exposure is a snap of; the exposure's own where it is alone."""


class Circles:
    """Which rows belong together.

    Parameters
    ----------
    rows : detectors of exposures, in key order.
    visit : of an exposure.
    """

    def __init__(self, rows: Iterable[DetectorRow], visit: Visit) -> None:
        self._visit = visit
        self._visits: dict[tuple[str, int, str], list[DetectorRow]] = {}
        for row in rows:
            self._visits.setdefault(self._key(row), []).append(row)

    def visit(self, row: DetectorRow) -> tuple[DetectorRow, ...]:
        """The snaps of a row's visit on its detector, in order of time, itself among them."""
        return tuple(self._visits.get(self._key(row), ()))

    def firsts(self, rows: Sequence[DetectorRow]) -> list[DetectorRow]:
        """The first snap of the visit of each row, each once, in key order."""
        wanted = {self._key(row) for row in rows}
        return [snaps[0] for key, snaps in self._visits.items() if key in wanted]

    def whole(self, rows: Sequence[DetectorRow]) -> list[DetectorRow]:
        """These rows and all others of their visits, in key order; rows of no visit known here stay as they are."""
        found = {row: None for each in rows for row in (each, *self.visit(each))}
        return sorted(found, key=lambda row: (row.mjd, row.exposure, row.detector))

    def _key(self, row: DetectorRow) -> tuple[str, int, str]:
        return row.camera, row.detector, self._visit(row)
