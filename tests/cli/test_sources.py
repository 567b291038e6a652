"""``spica sources`` over many catalogues: the rows that the files hold, and no others."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from spica.files.catalogues import read_catalogue
from tests.support.survey import Small
from tests.support.terminal import Terminal


def files(survey: Small) -> list[Path]:
    return sorted((survey.folder / "products/sources").rglob("*.parquet"))


def test_rows_of_a_selection_are_those_of_the_files(reduced_once: Small, tmp_path: Path) -> None:
    terminal = Terminal(reduced_once.folder)
    catalogues = [read_catalogue(path) for path in files(reduced_once)]
    flux = np.sort(np.concatenate([c["flux_auto"][(c["snr"] > 15) & (c["flags"] == 0)] for c in catalogues]))[::-1]
    question = ("sources", "--where", "exposure_time > 0", "--rows", "snr > 15 and flags = 0")
    assert f"{len(flux)} sources" in terminal.order(*question, "--count")
    table = tmp_path / "bright.csv"
    terminal.order(*question, "--columns", "night,source_id,flux_auto", "--sort=-flux_auto", "--out", table)
    with table.open() as lines:
        rows = list(csv.DictReader(lines))
    np.testing.assert_allclose([float(row["flux_auto"]) for row in rows], flux)
    shown = terminal.ask(*question, "--columns", "flux_auto", "--sort=-flux_auto", "--limit", "3")
    np.testing.assert_allclose([row[0] for row in shown["rows"]], flux[:3])


def test_an_unknown_column_is_named(reduced_once: Small) -> None:
    told = Terminal(reduced_once.folder).ask("sources", "--where", "band like '%'", "--columns", "flux_outo", code=2)
    assert told["fault"]["code"] == "where.invalid"
    assert "flux_auto" in told["fault"]["message"]


def test_a_lost_catalogue_names_its_unit(done: Small) -> None:
    lost = files(done)[0]
    lost.unlink()
    told = Terminal(done.folder).ask("sources", "--where", "exposure_time > 0", "--count", code=3)
    assert told["fault"]["code"] == "file.missing"
    assert lost.name in told["fault"]["message"]
