"""Mosaics and calibrations that do not fit: the unit is refused with its reason, the others are reduced."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from pyarrow import parquet

from tests.drills.ground import DETECTORS, LAST, Field, edit, name_of
from tests.support.survey import EXPOSURES, NIGHT_UNITS, SKY
from tests.support.terminal import new_survey

OBJECT = name_of(LAST)
FLATS = (7, 8, 9)


def codes(production: dict[str, list[dict[str, str]]]) -> set[str]:
    return {group["code"] for group in production["faults"]}


def sources(field: Field) -> list[str]:
    """All columns of all catalogues, without what the files say of their job."""
    found = sorted((field.folder / "products" / "sources").rglob("*.parquet"))
    return [repr(parquet.read_table(path).to_pydict()) for path in found]


def pictures(field: Field) -> list[bytes]:
    return [path.read_bytes() for path in sorted((field.folder / "products" / "quicklook").rglob("*.png"))]


def test_a_detector_is_missing_from_a_mosaic(field: Field, calm: Field) -> None:
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
    assert OBJECT in field.order("inventory")
    assert field.night()["done"] == NIGHT_UNITS - 2
    summary = field.ask("ingest", late)
    assert summary["completed"] == 1
    assert field.ask("inventory")["complete"]
    assert field.night()["done"] == 4, "the detector, its verdict, and what its exposure has of them"
    # Other files than the whole mosaic, and so other job keys; the same sources and pictures.
    assert sources(field) == sources(calm)
    assert pictures(field) == pictures(calm)


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


def test_the_same_file_under_two_names_is_one(field: Field) -> None:
    shutil.copy(field.raw(LAST), field.delivery / "again.fits.fz")
    summary = field.ask("ingest", field.delivery)
    assert (summary["new"], summary["known"]) == (EXPOSURES, 1)
    assert field.ask("check", "--deep")["differences"] == [], "one copy in the survey"
    assert field.ask("run", "night", "--dry-run")["to_run"] == NIGHT_UNITS


def test_a_file_is_delivered_again_with_other_bytes(field: Field, expected: dict[str, bytes]) -> None:
    field.order("ingest", field.delivery)
    path = field.raw(LAST)
    edit(path, OBJECT="renamed")
    summary = field.ask("ingest", field.delivery, code=1)
    assert summary["changed"] == 1
    (problem,) = summary["problems"]
    assert (problem["code"], problem["path"]) == ("file.changed", str(path))
    assert "--reload" in problem["advice"]
    field.night()
    assert field.contents() == expected, "the old record stands"
    assert field.ask("ingest", "--reload", path)["reloaded"] == 1
    assert field.ask("faults")["faults"] == []
    assert field.night()["done"] == 2 * len(DETECTORS) + 2


def without_flats(field: Field) -> None:
    for number in FLATS:
        field.raw(number).unlink()


def flats_of_another_band(field: Field) -> None:
    for number in FLATS:
        edit(field.raw(number), FILTER="g.demo")


def flats_of_another_mode(field: Field) -> None:
    for number in FLATS:
        edit(field.raw(number), READMODE="fast")


def without_biases(field: Field) -> None:
    for number in (1, 2, 3):
        field.raw(number).unlink()


CALIBRATIONS: list[Any] = [
    (without_flats, "calibration.missing", "flat"),
    (flats_of_another_band, "calibration.band", "'r'"),
    pytest.param(flats_of_another_mode, "calibration.missing", "flat", marks=pytest.mark.slow),
    pytest.param(without_biases, "calibration.missing", "bias", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(
    ("spoil", "code", "evidence"), CALIBRATIONS, ids=lambda value: getattr(value, "__name__", None)
)
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
    fault, same = [job["fault"] for job in story["jobs"] if job["outcome"] == "refused"]
    assert fault == same, "what became of the pixels, and so of the verdict"
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


def test_too_few_flats(field: Field, expected: dict[str, bytes]) -> None:
    for number in FLATS[1:]:
        field.raw(number).rename(field.sky / f"late-{number}.fits.fz")
    field.ask("ingest", field.delivery)
    made = field.night(code=1)
    assert (made["failed"], made["refused"]) == (len(DETECTORS), 6 * len(DETECTORS))
    assert codes(made) == {"calibration.too-few", "data.upstream", "data.quorum"}
    refusal, _ = [job["fault"] for job in field.ask("why", f"{OBJECT}/1")["jobs"] if job["fault"]]
    assert "3 are needed" in refusal["message"], "the object's refusal tells the flat's fault"
    (fault,) = field.ask("faults", "calibration.too-few")["faults"][:1]
    assert "demo/" in fault["message"]
    assert "3 are needed" in fault["message"]
    assert "more frames" in fault["advice"]
    for number in FLATS[1:]:
        (field.sky / f"late-{number}.fits.fz").rename(field.raw(number))
    field.ask("ingest", field.delivery)
    assert field.night()["complete"]
    assert field.contents() == expected


def test_flats_of_another_size(field: Field) -> None:
    """Flats that the camera wrote binned: refused for want of biases of that binning, and with them the objects."""
    for number in FLATS:
        bin_by_two(field, number)
    field.ask("ingest", field.delivery)
    made = field.night(code=1)
    assert (made["failed"], codes(made)) == (0, {"calibration.missing", "calibration.binning", "data.quorum"})
    (fault,) = [job["fault"] for job in field.ask("why", f"{name_of(FLATS[0])}/1")["jobs"] if job["fault"]]
    assert "1x1" in fault["message"], "there are biases, of another binning"
    assert {job["outcome"] for job in field.ask("why", f"{OBJECT}/1")["jobs"]} == {"refused"}


def test_masters_of_another_size(done: Field, larger: Path, expected: dict[str, bytes]) -> None:
    """The detectors are replaced by larger ones; the masters of the old ones do not serve."""
    shutil.copy(larger / "camera.toml", done.folder / "cameras" / "demo.toml")
    assert done.ask("ingest", larger / "raw")["new"] == 1
    made = done.night("--where", "exposure = 'demo-20261120-00500'", pipeline="reduce", code=1)
    assert (made["done"], made["refused"]) == (0, 6)
    assert codes(made) == {"calibration.shape", "data.quorum"}
    job, _ = done.ask("why", "demo-20261120-00500/1")["jobs"]
    assert "(128, 128)" in job["fault"]["message"]
    assert "(160, 160)" in job["fault"]["message"]
    assert "binning" in job["fault"]["advice"]
    assert done.contents() == expected, "what was done stays"


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivery of one exposure with larger detectors than the survey's table has."""
    root = tmp_path_factory.mktemp("larger")
    order = SKY | {"detector_size": "160,160", "exposures": "1", "biases": "0", "darks": "0", "flats": "0"}
    words = [word for name, value in (order | {"first": "500"}).items() for word in ("--set", f"{name}={value}")]
    other = new_survey(root / "elsewhere")
    other.order("simulate", root / "sky", *words)
    return root / "sky"


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


def test_detectors_of_another_size_than_the_table_says(field: Field, larger: Path) -> None:
    (problem,) = field.ask("ingest", larger / "raw", code=1)["problems"]
    assert problem["code"] == "header.bad-geometry"
    assert "demo-20261120-00500" in problem["message"]
    assert problem["advice"]
