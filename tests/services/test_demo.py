"""The demonstration, made small: every stage, the report, its pictures, and what it may replace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from spica.core.faults import SetupFault
from spica.services import demo, status

SMALL = {"bands": "r", "exposures": "2", "detectors": "1", "detector_size": "256,256", "density": "800"}


def test_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SKY", SMALL)
    told: list[str] = []
    report = demo.demonstrate(tmp_path / "demo", workers=1, seed=3, watcher=lambda step: told.append(step.stage))
    assert [stage.name for stage in report.stages] == [
        "compile kernels",
        "init",
        "simulate",
        "ingest",
        "calibrations",
        "reduce",
        "judge",
    ]
    assert {"compiling kernels", "simulate", "ingest", "calibrations", "reduce", "judging"} <= set(told)
    findings = {(finding.group, finding.name): finding for finding in report.findings}
    assert findings["images", "noise / stated noise"].good
    assert findings["sources", "completeness of stars, S/N > 10"].value > 0.8
    assert findings["positions", "offset, median"].good
    assert report.good == all(finding.good for finding in report.findings)
    for picture in report.pictures:
        with Image.open(picture.path) as image:
            assert min(image.size) > 400
    written = json.loads((tmp_path / "demo" / "report" / "report.json").read_text())
    assert len(written["findings"]) == len(report.findings)
    assert status.status(report.survey).faults == ()


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(SetupFault, match="something else"):
        demo.demonstrate(tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "keep"


def test_what_an_earlier_demonstration_made_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo._clear(folder)
    (folder / "old").mkdir()
    demo._clear(folder)
    assert [path.name for path in folder.iterdir()] == [demo.MARKER]
