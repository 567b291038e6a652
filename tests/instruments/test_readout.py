"""Layouts and read-outs: which HDU holds what, sections from table and header, binning, windows, delivered solutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spica.core.camera import AmplifierSpec, Camera
from spica.core.faults import DataFault
from spica.core.records import Exposure, ExposureState
from spica.instruments import tables
from spica.instruments.cards import fits_section
from spica.instruments.detectors import detectors
from spica.instruments.headers import recognise, translate
from spica.instruments.layout import hdus_of, role, size
from spica.instruments.readout import HeaderSection, assembled_size, readout
from spica.instruments.solutions import wcs_cards

Headers = list[dict[str, Any]]
Read = Callable[[str], Headers]


def _one(cameras: dict[str, Camera], headers: Headers, name: str) -> tuple[Camera, Exposure]:
    camera = recognise(headers, cameras.values(), name)
    return camera, translate(headers, camera, name)


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
def test_a_section_survives_the_header(flips: tuple[bool, bool]) -> None:
    section = (3, 40, 7, 11)
    found = HeaderSection.parse(fits_section(section, flips=flips))
    assert (found.section, found.flip_x, found.flip_y) == (section, *flips)


@pytest.mark.parametrize("text", ["UNKNOWN", "[0:0,0:0]", "[1:2]", "[a:b,c:d]"])
def test_what_is_no_section(text: str) -> None:
    with pytest.raises(ValueError, match=r"section|pixel 1"):
        HeaderSection.parse(text)


def test_the_size_of_a_compressed_image_is_the_image_s() -> None:
    table = {"XTENSION": "BINTABLE", "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 100}
    assert size(table) == ()
    assert size(table | {"ZIMAGE": True, "ZNAXIS": 2, "ZNAXIS1": 608, "ZNAXIS2": 512}) == (608, 512)


def test_a_mosaic_lists_the_detectors_that_are_there(
    demo: Camera, demo_primary: dict[str, Any], demo_images: Headers
) -> None:
    assert hdus_of(demo, [demo_primary, *demo_images]) == {1: (1,), 2: (2,), 3: (3,), 4: (4,)}
    assert hdus_of(demo, [demo_primary, *demo_images[2:]]) == {3: (1,), 4: (2,)}


def test_a_file_without_any_detector_is_refused(demo: Camera, demo_primary: dict[str, Any]) -> None:
    with pytest.raises(DataFault) as caught:
        hdus_of(demo, [demo_primary, {"XTENSION": "IMAGE", "NAXIS": 2, "NAXIS1": 9, "NAXIS2": 9, "EXTNAME": "OTHER"}])
    assert caught.value.code == "header.bad-geometry"


def test_records_of_the_demo_mosaic(demo: Camera, demo_primary: dict[str, Any], demo_images: Headers) -> None:
    headers = [demo_primary, *demo_images]
    found = detectors(headers, demo, translate(headers, demo), "sum")
    assert [(d.detector, d.hdus, d.nx, d.ny, d.file) for d in found] == [
        (number, (number, number), 512, 512, "sum") for number in (1, 2, 3, 4)
    ]
    assert found[0].amplifiers == demo.detector(1).amplifiers


def test_binning_divides_every_section(demo: Camera, demo_primary: dict[str, Any], demo_images: Headers) -> None:
    small = [image | {"NAXIS1": 304, "NAXIS2": 256} for image in demo_images]
    headers = [demo_primary | {"CCDSUM": "2 2"}, *small]
    found = detectors(headers, demo, translate(headers, demo), "sum")[0]
    assert (found.nx, found.ny) == (256, 256)
    left, right = found.amplifiers
    assert left.prescan == (0, 8, 0, 256)
    assert right.overscan == (288, 304, 0, 256)
    assert right.detector == (128, 256, 0, 256)


def test_sections_that_leave_the_pixels_are_refused(
    demo: Camera, demo_primary: dict[str, Any], demo_images: Headers
) -> None:
    headers = [demo_primary, demo_images[0] | {"NAXIS1": 500}]
    with pytest.raises(DataFault) as caught:
        detectors(headers, demo, translate(headers, demo), "sum")
    assert caught.value.code == "header.bad-geometry"
    assert "not within 500 x 512" in caught.value.message


def test_one_file_per_detector_is_told_by_its_header(cameras: dict[str, Camera]) -> None:
    image = {"SIMPLE": True, "NAXIS": 2, "NAXIS1": 2144, "NAXIS2": 4241, "DET-ID": 50}
    assert hdus_of(cameras["hsc"], [image]) == {50: (0,)}
    with pytest.raises(DataFault, match="no detector '112'"):
        hdus_of(cameras["hsc"], [image | {"DET-ID": 112}])
    with pytest.raises(DataFault) as caught:
        hdus_of(cameras["hsc"], [{key: value for key, value in image.items() if key != "DET-ID"}])
    assert caught.value.code == "header.missing"


def test_one_file_per_detector_of_sixteen_extensions(cameras: dict[str, Camera]) -> None:
    spec = cameras["imsim"].detectors[100]
    images = [
        {"XTENSION": "IMAGE", "NAXIS": 2, "NAXIS1": 576, "NAXIS2": 2048, "EXTNAME": str(hdu)} for hdu in spec.hdus
    ]
    headers = [{"NAXIS": 0, "CHIPID": spec.name}, *images]
    assert hdus_of(cameras["imsim"], headers) == {spec.id: tuple(range(1, 17))}
    with pytest.raises(DataFault, match="15 of its 16 HDUs"):
        hdus_of(cameras["imsim"], headers[:-1])


PER_AMPLIFIER = """
extends = "demo"
name = "amps"
layout = "amplifier"
[header]
detector = { keyword = ["CHIP"] }
amplifier = { keyword = ["AMP"] }
"""


def test_one_file_per_amplifier(demo_primary: dict[str, Any], demo_images: Headers) -> None:
    camera = tables.load_text(PER_AMPLIFIER)
    headers = [demo_primary | {"CHIP": "D3", "AMP": "B"}, demo_images[2]]
    (found,) = detectors(headers, camera, translate(headers, camera), "sum")
    assert (found.detector, found.amplifier_files, found.hdus) == (3, ("sum",), (1,))
    assert (found.nx, found.ny) == (512, 512)
    assert [amplifier.name for amplifier in found.amplifiers] == ["B"]
    with pytest.raises(DataFault, match="no amplifier 'Z'"):
        detectors([headers[0] | {"AMP": "Z"}, headers[1]], camera, translate(headers, camera), "sum")


def test_a_real_sinistro_window_read_through_four_corners(fits_headers: Read, cameras: dict[str, Camera]) -> None:
    headers = fits_headers("raw_lco/mef_raw_test_frame.fits")
    camera, exposure = _one(cameras, headers, "mef.fits")
    assert (camera.name, exposure.binning, exposure.night, exposure.band) == ("sinistro", (2, 2), "2021-10-07", "w")
    (found,) = detectors(headers, camera, exposure, "sum")
    assert (found.nx, found.ny, found.hdus) == (1024, 1024, (1, 2, 3, 4))
    assert [a.gain for a in found.amplifiers] == [6.42, 6.23, 6.27, 6.26]
    assert [(a.detector[0], a.detector[2]) for a in found.amplifiers] == [(0, 512), (0, 0), (512, 0), (512, 512)]
    assert [(a.flip_x, a.flip_y) for a in found.amplifiers] == [
        (False, True),
        (False, False),
        (True, False),
        (True, True),
    ]
    assert {a.overscan for a in found.amplifiers} == {(519, 540, 0, 512)}
    assert {(a.read_noise, a.saturation) for a in found.amplifiers} == {(7.0, 40000.0)}
    # The rough solution in the primary speaks of the assembled image.
    assert (found.wcs["CRPIX1"], found.wcs["CTYPE1"]) == (512, "RA---TAN")


def test_decam_s_header_agrees_with_its_table(
    yaml_header: Callable[[str], dict[str, Any]], cameras: dict[str, Camera]
) -> None:
    header = yaml_header("fitsheader-decam")
    camera = cameras["decam"]
    (found,) = detectors([header], camera, translate([header], camera), "sum")
    spec = camera.detector(found.detector)
    assert (spec.name, found.nx, found.ny) == ("S1", spec.nx, spec.ny)
    for said, table in zip(found.amplifiers, spec.amplifiers, strict=True):
        assert (said.data, said.overscan, said.prescan, said.detector) == (
            table.data,
            table.overscan,
            table.prescan,
            table.detector,
        )
    assert [a.gain for a in found.amplifiers] == [4.59347726229, 4.4014084507]
    # Raw pixels to assembled ones: 56 columns and 50 rows come off.
    assert found.wcs["CRPIX1"] == pytest.approx(2151.2 - 56)
    assert found.wcs["CRPIX2"] == pytest.approx(14826.0 - 50)


def test_hsc_s_header_agrees_with_its_table(
    yaml_header: Callable[[str], dict[str, Any]], cameras: dict[str, Camera]
) -> None:
    header = yaml_header("fitsheader-hsc")
    camera = cameras["hsc"]
    (found,) = detectors([header], camera, translate([header], camera), "sum")
    table = camera.detector(50).amplifiers
    assert [(a.data, a.overscan, a.detector) for a in found.amplifiers] == [
        (a.data, a.overscan, a.detector) for a in table
    ]
    assert [a.gain for a in found.amplifiers] == [3.53, 3.48, 3.67, 3.48]


def test_community_pipeline_frames_are_planes_of_one_exposure(fits_headers: Read, cameras: dict[str, Camera]) -> None:
    planes: dict[str, tuple[str, int]] = {}
    names = set()
    for letter in "iwd":
        name = f"c4d_131122_030338_oo{letter}_z_ls9.S21.fits"
        headers = fits_headers(f"legacy_testcase9/{name}")
        camera, exposure = _one(cameras, headers, name)
        assert exposure.state is ExposureState.REDUCED
        (found,) = detectors(headers, camera, exposure, letter, name)
        planes |= found.planes
        names.add((exposure.name, found.detector))
        assert (found.nx, found.ny, found.wcs["CTYPE1"]) == (101, 101, "RA---TPV")
    assert planes == {"science": ("i", 1), "weight": ("w", 1), "mask": ("d", 1)}
    assert names == {("decam-257266", 9)}


def test_a_file_with_another_name_is_the_science_plane(cameras: dict[str, Camera]) -> None:
    assert role(cameras["decam"], "anything.fits") == "science"


def test_rates_become_electrons_by_the_exposure_time(fits_headers: Read, cameras: dict[str, Camera]) -> None:
    name = "k4m_160319_075112_ooi_zd_ls9.CCD3.fits"
    headers = fits_headers(f"legacy_mzlsbass2/{name}")
    camera, exposure = _one(cameras, headers, name)
    (found,) = detectors(headers, camera, exposure, "sum", name)
    assert camera.name == "mosaic3"
    assert found.amplifiers[0].gain == exposure.exposure_time == 80.104


def test_a_banzai_frame_has_its_mask_beside_it(fits_headers: Read, cameras: dict[str, Camera]) -> None:
    headers = fits_headers("lco_calibrated/banzai_test_frame.fits.fz")
    camera, exposure = _one(cameras, headers, "banzai.fits.fz")
    (found,) = detectors(headers, camera, exposure, "sum", "banzai.fits.fz")
    assert (camera.name, exposure.name) == ("lco", "lco-tfn0m414-kb29-20160625-0060")
    assert (exposure.state, exposure.binning) == (ExposureState.REDUCED, (2, 2))
    assert found.planes == {"science": ("sum", 1), "mask": ("sum", 3)}
    assert (found.nx, found.ny, found.amplifiers[0].gain, found.amplifiers[0].read_noise) == (1523, 1020, 1.0, 16.4)


def test_real_huntsman_frames(fits_headers: Read, cameras: dict[str, Camera]) -> None:
    kinds = {}
    for kind in ("bias", "dark", "flat", "science"):
        headers = fits_headers(f"huntsman/{kind}_0.fits")
        camera, exposure = _one(cameras, headers, f"{kind}_0.fits")
        (found,) = detectors(headers, camera, exposure, "sum")
        kinds[kind] = (camera.name, str(exposure.frame_type), exposure.band)
        assert (found.nx, found.ny, round(found.amplifiers[0].gain, 4)) == (800, 800, 1.1447)
    assert kinds == {
        "bias": ("huntsman", "bias", ""),
        "dark": ("huntsman", "dark", ""),
        "flat": ("huntsman", "flat", "g"),
        "science": ("huntsman", "object", "g"),
    }
    # The last one is the science frame: SIP polynomials without a word in CTYPE, and a PC matrix beside CD.
    assert found.wcs["CTYPE1"] == "RA---TAN-SIP"
    assert not [key for key in found.wcs if key.startswith(("PC", "CDELT"))]


@pytest.mark.parametrize(
    ("path", "camera", "state", "shape"),
    [
        ("raw_saao/a8280271.fits", "saao", "raw", (512, 520)),
        ("timeseries_saao_KB13475/AKB13475I0001.fits", "saao", "reduced", (512, 512)),
        ("cal_asi120/Bias_ASIImg_frame0001.fit", "asi120", "raw", (1280, 960)),
        ("panoptes/unsolved.fits", "panoptes", "raw", (700, 700)),
        ("legacy_mzlsbass2/ksb_180313_081856_ooi_g_ls9.CCD4.fits", "90prime", "reduced", (118, 119)),
    ],
)
def test_other_real_frames(
    path: str, camera: str, state: str, shape: tuple[int, int], fits_headers: Read, cameras: dict[str, Camera]
) -> None:
    headers = fits_headers(path)
    name = path.rpartition("/")[2]
    table, exposure = _one(cameras, headers, name)
    (found,) = detectors(headers, table, exposure, "sum", name)
    assert (table.name, str(exposure.state), (found.nx, found.ny)) == (camera, state, shape)


def test_a_header_without_solution_gives_none() -> None:
    assert wcs_cards([{"CTYPE1": "LINEAR", "CRVAL1": 1.0}], 0) == {}
    assert wcs_cards([{"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 0.0, "CRVAL2": 0.0}], 0) == {}


def test_a_gain_of_zero_in_the_primary_is_no_gain(cameras: dict[str, Camera]) -> None:
    camera = cameras["sinistro"]
    spec = camera.detectors[0]
    primary = {"GAIN": 0.0, "RDNOISE": 8.0}
    images = [{"NAXIS": 2, "NAXIS1": 2160, "NAXIS2": 2048, "XTENSION": "IMAGE"} for _ in range(4)]
    exposure = Exposure(0, "x", "sinistro", *_KIND)
    found = readout([primary, *images], camera, spec, exposure, (1, 2, 3, 4))
    assert {(a.gain, a.read_noise) for a in found} == {(spec.amplifiers[0].gain, 8.0)}
    assert assembled_size(found) == (4096, 4096)
    assert all(isinstance(a, AmplifierSpec) for a in found)


_KIND: tuple[Any, ...] = ("object", "2026-11-20", 61365.0, 1.0)
