"""Running a pipeline through the service: done, done before, foreseen, refused, failed, explained."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.files import checksums
from spica.files.survey import FILE_NAME
from spica.services import check, faults, ingest, productions, run, status, why
from spica.services.run import Order
from tests.support.survey import EXPOSURES, NIGHT_UNITS, SCIENCE, Small

REFUSED = {("calibration.missing", 8), ("data.quorum", 4)}
"""Without masters: the detectors and so their verdicts, and their exposures' catalogues and summaries."""


def test_done_once_is_done(reduced_once: Small) -> None:
    again = run.run(Order("night", executor="inprocess"), reduced_once.folder)
    assert (again.done, again.skipped, again.complete) == (0, NIGHT_UNITS, True)
    assert again.faults == ()
    told = status.status(reduced_once.folder)
    assert [(line.pipeline, line.done) for line in told.work] == [("night", NIGHT_UNITS)]


def test_who_works_changes_nothing(done: Small) -> None:
    survey = done.folder / FILE_NAME
    survey.write_text(survey.read_text().replace("workers = 0", "workers = 7").replace('"local"', '"inprocess"'))
    assert "workers = 7" in survey.read_text()
    told = run.foresee(Order("night"), done.folder)
    assert (told.to_run, told.done, told.reasons) == (0, NIGHT_UNITS, ())
    again = run.run(Order("night", executor="local", workers=1), done.folder)
    assert (again.done, again.skipped) == (0, NIGHT_UNITS)


def test_dry_run_says_what_a_setting_would_touch(reduced_once: Small) -> None:
    same = run.foresee(Order("night"), reduced_once.folder)
    assert (same.to_run, same.done, same.refused) == (0, NIGHT_UNITS, 0)
    other = run.foresee(Order("night", settings={"detect.threshold": "7"}), reduced_once.folder)
    touched = {f"detector:{name}/{number}" for name in SCIENCE for number in (1, 2)}
    touched |= {f"exposure:{name}" for name in SCIENCE}
    assert {unit.unit for unit in other.units if unit.verdict == "run"} == touched
    jobs = 6 * len(SCIENCE)
    assert (other.to_run, other.done) == (jobs, NIGHT_UNITS - jobs), "a detector's verdict is a job of its own"
    assert sum(reason.count for reason in other.reasons) == jobs


def test_a_selection_selects(reduced_once: Small) -> None:
    order = Order("reduce", f"exposure = '{SCIENCE[0]}'", {"detect.threshold": "7"})
    assert run.foresee(order, reduced_once.folder).to_run == 6


def test_without_masters_units_are_refused_and_say_why(empty: Small) -> None:
    frames = sorted((empty.sky / "raw").rglob("*.fits.fz"))
    ingest.ingest(ingest.Order(tuple(str(path) for path in frames[-2:])), empty.folder)
    foreseen = run.foresee(Order("reduce"), empty.folder)
    assert (foreseen.to_run, foreseen.refused) == (0, 12)
    assert {(obstacle.code, obstacle.count) for obstacle in foreseen.obstacles} == REFUSED
    production = run.run(Order("reduce", executor="inprocess"), empty.folder)
    assert (production.refused, production.complete) == (12, False)
    assert {(group.code, group.count) for group in production.faults} == REFUSED
    story = why.why(f"{SCIENCE[0]}/1", empty.folder)
    assert story.verdict == "refused in reduce"
    assert "spica run calibrations" in story.todo[0]
    assert {line.code for line in faults.faults(empty.folder, pipeline="reduce")} == {code for code, _ in REFUSED}


def test_done_in_one_pipeline_and_refused_in_another(empty: Small) -> None:
    frames = sorted((empty.sky / "raw").rglob("*.fits.fz"))
    ingest.ingest(ingest.Order((str(frames[-1]),)), empty.folder)
    for pipeline in ("quick", "reduce"):
        run.run(Order(pipeline, executor="inprocess"), empty.folder)
    story = why.why(f"{SCIENCE[1]}/1", empty.folder)
    assert story.verdict == "refused in reduce; done in quick"
    quick, _ = (job for job in story.jobs if job.pipeline == "quick")
    without = {each.need for each in quick.inputs if not each.key}
    assert without >= {"detrend.bias", "detrend.dark", "detrend.flat", "detrend.defects"}
    assert all(each.how.startswith("none") for each in quick.inputs if each.need in without)
    # With masters there is something to be said.
    ingest.ingest(ingest.Order(tuple(map(str, frames))), empty.folder)
    run.run(Order("calibrations", executor="inprocess"), empty.folder)
    (reason, *_) = run.foresee(Order("quick", f"exposure = '{SCIENCE[1]}'"), empty.folder).reasons
    assert reason.why == "; ".join(f"input detrend.{name} changed" for name in ("bias", "dark", "flat", "defects"))


@pytest.mark.parametrize(
    ("order", "code", "nearest"),
    [
        (Order("nihgt"), "pipeline.unknown", "night"),
        (Order("night", settings={"detect.treshold": "3"}), "settings.unknown", "threshold"),
        (Order("night", "bnad = 'r'"), "where.invalid", "band"),
        (Order("night", executor="magic"), "order.invalid", "inprocess"),
        (Order("reduce", "band = 'q'"), "order.nothing", "band = 'q'"),
    ],
)
def test_a_wrong_order_starts_nothing(reduced_once: Small, order: Order, code: str, nearest: str) -> None:
    before = len(productions.productions(reduced_once.folder, 1000))
    with pytest.raises(SetupFault, match=nearest) as caught:
        run.run(order, reduced_once.folder)
    assert caught.value.code == code
    assert len(productions.productions(reduced_once.folder, 1000)) == before


def test_lost_products_are_found_and_made_again(done: Small) -> None:
    assert check.check(done.folder, deep=True).differences == ()
    lost, spoilt = sorted((done.folder / "products" / "sources").rglob("*.parquet"))[:2]
    before = lost.read_bytes()
    lost.unlink()
    data = bytearray(spoilt.read_bytes())
    data[len(data) // 2] ^= 0xFF
    spoilt.write_bytes(bytes(data))
    (done.folder / "products" / "stray.txt").write_text("x")
    assert len(check.check(done.folder).differences) == 2
    found = {Path(each.path).name: each.what for each in check.check(done.folder, deep=True).differences}
    assert found == {
        lost.name: "recorded, but not on disk",
        spoilt.name: "its bytes are not those recorded",
        "stray.txt": "on disk, but not recorded",
    }
    assert run.run(Order("night", executor="inprocess"), done.folder).done >= 1
    assert lost.read_bytes() == before


def test_a_product_in_the_place_of_another_is_found_by_what_it_says_it_is(done: Small) -> None:
    for folder, suffix in (("sources", "parquet"), ("science", "fits")):
        one, other = sorted((done.folder / "products" / folder).rglob(f"*.{suffix}"))[:2]
        data = one.read_bytes()
        other.write_bytes(data)
        # As if the registry had been told so: bytes alone do not betray it.
        with closing(sqlite3.connect(done.folder / "registry.sqlite")) as registry, registry:
            registry.execute(
                "UPDATE products SET size = ?, checksum = ? WHERE path = ?",
                (len(data), checksums.of_file(other), str(other.relative_to(done.folder))),
            )
    assert check.check(done.folder).differences == ()
    found = check.check(done.folder, deep=True).differences
    assert [Path(each.path).suffix for each in found] == [".fits", ".parquet"]
    for each in found:
        assert "it says that it is SPICAKEY" in each.what
        assert f"SPICAUNI 'detector:{SCIENCE[0]}/1', not 'detector:{SCIENCE[0]}/2'" in each.what


def test_our_own_files_conform_to_the_standard(reduced_once: Small) -> None:
    found = check.check(reduced_once.folder, conforming=True).conformance
    assert found is not None
    assert found.findings == ()
    images = list((reduced_once.folder / "products").rglob("*.fits"))
    assert found.files == len(images) + EXPOSURES
    assert "astropy" in found.programs


def test_a_file_that_breaks_the_standard_is_told(done: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    first, second = sorted((done.folder / "raw").rglob("*.fits.fz"))[:2]
    first.write_bytes(first.read_bytes().replace(b"EXPTIME = ", b"exptime = "))
    second.write_bytes(b"nothing")
    found = check.check(done.folder, conforming=True).conformance
    assert found is not None
    assert found.absent == ("fitsverify",)
    assert [(each.path, each.kind, each.program) for each in found.findings] == [
        (str(path), "raw", "astropy") for path in (first, second)
    ]
    assert "exptime" in " ".join(found.findings[0].lines).lower()
    assert "cannot be read" in found.findings[1].lines[0]


@pytest.mark.fitsverify
def test_the_reference_program_is_asked(done: Small) -> None:
    raw = min((done.folder / "raw").rglob("*.fits.fz"))
    raw.write_bytes(raw.read_bytes().replace(b"EXPTIME = ", b"exptime = "))
    found = check.check(done.folder, conforming=True).conformance
    assert found is not None
    assert (found.programs, found.absent) == (("astropy", "fitsverify"), ())
    assert {(each.path, each.program) for each in found.findings} >= {(str(raw), "fitsverify")}


def test_every_job_tells_its_whole_story(reduced_once: Small) -> None:
    story = why.why(f"{SCIENCE[0]}/2", reduced_once.folder)
    assert story.unit == f"detector:{SCIENCE[0]}/2"
    assert story.verdict == "done in night"
    job, verdict = story.jobs
    assert [step.label for step in verdict.steps] == ["grade"]
    assert {step.label for step in job.steps} >= {"detrend", "background", "measure", "quality"}
    assert {each.need for each in job.inputs} >= {"detrend.raw", "detrend.bias", "detrend.flat"}
    assert {product.name for product in job.products} >= {"science", "sources", "quicklook"}
    assert job.wall > 0
    assert {metric.name for metric in story.metrics} >= {"background", "sources"}
    assert Path(story.files[0].path).exists()
    assert story.faults == ()


def test_a_name_without_the_camera_will_do(reduced_once: Small) -> None:
    assert why.why(SCIENCE[0].removeprefix("demo-"), reduced_once.folder).unit == f"exposure:{SCIENCE[0]}"


def test_a_masters_story(reduced_once: Small) -> None:
    detector = why.why(f"{SCIENCE[0]}/2", reduced_once.folder)
    flat = next(each.unit for each in detector.jobs[0].inputs if each.need == "detrend.flat")
    assert flat.startswith("calibration:demo/2/r/")
    story = why.why(flat, reduced_once.folder)
    assert story.jobs[0].products[0].used_by == len(SCIENCE)


@pytest.mark.parametrize(
    "unit", ["demo-0/1", f"{SCIENCE[0]}/77", f"{SCIENCE[0]}/x", "colour:red", "calibration:a/1/r/b"]
)
def test_unknown_units(reduced_once: Small, unit: str) -> None:
    with pytest.raises(SetupFault) as caught:
        why.why(unit, reduced_once.folder)
    assert caught.value.code == "order.unknown-unit"


def test_the_story_of_a_file_in_quarantine(empty: Small) -> None:
    path = empty.sky / "bad.fits"
    path.touch()
    ingest.ingest(ingest.Order((str(path),)), empty.folder)
    story = why.why("bad.fits", empty.folder)
    assert story.verdict == "in quarantine"
    assert story.faults[0].code == "file.empty"


def test_productions_remember(reduced_once: Small) -> None:
    first = productions.productions(reduced_once.folder, 1000)[-1]
    assert (first.pipeline, first.done, first.failed) == ("night", NIGHT_UNITS, 0)
    assert first.closed >= first.opened
    assert first.cpu > 0
