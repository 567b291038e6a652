"""The standard header: facts of the records, the delivered sky solution, the delivered headers kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from astropy.time import Time

from spica.core.images import Image
from spica.core.keys import exposure_id
from spica.core.keywords import KEYWORDS, REFRESHED, comment, keyword
from spica.core.records import Detector, Exposure, FrameType, Scalar
from spica.files import conformance, original, standard
from spica.files.cards import parse
from spica.files.images import read_identity, read_image, write_image
from spica.files.standard import Subject
from spica.files.thin import open_thin

SHAPE = (24, 32)
EXPOSURE = Exposure(
    exposure_id("demo", "demo-1"), "demo-1", "demo", FrameType.OBJECT, "2026-11-20", 61364.25, 30.0,
    band="r", airmass=1.2, ra=150.0, dec=-2.0, defaulted=("airmass", "object"),
)  # fmt: skip
SKY: dict[str, Scalar] = {
    "WCSAXES": 2, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0, "CRVAL1": 150.0,
    "CRVAL2": -2.0, "CD1_1": -1e-4, "CD2_2": 1e-4,
}  # fmt: skip
DETECTOR = Detector("demo-1", 2, "c" * 40, (3, 3, 4), (), SHAPE[1], SHAPE[0], wcs=SKY)


def test_the_header_tells_what_when_and_where() -> None:
    header = standard.of_detector(EXPOSURE, DETECTOR).header({"BUNIT": "electron"}, SHAPE)
    assert header == {
        "INSTRUME": "demo", "EXPNAME": "demo-1", "OBSTYPE": "object", "BAND": "r", "NIGHT": "2026-11-20",
        "TIMESYS": "TAI", "MJD-OBS": 61364.25, "DATE-OBS": "2026-11-20T06:00:00.000", "EXPTIME": 30.0, "AIRMASS": 1.2,
        "RA": 150.0, "DEC": -2.0, "CCDSUM": "1 1", "ASSUMED": "airmass, object", "DETECTOR": 2, "RAWSUM": "c" * 40,
        "RAWHDU": "3 4", "BUNIT": "electron", **SKY,
    }  # fmt: skip
    assert "OBJECT" not in header


def test_every_fact_is_declared_with_its_type() -> None:
    full: dict[str, Any] = {
        field.name: "x" for field in dataclasses.fields(Exposure) if field.type == "str" and field.name != "frame_type"
    }
    cards = standard.of_detector(dataclasses.replace(EXPOSURE, **full, sequence=3, rotation=1.0), DETECTOR).cards
    facts = dict.fromkeys(("camera", "band", "readout_mode", "block"), "x")
    cards = {
        **cards,
        **standard.of_master(facts | {"detector": 1, "binning": (1, 1), "valid_from": 1.0, "valid_to": 2.0}).cards,
    }
    kinds = {"text": str, "float": float, "int": int}
    for key, value in cards.items():
        declared = keyword(key)
        assert declared is not None, key
        assert type(value) is kinds[declared.kind], key
    places = {name for name, each in KEYWORDS.items() if each.place == "SCIENCE"}
    assert len(set(cards) & places) > 20


@pytest.mark.parametrize("mjd", [40587.0, 61364.123456789, 61364.9999999999])
def test_times_are_those_of_astropy(mjd: float) -> None:
    assert standard.iso(mjd) == Time(round(mjd * 86_400_000) / 86_400_000, format="mjd", scale="tai").isot


def test_the_delivered_solution_holds_for_the_detector_alone() -> None:
    subject = standard.of_detector(EXPOSURE, DETECTOR)
    assert "CTYPE1" not in subject.header({}, (3, 4))
    own: dict[str, Scalar] = {"CTYPE1": "RA---TPV", "CRVAL1": 1.0}
    assert {key: value for key, value in subject.header(own, SHAPE).items() if key in SKY} == own
    assert Subject().header({"A": 1}, SHAPE) == {"A": 1}


def test_what_science_says_stands_above_the_records() -> None:
    assert standard.of_detector(EXPOSURE, DETECTOR).header({"EXPTIME": 15.0}, SHAPE)["EXPTIME"] == 15.0


def test_there_is_room_for_cards_that_come_later(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    write_image(path, Image(np.zeros(SHAPE, np.float32)), {"SPICAKEY": "k"})
    with astropy_fits.open(path) as file:
        assert list(file[0].header).count("") == len(REFRESHED)
    assert read_identity(path) == {"SPICAKEY": "k"}


def test_the_delivered_headers_are_kept(tmp_path: Path) -> None:
    primary = astropy_fits.Header([("OBJECT", "M 31", "target"), ("HIERARCH ESO DET", 3), ("COMMENT", "seen")])
    primary["LONG"] = "y" * 100
    texts = ((0, primary.tostring(endcard=False, padding=False)), (7, f"{'CCDNAME = ' + chr(39) + 'ä' + chr(39):<80}"))
    path = tmp_path / "x.fits"
    write_image(path, Image(np.ones(SHAPE, np.float32), header={"BUNIT": "electron"}), {}, original=texts)
    kept = original.read(path)
    assert kept == (texts[0], (7, texts[1][1].replace("ä", "?")))
    assert parse(kept[0][1])["LONG"] == "y" * 100
    assert open_thin(path).delivered()["LONG"] == "y" * 100
    assert open_thin(path).delivered()["ESO DET"] == 3
    assert read_image(path).header == {"BUNIT": "electron"}
    assert conformance.by_astropy(path) == ()
    with astropy_fits.open(path, checksum=True) as file:
        assert file["ORIGINAL"].data["HDU"].tolist() == [0] * (len(texts[0][1]) // 80) + [7]
        assert file["ORIGINAL"].data["CARD"][0].startswith("OBJECT  = 'M 31    '")


def test_a_product_without_delivered_headers_has_none(tmp_path: Path) -> None:
    write_image(tmp_path / "x.fits", Image(np.zeros(SHAPE, np.float32)), {})
    assert original.read(tmp_path / "x.fits") == ()
    assert open_thin(tmp_path / "x.fits").delivered() == {}


def test_comments_are_those_of_the_declaration(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    header: dict[str, Scalar] = {"RDNOISE": 5.0, "OVSC03": 1.0, "SPECIAL": 1, "BUNIT": "electron"}
    write_image(path, Image(np.zeros(SHAPE, np.float32), header=header), {"SPICAKEY": "k"})
    with astropy_fits.open(path) as file:
        comments = file["SCIENCE"].header.comments
        assert comments["RDNOISE"] == "[electron] read noise, mean of the amplifiers"
        assert comments["OVSC03"] == comment("OVSCnn") == "[adu] overscan level of amplifier nn"
        assert comments["SPECIAL"] == ""


@pytest.mark.fitsverify
def test_fitsverify_finds_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "x.fits"
    write_image(
        path,
        Image(np.zeros(SHAPE, np.float32), header=SKY),
        {"SPICAKEY": "k"},
        original=((0, "A       = 1".ljust(80)),),
    )
    assert conformance.by_fitsverify(path) == ()
