"""`spica picture before-after`: two frames on the same pixels with the same levels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image as Pillow
from typer.testing import CliRunner

from spica.cli.main import app
from spica.core.faults import DataFault, SetupFault
from spica.services.before_after import BeforeAfterOrder, before_after, before_after_unit
from tests.support.hips import image

STARS = ((30.0, -20.0, 3e4), (30.02, -19.98, 1e4))


def drawn(path: Path) -> np.ndarray:
    """The picture, row 0 at the bottom."""
    with Pillow.open(path) as picture:
        return np.asarray(picture)[::-1].astype(float)


def test_the_first_is_brought_to_the_pixels_and_levels_of_the_second(tmp_path: Path) -> None:
    single = image(tmp_path / "1.fits", (30.003, -20.004), STARS, size=160, level=500.0, noise=5.0)
    # A stack of another zero point: the same stars in smaller numbers.
    deep = [(ra, dec, flux * 10**-1.0) for ra, dec, flux in STARS]
    stack = image(tmp_path / "2.fits", (30.0, -20.0), deep, size=150, level=2.0, noise=0.1, seed=2, MAGZERO=27.5)
    told = before_after(single, stack, tmp_path / "x.png", BeforeAfterOrder(bright=300))
    assert told.factor == pytest.approx(0.1)
    assert told.skies == pytest.approx((50.0, 2.0), rel=0.01)
    assert told.noises == pytest.approx((0.3, 0.1), rel=0.3)
    picture = drawn(tmp_path / "x.png")
    assert picture.shape == (150, 302)
    left, right = picture[:, :150], picture[:, 152:]
    assert (picture[:, 150:152] == 255).all()
    assert left.max() == right.max() == 255
    # Both stars at the same pixels, as bright; the noise of the first is greater.
    bright = right > 200
    assert 10 < bright.sum() < 400
    assert np.abs(left[bright] - right[bright]).max() < 40
    dark = ~(right > 60)
    assert np.std(left[dark & (left > 0)]) > 2 * np.std(right[dark & (right > 0)])
    split = before_after(single, stack, tmp_path / "y.png", BeforeAfterOrder(bright=300, split=True))
    halves = drawn(tmp_path / "y.png")
    assert split.size == (150, 150)
    assert np.array_equal(halves[:, :75], left[:, :75])
    assert np.array_equal(halves[:, 76:], right[:, 76:])
    part = before_after(single, stack, tmp_path / "z.png", BeforeAfterOrder(box=(50, 40, 110, 80), size=30))
    assert part.size == (62, 20)
    before_after(single, stack, tmp_path / "again.png", BeforeAfterOrder(bright=300))
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "x.png").read_bytes()


def test_frames_without_a_solution_go_pixel_by_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).normal(10, 1, (40, 50)).astype(np.float32)
    fits.writeto(tmp_path / "a.fits", pixels)
    fits.writeto(tmp_path / "b.fits", pixels)
    before_after(tmp_path / "a.fits", tmp_path / "b.fits", tmp_path / "x.png")
    picture = drawn(tmp_path / "x.png")
    assert np.array_equal(picture[:, :50], picture[:, 52:])


def test_what_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "a.fits", np.ones((40, 50), np.float32))
    fits.writeto(tmp_path / "b.fits", np.ones((30, 50), np.float32))
    fits.writeto(tmp_path / "none.fits", np.full((40, 50), np.nan, np.float32))
    cases = (
        ("b.fits", "x.png", BeforeAfterOrder(), "wcs.none"),
        ("a.fits", "x.jpg", BeforeAfterOrder(), "order.invalid"),
        ("a.fits", "x.png", BeforeAfterOrder(box=(0, 0, 60, 10)), "order.invalid"),
        ("none.fits", "x.png", BeforeAfterOrder(), "data.no-pixels"),
        ("gone.fits", "x.png", BeforeAfterOrder(), "file.missing"),
    )
    for other, to, order, code in cases:
        with pytest.raises((SetupFault, DataFault)) as caught:
            before_after(tmp_path / other, tmp_path / "a.fits", tmp_path / to, order)
        assert caught.value.code == code
    assert not (tmp_path / "x.png").exists()


def test_command(tmp_path: Path) -> None:
    for name in "ab":
        fits.writeto(tmp_path / f"{name}.fits", np.random.default_rng(1).normal(10, 1, (40, 50)).astype(np.float32))
    words = [
        "picture",
        "before-after",
        str(tmp_path / "a.fits"),
        str(tmp_path / "b.fits"),
        "-o",
        str(tmp_path / "x.png"),
    ]
    done = CliRunner().invoke(app, [*words, "--json", "--split"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["size"] == [50, 40]
    assert CliRunner().invoke(app, [*words, "--box", "0,0,20,20"]).exit_code == 0
    assert CliRunner().invoke(app, [*words[:2], "a", "b", "c"]).exit_code == 2


@pytest.mark.slow
def test_raw_pixels_and_detrended_ones_of_a_detector(tmp_path: Path) -> None:
    from tests.support.calibrated import calibrated

    home = calibrated(tmp_path, exposures="1", detectors="1") / "survey"
    [path] = (home / "products" / "science").rglob("*_1_science.*.fits")
    unit = f"{path.name.partition('_')[0]}/1"
    told = before_after_unit(home, unit, tmp_path / "x.png", BeforeAfterOrder())
    picture = drawn(tmp_path / "x.png")
    nx = (picture.shape[1] - 2) // 2
    left, right = picture[:, :nx], picture[:, 2 + nx :]
    assert told.factor > 0
    # The stars of both lie on the same pixels: flips of amplifiers are undone.
    bright = right > 250
    assert bright.sum() > 20
    assert np.mean(left[bright]) > 3 * np.mean(left[~bright])
    for given, code in (("nobody/1", "order.unknown-unit"), (unit.partition("/")[0], "order.invalid")):
        with pytest.raises(SetupFault) as caught:
            before_after_unit(home, given, tmp_path / "y.png")
        assert caught.value.code == code
