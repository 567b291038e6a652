"""Whatever stands in a header, the answer is a record or a named fault."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spica.core.camera import Camera
from spica.core.faults import DataFault
from spica.core.records import Exposure
from spica.instruments import tables
from spica.instruments.detectors import detectors
from spica.instruments.headers import translate
from spica.instruments.review import review

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**9),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["12:00:00", "-91:00:00", "2026-11-20", "2026-11-20T25:00:00", "[1:10,1:5]", "object", "zero", "r", "1e400"]
    ),
)
KEYS = ["OBSID", "SEQNUM", "MJD-OBS", "DATE-OBS", "EXPTIME", "DARKTIME", "OBSTYPE", "FILTER", "RA", "DEC", "AIRMASS"]
HSC_KEYS = [*KEYS, "EXP-ID", "FRAMEID", "UT-STR", "DATA-TYP", "FILTER01", "RA2000", "DEC2000", "INST-PA", "DET-ID"]
HSC_KEYS += ["T_EFMN11", "T_EFMX11", "T_EFMN12", "T_EFMX12", "NAXIS1", "T_GAIN1", "BIN-FCT1", "BIN-FCT2", "TIMESYS"]


def _answer(headers: list[dict[str, Any]], camera: Camera) -> None:
    answer: Exposure | DataFault
    try:
        answer = translate(headers, camera)
    except DataFault as fault:
        answer = fault
    if isinstance(answer, DataFault):
        assert answer.code.startswith("header.")
        assert answer.evidence["problems"]
        return
    assert math.isfinite(answer.mjd)
    assert answer.exposure_time >= 0
    assert answer.ra is None or 0 <= answer.ra < 360


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8))
def test_rubbish_in_the_demo_camera_s_header(rubbish: dict[str, Any]) -> None:
    good = {
        "NAXIS": 0,
        "INSTRUME": "demo",
        "OBSID": "demo-20261120-00012",
        "MJD-OBS": 61365.1,
        "EXPTIME": 60.0,
        "OBSTYPE": "object",
        "FILTER": "r",
        "RA": "02:00:00",
        "DEC": "-30:00:00",
    }
    _answer([good | rubbish], tables.load("demo"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(HSC_KEYS), VALUES, max_size=20))
def test_rubbish_through_a_translator(rubbish: dict[str, Any]) -> None:
    camera = tables.load("hsc")
    _answer([{"SIMPLE": True, "NAXIS": 2, "NAXIS1": 2144, "NAXIS2": 4241} | rubbish], camera)


def test_no_headers_at_all() -> None:
    with pytest.raises(DataFault):
        translate([], tables.load("demo"))
    with pytest.raises(DataFault):
        translate([{}], tables.load("decam"))
    assert review(tables.load("demo"), [{}])


def test_a_bad_size_is_bad_geometry() -> None:
    camera = tables.load("demo")
    good = {"NAXIS": 0, "OBSID": "a", "MJD-OBS": 61365.1, "EXPTIME": 0.0, "OBSTYPE": "zero"}
    headers = [good, {"XTENSION": "IMAGE", "NAXIS": 2, "NAXIS1": "wide", "NAXIS2": 512, "EXTNAME": "D1"}]
    with pytest.raises(DataFault) as caught:
        detectors(headers, camera, translate(headers, camera), "sum")
    assert caught.value.code == "header.bad-geometry"
