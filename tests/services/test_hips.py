"""`spica hips`: stars, fluxes and borders of simulated images in the tiles of every order; colours; what is made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from PIL import Image as Pillow
from typer.testing import CliRunner

from spica.cli.main import app
from spica.core.faults import DataFault, SetupFault
from spica.core.tiles import Tile
from spica.files import hips as store
from spica.kernels.hips import WIDTH, pixel_width
from spica.services.hips import ColourHipsOrder, HipsOrder, MadeHips, Piece, colour_hips, make_hips, room_for
from tests.support.hips import apart, image, on_sky, tile_solution

Pixels = npt.NDArray[Any]
ORDER = HipsOrder("test", "2026-11-29")
SHALLOW = HipsOrder("test", "2026-11-29", order=4)
"""Coarse pixels, few tiles: enough for what does not depend on them."""


def shown(path: Path) -> Pixels:
    """A picture as Pillow reads it, row 0 at the top."""
    with Pillow.open(path) as picture:
        return np.asarray(picture)


def tiles(made: MadeHips, order: int = -1) -> Iterator[tuple[int, Pixels]]:
    """Cells and pixels as astropy reads them."""
    wanted = made.order if order < 0 else order
    for path in sorted(Path(made.path).glob(f"Norder{wanted}/Dir*/Npix*.fits")):
        cell = int(path.stem[4:])
        assert path.parent.name == f"Dir{cell - cell % 10000}"
        yield cell, fits.getdata(path)


def light(made: MadeHips, order: int, near: tuple[float, float], radius: float) -> tuple[float, float, float]:
    """Flux within a radius [arcsec], and its centre, from pixels and wcslib's idea of where they are."""
    total, place = 0.0, np.zeros(3)
    for cell, pixels in tiles(made, order):
        rows, columns = np.mgrid[0:WIDTH, 0:WIDTH]
        ra, dec = on_sky(tile_solution(order, cell), columns, rows)
        inside = apart(ra, dec, *near) < radius
        values = np.nan_to_num(pixels[inside].astype(float))
        total += values.sum()
        lon, lat = np.radians(ra[inside]), np.radians(dec[inside])
        place += values @ np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    area = (pixel_width(order) * 3600) ** 2
    return (
        total * area,
        np.degrees(np.arctan2(place[1], place[0])),
        np.degrees(np.arctan2(place[2], np.hypot(*place[:2]))),
    )


@pytest.mark.parametrize(
    ("middle", "star", "code"),
    [
        ((0.0, 20.0), (0.03, 20.02), "TAN"),
        pytest.param((210.0, 89.98), (30.0, 89.995), "ZEA", marks=pytest.mark.slow),
        pytest.param((45.0, -90.0), (130.0, -89.97), "STG", marks=pytest.mark.slow),
        pytest.param((135.0, 41.81), (134.96, 41.8), "SIN", marks=pytest.mark.slow),
    ],
)
def test_a_star_is_where_it_should_be_and_keeps_its_flux_in_every_order(
    tmp_path: Path, middle: tuple[float, float], star: tuple[float, float], code: str
) -> None:
    flux = 3e4
    made = make_hips([image(tmp_path / "a.fits", middle, [(*star, flux)], code=code)], tmp_path / "hips", ORDER)
    assert made.order == 8
    for order, radius in ((8, 30.0), (6, 60.0)):
        found, ra, dec = light(made, order, star, radius)
        assert found == pytest.approx(flux, rel=5e-3)
        assert apart(ra, dec, *star) < 0.05 * pixel_width(order) * 3600
    header = fits.getheader(next(Path(made.path).glob("Norder8/Dir*/*.fits")), checksum=True)
    assert header["MAGZERO"] == 30.0
    assert header["BUNIT"] == "arcsec-2"
    assert made.area == pytest.approx((200 * 2 / 3600) ** 2, rel=0.05)
    assert apart(made.ra, made.dec, *middle) < 60.0
    told = store.read_properties(tmp_path / "hips")
    assert (told["hips_order"], told["hips_frame"], told["hips_tile_format"]) == ("8", "equatorial", "fits")
    assert told["hips_release_date"] == "2026-11-29T00:00Z"


@pytest.mark.slow
def test_lower_orders_are_means_of_four_and_the_sky_is_in_the_all_sky_picture(tmp_path: Path) -> None:
    made = make_hips(
        [image(tmp_path / "a.fits", (80.0, -10.0), level=2.0, scale=100.0, code="ZEA")], tmp_path / "hips", ORDER
    )
    assert made.order == 3
    area = 100.0**2
    for order in range(4):
        seen = dict(tiles(made, order))
        assert set(seen) == {cell >> (2 * (3 - order)) for cell, _ in tiles(made, 3)}
        assert all(np.nanmax(np.abs(pixels * area / 2.0 - 1.0)) < 5e-3 for pixels in seen.values())
    picture = fits.getdata(tmp_path / "hips" / "Norder3" / "Allsky.fits")
    assert picture.shape == (29 * 64, 27 * 64)
    for cell, pixels in tiles(made, 3):
        top, left = picture.shape[0] - cell // 27 * 64, cell % 27 * 64
        small = picture[top - 64 : top, left : left + 64]
        good = np.isfinite(pixels).reshape(64, 8, 64, 8).any(axis=(1, 3))
        assert np.array_equal(np.isfinite(small), good)
    assert made.area == pytest.approx(5.0 * 6.0, rel=0.1)


@pytest.mark.slow
def test_where_images_overlap_the_owner_wins_then_the_nearest_middle(tmp_path: Path) -> None:
    middles = ((10.0, 0.0), (10.1, 0.0))
    paths = [
        image(
            tmp_path / f"{k}.fits",
            at,
            level=(1.0 + k) * 16.0,
            scale=4.0,
            hole=(slice(90, 110), slice(105, 130)) if k else None,
        )
        for k, at in enumerate(middles)
    ]
    order = HipsOrder("test", "2026-11-29", order=5)

    def seen(pieces: list[Piece], name: str) -> Pixels:
        made = make_hips(pieces, tmp_path / name, order)
        found = []
        for cell, pixels in tiles(made):
            rows, columns = np.nonzero(np.isfinite(pixels))
            ra, dec = on_sky(tile_solution(made.order, cell), columns, rows)
            found.append(np.stack([ra, dec, pixels[rows, columns]], axis=-1))
        return np.concatenate(found)

    def holds(found: Pixels, border: float) -> None:
        ra, dec, value = found.T
        # The image farther east is twice as bright; its hole is filled by the other one.
        clear = np.abs(ra - border) > 0.004
        hole = (np.abs(dec) < 0.018) & (ra > 10.064) & (ra < 10.096)
        assert hole.any()
        second = (ra > border) & ~hole
        inner = hole & (np.abs(dec) < 0.006) & (ra > 10.072) & (ra < 10.088)
        assert np.allclose(value[clear & second], 2.0, rtol=1e-3)
        assert np.allclose(value[(clear & (ra < border)) | inner], 1.0, rtol=1e-3)

    plain = [Piece(path) for path in paths]
    first = seen(plain, "a")
    holds(first, 10.05)
    assert np.array_equal(first, seen(plain[::-1], "b"))
    # Owners divide the sky elsewhere than half way.
    owners = (
        {"kind": "box", "ra": (9.0, 10.03), "dec": (-1.0, 1.0)},
        {"kind": "box", "ra": (10.03, 11.0), "dec": (-1.0, 1.0)},
    )
    owned = [Piece(path, Tile(f"t{k}", 200, 200, {}, ((), ()), (owners[k],))) for k, path in enumerate(paths)]
    holds(seen(owned, "c"), 10.03)
    assert not list((tmp_path / "c").glob(".*"))


@pytest.mark.slow
def test_only_what_changed_is_made_again_and_nothing_stale_stays(tmp_path: Path) -> None:
    one = image(tmp_path / "1.fits", (10.0, 5.0), level=1.0, scale=50.0, noise=1.0)
    two = image(tmp_path / "2.fits", (24.0, 5.0), level=1.0, scale=50.0, noise=1.0)
    folder = tmp_path / "hips"

    def contents() -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }

    make_hips([one], folder, SHALLOW)
    alone = contents()
    both = make_hips([one, two], folder, SHALLOW)
    assert 0 < both.made < both.tiles
    whole = contents()
    assert make_hips([one, two], folder, SHALLOW).made == 0
    assert contents() == whole
    image(two, (24.0, 5.0), level=3.0, scale=50.0, noise=1.0)
    assert 0 < make_hips([one, two], folder, SHALLOW).made < both.tiles
    assert contents() != whole
    make_hips([one], folder, SHALLOW)
    assert contents() == alone
    # A killed process leaves tiles behind and says that it did not finish.
    store.begin(folder)
    next(folder.glob("Norder4/Dir*/*.fits")).write_bytes(b"half")
    make_hips([one], folder, SHALLOW)
    assert contents() == alone


def test_what_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    good = image(tmp_path / "good.fits", (10.0, 5.0), scale=50.0, level=1.0)
    bare = image(tmp_path / "bare.fits", (10.0, 5.0), MAGZERO=None)
    vega = image(tmp_path / "vega.fits", (10.0, 5.0), MAGSYS="Vega")
    lost = image(tmp_path / "lost.fits", (10.0, 5.0), scale=50.0, hole=(slice(None), slice(None)))
    plain = tmp_path / "plain.fits"
    fits.writeto(plain, np.zeros((9, 9), np.float32))
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear")
    cases: list[tuple[list[Path], Path, HipsOrder, str]] = [
        ([], tmp_path / "x", ORDER, "order.nothing"),
        ([good], other, ORDER, "order.invalid"),
        ([good], tmp_path / "x", HipsOrder("x", "2026", order=25), "order.invalid"),
        ([good, bare], tmp_path / "x", ORDER, "order.invalid"),
        ([good, vega], tmp_path / "x", ORDER, "order.invalid"),
        ([plain], tmp_path / "x", ORDER, "wcs.none"),
        ([tmp_path / "gone.fits"], tmp_path / "x", ORDER, "file.missing"),
        ([lost], tmp_path / "y", SHALLOW, "data.no-pixels"),
    ]
    for stacks, folder, order, code in cases:
        with pytest.raises((SetupFault, DataFault)) as caught:
            make_hips(stacks, folder, order)
        assert caught.value.code == code
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_zero_points_and_weights_are_minded(tmp_path: Path) -> None:
    one = image(tmp_path / "1.fits", (10.0, 5.0), level=100.0, scale=50.0, code="ZEA")
    two = image(tmp_path / "2.fits", (12.0, 5.0), level=1000.0, scale=50.0, code="ZEA", MAGZERO=32.5)
    weight = np.ones((200, 200), np.float32)
    weight[:, 150:] = 0
    fits.writeto(tmp_path / "2.weight.fits", weight)
    made = make_hips([one, two], tmp_path / "hips", SHALLOW)
    values = np.concatenate([pixels[np.isfinite(pixels)] for _, pixels in tiles(made)])
    assert np.allclose(values * 50.0**2, 100.0, rtol=2e-3)
    # A quarter of the second has no weight, the western one, which the first covers in part.
    assert made.area == pytest.approx((200 * 50 / 3600) * (2.78 + 2.0), rel=0.05)


def three_bands(folder: Path) -> list[Path]:
    """HiPS of three bands of one field, the last of them with a hole."""
    made = []
    for k, band in enumerate("irg"):
        stars = [(10.0 + 0.3 * n, 5.0 - 0.2 * n, 4e4 * (1 + n * k)) for n in range(-2, 3)]
        hole = (slice(0, 40), slice(0, 40)) if band == "g" else None
        path = image(folder / f"{band}.fits", (10.0, 5.0), stars, scale=50.0, noise=1.0, level=20.0, seed=k, hole=hole)
        make_hips([path], folder / band, SHALLOW)
        made.append(folder / band)
    return made


@pytest.mark.slow
def test_colours_have_one_scale_in_all_tiles(tmp_path: Path) -> None:
    bands = three_bands(tmp_path)
    made = colour_hips(bands, tmp_path / "colour", ColourHipsOrder("colours", "2026-11-29"))
    pictures = sorted((tmp_path / "colour").glob("Norder4/Dir*/*.png"))
    assert len(pictures) > 1
    shades: dict[tuple[float, ...], tuple[int, ...]] = {}
    holes = 0
    for path in pictures:
        drawn = shown(path)[::-1]
        numbers = [fits.getdata(band / path.relative_to(tmp_path / "colour").with_suffix(".fits")) for band in bands]
        good = np.all(np.isfinite(numbers), axis=0)
        holes += int(np.count_nonzero(np.isfinite(numbers[0]) & ~good))
        assert np.array_equal(drawn[..., 3] > 0, good)
        bright = good & (numbers[1] > np.nanmedian(numbers[1]) + 0.005)
        for key, shade in zip(np.stack(numbers, -1)[bright].round(4), drawn[bright], strict=True):
            shades.setdefault(tuple(key), tuple(shade))
            assert np.abs(np.array(shades[tuple(key)], int) - shade).max() <= 3
    assert holes > 0
    assert len(shades) > 20
    allsky = shown(tmp_path / "colour" / "Norder3" / "Allsky.png")
    assert allsky.shape == (29 * 64, 27 * 64, 4)
    assert allsky[..., 3].any()
    told = store.read_properties(tmp_path / "colour")
    assert (told["hips_tile_format"], told["dataproduct_subtype"]) == ("png", "color")
    assert shown(tmp_path / "colour" / "preview.jpg").shape == (512, 512, 3)
    again = colour_hips(bands, tmp_path / "colour", ColourHipsOrder("colours", "2026-11-29"))
    assert (again.made, again.tiles) == (0, made.tiles)


@pytest.mark.slow
def test_one_band_is_grey_and_two_have_their_mean(tmp_path: Path) -> None:
    bands = three_bands(tmp_path)
    order = ColourHipsOrder("x", "2026-11-29", weights=(1.0, 1.0, 1.0))
    colour_hips(bands[:1], tmp_path / "grey", ColourHipsOrder("x", "2026-11-29"))
    drawn = shown(next((tmp_path / "grey").glob("Norder4/Dir*/*.png")))
    assert np.array_equal(drawn[..., 0], drawn[..., 2])
    colour_hips(bands[:2], tmp_path / "two", order)
    drawn = shown(next((tmp_path / "two").glob("Norder4/Dir*/*.png"))).astype(int)
    shown_all = drawn[..., :3].min(axis=2) > 0
    assert shown_all.sum() > 100
    assert np.abs(2 * drawn[..., 1] - drawn[..., 0] - drawn[..., 2])[shown_all].max() <= 2


@pytest.mark.slow
def test_colours_that_cannot_be(tmp_path: Path) -> None:
    bands = three_bands(tmp_path)
    deeper = make_hips([tmp_path / "g.fits"], tmp_path / "deeper", HipsOrder("x", "2026", order=5))
    far = make_hips([image(tmp_path / "far.fits", (90.0, 5.0), scale=50.0)], tmp_path / "far", SHALLOW)
    cases: list[tuple[list[Path], tuple[float, ...], str]] = [
        ([], (), "order.invalid"),
        (bands, (1.0,), "order.invalid"),
        ([bands[0], Path(deeper.path)], (), "order.invalid"),
        ([bands[0], Path(far.path)], (), "data.no-pixels"),
        ([tmp_path], (), "file.missing"),
    ]
    for given, weights, code in cases:
        with pytest.raises((SetupFault, DataFault)) as caught:
            colour_hips(given, tmp_path / "x", ColourHipsOrder("x", "2026", weights=weights))
        assert caught.value.code == code


def test_command(tmp_path: Path) -> None:
    image(tmp_path / "a.fits", (10.0, 5.0), [(10.0, 5.0, 1e4)], scale=50.0, noise=1.0)
    words = ["hips", "make", str(tmp_path / "a.fits"), "-o", str(tmp_path / "r"), "--order", "3"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["order"] == 3
    assert CliRunner().invoke(app, words).exit_code == 0


@pytest.mark.slow
def test_command_of_colours(tmp_path: Path) -> None:
    three_bands(tmp_path)
    words = [
        "hips",
        "colour",
        *(str(tmp_path / band) for band in "irg"),
        "-o",
        str(tmp_path / "c"),
        "--weights",
        "1,1,2",
    ]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["tiles"] > 0


@pytest.mark.slow
def test_their_room_is_told_before_they_are_made(tmp_path: Path) -> None:
    size, scale = 260, 2.0
    bands = {}
    for band, middle in (("r", (10.0, 20.0)), ("g", (10.02, 20.01))):
        path = image(tmp_path / f"{band}.fits", middle, [(10.0, 20.0, 1e4)], size=size, scale=scale, noise=1.0)
        cards = {name: value for name, value in fits.getheader(path).items() if name.startswith(("C", "NAXIS"))}
        bands[band] = [Tile("t", size, size, cards, ((), ()))]
        make_hips([path], tmp_path / "hips" / band, HipsOrder(band, "2026-11-29"))
    colour_hips(
        [tmp_path / "hips" / band for band in "rg"], tmp_path / "hips" / "colour", ColourHipsOrder("c", "2026-11-29")
    )
    taken = {
        name: sum(path.stat().st_size for path in (tmp_path / "hips" / name).rglob("*") if path.is_file())
        for name in ("r", "g", "colour")
    }
    alone = room_for({"r": bands["r"]}, colour=False)
    assert alone == pytest.approx(taken["r"], rel=0.15)
    whole = room_for(bands, colour=True)
    assert sum(taken.values()) <= 1.02 * whole
    assert whole < 2.0 * sum(taken.values())
    assert alone > 20 * 4 * size**2, "tiles are whole"
