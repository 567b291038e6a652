"""Headers as cameras write them: what is written is what is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spica.core.camera import Camera
from spica.core.keys import exposure_id
from spica.core.records import Exposure, FrameType
from spica.instruments import tables
from spica.instruments.cards import detector_cards, exposure_number, hdu_cards, primary_cards, sexagesimal
from spica.instruments.detectors import detectors
from spica.instruments.headers import recognise, translate
from spica.instruments.rules import sexagesimal as read_sexagesimal
from spica.instruments.sky import airmass, altitude, sidereal_time
from spica.instruments.times import night_of

NAMED = [name for name in tables.names() if tables.load(name).naming and name != "lco"]
# What these cameras' headers have no keyword for.
SILENT = {
    "90prime": {"sequence", "run", "readout_mode"},
    "decam": {"run", "readout_mode"},
    "demo": set(),
    "hsc": {"dark_time", "run", "readout_mode"},
    "imsim": {"object", "field", "run", "observer", "readout_mode"},
    "megaprime": set(),
    "mosaic3": {"dark_time", "run"},
    "panoptes": {"sequence", "dark_time", "programme", "rotation", "observer"},
    "sinistro": {"dark_time", "rotation"},
    "suprimecam": {"dark_time", "rotation", "run", "readout_mode"},
    "wircam": {"dark_time", "readout_mode"},
}


def _exposure(camera: Camera) -> Exposure:
    """A science exposure 10 degrees from the zenith, an hour or so after local midnight."""
    mjd = 58800.0 + (25 - camera.site.longitude % 360 / 15) / 24
    ra, dec = (sidereal_time(mjd) + camera.site.longitude) % 360, camera.site.latitude + 10
    night = night_of(camera, mjd)
    number = exposure_number(camera, night, 12)
    name = number if number.startswith(f"{camera.name}-") else f"{camera.name}-{number}"
    return Exposure(
        id=exposure_id(camera.name, name),
        name=name,
        camera=camera.name,
        frame_type=FrameType.OBJECT,
        night=night,
        mjd=mjd,
        exposure_time=60.0,
        sequence=12,
        dark_time=61.5,
        band=camera.filters[0].band,
        filter=camera.filters[0].names[0],
        ra=ra,
        dec=dec,
        rotation=camera.position_angle,
        airmass=round(airmass(altitude(camera.site, mjd, ra, dec)), 3),
        object="one",
        field="one",
        programme="P1",
        run="R1",
        observer="somebody",
        readout_mode="slow",
    )


def _written(exposure: Exposure, camera: Camera) -> dict[str, Any]:
    frame = {"SIMPLE": True, "NAXIS": 2, "NAXIS1": 10, "NAXIS2": 10}
    return {**frame, **primary_cards(exposure, camera), **detector_cards(camera, camera.detectors[0])}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_written_is_read(name: str, cameras: dict[str, Camera]) -> None:
    camera = cameras[name]
    exposure = _exposure(camera)
    header = _written(exposure, camera)
    assert recognise(header, cameras.values()).name == name
    found = translate([header], camera)
    for field in set(Exposure.__dataclass_fields__) - SILENT[name] - {"defaulted", "extra"}:
        value = getattr(exposure, field)
        # Sexagesimal hours have four decimals: 1.5 milli-arcseconds; times are good to a millisecond.
        near = pytest.approx(value, abs=5e-7 if field == "ra" else 2e-8) if isinstance(value, float) else value
        assert getattr(found, field) == near, field
    assert SILENT[name] == {f for f in SILENT[name] if getattr(found, f) != getattr(exposure, f)}


@pytest.mark.parametrize("name", NAMED)
def test_frame_types_survive(name: str, cameras: dict[str, Camera]) -> None:
    camera = cameras[name]
    spelt = {meaning for meaning in camera.frame_types.values() if meaning.partition(":")[0] != "test"}
    for meaning in spelt:
        kind, _, flat_kind = meaning.partition(":")
        exposure = replace(_exposure(camera), frame_type=FrameType(kind), flat_kind=flat_kind)
        found = translate([_written(exposure, camera)], camera)
        assert (found.frame_type, found.flat_kind) == (exposure.frame_type, exposure.flat_kind)


def test_a_frame_type_that_a_camera_cannot_say_is_an_error(cameras: dict[str, Camera]) -> None:
    exposure = replace(_exposure(cameras["panoptes"]), frame_type=FrameType.DARK)
    with pytest.raises(ValueError, match="no spelling"):
        primary_cards(exposure, cameras["panoptes"])


@pytest.mark.parametrize("name", ["decam", "hsc", "sinistro", "imsim"])
def test_sections_written_are_sections_read(name: str, cameras: dict[str, Camera]) -> None:
    camera = cameras[name]
    spec = camera.detectors[-1]
    images: list[dict[str, Any]] = []
    for number, hdu in enumerate(spec.hdus):
        amplifiers = [a for a in spec.amplifiers if a.hdu == number]
        wide = max(s[1] for a in amplifiers for s in (a.data, a.overscan, a.prescan) if s)
        high = max(s[3] for a in amplifiers for s in (a.data, a.overscan, a.prescan) if s)
        extname, _, version = str(hdu).partition(",")
        images.append(
            {
                "XTENSION": "IMAGE",
                "NAXIS": 2,
                "NAXIS1": wide,
                "NAXIS2": high,
                "EXTNAME": extname,
                "EXTVER": int(version or 1),
            }
            | hdu_cards(camera, amplifiers, (8192, 4096))
        )
    headers: list[dict[str, Any]] = [
        {"NAXIS": 0, **primary_cards(_exposure(camera), camera), **detector_cards(camera, spec)},
        *images,
    ]
    (found,) = detectors(headers, camera, translate(headers, camera), "sum")
    assert (found.nx, found.ny) == (spec.nx, spec.ny)
    assert found.amplifiers == spec.amplifiers


@pytest.mark.parametrize("number", [0.0, 12.5, 23.99999999, -45.123456, 59.9999999])
def test_sexagesimal_there_and_back(number: float) -> None:
    assert read_sexagesimal(sexagesimal(number)) == pytest.approx(number, abs=2e-8)
