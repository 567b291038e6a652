"""Focal plane and nominal sky solution, against astropy's WCS and against solutions in real headers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.mask import Mask
from spica.instruments import tables
from spica.instruments.detectors import detectors
from spica.instruments.geometry import field_radius, focal_to_plane, nominal_wcs, outlines, pixel_to_focal
from spica.instruments.headers import translate
from spica.instruments.sections import section

CENTRES = [("demo", 3), ("decam", 28), ("hsc", 50), ("hsc", 100), ("megaprime", 0), ("imsim", 94), ("wircam", 2)]


def _wcs(cards: dict[str, Any]) -> WCS:
    return WCS(cards, naxis=2)


@pytest.mark.parametrize(("name", "detector"), CENTRES)
@pytest.mark.parametrize("rotation", [None, 33.0])
def test_the_solution_puts_the_centre_where_the_focal_plane_says(
    name: str, detector: int, rotation: float | None, cameras: dict[str, Camera]
) -> None:
    """A chip's centre by hand: millimetres to degrees, distorted, turned, and the tangent plane inverted."""
    camera = cameras[name]
    spec = camera.detector(detector)
    ra, dec = 150.0, 2.0
    x, y = _wcs(nominal_wcs(camera, detector, ra, dec, rotation)).all_pix2world((spec.nx - 1) / 2, (spec.ny - 1) / 2, 0)
    flat = focal_to_plane(camera, rotation) @ np.array([spec.x_mm, spec.y_mm])
    r = math.hypot(*flat)
    xi, eta = np.radians(flat * (1 + camera.distortion.k1 * r**2 + camera.distortion.k2 * r**4))
    d0 = math.radians(dec)
    denominator = math.cos(d0) - eta * math.sin(d0)
    expected_ra = ra + math.degrees(math.atan2(xi, denominator))
    expected_dec = math.degrees(math.atan2((math.sin(d0) + eta * math.cos(d0)), math.hypot(xi, denominator)))
    assert float(x) == pytest.approx(expected_ra, abs=1e-9)
    assert float(y) == pytest.approx(expected_dec, abs=1e-9)


@pytest.mark.parametrize("name", sorted(tables.names()))
def test_the_pixel_scale_at_the_centre_is_the_table_s(name: str, cameras: dict[str, Camera]) -> None:
    camera = cameras[name]
    cards = nominal_wcs(camera, camera.detectors[0].id, 10.0, 0.0)
    cd = np.array([[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]], float)
    assert abs(np.linalg.det(cd)) ** 0.5 * 3600 == pytest.approx(camera.pixel_scale)


def test_binning_moves_no_star(demo: Camera) -> None:
    """Two by two pixels see what their four see together: their common corner is the binned pixel's centre."""
    fine, coarse = (_wcs(nominal_wcs(demo, 2, 10.0, -30.0, 12.0, (b, b))) for b in (1, 2))
    assert np.allclose(coarse.all_pix2world(20.0, 31.0, 0), fine.all_pix2world(40.5, 62.5, 0), rtol=0, atol=1e-10)


def test_a_turned_camera_turns_the_sky_round_the_boresight(demo: Camera) -> None:
    one, two = (_wcs(nominal_wcs(demo, 1, 30.0, 0.0, angle)) for angle in (0.0, 90.0))
    a, b = (np.array(wcs.all_pix2world(0.0, 0.0, 0)) - [30.0, 0.0] for wcs in (one, two))
    # East takes the place of north, south that of east (to the second order of a tenth of a degree).
    assert b[0] == pytest.approx(a[1], abs=1e-6)
    assert b[1] == pytest.approx(-a[0], abs=1e-6)


def test_a_flipped_detector_is_the_mirror_image(demo: Camera) -> None:
    spec = demo.detectors[0]
    matrix, origin = pixel_to_focal(demo, spec)
    mirrored, other = pixel_to_focal(demo, spec.model_copy(update={"flip": True}))
    x = 100.0
    assert np.allclose(matrix @ [x, 7.0] + origin, mirrored @ [spec.nx - 1 - x, 7.0] + other)


def test_outlines_have_the_chips_size_and_place(cameras: dict[str, Camera]) -> None:
    for outline, spec in zip(outlines(cameras["hsc"]), cameras["hsc"].detectors, strict=True):
        corners = np.array(outline.corners)
        assert np.allclose(corners.mean(axis=0), [spec.x_mm, spec.y_mm])
        assert np.hypot(*(corners[1] - corners[0])) == pytest.approx(2048 * 0.015)
        assert np.hypot(*(corners[2] - corners[1])) == pytest.approx(4176 * 0.015)


@pytest.mark.parametrize(
    ("name", "radius"),
    [("decam", 1.1), ("hsc", 0.83), ("megaprime", 0.7), ("imsim", 2.05), ("suprimecam", 0.36), ("wircam", 0.25)],
)
def test_fields_reach_as_far_as_published(name: str, radius: float, cameras: dict[str, Camera]) -> None:
    assert field_radius(cameras[name]) == pytest.approx(radius, rel=0.1)


@pytest.mark.parametrize(
    ("header", "camera", "arcsec"),
    [("fitsheader-megaprime", "megaprime", 25.0), ("fitsheader-decam", "decam", 30.0), ("fitsheader-hsc", "hsc", 15.0)],
)
def test_the_nominal_solution_agrees_with_the_telescope_s_own(
    header: str, camera: str, arcsec: float, yaml_header: Callable[[str], dict[str, Any]], cameras: dict[str, Camera]
) -> None:
    """Parity, orientation and places of the table against the rough solution that the observatory wrote."""
    table = cameras[camera]
    cards = yaml_header(header)
    exposure = translate([cards], table)
    (found,) = detectors([cards], table, exposure, "sum")
    assert exposure.ra is not None
    assert exposure.dec is not None
    ours = _wcs(nominal_wcs(table, found.detector, exposure.ra, exposure.dec, exposure.rotation))
    linear = {key: value for key, value in found.wcs.items() if not key.startswith("PV")}
    theirs = _wcs(linear | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    x, y = np.array([0.0, found.nx - 1.0, 0.0, found.nx / 2]), np.array([0.0, 0.0, found.ny - 1.0, found.ny / 2])
    a, b = ours.wcs_pix2world(x, y, 0), theirs.wcs_pix2world(x, y, 0)
    offset = np.hypot((a[0] - b[0]) * np.cos(np.radians(a[1])), a[1] - b[1]) * 3600
    assert offset.max() < arcsec


def test_sections_are_plain_and_apart(demo: Camera) -> None:
    other = demo.model_copy(update={"grading": {"seeing": (1.0, 2.0, 3.0)}})
    assert section(demo, 3, "amplifiers") == section(other, 3, "amplifiers")
    assert section(other, 3, "grading") == {"seeing": [1.0, 2.0, 3.0]}
    assert section(demo, 3, "filter", "r")["zero_point"] == 25.3
    assert section(demo, 3, "filter") == {}
    assert section(demo, 3, "crosstalk")["matrix"] == [[0.0, 2.5e-4], [1.5e-4, 0.0]]
    assert section(demo, 3, "geometry")["rotation"] == 180.0
    assert [a["gain"] for a in section(demo, 3, "amplifiers")["amplifiers"]] == [1.80, 1.74]


def test_delivered_masks_are_spelt_in_spica_s_words(cameras: dict[str, Camera]) -> None:
    for name in ("decam", "mosaic3", "90prime"):
        found = section(cameras[name], cameras[name].detectors[0].id, "delivered")
        assert found["mask_form"] == "codes"
        assert set(found["mask_values"].values()) <= set(Mask.__members__)
    assert section(cameras["lco"], 1, "delivered")["mask_form"] == "boolean"


def test_a_section_handed_out_is_the_caller_s_own(demo: Camera) -> None:
    section(demo, 3, "amplifiers")["amplifiers"].clear()
    assert len(section(demo, 3, "amplifiers")["amplifiers"]) == 2


@pytest.mark.parametrize(
    ("detector", "which", "band"), [(3, "geometrie", ""), (9, "amplifiers", ""), (3, "filter", "Q")]
)
def test_a_section_that_is_not_there(detector: int, which: str, band: str, demo: Camera) -> None:
    with pytest.raises(SetupFault) as caught:
        section(demo, detector, which, band)
    assert caught.value.code == "camera.invalid"
