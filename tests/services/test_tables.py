"""Cameras, pipelines, metrics, inventory, upkeep, catalogues, export: the questions around a survey."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from spica.core.faults import DataFault, Fault, SetupFault
from spica.services import (
    cameras,
    doctor,
    export,
    initialise,
    inventory,
    masters,
    metrics,
    pipelines,
    run,
    simulation,
    sources,
    status,
    upkeep,
)
from tests.support.survey import EXPOSURES, SCIENCE, Small


def test_init_makes_a_survey_once(tmp_path: Path) -> None:
    made = initialise.initialise(tmp_path / "s", name="Southern Sky")
    assert status.status(made.folder).name == "Southern Sky"
    with pytest.raises(SetupFault) as caught:
        initialise.initialise(tmp_path / "s")
    assert caught.value.code == "survey.exists"


def test_init_without_its_database_leaves_no_survey(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        initialise.initialise(tmp_path / "s", "postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=2")
    assert caught.value.code.startswith("registry.")
    assert not (tmp_path / "s" / "survey.toml").exists()


def test_cameras_are_listed_with_their_origin(empty_once: Small) -> None:
    listed = {line.name: line for line in cameras.listing(empty_once.folder)}
    assert listed["demo"].source == "survey"
    assert listed["demo"].detectors == 2
    assert listed["decam"].source == "shipped"


def test_focal_plane_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "plane.png"
    shown = cameras.show("demo", None, path)
    assert shown.camera["name"] == "demo"
    assert "degrees" in shown.facts["field"]
    with Image.open(path) as picture:
        assert min(picture.size) > 300
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20


def test_camera_check_reads_real_files(empty_once: Small) -> None:
    frames = sorted((empty_once.sky / "raw").rglob("*.fits.fz"))
    checked = cameras.check("demo", frames, empty_once.folder)
    assert checked.good
    assert {"mjd", "filter", "detectors"} <= {finding.subject for finding in checked.files[-1].findings}
    other = cameras.check("decam", frames[:1], empty_once.folder)
    assert not other.good
    assert other.files[0].problems[0].startswith("header.")
    assert {finding.verdict for finding in other.files[0].findings} >= {"missing"}


def test_drafted_camera_is_written_once(empty_once: Small, tmp_path: Path) -> None:
    frames = sorted((empty_once.sky / "raw").rglob("*.fits.fz"))
    drafted = cameras.draft(frames[-1:], "mine", tmp_path / "mine.toml")
    assert drafted.name == "mine"
    assert 'name = "mine"' in (tmp_path / "mine.toml").read_text()
    with pytest.raises(SetupFault, match="exists already"):
        cameras.draft(frames[-1:], "mine", tmp_path / "mine.toml")


def test_pipelines_of_the_survey_work_like_shipped_ones(empty: Small, tmp_path: Path) -> None:
    (empty.folder / "pipelines" / "mine.toml").write_text(
        'name = "mine"\ntitle = "Mine"\nextends = "reduce"\nremove = ["quicklook", "focal_plane"]\n'
    )
    assert {line.name: line.source for line in pipelines.listing(empty.folder)}["mine"] == "survey"
    shown = pipelines.show("mine", empty.folder, tmp_path / "graph.png")
    assert any("detrend" in line for line in shown.graph)
    assert not any("quicklook" in line for line in shown.graph)
    assert (tmp_path / "graph.png").stat().st_size > 5000
    assert pipelines.check("mine", empty.folder).steps == len(shown.description["steps"])


def test_settings_say_where_they_come_from(empty: Small) -> None:
    with (empty.folder / "survey.toml").open("a") as file:
        file.write("\n[tasks.detect]\nthreshold = 6.5\n")
    found = {(line.step, line.name): line for line in pipelines.show("reduce", empty.folder).settings}
    assert (found["detect", "threshold"].value, found["detect", "threshold"].source) == (6.5, "survey")
    assert all(line.meaning for line in found.values())


def test_a_pipeline_file_that_cannot_work(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('name = "bad"\n[[step]]\ntask = "measure"\n')
    with pytest.raises(SetupFault) as caught:
        pipelines.check(str(tmp_path / "bad.toml"), None)
    assert caught.value.code == "pipeline.invalid"


def test_tasks_say_what_they_do() -> None:
    listed = {line.name: line for line in pipelines.tasks()}
    assert "science" in listed["detrend"].gives
    assert all(line.summary for line in listed.values())


def test_metrics_from_outside(done: Small, tmp_path: Path) -> None:
    table = tmp_path / "probe.csv"
    table.write_text(
        "exposure,sky transparency [fraction],grade,comment\n"
        f"{SCIENCE[0]},0.93,A,clear\n{SCIENCE[1].removeprefix('demo-')},0.41,,\nnobody-1,0.5,,\n"
    )
    loaded = metrics.load(table, done.folder)
    assert (loaded.units, loaded.metrics, loaded.notes) == (2, 2, 2)
    assert loaded.names == ("sky_transparency",)
    assert [rejected.row for rejected in loaded.rejected] == [3]
    assert "sky_transparency" in {line.name for line in metrics.names(done.folder)}
    found = metrics.search(done.folder, "sky_transparency > 0.9", ("sky_transparency",), "", 10)
    assert {row[0] for row in found.rows} == {SCIENCE[0]}
    assert run.foresee(run.Order("reduce", "sky_transparency < 0.9"), done.folder).units


def test_metrics_need_a_column_that_names_the_unit(done: Small, tmp_path: Path) -> None:
    table = tmp_path / "probe.csv"
    table.write_text("seeing\n1.0\n")
    with pytest.raises(SetupFault, match="names the exposure"):
        metrics.load(table, done.folder)
    with pytest.raises(DataFault):
        metrics.load(tmp_path / "none.csv", done.folder)


def test_inventory_of_a_whole_night(reduced_once: Small, tmp_path: Path) -> None:
    found = inventory.take(reduced_once.folder)
    assert found.complete
    assert sum(line.exposures for line in found.nights) == EXPOSURES
    assert {(line.kind, line.detectors, line.wanted) for line in found.coverage} >= {("bias", 2, 2), ("flat", 2, 2)}
    assert all(line.sources == {"same-night": 2} for line in found.coverage if line.kind in {"bias", "flat"})
    log = tmp_path / "log.csv"
    log.write_text("night,sequence\n2026-11-20,10\n2026-11-20,99\n")
    against = inventory.take(reduced_once.folder, log=log)
    assert [missing.what for missing in against.missing_exposures] == ["night 2026-11-20 sequence 99"]


def test_inventory_heeds_what_was_ordered_of_masters(done: Small) -> None:
    masters.order("use", "2026-11-20", "2026-11-20", masters.Wanted(kinds=("flat",)), done.folder)
    sources = {line.kind: line.sources for line in inventory.take(done.folder).coverage}
    assert sources["bias"] == {"same-night": 2}
    assert sources["flat"] == {"fixed": 2}


def test_inventory_names_what_is_missing(empty: Small) -> None:
    from spica.services import ingest

    frames = sorted((empty.sky / "raw").rglob("*.fits.fz"))
    chosen = [*frames[:3], frames[-1]]
    ingest.ingest(ingest.Order(tuple(str(path) for path in chosen)), empty.folder)
    found = inventory.take(empty.folder)
    assert not found.complete
    assert [missing.what for missing in found.missing_exposures] == ["demo 2026-11-20: number 4 to 10"]
    assert len(found.irreducible) == 1
    assert "flat serves (calibration.missing)" in found.irreducible[0].why
    assert {line.kind: line.sources for line in found.coverage}["flat"] == {"none": 2}


def test_backup_and_restore(done: Small, tmp_path: Path) -> None:
    before = status.status(done.folder)
    upkeep.backup(tmp_path / "b.zip", done.folder)
    (done.folder / "registry.sqlite").write_bytes(b"damaged" * 1000)
    with pytest.raises(SetupFault) as caught:
        status.status(done.folder)
    assert caught.value.code == "registry.corrupt"
    restored = upkeep.restore(tmp_path / "b.zip", done.folder)
    assert restored.kept is not None
    assert restored.kept.read_bytes().startswith(b"damaged")
    assert status.status(done.folder) == before
    version = upkeep.version(done.folder)
    assert version.version == version.needed
    assert upkeep.upgrade(done.folder).after == version.needed


def test_a_bad_backup_changes_nothing(done: Small, tmp_path: Path) -> None:
    before = status.status(done.folder)
    (tmp_path / "b.zip").write_bytes(b"no backup")
    with pytest.raises(DataFault):
        upkeep.restore(tmp_path / "b.zip", done.folder)
    assert status.status(done.folder) == before


def test_sources_of_a_detector_and_of_an_exposure(reduced_once: Small) -> None:
    one = sources.sources(f"{SCIENCE[0]}/1", reduced_once.folder, ("x", "y", "snr"), limit=1000)
    assert one.total == len(one.rows) > 0
    few = sources.sources(f"{SCIENCE[0]}/1", reduced_once.folder, ("snr",), "snr > 20", 2)
    assert few.total == sum(row[2] > 20 for row in one.rows)
    assert len(few.rows) <= 2
    assert [row[0] for row in few.rows] == [row[2] for row in one.rows if row[2] > 20][:2]
    both = sources.sources(SCIENCE[0], reduced_once.folder)
    assert both.total > one.total
    with pytest.raises(SetupFault, match="has no catalogue"):
        sources.sources("demo-20261120-00001/1", reduced_once.folder)


def test_export_copies_what_was_recorded(done: Small, tmp_path: Path) -> None:
    out = export.export(tmp_path / "out", done.folder, unit=SCIENCE[0], kind="sources")
    assert len(out.paths) == 2
    path = min((done.folder / "products" / "sources").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataFault) as caught:
        export.export(tmp_path / "again", done.folder, kind="sources")
    assert caught.value.code == "file.corrupt"


def test_doctor_of_a_sound_survey(reduced_once: Small) -> None:
    found = doctor.examine(reduced_once.folder)
    assert found.well
    assert {"python", "numba", "kernels", "registry", "area local"} <= {check.name for check in found.checks}


def test_doctor_of_an_ailing_survey(done: Small) -> None:
    (done.folder / "registry.sqlite").unlink()
    (done.folder / "cameras" / "broken.toml").write_text("name = ")
    found = doctor.examine(done.folder)
    bad = {check.name: check for check in found.checks if check.verdict is doctor.Verdict.BAD}
    assert not found.well
    assert set(bad) == {"registry", "cameras of the survey"}
    assert all(check.advice for check in bad.values())


def test_doctor_of_a_survey_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "survey.toml").write_text("name = 'x'\nregitsry = 'y'\n")
    found = doctor.examine(tmp_path)
    assert "registry" in next(check.found for check in found.checks if check.name == "survey")
    assert not found.well


def test_simulation_settings_as_typed() -> None:
    settings = simulation.settings_of(
        {"nights": "2026-11-20,2026-11-21", "bands": "r", "seed": "7", "effects.cosmics": "false", "density": "1e3"}
    )
    assert settings.nights == ("2026-11-20", "2026-11-21")
    assert settings.bands == ("r",)
    assert not settings.effects.cosmics
    assert {option.name for option in simulation.options()} >= {"seed", "effects.cosmics"}
    for name in ("sede", "effects.cosmisc", "effect.cosmics"):
        with pytest.raises(SetupFault) as caught:
            simulation.settings_of({name: "1"})
        assert caught.value.code == "settings.unknown"
