"""The table-driven translation: units, defaults, patterns, nights, and every kind of bad value."""

from __future__ import annotations

from typing import Any

import pytest

from spica.core.camera import Camera
from spica.core.faults import DataFault, SetupFault
from spica.core.records import ExposureState, FrameType
from spica.instruments import tables
from spica.instruments.headers import is_reduced, recognise, translate
from spica.instruments.rules import sexagesimal
from spica.instruments.times import join, night_of, to_mjd_tai

Header = dict[str, Any]


def _fault(header: Header, camera: Camera) -> DataFault:
    with pytest.raises(DataFault) as caught:
        translate([header], camera, "file.fits")
    return caught.value


def test_a_good_header(demo: Camera, demo_primary: Header) -> None:
    exposure = translate([demo_primary], demo)
    assert exposure.name == "demo-20261120-00012"
    assert exposure.night == "2026-11-20"
    assert exposure.ra == pytest.approx(30.0)
    assert exposure.dec == -30.0
    assert exposure.band == "r"
    assert (exposure.mjd - 61365.1) * 86400 == pytest.approx(37.0, abs=1e-3)
    assert exposure.state is ExposureState.RAW
    assert "programme" in exposure.defaulted
    assert "object" not in exposure.defaulted


@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        ({"EXPTIME": None}, "header.missing", "missing exposure_time"),
        ({"EXPTIME": -1.0}, "header.absurd", "absurd exposure_time"),
        ({"EXPTIME": "long"}, "header.absurd", "absurd exposure_time"),
        ({"EXPTIME": float("nan")}, "header.missing", "missing exposure_time"),
        ({"DARKTIME": -3.0}, "header.absurd", "absurd dark_time"),
        ({"MJD-OBS": None, "DATE-OBS": None}, "header.missing", "missing mjd"),
        ({"MJD-OBS": 0.0, "DATE-OBS": None}, "header.absurd", "absurd mjd"),
        ({"MJD-OBS": 99999.0, "DATE-OBS": None}, "header.absurd", "absurd mjd"),
        ({"MJD-OBS": 61365.1 + 37 / 86400}, "header.absurd", "absurd mjd"),
        ({"MJD-OBS": None, "DATE-OBS": "2026-13-41T99:00:00"}, "header.absurd", "absurd mjd"),
        ({"RA": None}, "header.missing", "missing ra"),
        ({"RA": "25:00:00"}, "header.absurd", "absurd ra"),
        ({"DEC": "-91:00:00"}, "header.absurd", "absurd dec"),
        ({"DEC": "-30:70:00"}, "header.absurd", "absurd dec"),
        ({"DEC": "+80:00:00"}, "header.absurd", "absurd ra, dec"),
        ({"AIRMASS": 2.9}, "header.absurd", "absurd airmass"),
        ({"AIRMASS": 0.2}, "header.absurd", "absurd airmass"),
        ({"FILTER": "purple"}, "header.unknown-filter", "filter filter"),
        ({"FILTER": None}, "header.missing", "missing filter"),
        ({"OBSTYPE": "sausage"}, "header.absurd", "absurd frame_type"),
        ({"OBSTYPE": None}, "header.missing", "missing frame_type"),
        ({"OBSID": None}, "header.missing", "missing name"),
        ({"CCDSUM": "0 2"}, "header.absurd", "absurd binning"),
        ({"CCDSUM": "two"}, "header.absurd", "absurd binning"),
        ({"SEQNUM": 1.5}, "header.absurd", "absurd sequence"),
    ],
)
def test_each_bad_value_is_refused_by_name(
    change: Header, code: str, name: str, demo: Camera, demo_primary: Header
) -> None:
    fault = _fault(demo_primary | change, demo)
    assert fault.code == code
    assert name in fault.evidence
    assert "file.fits" in fault.message


def test_all_bad_values_are_told_at_once_and_missing_ones_weigh_most(demo: Camera, demo_primary: Header) -> None:
    fault = _fault(demo_primary | {"EXPTIME": None, "FILTER": "purple", "DEC": "north", "OBSID": ""}, demo)
    assert fault.code == "header.missing"
    assert fault.evidence["problems"] == 4
    assert {"missing exposure_time", "missing name", "absurd dec", "filter filter"} <= set(fault.evidence)


@pytest.mark.parametrize("kind", ["zero", "dark"])
def test_a_calibration_needs_neither_filter_nor_position(kind: str, demo: Camera, demo_primary: Header) -> None:
    header = demo_primary | {"OBSTYPE": kind, "FILTER": "purple", "RA": "nowhere", "DEC": None, "AIRMASS": 99.0}
    exposure = translate([header], demo)
    assert (exposure.band, exposure.ra, exposure.dec, exposure.airmass) == ("", None, None, None)


def test_a_flat_needs_its_filter(demo: Camera, demo_primary: Header) -> None:
    exposure = translate([demo_primary | {"OBSTYPE": "sky flat", "RA": None}], demo)
    assert (exposure.frame_type, exposure.flat_kind, exposure.band) == (FrameType.FLAT, "twilight", "r")
    assert "missing filter" in _fault(demo_primary | {"OBSTYPE": "dome flat", "FILTER": None}, demo).evidence


def test_an_absent_airmass_is_computed_and_marked(demo: Camera, demo_primary: Header) -> None:
    exposure = translate([{key: value for key, value in demo_primary.items() if key != "AIRMASS"}], demo)
    assert exposure.airmass == pytest.approx(1.0024, abs=1e-4)
    assert "airmass" in exposure.defaulted


def test_the_image_header_fills_what_an_empty_primary_lacks(demo: Camera, demo_primary: Header) -> None:
    image = demo_primary | {"XTENSION": "IMAGE", "NAXIS": 2, "NAXIS1": 608, "NAXIS2": 512}
    assert translate([{"SIMPLE": True, "NAXIS": 0}, image], demo) == translate([demo_primary], demo)


def test_reduced_frames_are_known_by_their_sign(demo: Camera, demo_primary: Header) -> None:
    assert not is_reduced([demo_primary], demo)
    assert is_reduced([demo_primary | {"PROCTYPE": "InstCal"}], demo)
    assert translate([demo_primary | {"PROCTYPE": "InstCal"}], demo).state is ExposureState.REDUCED


def test_recognise_chooses_the_table_with_most_agreement(cameras: dict[str, Camera]) -> None:
    sbig = {"ORIGIN": "LCOGT", "INSTRUME": "kb29"}
    assert recognise(sbig, cameras.values()).name == "lco"
    assert recognise(sbig | {"INSTRUME": "fa05"}, cameras.values()).name == "sinistro"


def test_an_unknown_camera_is_refused_with_what_the_header_says(cameras: dict[str, Camera]) -> None:
    with pytest.raises(DataFault) as caught:
        recognise({"INSTRUME": "Toy", "TELESCOP": "Shed"}, cameras.values(), "x.fits")
    assert caught.value.code == "header.unknown-camera"
    assert caught.value.evidence["INSTRUME"] == "Toy"


def test_an_unknown_translator_is_a_setup_fault(demo_primary: Header) -> None:
    camera = tables.load_text('extends = "demo"\nname = "demo"\ntranslator = "Nobody"\n')
    with pytest.raises(SetupFault, match="Nobody"):
        translate([demo_primary], camera)


def test_the_night_changes_at_local_noon(demo: Camera) -> None:
    # Local mean noon at 17 hours UTC; 37 s are TAI - UTC.
    noon = 61365.0 + 17 / 24 + 37 / 86400
    assert night_of(demo, noon - 1e-4) == "2026-11-20"
    assert night_of(demo, noon + 1e-4) == "2026-11-21"
    assert night_of(demo, noon + 0.9999) == "2026-11-21"


@pytest.mark.parametrize(
    ("value", "unit", "scale", "mjd_utc"),
    [
        (57754.0, "mjd utc", "", 57754.0),
        (2457754.5, "jd utc", "", 57754.0),
        ("2017-01-01T00:00:00", "isot utc", "", 57754.0),
        ("2017-01-01 00:00:00", "isot", "UTC", 57754.0),
        (57754.0 + 37 / 86400, "mjd tai", "", 57754.0),
        ("2017-01-01T00:00:37", "isot", "TAI", 57754.0),
    ],
)
def test_times_in_every_form(value: str | float, unit: str, scale: str, mjd_utc: float) -> None:
    assert to_mjd_tai(value, unit, scale) == pytest.approx(mjd_utc + 37 / 86400, abs=1e-10)


def test_the_leap_second_lies_between_two_days() -> None:
    """36 s before 2017, 37 s after: midnight to midnight of that day is a second longer."""
    day = to_mjd_tai("2017-01-01T00:00:00", "isot utc") - to_mjd_tai("2016-12-31T00:00:00", "isot utc")
    assert day * 86400 == pytest.approx(86401, abs=1e-4)


def test_old_dates_join_their_time_of_day() -> None:
    assert join("23/04/97", "08:02:27") == "1997-04-23T08:02:27"
    assert join("2013-11-02", " 06:15:55.9") == "2013-11-02T06:15:55.9"


@pytest.mark.parametrize(
    ("text", "value"), [("12:30:36", 12.51), ("-00:30:00", -0.5), ("+10 15 00", 10.25), ("3.5", 3.5)]
)
def test_sexagesimal(text: str, value: float) -> None:
    assert sexagesimal(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "a:b", "1:60:00", "1:2:3:4", "inf", "nan"])
def test_what_is_not_sexagesimal(text: str) -> None:
    with pytest.raises(ValueError, match=r"sexagesimal|could not convert|finite"):
        sexagesimal(text)
