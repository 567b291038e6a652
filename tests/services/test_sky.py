"""The joint solution leaves the survey: headers, exports, cut-outs, `.head` files, and what covers a place."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.core.faults import Outcome, SetupFault
from spica.core.images import Image
from spica.core.jobs import JobReport, ProductRecord
from spica.core.keywords import is_sky
from spica.core.outline import Outline
from spica.core.records import Metric, Unit
from spica.core.task import Form
from spica.files.heads import read_heads, write_heads
from spica.files.images import read_image
from spica.files.maps import write_maps
from spica.files.survey import Survey
from spica.kernels.wcs import TangentWcs, outline, pixel_to_sky, sky_to_pixel, tangent_wcs
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.kernels.wcs_convert import polynomial_of, to_sip
from spica.registry.store import Registry
from spica.services import check, heads, sky
from spica.services.covering import covering
from spica.services.cutout import Place, cutout
from spica.services.export import export
from spica.services.headers import refreshed
from tests.support.survey import SCIENCE, Small

UNIT = Unit.parse(f"{SCIENCE[0]}/1")
RIGHT = (123.0, -89.0)
"""Nowhere near the header's place, so that nothing can be taken for the other."""


def solution(ra: float = RIGHT[0], dec: float = RIGHT[1], scale: float = 1e-4) -> TangentWcs:
    """A TPV of degree 3 with all its terms."""
    rng = np.random.default_rng(5)
    pv = np.zeros((2, 11))
    pv[:, 1] = 1.0
    pv[:, 4:7] = 2e-2 * rng.normal(size=(2, 3))
    pv[:, 7:11] = rng.normal(size=(2, 4))
    return tangent_wcs((ra, dec), (63.5, 63.5), scale * np.array([[-1.0, 0.02], [0.02, 1.0]]), pv=pv)


def told(wcs: TangentWcs, size: tuple[int, int] = (128, 128), zero: float = 27.0) -> dict[str, Any]:
    """As the task `express` gives it."""
    figures = {"zero_point": [zero, "mag"], "zero_point_err": [0.003, "mag"], "photometry_scatter": [0.01, "mag"],
               "astrometry_internal": [3.6, "mas"], "astrometry_external": [36.0, "mas"]}  # fmt: skip
    return {"cards": to_cards(wcs), "figures": figures, "exposure_time": 30.0, "photometric": 1, "grade": "A",
            "reasons": [], "standing": 0, "outline": outline(wcs, size)}  # fmt: skip


def registry_of(small: Small) -> Registry:
    return Registry.open(Survey.open(small.folder).registry_url)


@pytest.fixture
def known(done: Small) -> Small:
    """A reduced survey in which one detector has a joint solution."""
    value = told(solution())
    product = ProductRecord("j/sky_solution", "sky_solution", Form.VALUE, UNIT, "j", value=value)
    marks = (Metric(UNIT, "zero_point", 27.0, "mag"), Metric(UNIT, "photometric", 1.0))
    report = JobReport("j", UNIT, "calibrate", (), (), Outcome.DONE, (product,), marks)
    report = JobReport(**(vars(report) | {"outlines": (Outline.of(UNIT, value["outline"]),)}))
    with registry_of(done) as registry:
        registry.record(report)
    return done


def science(small: Small) -> Path:
    (path,) = (small.folder / "products" / "science").rglob(f"{SCIENCE[0]}_1_*.fits")
    return path


def agrees(header: Any, wcs: TangentWcs, shift: tuple[int, int] = (0, 0)) -> bool:
    x, y = np.array([0.0, 100.0, 33.0]), np.array([120.0, 5.0, 77.0])
    there = WCS(header).all_pix2world(x - shift[0], y - shift[1], 0)
    return bool(np.allclose(there, pixel_to_sky(wcs, x, y), rtol=0, atol=1e-9))


def test_headers_get_the_joint_solution_in_place(known: Small) -> None:
    path, before = science(known), read_image(science(known))
    size = path.stat().st_size
    done = refreshed(known.folder, unit=str(UNIT))
    assert (len(done.changed), done.problems) == (1, ())
    assert path.stat().st_size == size
    with fits.open(path, checksum=True) as file:  # a wrong sum is a warning, warnings are errors
        assert agrees(file["SCIENCE"].header, solution())
        assert file["SCIENCE"].header["CTYPE1"] == "RA---TPV"
        assert (file[0].header["MAGZERO"], file[0].header["PHOTLINK"]) == (27.0, True)
    after = read_image(path)
    assert np.array_equal(after.pixels, before.pixels, equal_nan=True)
    assert {key for key in before.header if not is_sky(key)} == {key for key in after.header if not is_sky(key)}
    assert refreshed(known.folder, unit=str(UNIT)).changed == ()
    assert check.check(known.folder, deep=True).differences == ()


def test_the_longest_solution_has_room(known: Small) -> None:
    rng = np.random.default_rng(1)
    wcs = tangent_wcs(RIGHT, (63.5, 63.5), 1e-4 * np.eye(2), pv=rng.normal(size=(2, 40)))
    product = ProductRecord("k/sky_solution", "sky_solution", Form.VALUE, UNIT, "k", value=told(wcs))
    with registry_of(known) as registry:
        registry.record(JobReport("k", UNIT, "calibrate", (), (), Outcome.DONE, (product,)))
    assert refreshed(known.folder, unit=str(UNIT)).problems == ()
    assert agrees(fits.getheader(science(known), "SCIENCE"), wcs)


def test_exports_carry_it_whether_or_not_headers_were_refreshed(known: Small, tmp_path: Path) -> None:
    done = export(tmp_path / "a", known.folder, unit=str(UNIT), kind="science")
    assert done.stale == ()
    assert agrees(fits.getheader(done.paths[0], "SCIENCE"), solution())
    assert not agrees(fits.getheader(science(known), "SCIENCE"), solution())
    maps = export(tmp_path / "b", known.folder, unit=str(UNIT), form="maps")
    assert all(agrees(fits.getheader(path), solution()) for path in maps.paths[:3])
    ldac = export(tmp_path / "c", known.folder, unit=str(UNIT), form="ldac", kind="sources")
    assert b"'RA---TPV'" in Path(ldac.paths[0]).read_bytes()


def test_a_place_is_cut_where_the_solution_says(known: Small, tmp_path: Path) -> None:
    ra, dec = (float(value) for value in pixel_to_sky(solution(), 70.0, 40.0))
    (cut,) = cutout(tmp_path, known.folder, Place(ra, dec), size=16).cuts
    assert cut.unit == str(UNIT)
    assert [cut.x, cut.y] == pytest.approx([70.0, 40.0], abs=1e-5)
    header = fits.getheader(cut.paths[0], "SCIENCE")
    assert agrees(header, solution(), (header["CUTX"], header["CUTY"]))
    inside, beside = (tuple(float(v) for v in pixel_to_sky(solution(), x, 40.0)) for x in (70.0, 140.0))
    joint = {each.unit for each in covering(known.folder, *inside) if each.by == "joint solution"}
    assert joint == {str(UNIT)}
    assert covering(known.folder, *inside, where="band = 'g'") == []
    assert str(UNIT) not in {each.unit for each in covering(known.folder, *beside)}
    by_pixel = cutout(tmp_path, known.folder, Place(unit=str(UNIT), pixel=(70.0, 40.0)), size=16)
    assert [by_pixel.ra, by_pixel.dec] == pytest.approx([ra, dec], abs=1e-9)


def test_head_files_say_what_the_solution_says(known: Small, tmp_path: Path) -> None:
    done = heads.write(tmp_path, known.folder, zero_point=25.0)
    assert len(done.paths) == 1
    assert str(UNIT) not in done.without
    assert len(done.without) == 3
    (cards,) = read_heads(Path(done.paths[0]))
    assert Path(done.paths[0]).name == science(known).stem + ".sci.head"
    x, y = np.array([3.0, 99.0]), np.array([50.0, 1.0])
    assert np.allclose(pixel_to_sky(from_cards(cards), x, y), pixel_to_sky(solution(), x, y), rtol=0, atol=1e-10)
    # A source of 27 mag has 1 electron per second, 30 in the image: 25 mag in units of FLXSCALE.
    assert 25.0 - 2.5 * np.log10(30.0 * float(cards["FLXSCALE"] or 0)) == pytest.approx(27.0)
    assert (cards["MAGZEROP"], cards["PHOTLINK"], cards["PHOTIRMS"]) == (25.0, True, 0.01)
    assert [cards["ASTIRMS1"], cards["ASTRRMS2"]] == pytest.approx([1e-6, 1e-5])
    mosaic = heads.write(tmp_path, known.folder, unit=SCIENCE[0], mosaic=True)
    assert Path(mosaic.paths[0]).name == f"{SCIENCE[0]}.head"
    with pytest.raises(SetupFault) as caught:
        heads.write(tmp_path, known.folder, unit=SCIENCE[1])
    assert caught.value.code == "order.nothing"


def test_sip_is_written_as_tpv(tmp_path: Path) -> None:
    polynomial = polynomial_of(solution())
    assert polynomial is not None
    cards = heads.block(told(to_sip(polynomial)), 30.0)
    assert cards["CTYPE1"] == "RA---TPV"
    x, y = np.array([3.0, 99.0]), np.array([50.0, 1.0])
    assert np.allclose(pixel_to_sky(from_cards(cards), x, y), pixel_to_sky(solution(), x, y), rtol=0, atol=1e-10)


@pytest.mark.astromatic
def test_swarp_puts_stars_where_the_head_says_and_scales_them(tmp_path: Path) -> None:
    """Two frames whose own headers are wrong by a degree: the sum has its stars at the places and fluxes of the truth."""
    rng = np.random.default_rng(8)
    scale, size = 7e-5, 256
    u, v = (each.ravel() for each in np.meshgrid(*[[-0.004, 0.0, 0.004]] * 2))
    ra, dec = 40.0 + u + 2e-4 * rng.normal(size=9), 10.0 + v + 2e-4 * rng.normal(size=9)
    names: list[Path] = []
    for number, (shift, zero) in enumerate((((0.0, 0.0), 27.0), ((7e-4, -4e-4), 26.2))):
        wcs = solution(40.0 + shift[0], 10.0 + shift[1], scale)
        wcs = tangent_wcs(wcs.crval, (127.5, 127.5), wcs.cd, pv=wcs.pv)
        y, x = np.mgrid[:size, :size]
        pixels = np.zeros((size, size), np.float32)
        for u, v in zip(*sky_to_pixel(wcs, ra, dec), strict=True):
            pixels += 30.0 * 10 ** (0.4 * (zero - 20.0)) * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 8.0) / (8.0 * np.pi)
        wrong = tangent_wcs((41.0, 11.0), (127.5, 127.5), wcs.cd)
        image = Image(pixels, np.ones_like(pixels), None, dict(to_cards(wrong)))
        names += write_maps(tmp_path / f"f{number}", image)[:1]
        write_heads(tmp_path / f"f{number}.sci.head", [heads.block(told(wcs, (size, size), zero), 30.0)])
    program = shutil.which("SWarp") or shutil.which("swarp") or ""
    words = "-SUBTRACT_BACK N -WEIGHT_TYPE NONE -COMBINE_TYPE AVERAGE -RESAMPLING_TYPE LANCZOS3 -WRITE_XML N"
    words += " -NTHREADS 1 -VERBOSE_TYPE QUIET"
    subprocess.run([program, *map(str, names), "-c", "/dev/null", *words.split()], cwd=tmp_path, check=True)
    with fits.open(tmp_path / "coadd.fits") as file:
        pixels, there = file[0].data, WCS(file[0].header)
    off, mags = [], []
    for u, v in zip(*there.all_world2pix(ra, dec, 0), strict=True):
        window = np.s_[round(v) - 8 : round(v) + 9, round(u) - 8 : round(u) + 9]
        yy, xx = np.mgrid[window]
        light = pixels[window].astype(float)
        off.append(np.hypot((xx * light).sum() / light.sum() - u, (yy * light).sum() / light.sum() - v))
        mags.append(30.0 - 2.5 * np.log10(light.sum()))
    assert max(off) < 0.02
    assert np.allclose(mags, 20.0, atol=0.01)


def test_one_place_tells_where_a_detector_lies(known: Small) -> None:
    with registry_of(known) as registry:
        other = Unit.parse(f"{SCIENCE[0]}/2")
        detector = registry.detectors([(SCIENCE[0], 2)])[SCIENCE[0], 2]
        assert sky.solved(registry, other) == {}
        assert sky.plate_of(registry, detector) == detector.wcs
        mine = registry.detectors([(SCIENCE[0], 1)])[SCIENCE[0], 1]
        assert sky.plate_of(registry, mine) == to_cards(solution())
