"""Mosaics and calibrations that do not fit: the unit is refused with its reason, the others are reduced."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest
from astropy.io import fits

from tests.drills.ground import DETECTORS, LAST, Field, edit, name_of
from tests.support.survey import EXPOSURES, NIGHT_UNITS, SKY
from tests.support.terminal import Terminal

OBJECT = name_of(LAST)
FLATS = (7, 8, 9)


def codes(production: dict[str, list[dict[str, str]]]) -> set[str]:
    return {group["code"] for group in production["faults"]}


def test_a_detector_is_missing_from_a_mosaic(field: Field, expected: dict[str, bytes]) -> None:
    """It comes later, as a file of its own: the exposure is completed."""
    whole = field.raw(LAST)
    parts = {number: whole.with_name(f"{number}-{whole.name}") for number in DETECTORS}
    for number, path in parts.items():
        with fits.open(whole, disable_image_compression=True) as hdus:
            del hdus[3 - number]
            hdus.writeto(path, checksum=True)
    whole.unlink()
    late = parts[2].rename(field.sky / parts[2].name)
    field.ask("ingest", field.delivery)
    (missing,) = field.ask("inventory")["missing_detectors"]
    assert OBJECT in missing["what"]
    assert "2" in missing["why"] + missing["what"]
    (fault,) = [line for line in field.ask("faults")["faults"] if line["code"] == "exposure.detector-missing"]
    assert OBJECT in fault["subject"]
    assert fault["advice"]
    assert field.night()["done"] == NIGHT_UNITS - 1
    summary = field.ask("ingest", late)
    assert summary["completed"] == 1
    assert field.ask("faults")["faults"] == []
    assert field.night()["done"] == 2, "the detector, and its exposure's summary"
    # File checksums differ from those of the whole mosaic, and with them job keys; not so the pixels' results.
    same = {name.partition(".")[0]: data for name, data in field.contents().items() if not name.endswith(".png")}
    calm = {name.partition(".")[0]: data for name, data in expected.items() if not name.endswith(".png")}
    assert set(same) == set(calm)


def test_two_files_claim_one_exposure(field: Field, expected: dict[str, bytes]) -> None:
    other = field.delivery / "second.fits.fz"
    shutil.copy(field.raw(LAST), other)
    edit(other, OBJECT="elsewhere")
    first = field.ask("ingest", field.raw(LAST))
    assert first["new"] == 1
    (problem,) = field.ask("ingest", other, code=1)["problems"]
    assert problem["code"] == "exposure.conflict"
    assert other.name in problem["message"]
    assert field.raw(LAST).name in problem["message"]
    assert OBJECT in problem["message"]
    assert OBJECT in problem["advice"] or "why" in problem["advice"]
    told = {line["code"] for line in field.ask("faults")["faults"]}
    assert told == {"exposure.conflict"}
    assert any(fault["code"] == "exposure.conflict" for fault in field.ask("why", OBJECT)["faults"])
    field.ask("ingest", field.delivery, code=1)
    field.night()
    assert field.contents() == expected, "the first stays"
    assert not list((field.folder / "raw").rglob("second*")), "no copy of the refused file is left in the survey"


def test_two_files_claim_one_exposure_at_other_times(field: Field) -> None:
    field.ask("ingest", field.raw(LAST))
    other = field.raw(LAST - 1)
    edit(other, OBSID=OBJECT.removeprefix("demo-"), SEQNUM=LAST)
    (problem,) = field.ask("ingest", other, code=1)["problems"]
    assert problem["code"] == "exposure.conflict"
    assert "mjd" in problem["message"]


def test_the_same_file_under_two_names_is_one(field: Field, expected: dict[str, bytes]) -> None:
    shutil.copy(field.raw(LAST), field.delivery / "again.fits.fz")
    summary = field.ask("ingest", field.delivery)
    assert (summary["new"], summary["known"]) == (EXPOSURES, 1)
    field.night()
    assert field.contents() == expected


def test_a_file_is_delivered_again_with_other_bytes(taken: Field, expected: dict[str, bytes]) -> None:
    path = taken.raw(LAST)
    good = path.read_bytes()
    edit(path, OBJECT="renamed")
    summary = taken.ask("ingest", taken.delivery, code=1)
    assert summary["changed"] == 1
    (problem,) = summary["problems"]
    assert (problem["code"], problem["path"]) == ("file.changed", str(path))
    assert "--reload" in problem["advice"]
    taken.night()
    assert taken.contents() == expected, "the old record stands"
    assert taken.ask("ingest", "--reload", path)["reloaded"] == 1
    assert taken.ask("faults")["faults"] == []
    assert taken.night()["done"] == 3
    path.write_bytes(good)


def without_flats(field: Field) -> None:
    for number in FLATS:
        field.raw(number).unlink()


def flats_of_another_band(field: Field) -> None:
    for number in FLATS:
        edit(field.raw(number), FILTER="g.demo")


def flats_of_another_mode(field: Field) -> None:
    for number in FLATS:
        edit(field.raw(number), READMODE="fast")


def one_flat(field: Field) -> None:
    for number in FLATS[1:]:
        field.raw(number).unlink()


def without_biases(field: Field) -> None:
    for number in (1, 2, 3):
        field.raw(number).unlink()


CALIBRATIONS: list[tuple[Callable[[Field], None], str, str]] = [
    (without_flats, "calibration.missing", "flat"),
    (flats_of_another_band, "calibration.band", "'r'"),
    (flats_of_another_mode, "calibration.missing", "fast"),
    (one_flat, "calibration.missing", "flat"),
    (without_biases, "calibration.missing", "bias"),
]


@pytest.mark.parametrize(("spoil", "code", "evidence"), CALIBRATIONS, ids=lambda value: getattr(value, "__name__", None))
def test_calibrations_that_do_not_serve(
    field: Field, expected: dict[str, bytes], spoil: Callable[[Field], None], code: str, evidence: str
) -> None:
    good = {path: path.read_bytes() for path in field.delivery.rglob("*.fz")}
    spoil(field)
    field.ask("ingest", field.delivery)
    foreseen = field.ask("run", "night", "--dry-run")
    assert code in {obstacle["code"] for obstacle in foreseen["obstacles"]}
    made = field.night(code=1)
    assert made["failed"] == 0
    assert code in codes(made)
    story = field.ask("why", f"{OBJECT}/1")
    (fault,) = [job["fault"] for job in story["jobs"] if job["outcome"] == "refused"]
    assert fault["code"] == code
    assert f"{OBJECT}/1" in fault["message"]
    assert evidence in fault["message"]
    assert fault["advice"] in story["todo"]
    assert field.ask("inventory")["irreducible"]
    for path, data in good.items():
        path.write_bytes(data)
    field.order("ingest", field.delivery, code=1 if "another" in spoil.__name__ else 0)
    if "another" in spoil.__name__:
        for number in FLATS:
            field.order("ingest", "--reload", field.raw(number))
    assert field.night()["complete"]
    made_now = field.contents()
    assert {name: made_now.get(name) for name in expected} == expected


def test_flats_of_another_size(empty_once: Field, field: Field, expected: dict[str, bytes]) -> None:
    """Flats that the camera wrote binned: another shape, the same detector."""
    for number in FLATS:
        bin_by_two(field, number)
    field.ask("ingest", field.delivery)
    made = field.night(code=1)
    assert codes(made) & {"calibration.missing", "calibration.shape"}
    (fault,) = [job["fault"] for job in field.ask("why", f"{OBJECT}/1")["jobs"] if job["outcome"] == "refused"]
    assert fault["code"] in {"calibration.missing", "calibration.shape"}
    assert "binning" in fault["advice"] + fault["message"] or "2x2" in fault["message"]


def bin_by_two(field: Field, number: int) -> None:
    path = field.raw(number)
    with fits.open(path) as hdus:
        primary = fits.PrimaryHDU(header=hdus[0].header)
        primary.header["CCDSUM"] = "2 2"
        parts: list[fits.PrimaryHDU | fits.CompImageHDU] = [primary]
        for hdu in hdus[1:]:
            ny, nx = hdu.data.shape
            binned = hdu.data.reshape(ny // 2, 2, nx // 2, 2).mean(axis=(1, 3)).astype(np.uint16)
            parts.append(fits.CompImageHDU(binned, name=hdu.name, compression_type="RICE_1"))
        fits.HDUList(parts).writeto(path, overwrite=True, checksum=True)


def test_detectors_of_another_size_than_the_table_says(field: Field, tmp_path_factory: pytest.TempPathFactory) -> None:
    sky = tmp_path_factory.mktemp("large")
    larger = SKY | {"detector_size": "160,160", "exposures": "1", "biases": "0", "darks": "0", "flats": "0"}
    words = [word for name, value in larger.items() for word in ("--set", f"{name}={value}")]
    Terminal(sky).order("init", sky / "elsewhere")
    Terminal(sky / "elsewhere").order("simulate", sky / "sky", *words, "--set", "first=500")
    summary = field.ask("ingest", sky / "sky" / "raw", code=1)
    (problem,) = summary["problems"]
    assert problem["code"] == "header.bad-geometry"
    assert "500" in problem["message"]
