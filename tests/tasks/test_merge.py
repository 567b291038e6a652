"""Merge: every row of every detector, in key order, one catalogue in memory at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault
from spica.core.records import Scalar
from spica.core.settings import NoSettings
from spica.core.streams import Parts, Table
from spica.core.task import Member
from spica.files.catalogues import FileTable, read_catalogue, read_header, write_catalogue, write_parts
from spica.tasks.merge import merge


def catalogue(detector: int, rows: int, **more: Scalar) -> Catalogue:
    x = np.arange(rows, dtype=np.float64) + 100 * detector
    header: dict[str, Scalar] = {"EXPNAME": "demo-1", "DETECTOR": detector, "APER1": 3.0}
    return Catalogue({"x": x, "flux_aper": np.stack([x, x + 1, x + 2], axis=1)}, header | more)


@dataclass
class Watched:
    """A table that knows how many of its like are in memory."""

    catalogue: Catalogue
    alive: list[int] = field(default_factory=list)

    @property
    def header(self) -> Mapping[str, Scalar]:
        return self.catalogue.header

    def __len__(self) -> int:
        return len(self.catalogue)

    def read(self) -> Catalogue:
        self.alive.append(len(self.catalogue))
        return self.catalogue


def merged(*tables: Table) -> Parts:
    members = tuple(
        Member(f"detector:demo-1/{number}", table) for number, table in zip((2, 5, 7), tables, strict=False)
    )
    parts = merge(NoSettings(), members)["exposure_sources"]
    assert isinstance(parts, Parts)
    return parts


def test_rows_are_appended_with_their_detector() -> None:
    parts = merged(Watched(catalogue(2, 3)), Watched(catalogue(5, 0)), Watched(catalogue(7, 2)))
    assert parts.header == {"EXPNAME": "demo-1", "APER1": 3.0, "NDETECT": 3, "DETLIST": "2 5 7"}
    made = list(parts.parts)
    assert np.concatenate([part["detector"] for part in made]).tolist() == [2, 2, 2, 7, 7]
    assert np.concatenate([part["x"] for part in made]).tolist() == [200, 201, 202, 700, 701]
    assert list(made[0].columns) == ["detector", "x", "flux_aper"]


def test_catalogues_are_read_one_after_the_other() -> None:
    seen: list[int] = []
    parts = merged(Watched(catalogue(2, 3), seen), Watched(catalogue(5, 4), seen))
    assert seen == []
    next(parts.parts)
    assert seen == [3]


def test_facts_that_differ_are_left_to_the_detectors() -> None:
    parts = merged(Watched(catalogue(2, 1, GAIN=1.0)), Watched(catalogue(5, 1, GAIN=2.0)))
    assert "GAIN" not in parts.header
    assert "DETECTOR" not in parts.header


def test_from_files_to_a_file_and_back(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in (2, 5, 7)]
    for path, number, rows in zip(paths, (2, 5, 7), (3, 0, 2), strict=True):
        write_catalogue(path, catalogue(number, rows), {"UNIT": "x"})
    tables = [FileTable(path) for path in paths]
    assert isinstance(tables[0], Table)
    assert [len(table) for table in tables] == [3, 0, 2]
    assert write_parts(tmp_path / "all.parquet", merged(*tables), {"UNIT": "y"}) == 5
    back = read_catalogue(tmp_path / "all.parquet")
    assert back["detector"].tolist() == [2, 2, 2, 7, 7]
    assert back["flux_aper"].shape == (5, 3)
    assert back.declaration("detector").ucd == "meta.id;instr.det"
    assert read_header(tmp_path / "all.parquet")["DETLIST"] == "2 5 7"
    assert len(FileTable(paths[0], ("x",), "x > 200")) == 2


def test_parts_of_other_columns_are_refused(tmp_path: Path) -> None:
    other = Catalogue({"x": np.zeros(1)}, extra={"y": Column("y", "f8", "", "", "")})
    with pytest.raises(DataFault, match="those of the first differ"):
        write_parts(tmp_path / "x", Parts(iter([catalogue(1, 1), other])), {})
    with pytest.raises(DataFault, match="without a part"):
        write_parts(tmp_path / "x", Parts(iter([])), {})
    assert list(tmp_path.iterdir()) == []
