"""Catalogues as Parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from spica.core.columns import COLUMNS, Catalogue, Column
from spica.core.faults import DataFault, SetupFault
from spica.files.catalogues import read_catalogue, read_identity, write_catalogue


def catalogue(rows: int = 50) -> Catalogue:
    rng = np.random.default_rng(3)
    return Catalogue(
        {
            "source_id": np.arange(rows) << 20,
            "x": rng.uniform(0, 100, rows),
            "snr": rng.uniform(0, 40, rows).astype(np.float32),
            "flux_aper": rng.uniform(0, 1e5, (rows, 3)),
            "colour": rng.normal(size=rows),
        },
        {"APER1": 3.0, "METHOD": "plain", "NONE": None},
        {"colour": Column("colour", "f8", "mag", "phot.color", "an outside module's column")},
    )


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_what_is_written_is_read(tmp_path: Path, rows: int) -> None:
    given = catalogue(rows)
    write_catalogue(tmp_path / "x.parquet", given, {"UNIT": "detector:a/1"})
    back = read_catalogue(tmp_path / "x.parquet")
    assert list(back.columns) == list(given.columns)
    for name, values in given.columns.items():
        assert back[name].dtype == values.dtype
        assert np.array_equal(back[name], values)
        assert back.declaration(name).unit == given.declaration(name).unit
    assert dict(back.header) == dict(given.header)
    assert back.declaration("flux_aper").meaning == COLUMNS["flux_aper"].meaning
    assert read_identity(tmp_path / "x.parquet") == {"UNIT": "detector:a/1"}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_catalogue(tmp_path / name, catalogue(), {"A": 1, "B": 2} if name == "a" else {"B": 2, "A": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_columns_and_rows_asked_for(tmp_path: Path) -> None:
    given = catalogue()
    write_catalogue(tmp_path / "x", given, {})
    some = read_catalogue(tmp_path / "x", ("flux_aper", "x"), "snr > 20 and x < 50")
    rows = (given["snr"] > 20) & (given["x"] < 50)
    assert 0 < rows.sum() < 50
    assert list(some.columns) == ["flux_aper", "x"]
    assert np.array_equal(some["flux_aper"], given["flux_aper"][rows])


def test_others_find_units_ucds_and_meanings(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "x", catalogue(), {})
    field = pq.read_schema(tmp_path / "x").field("snr")
    assert field.metadata[b"ucd"] == COLUMNS["snr"].ucd.encode()
    assert b"date" not in (tmp_path / "x").read_bytes().lower()


def test_what_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    cases = [
        Catalogue({"nobody_knows": np.zeros(2)}),
        Catalogue({"x": np.zeros(2), "y": np.zeros(3)}),
    ]
    for case in cases:
        with pytest.raises(DataFault) as caught:
            write_catalogue(tmp_path / "x", case, {})
        assert caught.value.code == "data.bad-value"
    assert not list(tmp_path.iterdir())
    write_catalogue(tmp_path / "x", catalogue(), {})
    for columns, where, code in ((("absent",), "", "order.invalid"), ((), "absent > 3", "where.invalid")):
        with pytest.raises(SetupFault) as refused:
            read_catalogue(tmp_path / "x", columns, where)
        assert refused.value.code == code
    whole = (tmp_path / "x").read_bytes()
    for name, data, code in (("y", whole[:-10], "file.not-parquet"), ("z", b"", "file.not-parquet")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataFault) as broken:
            read_catalogue(tmp_path / name)
        assert broken.value.code == code
    with pytest.raises(DataFault) as missing:
        read_catalogue(tmp_path / "nowhere")
    assert missing.value.code == "file.missing"
