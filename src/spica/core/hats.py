"""Words of catalogues that are laid out by place (HATS): the column they are sorted by, and their partitions."""

from __future__ import annotations

from dataclasses import dataclass

from spica.core.columns import Column

SPATIAL = "_healpix_29"
"""Column by which the rows of a catalogue are ordered: the nested HEALPix cell of order 29 of the position."""
SPATIAL_COLUMN = Column(SPATIAL, "i8", "", "pos.healpix", "nested HEALPix cell of order 29")


@dataclass(frozen=True)
class Partition:
    """One file of a catalogue: the HEALPix cell that it covers, and its rows."""

    order: int
    pixel: int
    rows: int

    @property
    def path(self) -> str:
        """Where it lies in the catalogue's folder (the layout of HATS)."""
        return f"dataset/Norder={self.order}/Dir={self.pixel // 10_000 * 10_000}/Npix={self.pixel}.parquet"

    @property
    def first(self) -> int:
        """The first cell of order 29 in it."""
        return self.pixel << 2 * (29 - self.order)

    @property
    def end(self) -> int:
        """The first cell of order 29 beyond it."""
        return (self.pixel + 1) << 2 * (29 - self.order)
