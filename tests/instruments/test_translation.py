"""Real headers of five cameras to records: every value, in spica's units; bad ones refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from astro_metadata_translator import ObservationInfo

from spica.core.camera import Camera
from spica.core.faults import DataFault
from spica.core.keys import exposure_id
from spica.core.records import Exposure, ExposureState, FrameType
from spica.instruments.headers import recognise, translate

Read = Callable[[str], dict[str, Any]]

# MJD TAI of the UTC (SDSS: TAI) date and time that each header shows; leap seconds then: 35, 35, 33, 0 (TAI), 33.
EXPECTED: dict[str, dict[str, Any]] = {
    "fitsheader-decam": {
        "name": "decam-229388",
        "camera": "decam",
        "frame_type": FrameType.OBJECT,
        "night": "2013-08-31",
        "mjd": 56536.0 + (6 * 3600 + 2 * 60 + 55.754096 + 35) / 86400,
        "exposure_time": 200.0,
        "state": ExposureState.RAW,
        "sequence": 229388,
        "dark_time": 201.15662,
        "band": "z",
        "filter": "z DECam SDSS c0004 9260.0 1520.0",
        "flat_kind": "",
        "ra": 42.81995833,
        "dec": -0.00158306,
        "rotation": 90.0,
        "airmass": 1.57,
        "object": "DES supernova hex SN-S1 tiling 22",
        "field": "DES supernova hex SN-S1 tiling 22",
        "programme": "2012B-0001",
        "run": "",
        "observer": "DJJ, AEE, RGK, SMK",
        "binning": (1, 1),
        "readout_mode": "",
        "defaulted": ("binning",),
        "extra": {"seeing": 0.674, "temperature": 11.9, "pressure": 779.0, "humidity": 23.0},
    },
    "fitsheader-hsc": {
        "name": "hsc-HSCA90402400",
        "camera": "hsc",
        "frame_type": FrameType.OBJECT,
        "night": "2013-11-01",
        "mjd": 56598.0 + (6 * 3600 + 15 * 60 + 55.908 + 35) / 86400,
        "exposure_time": 30.0,
        "state": ExposureState.RAW,
        "sequence": 904024,
        "dark_time": 30.0,
        "band": "i",
        "filter": "HSC-I",
        "flat_kind": "",
        "ra": 320.749925,
        "dec": 0.50001944,
        "rotation": 270.0,
        "airmass": 1.121626027604189,
        "object": "STRIPE82L",
        "field": "STRIPE82L",
        "programme": "o13015",
        "run": "",
        "observer": '"Tomono, Utsumi, Kawanomoto, Furusawa, Koike, Miyazaki (Hilo), "',
        "binning": (1, 1),
        "readout_mode": "",
        "defaulted": ("binning",),
        "extra": {"temperature": 272.35, "pressure": 621.7, "humidity": 33.1},
    },
    "fitsheader-megaprime": {
        "name": "megaprime-1038843",
        "camera": "megaprime",
        "frame_type": FrameType.OBJECT,
        "night": "2008-10-31",
        "mjd": 54771.0 + (14 * 3600 + 33 * 60 + 32.4 + 33) / 86400,
        "exposure_time": 615.037,
        "state": ExposureState.RAW,
        "sequence": 1038843,
        "dark_time": 615.0,
        "band": "i",
        "filter": "i.MP9702",
        "flat_kind": "",
        "ra": 135.409417,
        "dec": -2.4,
        "rotation": 0.0,
        "airmass": 1.269,
        "object": "w2.+2+2",
        "field": "w2.+2+2",
        "programme": "08BL05",
        "run": "08Bm04",
        "observer": "QSO Team",
        "binning": (1, 1),
        "readout_mode": "FULL",
        "defaulted": (),
        "extra": {"temperature": 0.9, "pressure": 617.65, "humidity": 39.77},
    },
    "fitsheader-sdss-fpC-006377-g4-0399": {
        "name": "sdss-6377-g-407",
        "camera": "sdss",
        "frame_type": FrameType.OBJECT,
        "night": "2006-09-19",
        "mjd": 53998.0 + (6 * 3600 + 1 * 60 + 22.73) / 86400,
        "exposure_time": 53.907456,
        "state": ExposureState.REDUCED,
        "sequence": 407,
        "dark_time": 0.0,
        "band": "g",
        "filter": "g",
        "flat_kind": "",
        "ra": 352.27586,
        "dec": 0.0,
        "rotation": 0.0,
        "airmass": 1.205158,
        "object": "82 S",
        "field": "82 S",
        "programme": "82 S",
        "run": "",
        "observer": "long",
        "binning": (1, 1),
        "readout_mode": "",
        "defaulted": (),
        "extra": {"soft_bias": 1000.0},
    },
    "fitsheader-suprimecam-CORR40535770": {
        "name": "suprimecam-SUPE00535770",
        "camera": "suprimecam",
        "frame_type": FrameType.OBJECT,
        "night": "2007-04-22",
        "mjd": 54213.0 + (8 * 3600 + 2 * 60 + 27.204 + 33) / 86400,
        "exposure_time": 200.0,
        "state": ExposureState.REDUCED,
        "sequence": 53577,
        "dark_time": 200.0,
        "band": "r",
        "filter": "W-S-R+",
        "flat_kind": "",
        "ra": 206.7403125,
        "dec": -10.73319167,
        "rotation": None,
        "airmass": 1.354,
        "object": "Ecliptic Deep Field",
        "field": "Ecliptic Deep Field",
        "programme": "o07222",
        "run": "",
        "observer": "Fraser",
        "binning": (1, 1),
        "readout_mode": "",
        "defaulted": (),
        "extra": {"temperature": 273.15, "pressure": 621.5, "humidity": 4.9},
    },
}
# FK5 against ICRS is some 20 milli-arcseconds; a microsecond of time is 1e-11 days.
TOLERANCES = {"mjd": 1e-8, "ra": 1e-5, "dec": 1e-5, "airmass": 1e-5}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_value_of_a_real_header(name: str, yaml_header: Read, cameras: dict[str, Camera]) -> None:
    header = yaml_header(name)
    camera = recognise(header, cameras.values())
    exposure = translate([header], camera, f"{name}.fits")
    expected = EXPECTED[name]
    assert set(expected) | {"id"} == set(Exposure.__dataclass_fields__)
    assert exposure.id == exposure_id(camera.name, expected["name"])
    for field, value in expected.items():
        found = getattr(exposure, field)
        assert found == (pytest.approx(value, abs=TOLERANCES[field]) if field in TOLERANCES else value), field


@pytest.mark.parametrize("name", [name for name in EXPECTED if "sdss" not in name])
def test_times_and_positions_agree_with_the_package_by_itself(
    name: str, yaml_header: Read, cameras: dict[str, Camera]
) -> None:
    """The package's own front door, with its own site list, is the independent witness (it fetches SDSS's site)."""
    info = ObservationInfo(
        yaml_header(name),
        pedantic=True,
        subset={"datetime_begin", "tracking_radec", "exposure_time", "boresight_airmass"},
    )
    exposure = translate([yaml_header(name)], cameras[name.split("-")[1]])
    assert info.datetime_begin is not None
    assert info.tracking_radec is not None
    assert info.exposure_time is not None
    assert exposure.mjd == pytest.approx(info.datetime_begin.tai.mjd, abs=1e-9)
    assert exposure.ra == pytest.approx(info.tracking_radec.icrs.ra.deg, abs=1e-8)
    assert exposure.dec == pytest.approx(info.tracking_radec.icrs.dec.deg, abs=1e-8)
    assert exposure.exposure_time == info.exposure_time.to_value("s")
    assert exposure.airmass == info.boresight_airmass


def test_the_bad_megaprime_header_is_refused_with_all_that_is_missing(
    yaml_header: Read, cameras: dict[str, Camera]
) -> None:
    with pytest.raises(DataFault) as caught:
        translate([yaml_header("bad-megaprime")], cameras["megaprime"], "bad.fits")
    fault = caught.value
    assert fault.code == "header.missing"
    assert fault.evidence["problems"] == 2
    assert "EXPTIME" in str(fault.evidence["missing exposure_time"])
    assert "OBSTYPE" in str(fault.evidence["missing frame_type"])


def test_a_translator_and_the_table_must_agree_on_the_time(yaml_header: Read, cameras: dict[str, Camera]) -> None:
    header = yaml_header("fitsheader-megaprime") | {"MJD-OBS": 54772.6}
    with pytest.raises(DataFault, match="mjd"):
        translate([header], cameras["megaprime"])


def test_an_sdss_frame_with_a_bad_tai_is_caught(yaml_header: Read, cameras: dict[str, Camera]) -> None:
    header = yaml_header("fitsheader-sdss-fpC-006377-g4-0399")
    header["TAI"] = header["TAI"] + 3600.0
    with pytest.raises(DataFault) as caught:
        translate([header], cameras["sdss"])
    assert caught.value.code == "header.absurd"
    assert "absurd mjd" in caught.value.evidence


def test_the_header_handed_in_is_not_changed(yaml_header: Read, cameras: dict[str, Camera]) -> None:
    header = yaml_header("fitsheader-decam") | {"OBSTYPE": "zero"}
    before = dict(header)
    translate([header], cameras["decam"])
    assert header == before


def test_weather_is_never_made_up(yaml_header: Read, cameras: dict[str, Camera]) -> None:
    header = yaml_header("fitsheader-decam")
    del header["OUTTEMP"]
    header["PRESSURE"] = 3.0
    extra = translate([header], cameras["decam"]).extra
    assert "temperature" not in extra
    assert "pressure" not in extra
