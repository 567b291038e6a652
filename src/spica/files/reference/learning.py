"""What the rows of a reference catalogue tell of it as a whole: spans of epochs and right ascensions, the fastest star."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spica.files.hats.spilling import Rows


class Learned:
    """Facts gathered from rows as they pass.

    Attributes
    ----------
    epochs, right_ascensions : the first and the last.
    motion : the greatest known proper motion [mas/yr].
    """

    def __init__(self) -> None:
        self.epochs = (np.inf, -np.inf)
        self.right_ascensions = (np.inf, -np.inf)
        self.motion = 0.0

    def add(self, rows: Rows) -> None:
        """Take note of rows, of which there is one at least."""
        self.epochs = _wider(self.epochs, rows["epoch"])
        self.right_ascensions = _wider(self.right_ascensions, rows["ra"])
        names = rows.dtype.names or ()
        if "pmra" in names and "pmdec" in names:
            motions = np.hypot(rows["pmra"], rows["pmdec"])
            if not np.all(np.isnan(motions)):
                self.motion = max(self.motion, float(np.nanmax(motions)))


def _wider(span: tuple[float, float], values: npt.NDArray[Any]) -> tuple[float, float]:
    return min(span[0], float(values.min())), max(span[1], float(values.max()))
