"""How many rows each HEALPix cell holds, as FITS: the form of sky maps with explicit indices, which readers of HATS ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.files import atomic, bintable
from spica.files.bintable import TableColumn

Int64 = npt.NDArray[np.int64]


def write_skymap(path: Path, order: int, pixels: Int64, counts: Int64) -> None:
    """Write the counts of nested cells that hold rows, rising."""
    columns = [
        TableColumn("PIXEL", pixels, meaning="nested HEALPix cell"),
        TableColumn("VALUE", counts, meaning="rows in it"),
    ]
    extra = {
        "PIXTYPE": "HEALPIX",
        "ORDERING": "NESTED",
        "INDXSCHM": "EXPLICIT",
        "COORDSYS": "C",
        "NSIDE": 2**order,
        "OBS_NPIX": len(pixels),
    }
    data = bintable.primary() + bintable.table("SKYMAP", columns, extra)
    atomic.write_bytes(path, data)
