from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spica.core.faults import DataFault, FaultKind, FaultRecord, InternalFault
from spica.core.records import Exposure, ExposureState, Grain, IngestRecord, Unit
from spica.registry.rows import AddStatus
from spica.registry.store import Registry
from tests.registry.samples import amplifiers, detector, detector_unit, exposure, ingest


def test_what_goes_in_comes_out(registry: Registry) -> None:
    one = exposure(1, defaulted=("airmass",), rotation=12.5, binning=(2, 1), programme="P", run="R1")
    record = ingest(one, origin="/data/in/a.fits", mtime=123.456, conformance=("no DATASUM",))
    assert registry.add(record).status is AddStatus.NEW
    assert registry.exposure(one.name) == one
    assert registry.exposures() == [one]
    pairs = [(one.name, each.detector) for each in record.detectors]
    assert registry.detectors(pairs) == dict(zip(pairs, record.detectors, strict=True))
    assert registry.files([record.file.checksum]) == {record.file.checksum: record.file}
    assert registry.headers(record.file.checksum) == record.headers


def test_the_same_file_again_is_known(registry: Registry) -> None:
    record = ingest(exposure(1))
    registry.add(record)
    rows = list(registry.detector_rows())
    assert registry.add(record).status is AddStatus.KNOWN
    assert registry.add(replace(record, file=replace(record.file, path="elsewhere.fits"))).status is AddStatus.KNOWN
    assert registry.copies(record.file.checksum) == [("local", record.file.path), ("local", "elsewhere.fits")]
    assert list(registry.detector_rows()) == rows
    assert registry.files()[record.file.checksum].path == record.file.path


def test_known_file_needs_path_size_and_time(registry: Registry) -> None:
    record = ingest(exposure(1), origin="/in/a.fits", mtime=1732148264.123456789, size=77)
    registry.add(record)
    assert registry.known_file("/in/a.fits", 77, 1732148264.123456789) == record.file.checksum
    assert registry.known_file("/in/a.fits", 78, 1732148264.123456789) is None
    assert registry.known_file("/in/a.fits", 77, 1732148264.2) is None
    assert registry.known_file("/in/b.fits", 77, 1732148264.123456789) is None


def test_one_file_per_detector_completes_the_exposure(registry: Registry) -> None:
    one = exposure(1)
    assert registry.add(ingest(one, [0])).status is AddStatus.NEW
    # Headers of further files may tell the start a little differently, and carry other extras.
    other = replace(one, mjd=one.mjd + 0.3 / 86400, extra={"detector": 1})
    assert registry.add(ingest(other, [1])).status is AddStatus.COMPLETED
    assert [row.detector for row in registry.detector_rows()] == [0, 1]
    assert registry.exposure(one.name) == one


@pytest.mark.parametrize(
    "changes",
    [{"band": "g"}, {"exposure_time": 60.0}, {"mjd": 61365.0}, {"night": "2026-11-21"}, {"extra": {"slices": 4}}],
)
def test_further_detectors_must_agree_about_the_exposure(registry: Registry, changes: dict[str, Any]) -> None:
    registry.add(ingest(exposure(1), [0]))
    says = "slices" if "extra" in changes else next(iter(changes))
    with pytest.raises(DataFault, match=says) as caught:
        registry.add(ingest(exposure(1, **changes), [1]))
    assert caught.value.code == "exposure.conflict"
    assert len(list(registry.detector_rows())) == 1


def test_two_files_that_claim_one_detector(registry: Registry) -> None:
    one = exposure(1)
    first, second = ingest(one), ingest(one, [3, 4], tag="again")
    registry.add(first)
    with pytest.raises(DataFault) as caught:
        registry.add(second)
    assert caught.value.code == "exposure.conflict"
    assert caught.value.evidence["first"] == first.file.path
    assert caught.value.evidence["second"] == second.file.path
    assert len(list(registry.detector_rows())) == 4
    (fault,) = registry.faults(Unit(Grain.EXPOSURE, (one.name,)))
    assert fault.fault.code == "exposure.conflict"
    assert second.file.checksum not in registry.files()


def test_a_batch_goes_on_past_a_record_at_fault(registry: Registry) -> None:
    records = [ingest(exposure(1)), ingest(exposure(1), tag="again"), ingest(exposure(2)), ingest(exposure(2))]
    answers = registry.add_many(records)
    assert [each.status for each in answers] == ["new", "refused", "new", "known"]
    assert answers[1].fault is not None
    assert answers[1].fault.code == "exposure.conflict"
    assert len(registry.exposures()) == 2


def test_changed_bytes_are_noticed_and_the_old_record_stands(registry: Registry) -> None:
    one = exposure(1)
    first = ingest(one, origin="/in/a.fits")
    registry.add(first)
    rows = list(registry.detector_rows())
    again = ingest(one, tag="changed", origin="/in/a.fits", path="raw/other-name.fits")
    for _ in range(2):
        answer = registry.add(again)
        assert answer.status is AddStatus.CHANGED
        assert answer.fault is not None
        assert answer.fault.evidence["before"] == first.file.checksum
    assert list(registry.detector_rows()) == rows
    (fault,) = registry.faults(code="file.changed")
    assert fault.unit == Unit(Grain.EXPOSURE, (one.name,))


def test_reload_takes_the_changed_file(registry: Registry) -> None:
    one = exposure(1)
    registry.add(ingest(one, origin="/in/a.fits"))
    before = {row.detector: row for row in registry.detector_rows()}
    new = ingest(replace(one, airmass=1.2), [0, 1, 2], tag="changed", origin="/in/a.fits")
    registry.add(new)
    assert registry.reload(new).status is AddStatus.RELOADED
    after = {row.detector: row for row in registry.detector_rows()}
    assert set(after) == {0, 1, 2}
    assert registry.exposure(one.name).airmass == 1.2
    assert all(after[n].exposure_digest != before[n].exposure_digest for n in after)
    assert all(after[n].input_digest != before[n].input_digest for n in after)
    assert registry.faults() == []
    assert registry.add(new).status is AddStatus.KNOWN


def test_reload_of_a_file_that_tells_another_exposure_settles_the_one_before(registry: Registry) -> None:
    one, other, third = exposure(1), exposure(2), exposure(3)
    registry.add_many([ingest(one, origin="/in/a.fits"), ingest(third, origin="/in/c.fits")])
    new = ingest(other, tag="changed", origin="/in/a.fits")
    for changed in (new, ingest(third, tag="changed", origin="/in/c.fits")):
        assert registry.add(changed).status is AddStatus.CHANGED
    unrelated = FaultRecord("header.absurd", FaultKind.DATA, "airmass 77")
    registry.add_fault(Unit(Grain.EXPOSURE, (one.name,)), unrelated)
    assert registry.reload(new).exposure == other.name
    # Another file's change, and another fault of the exposure before, are not settled by this.
    assert {(row.fault.code, row.unit.values[0]) for row in registry.faults()} == {
        ("file.changed", third.name),
        ("header.absurd", one.name),
    }
    (settled,) = [row for row in registry.faults(cleared=True) if row.cleared is not None]
    assert (settled.fault.code, settled.unit.values) == ("file.changed", (one.name,))


def test_reload_of_unchanged_facts_changes_no_digest(registry: Registry) -> None:
    record = ingest(exposure(1))
    registry.add(record)
    rows = list(registry.detector_rows())
    assert registry.reload(record).status is AddStatus.RELOADED
    assert list(registry.detector_rows()) == rows


def test_reload_under_another_name_moves_the_detectors(registry: Registry) -> None:
    record = ingest(exposure(1), [0, 1], checksum="c" * 40)
    registry.add(record)
    mended = ingest(exposure(9), [0, 1], checksum="c" * 40, path=record.file.path)
    registry.reload(mended)
    assert [each.name for each in registry.exposures()] == [mended.exposure.name]
    assert [row.exposure for row in registry.detector_rows()] == [mended.exposure.name] * 2


def test_reload_respects_other_files(registry: Registry) -> None:
    one = exposure(1)
    registry.add_many([ingest(one, [0]), ingest(one, [1])])
    with pytest.raises(DataFault) as caught:
        registry.reload(ingest(one, [0, 1], checksum=ingest(one, [0]).file.checksum))
    assert caught.value.code == "exposure.conflict"
    assert [row.detector for row in registry.detector_rows()] == [0, 1]
    new = replace(one, airmass=1.5)
    registry.reload(ingest(new, [0], checksum=ingest(one, [0]).file.checksum, path=ingest(one, [0]).file.path))
    assert [row.detector for row in registry.detector_rows()] == [0, 1]
    assert registry.exposure(one.name).airmass == 1.5


def _amplifier_file(of: Exposure, place: int) -> IngestRecord:
    record = ingest(of, [0], tag=f"amp{place}")
    part = detector(of, 0, record.file.checksum, amplifiers=amplifiers(1, start=place), hdus=(0,))
    return replace(record, detectors=(part,))


def test_one_file_per_amplifier_in_any_order(registry: Registry) -> None:
    one, two = exposure(1), exposure(2)
    statuses = [registry.add(_amplifier_file(one, place)).status for place in (0, 1, 2)]
    assert statuses == ["new", "completed", "completed"]
    registry.add_many([_amplifier_file(two, place) for place in (2, 0, 1)])
    found = registry.detectors([(one.name, 0), (two.name, 0)])
    for each in (one, two):
        whole = found[each.name, 0]
        assert [spec.name for spec in whole.amplifiers] == ["A0", "A1", "A2"]
        assert list(whole.amplifier_files) == [_amplifier_file(each, place).file.checksum for place in (0, 1, 2)]
        assert whole.file == whole.amplifier_files[0]
    with pytest.raises(DataFault):
        registry.add(
            replace(_amplifier_file(one, 1), file=replace(_amplifier_file(one, 1).file, checksum="d" * 40, path="x"))
        )


def test_planes_of_a_reduced_exposure_from_three_files(registry: Registry) -> None:
    one = exposure(1, state=ExposureState.REDUCED)
    for plane in ("weight", "science", "mask"):
        record = ingest(one, [0], tag=plane)
        checksum = record.file.checksum
        part = detector(
            one,
            0,
            checksum,
            amplifiers=(),
            hdus=(),
            planes={plane: (checksum, 1)},
            wcs={"CRVAL1": 150.0} if plane == "science" else {},
        )
        registry.add(replace(record, detectors=(part,)))
    whole = registry.detectors([(one.name, 0)])[one.name, 0]
    assert set(whole.planes) == {"science", "weight", "mask"}
    assert whole.file == whole.planes["science"][0]
    assert whole.wcs == {"CRVAL1": 150.0}
    again = ingest(replace(one, airmass=1.3), [0], tag="weight")
    part = detector(one, 0, again.file.checksum, amplifiers=(), hdus=(), planes={"weight": (again.file.checksum, 2)})
    registry.reload(replace(again, detectors=(part,)))
    assert registry.detectors([(one.name, 0)])[one.name, 0].planes["weight"] == (again.file.checksum, 2)


def test_identifiers_that_clash(registry: Registry) -> None:
    registry.add(ingest(exposure(1)))
    with pytest.raises(InternalFault) as caught:
        registry.add(ingest(exposure(2, id=exposure(1).id)))
    assert caught.value.code == "exposure.id-clash"


@pytest.mark.parametrize(
    "changes",
    [{"mjd": float("nan")}, {"ra": float("inf")}, {"extra": {"x": float("nan")}}, {"name": "a/b"}, {"name": ""}],
)
def test_absurd_records_are_refused(registry: Registry, changes: dict[str, Any]) -> None:
    with pytest.raises(DataFault) as caught:
        registry.add(ingest(exposure(1, **changes)))
    assert caught.value.code == "header.absurd"
    assert registry.exposures() == []
    assert registry.files() == {}


def test_readouts_are_kept_once(registry: Registry) -> None:
    registry.add_many([ingest(exposure(n)) for n in range(1, 6)])
    with registry._door.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM readouts").scalar() == 1


def test_quarantine(registry: Registry) -> None:
    fault = FaultRecord("file.empty", FaultKind.DATA, "no bytes", {"size": 0}, "ask again")
    for _ in range(2):
        registry.quarantine("/in/bad.fits", "", fault)
    (row,) = registry.quarantined()
    assert (row.path, row.fault) == ("/in/bad.fits", fault)
    assert registry.counts().quarantined == 1
    assert registry.release_from_quarantine("/in/bad.fits") == 1
    assert registry.quarantined() == []
    assert len(registry.quarantined(released=True)) == 1


def test_digest_follows_every_fact_of_the_exposure(registry: Registry) -> None:
    base = exposure(1)
    variants = [base, replace(base, readout_mode="fast"), replace(base, extra={}), replace(base, rotation=1.0)]
    seen = set()
    for each in variants:
        registry.reload(ingest(each))
        (first, *_) = registry.detector_rows()
        seen.add((first.exposure_digest, first.input_digest))
    assert len(seen) == len(variants)
    assert detector_unit(base, 0).keys == {"exposure": base.name, "detector": "0"}


def test_records_are_found_by_the_path_of_their_file(registry: Registry) -> None:
    record = ingest(exposure(), numbers=(0, 1))
    registry.add(record)
    whole = [(record.exposure.name, 0), (record.exposure.name, 1)]
    for path in (record.file.path, record.file.path.rpartition("/")[2]):
        assert registry.detectors_in_file(path) == whole
    assert registry.detectors_in_file("%") == []
    assert registry.detectors_in_file("no_such.fits") == []
