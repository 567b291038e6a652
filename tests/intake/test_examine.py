"""One file in, one record out; or one named fault, which says all that is wrong."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest

from spica.core.camera import Camera
from spica.core.faults import DataFault
from spica.core.records import ExposureState, FrameType
from spica.files import checksums
from spica.files.images import read_raw
from spica.instruments import tables
from spica.intake.examine import examine
from spica.intake.find import candidates
from tests.intake.conftest import Write, exposure


def fault_of(path: Path, *cameras: Camera, **given: Camera | None) -> DataFault:
    with pytest.raises(DataFault) as caught:
        examine(path, cameras, **given)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("frame_type", [FrameType.OBJECT, FrameType.BIAS])
def test_the_record_says_what_was_written(write: Write, demo: Camera, frame_type: FrameType) -> None:
    path = write("a.fits.fz", 12, frame_type)
    record = examine(path, [demo])
    expected = exposure(12, frame_type)
    for name in ("id", "name", "camera", "frame_type", "night", "sequence", "band", "object", "programme"):
        assert getattr(record.exposure, name) == getattr(expected, name), name
    assert record.exposure.mjd == pytest.approx(expected.mjd, abs=1e-8)
    assert record.exposure.state is ExposureState.RAW
    assert record.file.checksum == checksums.of_file(path)
    assert (record.file.size, record.file.mtime) == (path.stat().st_size, path.stat().st_mtime)
    assert record.file.path == record.file.origin == str(path)
    assert record.file.conformance == ()
    assert [item.detector for item in record.detectors] == [1, 2, 3, 4]
    assert all(len(item.amplifiers) == 2 and item.file == record.file.checksum for item in record.detectors)
    assert len(record.headers) == 5
    assert record.headers[0].startswith("SIMPLE")


def test_the_record_leads_to_the_pixels(write: Write, demo: Camera) -> None:
    path = write("a.fits.fz")
    record = examine(path, [demo])
    raw = read_raw(record.detectors[2], {record.file.checksum: path}, record.exposure)
    assert raw.pixels[0].shape == (512, 608)
    assert (raw.nx, raw.ny) == (512, 512)


def test_a_detector_that_is_missing_is_not_in_the_record(write: Write, demo: Camera) -> None:
    record = examine(write("a.fits.fz", skip=("D3",)), [demo])
    assert [item.detector for item in record.detectors] == [1, 2, 4]


def test_a_gzip_gives_the_same_exposure(write: Write, demo: Camera, tmp_path: Path) -> None:
    path = write("a.fits")
    packed = tmp_path / "b.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert examine(packed, [demo]).exposure == examine(path, [demo]).exposure


def test_all_that_is_missing_or_absurd_is_listed_at_once(write: Write, demo: Camera) -> None:
    path = write("a.fits.fz", OBSTYPE=None, EXPTIME=-5.0, RA="25:00:00")
    fault = fault_of(path, demo)
    assert fault.code in {"header.missing", "header.absurd"}
    for name in ("frame_type", "exposure_time", "ra"):
        assert name in fault.message


def test_a_sensor_with_a_bad_clock_is_caught(write: Write, demo: Camera) -> None:
    assert fault_of(write("a.fits.fz", MJD_OBS=61365.9), demo).code == "header.absurd"
    assert fault_of(write("a.fits.fz", FILTER="purple"), demo).code == "header.unknown-filter"


def test_the_camera_is_recognised_named_or_assumed(write: Write, demo: Camera) -> None:
    decam, every = tables.load("decam"), [tables.load(name) for name in tables.names()]
    path = write("a.fits.fz")
    strange = write("b.fits.fz", 13, INSTRUME="stranger")
    assert examine(path, every).exposure.camera == "demo"
    assert fault_of(path, *every, camera=decam).code == "header.wrong-camera"
    assert fault_of(strange, *every).code == "header.unknown-camera"
    assert examine(strange, every, camera=demo).exposure.camera == "demo"
    assert examine(strange, every, fallback=demo).exposure.camera == "demo"
    assert examine(path, every, fallback=decam).exposure.camera == "demo"


def test_bad_files_have_the_faults_of_files(write: Write, demo: Camera, tmp_path: Path) -> None:
    whole = write("a.fits.fz").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 16
    cases = {
        "file.empty": b"",
        "file.not-fits": b"<html>404</html>" * 300,
        "file.truncated": whole[: len(whole) * 2 // 3],
        "file.corrupt": bytes(flipped),
    }
    for code, data in cases.items():
        (tmp_path / "x.fits.fz").write_bytes(data)
        assert fault_of(tmp_path / "x.fits.fz", demo).code == code
    assert examine(write("a.fits.fz"), [demo], sums=False).exposure.name == exposure().name
    assert fault_of(tmp_path / "absent.fits", demo).code == "file.missing"
    (lost,) = candidates([tmp_path / "absent.fits"], tmp_path)
    with pytest.raises(DataFault) as caught:
        examine(lost, [demo])
    assert caught.value.code == "file.missing"


def test_records_come_quickly(write: Write, demo: Camera) -> None:
    paths = [write(f"{number}.fits.fz", number) for number in range(8)]
    every = [tables.load(name) for name in tables.names()]
    examine(paths[0], every)
    began = time.process_time()
    count = sum(len(examine(path, every, sums=False).detectors) for path in paths)
    rate = count / (time.process_time() - began)
    print(f"{rate:.0f} detector records per CPU-second")
    assert rate > 200


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "camera", "state"),
    [
        ("raw_lco/mef_raw_test_frame.fits", "sinistro", ExposureState.RAW),
        ("huntsman/science_0.fits", "huntsman", ExposureState.RAW),
        ("lco_calibrated/banzai_test_frame.fits.fz", "lco", ExposureState.REDUCED),
        ("legacy_testcase6/c4d_171113_061941_ooi_r_ls9.S4.fits", "decam", ExposureState.REDUCED),
        ("legacy_mzlsbass2/k4m_160319_075112_oow_zd_ls9.CCD3.fits", "mosaic3", ExposureState.REDUCED),
        ("legacy_mzlsbass2/ksb_170430_055945_ood_r_ls9.CCD4.fits", "90prime", ExposureState.REDUCED),
    ],
)
def test_real_files_become_records(real_data: Path, name: str, camera: str, state: ExposureState) -> None:
    record = examine(real_data / name, [tables.load(known) for known in tables.names()])
    assert record.exposure.camera == camera
    assert record.exposure.state is state
    assert len(record.detectors) == 1
