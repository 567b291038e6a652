"""Exposures that belong together: the snaps of a visit, the neighbours in a dither."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from spica.registry.rows import DetectorRow

Visit = Callable[[DetectorRow], str]
"""Name of the visit that a row's exposure is a snap of; the exposure's own where it is alone."""


NEIGHBOURS = 8
"""Exposures of a dither that tell the sky of one: four before and four after it where there are so many."""
SPAN = 1.0 / 24.0
"""Days: the sky of an hour ago is another's."""


def _run(row: DetectorRow) -> tuple[object, ...]:
    return row.camera, row.detector, row.filter, row.exposure_time, row.binning, row.readout_mode, row.state


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
        self._runs: dict[tuple[object, ...], list[DetectorRow]] = {}
        for row in rows:
            self._visits.setdefault(self._key(row), []).append(row)
            self._runs.setdefault(_run(row), []).append(row)

    def of(self, circle: str, row: DetectorRow) -> tuple[DetectorRow, ...]:
        """The members of a circle of `spica.core.task.Need.among`."""
        return self.visit(row) if circle == "visit" else self.dither(row)

    def dither(self, row: DetectorRow) -> tuple[DetectorRow, ...]:
        """The exposures like this one that are nearest to it in time, without itself, in key order."""
        others = [each for each in self._runs.get(_run(row), ()) if each.exposure != row.exposure]
        near = [each for each in others if abs(each.mjd - row.mjd) <= SPAN]
        near.sort(key=lambda each: (abs(each.mjd - row.mjd), each.mjd, each.exposure))
        return tuple(sorted(near[:NEIGHBOURS], key=lambda each: (each.mjd, each.exposure)))

    def around(self, rows: Sequence[DetectorRow]) -> list[DetectorRow]:
        """These rows and their neighbours, in key order."""
        found = {row: None for each in rows for row in (each, *self.dither(each))}
        return sorted(found, key=lambda row: (row.mjd, row.exposure, row.detector))

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
