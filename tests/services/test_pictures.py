"""`spica picture`: colour pictures of files, on one grid or on several."""

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
from spica.services.pictures import ColourOrder, paint

CARDS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0, "CRVAL2": -20.0, "CRPIX1": 50.0, "CRPIX2": 60.0,
    "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
}  # fmt: skip
STARS = ((20.0, 30.0, 900.0), (70.0, 90.0, 3000.0), (55.0, 15.0, 300.0))


def image(path: Path, shift: tuple[float, float] = (0.0, 0.0), seed: int = 1, **cards: object) -> Path:
    y, x = np.mgrid[0:120, 0:100].astype(float)
    pixels = np.random.default_rng(seed).normal(50.0, 1.0, y.shape)
    for x0, y0, light in STARS:
        pixels += light * np.exp(-((x - x0 - shift[0]) ** 2 + (y - y0 - shift[1]) ** 2) / 8)
    placed = CARDS | {"CRPIX1": 50.0 + shift[0], "CRPIX2": 60.0 + shift[1]} | cards
    fits.writeto(path, pixels.astype(np.float32), fits.Header({k: v for k, v in placed.items() if v is not None}))
    return path


def test_shifted_images_fall_upon_each_other(tmp_path: Path) -> None:
    files = [image(tmp_path / f"{k}.fits", (2.5 * k, -3.0 * k), k) for k in range(3)]
    done = paint(files, tmp_path / "x.png", ColourOrder(weights=(1, 1, 1)))
    assert done.size == (100, 120)
    picture = np.asarray(Pillow.open(tmp_path / "x.png"))[::-1].astype(float)
    for x0, y0, _ in STARS:
        near = picture[int(y0) - 8 : int(y0) + 9, int(x0) - 8 : int(x0) + 9]
        bright = near * (near > 100)
        v, u = np.mgrid[-8:9, -8:9]
        places = np.array([[(bright[..., c] * axis).sum() / bright[..., c].sum() for axis in (u, v)] for c in range(3)])
        assert np.abs(places - places[0]).max() < 0.25
    # The last image lies 5 columns and 6 rows farther: what all three share is so much smaller.
    assert done.covered == pytest.approx(95 / 100 * 114 / 120)
    assert not picture[:6].any()
    assert not picture[:, 95:].any()
    assert picture[10:20, 85:95].any()


def test_zero_points_come_from_the_headers_or_the_order(tmp_path: Path) -> None:
    files = [image(tmp_path / f"{k}.fits", seed=k, MAGZERO=25.0 + k) for k in range(3)]
    told = paint(files, tmp_path / "a.png", ColourOrder(weights=(1, 1, 1)))
    assert told.factors == pytest.approx((1.0, 10**-0.4, 10**-0.8))
    ordered = paint(files, tmp_path / "b.png", ColourOrder(weights=(1, 1, 1), zero_points=(25, 25, 25)))
    assert ordered.factors == (1.0, 1.0, 1.0)


def test_forms_and_determinism(tmp_path: Path) -> None:
    files = [image(tmp_path / f"{k}.fits", seed=k) for k in range(3)]
    paint(files, tmp_path / "a.tif", ColourOrder(bits=16))
    paint(files, tmp_path / "b.tif", ColourOrder(bits=16))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    paint(files, tmp_path / "c.png", ColourOrder(transparent=True))
    clear = np.asarray(Pillow.open(tmp_path / "c.png"))
    assert clear.shape == (120, 100, 4)
    assert (clear[..., 3] == 255).all()


def test_what_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    files = [image(tmp_path / f"{k}.fits", seed=k) for k in range(3)]
    for given, to, order in (
        (files[:2], "x.png", ColourOrder()),
        (files, "x.jpg", ColourOrder()),
        (files, "x.png", ColourOrder(bits=16)),
        (files, "x.tif", ColourOrder(bits=12)),
        (files, "x.png", ColourOrder(zero_points=(1.0,))),
    ):
        with pytest.raises(SetupFault) as caught:
            paint(given, tmp_path / to, order)
        assert caught.value.code == "order.invalid"
    bare = image(tmp_path / "bare.fits", CTYPE1=None)
    strange = image(tmp_path / "strange.fits", CTYPE1="RA---TSC", CTYPE2="DEC--TSC")
    far = image(tmp_path / "far.fits", CRVAL1=90.0)
    for other, code in ((bare, "wcs.none"), (strange, "wcs.unsupported"), (far, "data.no-pixels")):
        with pytest.raises(DataFault) as found:
            paint((files[0], files[1], other), tmp_path / "x.png")
        assert found.value.code == code
    assert not (tmp_path / "x.png").exists()


def test_command(tmp_path: Path) -> None:
    files = [str(image(tmp_path / f"{k}.fits", seed=k)) for k in range(3)]
    words = ["picture", "colour", *files, "-o", str(tmp_path / "x.png"), "--weights", "1,1,2"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["factors"] == [1.0, 1.0, 2.0]
    assert CliRunner().invoke(app, words).exit_code == 0
    words[-1] = "1,one"
    assert CliRunner().invoke(app, words).exit_code == 2
