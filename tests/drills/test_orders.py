"""Orders that cannot be carried out: nothing is started, the nearest name is suggested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drills.ground import Field, Program
from tests.support.survey import NIGHT_UNITS

ORDERS: list[tuple[tuple[str, ...], str, str]] = [
    (("run", "nihgt"), "pipeline.unknown", "night"),
    (("run", "night", "--set", "detect.treshold=3"), "settings.unknown", "threshold"),
    (("run", "night", "--set", "detetc.threshold=3"), "settings.unknown", "detect"),
    (("run", "night", "--set", "detect.threshold=high"), "settings.invalid", "threshold"),
    (("run", "night", "--set", "detect.threshold=-1"), "settings.invalid", "threshold"),
    (("run", "night", "--where", "bnad = 'r'"), "where.invalid", "band"),
    (("run", "night", "--where", "band = "), "where.invalid", "band"),
    (("run", "night", "--where", "night = '2031-01-01'"), "order.nothing", "2031"),
    (("run", "night", "--executor", "magic"), "order.invalid", "inprocess"),
    (("run", "night", "--set", "threshold"), "order.invalid", "name=value"),
    (("run", "night", "--wrokers", "2"), "order.invalid", "--workers"),
    (("rnu", "night"), "order.invalid", "run"),
    (("ingest", "x.fits", "--camera", "dceam"), "camera.unknown", "decam"),
    (("ingest",), "order.invalid", "PATH"),
    (("simulate", "sky", "--camera", "deom"), "camera.unknown", "demo"),
    (("simulate", "sky", "--set", "exposrues=3"), "settings.unknown", "exposures"),
    (("camera", "show", "megaprme"), "camera.unknown", "megaprime"),
    (("pipeline", "show", "redcue"), "pipeline.unknown", "reduce"),
    (("metrics", "list", "--where", "bakground > 0"), "where.invalid", "background"),
    (("why", "demo-20261120-00099"), "order.unknown-unit", "00099"),
    (("why", "demo-20261120-00010/9"), "order.unknown-unit", "no detector 9"),
    (("faults", "file.emty"), "order.invalid", "file.empty"),
    (("export", "demo-20261120-00010", "--kind", "sciense"), "order.nothing", "science"),
    (("init", "."), "survey.exists", "survey"),
]


@pytest.mark.parametrize(
    ("words", "code", "evidence"), ORDERS, ids=lambda value: " ".join(value) if isinstance(value, tuple) else None
)
def test_a_wrong_order(
    calm: Field, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: str, evidence: str
) -> None:
    monkeypatch.chdir(calm.folder)
    before = calm.ask("status", "--orders", "100")
    fault = calm.ask(*words, code=2)["fault"]
    assert fault["code"] == code
    assert evidence in fault["message"] + fault["advice"]
    assert fault["advice"]
    told = calm.order(*words, code=2)
    assert evidence in told
    assert "Traceback" not in told
    assert calm.ask("status", "--orders", "100")["productions"] == before["productions"]


PIPELINES: list[tuple[str, str, str]] = [
    ('name = "mine"\ntitle = "x"\nextends = "redcue"', "pipeline.unknown", "reduce"),
    ('name = "mine"\ntitle = "x"\n[[step]]\ntask = "detct"', "task.unknown", "detect"),
    ('name = "mine"\ntitle = "x"\nextends = "reduce"\n[[step]]\nas = "detect"\nsettings = { treshold = 3 }', "settings.unknown", "threshold"),
    ('name = "mine"\ntitle = "x"\n[[step]]\ntask = "detect"', "pipeline.invalid", "detect"),
    ('name = "mine"\ntitle = "x', "pipeline.invalid", "mine.toml"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "evidence"), PIPELINES, ids=[each[1] for each in PIPELINES])
def test_a_wrong_pipeline_of_the_survey(taken: Field, text: str, code: str, evidence: str) -> None:
    (taken.folder / "pipelines" / "mine.toml").write_text(text)
    fault = taken.ask("run", "mine", code=2)["fault"]
    assert (fault["code"], evidence in fault["message"]) == (code, True), fault
    assert fault["advice"]
    assert taken.ask("run", "night", "--dry-run")["refused"] == 0, "the others work"


SETTINGS: list[tuple[str, str, str]] = [
    ("[engine]\nwrokers = 2", "survey.invalid", "workers"),
    ("[engine]\nworkers = -2", "survey.invalid", "workers"),
    ('[engine]\nexecutor = "magic"', "survey.invalid", "inprocess"),
    ("[engine", "survey.invalid", "survey.toml"),
    ("[tasks.detect]\ntreshold = 3", "settings.unknown", "threshold"),
    ("[tasks.detetc]\nthreshold = 3", "settings.unknown", "detect"),
    ('[ingest]\narea = "nowhere"', "survey.invalid", "nowhere"),
    ('cameras = ["deom"]', "camera.unknown", "demo"),
]


@pytest.mark.parametrize(("text", "code", "evidence"), SETTINGS, ids=[each[0] for each in SETTINGS])
def test_wrong_settings_of_the_survey(taken: Field, text: str, code: str, evidence: str) -> None:
    path = taken.folder / "survey.toml"
    good = path.read_text()
    path.write_text('name = "survey"\n' + text + "\n")
    order = (
        ("ingest", taken.delivery)
        if "area" in text or "cameras" in text
        else ("run", "night", "--executor", "inprocess")
    )
    fault = taken.ask(*order, code=2)["fault"]
    assert (fault["code"], evidence in fault["message"]) == (code, True), fault
    assert fault["advice"]
    path.write_text(good)
    assert taken.ask("run", "night", "--dry-run")["to_run"] == NIGHT_UNITS


def test_a_broken_camera_table_of_the_survey(field: Field) -> None:
    table = field.folder / "cameras" / "demo.toml"
    good = table.read_text()
    table.write_text(good.replace("pixel_scale", "pixel_sclae"))
    fault = field.ask("ingest", field.delivery, code=2)["fault"]
    assert fault["code"] == "camera.invalid"
    assert str(table) in fault["message"]
    assert "pixel_sclae" in fault["message"]
    table.write_text(good)
    field.ask("ingest", field.delivery)


def test_outside_any_survey(tmp_path: Path) -> None:
    told = Program(tmp_path, {"SPICA_SURVEY": ""}).order("status", code=2).told
    assert "survey.missing" in told
    assert "spica init" in told


def test_an_outside_package_that_cannot_be_loaded(calm: Field, tmp_path: Path) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spica.tasks]\nbroken = broken_task\n")
    (tmp_path / "broken_task.py").write_text("import nothing_like_it\n")
    program = Program(calm.folder, {"PYTHONPATH": str(tmp_path)})
    fault = program.order("run", "night", "--dry-run", "--json", code=2).answer["fault"]
    assert fault["code"] == "plugin.broken"
    assert "nothing_like_it" in fault["message"]
    assert "broken_task" in fault["message"]
    assert "uninstall" in fault["advice"]
