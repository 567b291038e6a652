"""Stacks: laws of resampling and combination, an independent sum, bad input by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spica.core.faults import DataFault
from spica.core.mask import Mask
from spica.core.records import Grain, Unit
from spica.core.task import Member
from spica.kernels.projection import Projection, projection
from spica.kernels.resample import KERNELS, kernel, lanczos
from spica.kernels.resample_way import TOLERANCE, way
from spica.kernels.wcs import sky_to_pixel, tangent_wcs
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.tasks.stack import TASK, StackSettings

SCALE = 0.2 / 3600
UNIT = Unit(Grain.TILE_BAND, ("t", "r"))
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Tile:
    nx: int
    ny: int
    cards: dict[str, Any]
    name: str = "t"


@dataclass
class _Rows:
    planes: dict[str, Array]
    header: dict[str, Any] = field(default_factory=lambda: {"MJD-OBS": 60000.25})
    told: dict[str, Any] = field(default_factory=dict)
    reads: list[tuple[int, int]] = field(default_factory=list)
    broken: int = 10**9

    @property
    def shape(self) -> tuple[int, int]:
        ny, nx = self.planes["science"].shape
        return ny, nx

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def delivered(self) -> dict[str, Any]:
        return self.told

    def read(self, y0: int, y1: int, plane: str = "science") -> Array:
        if y1 > self.broken:
            raise DataFault("file.corrupt", "tile 7 does not decode", path="x")
        if plane == "science":
            self.reads.append((y0, y1))
        return self.planes[plane][y0:y1]


def _tile(size: int = 200, place: tuple[float, float] = (10.0, 20.0), code: str = "TAN") -> _Tile:
    cd = SCALE * np.array([[-1.0, 0.0], [0.0, 1.0]])
    return _Tile(size, size, Projection(code, np.array(place), np.array([(size - 1) / 2] * 2), cd).cards())


def _cards(
    dx: float = 0.0,
    dy: float = 0.0,
    turn: float = 0.0,
    size: int = 200,
    place: tuple[float, float] = (10.0, 20.0),
    scale: float = SCALE,
) -> dict[str, Any]:
    c, s = np.cos(turn), np.sin(turn)
    cd = scale * np.array([[-c, s], [s, c]])
    return dict(to_cards(tangent_wcs(place, [(size - 1) / 2 + dx, (size - 1) / 2 + dy], cd)))


def _input(
    name: str,
    pixels: Array,
    cards: dict[str, Any],
    zero: float = 30.0,
    seconds: float = 1.0,
    mask: Array | None = None,
    variance: float = 4.0,
) -> dict[str, Any]:
    planes = {"science": pixels.astype(np.float32), "variance": np.full(pixels.shape, variance, np.float32)}
    planes["mask"] = np.zeros(pixels.shape, np.int32) if mask is None else mask.astype(np.int32)
    return {
        "science": Member(name, _Rows(planes)),
        "sky_solution": Member(name, {"cards": cards, "exposure_time": seconds}),
        "light": Member(
            name, {"zero": zero, "error": 0.0, "scale": "AB", "flat": [], "size": list(pixels.shape[::-1])}
        ),
    }


def _run(
    given: list[dict[str, Any]], tile: _Tile, sky: dict[str, Any] | None = None, **settings: Any
) -> tuple[dict[str, Array], Any]:
    members = {key: tuple(each[key] for each in given if key in each) for key in ("science", "sky_solution", "light")}
    meshes = tuple(Member(name, mesh) for name, mesh in (sky or {}).items()) or None
    made = TASK.run(StackSettings(**settings), unit=UNIT, tile=tile, inputs=None, sky_mesh=meshes, **members)
    bands = list(made["stack"].bands)
    planes = {name: np.concatenate([band.planes[name] for band in bands]) for name in bands[0].planes}
    assert planes["science"].shape == (tile.ny, tile.nx)
    return planes, made


def _noise(seed: int, size: int = 200, level: float = 100.0) -> Array:
    return np.random.default_rng(seed).normal(level, 2.0, (size, size)).astype(np.float32)


def _star(x: float, y: float, size: int = 200, sigma: float = 2.0) -> Array:
    v, u = np.indices((size, size))
    return np.asarray(1000.0 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * sigma**2)))


@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "lanczos2", "lanczos3", "lanczos4"])
@pytest.mark.parametrize("method", ["mean", "clipped"])
def test_the_same_pixels_come_out_as_they_are(kernel: str, method: str) -> None:
    pixels = _noise(1)
    planes, made = _run([_input("a/1", pixels, _cards())], _tile(), kernel=kernel, method=method)
    assert np.array_equal(planes["science"], pixels)
    assert np.allclose(planes["variance"], 4.0)
    assert (planes["number"] == 1).all()
    assert (planes["mask"] == 0).all()
    assert np.allclose(planes["time"], 1.0)
    assert np.allclose(planes["epoch"] + made["stack"].header["MJDREF"], 60000.25 + 0.5 / 86400, atol=1e-5)
    assert made["stack_quality"]["stack_coverage"].value == 1.0


@pytest.mark.parametrize("method", ["mean", "median", "clipped", "min", "max"])
def test_a_constant_stays_constant_and_a_factor_a_factor(method: str) -> None:
    given = [_input(f"e{n}/1", np.full((200, 200), 50.0), _cards(3.3 * n, -2.7 * n, 0.01 * n)) for n in range(4)]
    planes, _ = _run(given, _tile(), method=method)
    good = planes["number"] > 0
    assert good.mean() > 0.95
    assert np.allclose(planes["science"][good], 50.0, rtol=3e-5)
    scaled = [
        _input(f"e{n}/1", np.full((200, 200), 50.0), _cards(3.3 * n, -2.7 * n, 0.01 * n), zero=27.5, seconds=2.0)
        for n in range(4)
    ]
    again, _ = _run(scaled, _tile(), method=method)
    assert np.allclose(again["science"][good], 50.0 * 10 / 2.0, rtol=3e-5)
    assert np.allclose(again["variance"][good], planes["variance"][good] * 25.0, rtol=1e-5)


@pytest.mark.parametrize("method", ["mean", "median", "clipped"])
def test_neither_order_nor_bands_matter(method: str) -> None:
    given = [_input(f"e{n}/1", _noise(n), _cards(1.7 * n, 2.3 * n, 0.02 * n)) for n in range(5)]
    planes, _ = _run(given, _tile(), method=method)
    other, _ = _run(given[::-1], _tile(), method=method)
    narrow, _ = _run(given, _tile(), method=method, memory=1)
    import spica.tasks.stack.bands as module

    whole = module._MOST_ROWS
    try:
        module._MOST_ROWS = 7
        low, _ = _run(given, _tile(), method=method)
    finally:
        module._MOST_ROWS = whole
    for name in planes:
        for each in (other, narrow, low):
            assert np.array_equal(planes[name], each[name], equal_nan=True), name


def test_the_sum_is_linear() -> None:
    a, b = _noise(1), _noise(2)
    cards = _cards(0.4, 0.7, 0.03)
    made = [_run([_input("a/1", each, cards)], _tile())[0]["science"] for each in (a, b, a + 2 * b)]
    assert np.allclose(made[0] + 2 * made[1], made[2], rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("turn", [0.0, 0.01, 0.6, 3.14])
@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_light_and_place_of_a_star(turn: float, scale: float) -> None:
    tile = _tile()
    where = projection(tile.cards)
    cards = _cards(5.3, -4.6, turn, scale=SCALE * scale)
    x, y = sky_to_pixel(from_cards(cards), *where.pixel_to_sky(103.3, 97.6))
    planes, _ = _run([_input("a/1", _star(float(x), float(y), sigma=2.5 / scale), cards)], tile)
    image = np.nan_to_num(planes["science"].astype(float))
    v, u = np.indices(image.shape)
    near = np.hypot(u - 103.3, v - 97.6) < 25
    total = image[near].sum()
    assert abs(total / (1000 * 2 * np.pi * (2.5 / scale) ** 2) - 1) < 1e-4
    assert abs((u * image)[near].sum() / total - 103.3) < 0.005
    assert abs((v * image)[near].sum() / total - 97.6) < 0.005


def test_as_a_direct_sum_gives_it() -> None:
    pixels, cards, tile = _noise(3), _cards(2.37, -1.81, 0.02), _tile()
    planes, _ = _run([_input("a/1", pixels, cards)], tile)
    u, v = np.meshgrid(np.arange(40.0, 160.0), np.arange(40.0, 160.0))
    x, y = sky_to_pixel(from_cards(cards), *projection(tile.cards).pixel_to_sky(u, v))
    bx, by = np.floor(x).astype(int), np.floor(y).astype(int)
    total = np.zeros(x.shape)
    wx, wy = (lanczos(3, (z - np.floor(z)).ravel()).reshape(6, *z.shape) for z in (x, y))
    for j in range(6):
        for i in range(6):
            total += wx[i] * wy[j] * pixels[by + j - 2, bx + i - 2]
    assert np.abs(planes["science"][40:160, 40:160] - total).max() < 2e-3


@pytest.mark.parametrize("turn", [0.001, 0.009])
def test_along_the_rows_as_over_all_neighbours(turn: float, monkeypatch: pytest.MonkeyPatch) -> None:
    tile, cards, sky = _tile(), _cards(2.37, -1.81, turn), _noise(3, level=0.0)
    star = _star(90.0, 110.0, sigma=1.3)
    given = {"sky": sky, "star": star}
    level = {name: _run([_input("a/1", each, cards)], tile)[0] for name, each in given.items()}
    import spica.kernels.resample_way as module

    monkeypatch.setattr(module, "LEVEL", 0.0)
    around = {name: _run([_input("a/1", each, cards)], tile)[0] for name, each in given.items()}
    assert np.array_equal(level["sky"]["number"], around["sky"]["number"])
    # What a pixel can hold is the same; noise differs by about as many sigma as the row slopes.
    assert np.nanmax(np.abs(level["star"]["science"] - around["star"]["science"])) < 0.02 * turn * 1000.0
    assert 0.0 < np.nanstd(level["sky"]["science"] - around["sky"]["science"]) < 1.2 * turn * 2.0
    assert np.allclose(level["sky"]["variance"], around["sky"]["variance"], rtol=2.0 * turn)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "lanczos2", "lanczos3", "lanczos4"])
def test_weights_in_use_are_those_of_the_kernel(name: str) -> None:
    by, t = kernel(name), np.linspace(-0.5, 0.5, 301)
    powers = (t * t)[:, None] ** np.arange(4)
    even, odd = (by.weights[:, part].astype(float) @ powers.T for part in (0, 1))
    weights = np.concatenate([even + t * odd, (even - t * odd)[::-1]])
    order = KERNELS[name]
    exact = lanczos(order, t + 0.5) if order > 1 else np.stack([0.5 - t, 0.5 + t])
    assert np.abs(weights - exact).max() < 3e-6
    assert np.abs(powers @ by.squares.astype(float) - (exact**2).sum(axis=0)).max() < 3e-4


def test_weights_are_lanczos_s_and_keep_level_and_slope() -> None:
    fraction = np.linspace(0.0, 1.0, 101)
    for order in (2, 3, 4):
        weights = lanczos(order, fraction)
        away = fraction - (np.arange(2 * order) - order + 1)[:, None]
        assert np.allclose(weights.sum(axis=0), 1.0)
        assert np.allclose(np.sum(weights * away, axis=0), 0.0)
        assert np.abs(weights - np.sinc(away) * np.sinc(away / order)).max() < 0.02


@pytest.mark.parametrize("place", [(0.0, 0.0), (0.001, -30.0), (50.0, 90.0), (50.0, -89.99)])
@pytest.mark.parametrize("code", ["TAN", "ZEA", "STG"])
def test_the_pole_and_right_ascension_0(place: tuple[float, float], code: str) -> None:
    pixels = _star(90.0, 110.0)
    cards = _cards(0.5, 0.5, 0.1, place=place)
    tile = _tile(place=place, code=code)
    planes, _ = _run([_input("a/1", pixels, cards)], tile)
    x, y = projection(tile.cards).sky_to_pixel(*np.array(_sky(cards, 90.0, 110.0)))
    image = np.nan_to_num(planes["science"].astype(float))
    v, u = np.indices(image.shape)
    assert abs(image.sum() / pixels.sum() - 1) < 2e-4
    assert abs((u * image).sum() / image.sum() - x) < 0.01
    assert abs((v * image).sum() / image.sum() - y) < 0.01


def _sky(cards: dict[str, Any], x: float, y: float) -> tuple[float, float]:
    from spica.kernels.wcs import pixel_to_sky

    ra, dec = pixel_to_sky(from_cards(cards), x, y)
    return float(ra), float(dec)


def test_the_way_is_exact_between_its_nodes() -> None:
    sip = np.zeros((4, 4))
    sip[2, 0], sip[0, 2], sip[3, 0] = 3e-6, -2e-6, 1e-9
    wcs = tangent_wcs([10.0, 20.0], [1000.0, 2000.0], SCALE * np.array([[-1, 0.01], [0.01, 1]]), sip_a=sip, sip_b=sip.T)
    where = projection(_tile(4000).cards)
    path = way(where, (4000, 4000), wcs, (4000, 2000))
    assert path is not None
    rng = np.random.default_rng(5)
    u, v = rng.uniform(1100, 2800, 500), rng.uniform(100, 3900, 500)
    x, y = sky_to_pixel(wcs, *where.pixel_to_sky(u, v))
    from scipy.ndimage import map_coordinates

    at = np.stack([(v - path.y0) / path.step, (u - path.x0) / path.step])
    inside = (x > 0) & (x < 1999) & (y > 0) & (y < 3999)
    assert inside.sum() > 200
    for found, exact in ((path.nodes[0], x), (path.nodes[1], y)):
        assert np.abs(map_coordinates(found, at, order=1) - exact)[inside].max() < TOLERANCE


def test_bad_pixels_are_left_out_and_their_neighbours_told() -> None:
    pixels, mask = np.full((200, 200), 50.0), np.zeros((200, 200), np.int32)
    mask[100, 100], pixels[100, 100] = int(Mask.COSMIC), 1e5
    mask[60:64, 60:64] = int(Mask.SATURATED)
    pixels[120, 120] = np.nan
    planes, _ = _run([_input("a/1", pixels, _cards(0.4, 0.3), mask=mask)], _tile())
    good = planes["number"] > 0
    assert np.allclose(planes["science"][good], 50.0, rtol=2e-5)
    told = planes["mask"]
    assert ((told[90:110, 90:110] & int(Mask.NO_DATA)) != 0).sum() == 1
    assert ((told[90:110, 90:110] & int(Mask.INTERPOLATED)) != 0).sum() >= 20
    assert ((told[110:130, 110:130] & int(Mask.NO_DATA)) != 0).sum() == 1
    assert ((told & int(Mask.SATURATED)) != 0).sum() == 16
    assert np.isnan(planes["science"][~good]).all()
    assert np.isinf(planes["variance"][~good]).all()


@pytest.mark.parametrize("method", ["mean", "clipped"])
def test_a_lost_pixel_takes_nothing_from_the_rest_of_its_row(method: str) -> None:
    mask = np.zeros((200, 200), np.int32)
    mask[100, 150] = int(Mask.BAD)
    # No rim of the exposure lies in the tile.
    planes, _ = _run([_input("a/1", np.full((200, 200), 50.0), _cards(0.4, 0.3), mask=mask)], _tile(160), method=method)
    assert (planes["number"] == 0).sum() == 1
    assert np.nanmax(np.abs(planes["science"] - 50.0)) < 1e-3


def test_artefacts_are_clipped_and_stars_are_not() -> None:
    given = [
        _input(f"e{n}/1", _star(100, 100, sigma=1.8 + 0.05 * n) + _noise(n, level=0.0), _cards()) for n in range(6)
    ]
    given[2]["science"].value.planes["science"][50] += 60.0
    planes, made = _run(given, _tile(), method="clipped")
    assert abs(planes["science"][50].mean()) < 0.5
    assert (planes["mask"][50] & int(Mask.CLIPPED) != 0).all()
    assert not (planes["mask"][97:104, 97:104] & int(Mask.CLIPPED)).any()
    assert (planes["number"][50] <= 5).all()
    mean, _ = _run(given, _tile())
    assert mean["science"][50].mean() > 8.0
    assert 0.004 < made["stack_quality"]["stack_clipped"].value < 0.01


@pytest.mark.parametrize("method", ["mean", "median", "clipped"])
def test_noise_is_as_told(method: str) -> None:
    given = [_input(f"e{n}/1", _noise(n, level=0.0), _cards(0.31 * n, 0.17 * n, 0.004 * n)) for n in range(7)]
    planes, made = _run(given, _tile(), method=method)
    part = slice(20, 180)
    pixels = planes["science"][part, part]
    told = np.sqrt(planes["variance"][part, part].mean())
    assert abs(pixels.std() / told - 1) < 0.03
    blocks = pixels.reshape(8, 20, 8, 20).sum(axis=(1, 3))
    assert abs(blocks.std() / (told * 20) / made["stack"].header["NOISECOR"] - 1) < 0.25
    assert made["stack"].header["PIXRATIO"] == pytest.approx(1.0, abs=1e-4)


def test_sums_over_pixels_finer_than_the_exposures_are_as_noisy_as_is_told() -> None:
    """Two cameras on one tile, their pixels 1.7 and 1.2 times as wide as its own."""
    given = [
        _input(f"e{n}/1", _noise(n, level=0.0), _cards(0.31 * n, 0.17 * n, scale=ratio * SCALE))
        for n, ratio in enumerate((1.7, 1.2))
    ]
    planes, made = _run(given, _tile())
    header, part = made["stack"].header, slice(20, 180)
    shares = 1.7**4, 1.2**4  # a wide pixel's light is spread over many, its noise with it
    assert header["PIXRATIO"] == pytest.approx(
        np.sqrt((1.7**2 * shares[0] + 1.2**2 * shares[1]) / sum(shares)), abs=0.01
    )
    told = np.sqrt(planes["variance"][part, part].mean())
    blocks = planes["science"][part, part].reshape(8, 20, 8, 20).sum(axis=(1, 3))
    assert blocks.std() / (told * 20) / header["NOISECOR"] == pytest.approx(1.0, abs=0.25)
    assert header["NOISECOR"] > 1.5


def test_the_sky_is_taken_off_and_weights_are_those_of_the_noise() -> None:
    v, u = np.indices((200, 200))
    cells = np.add.outer(0.05 * (np.arange(5) * 40 + 19.5), 0.1 * (np.arange(5) * 40 + 19.5))
    given = [_input(f"e{n}/1", 0.1 * u + 0.05 * v + 7.0 * n, _cards(n * 5.2)) for n in range(2)]
    sky = {f"e{n}/1": {"level": (cells + 7.0 * n).tolist(), "rms": 2.0 + n} for n in range(2)}
    planes, _ = _run(given, _tile(), sky)
    assert np.abs(planes["science"][planes["number"] > 0]).max() < 0.01
    uneven = [
        _input("a/1", np.full((200, 200), 1.0), _cards(), variance=1.0),
        _input("b/1", np.full((200, 200), 2.0), _cards(), variance=3.0),
    ]
    planes, _ = _run(uneven, _tile())
    assert np.allclose(planes["science"], 1.25)
    assert np.allclose(planes["variance"], 0.75)


def test_each_row_is_read_once() -> None:
    given = [_input("a/1", _noise(1), _cards(2.2, 3.3, 0.02))]
    _run(given, _tile(), memory=1)
    reads = sorted(given[0]["science"].value.reads)
    seen = np.zeros(200, int)
    for y0, y1 in reads:
        seen[y0:y1] += 1
    assert seen.max() == 1


def test_what_is_kept_of_inputs_has_a_bound() -> None:
    given = [_input(f"e{n}/1", _noise(n), _cards(2.2, 3.3, 0.2)) for n in range(6)]
    _run(given, _tile(), memory=1)
    again = 0
    for each in given:
        seen = np.zeros(200, int)
        for y0, y1 in each["science"].value.reads:
            seen[y0:y1] += 1
        again += int(seen.max() > 1)
    # There is room for the rows of some of them: the others are read again.
    assert 0 < again < 6


def _broken(**change: Any) -> dict[str, Any]:
    made = _input("bad/1", _noise(1), _cards())
    for key, value in change.items():
        if value is None:
            del made[key]
        else:
            made[key] = Member("bad/1", dict(made[key].value) | value)
    return made


def _unreadable() -> dict[str, Any]:
    made = _input("bad/1", _noise(1), _cards())
    made["science"].value.broken = 150
    return made


BAD = [
    (lambda: _broken(sky_solution=None), "stack.no-solution"),
    (lambda: _broken(sky_solution={"cards": {"CTYPE1": "RA---TAN"}}), "stack.no-solution"),
    (lambda: _broken(light=None), "stack.no-zero-point"),
    (lambda: _broken(light={"zero": float("nan")}), "stack.no-zero-point"),
    (lambda: _broken(sky_solution={"cards": _cards(scale=10 * SCALE)}), "stack.scale"),
    (lambda: _input("bad/1", _noise(1), _cards(), variance=np.inf), "stack.no-weight"),
    (lambda: _input("bad/1", _noise(1), _cards(), variance=0.0), "stack.no-weight"),
    (_unreadable, "stack.input"),
]


@pytest.mark.parametrize(("make", "code"), BAD)
def test_an_input_that_cannot_be_used_is_named_or_left_out(make: Any, code: str) -> None:
    good = _input("good/1", _noise(2), _cards())
    with pytest.raises(DataFault, match="bad/1") as caught:
        _run([good, make()], _tile())
    assert caught.value.code == code
    planes, made = _run([good, make()], _tile(), lost="leave out")
    alone, _ = _run([good], _tile())
    assert np.array_equal(planes["science"], alone["science"])
    assert made["stack"].header["LEFT01"] == f"bad/1 {code}"
    assert made["stack"].header["NLEFTOUT"] == 1
    with pytest.raises(DataFault) as caught:
        _run([make()], _tile(), lost="leave out")
    assert caught.value.code == "stack.nothing"


def test_zero_points_of_two_systems_are_not_mixed() -> None:
    one, two = (_input(f"{name}/1", _noise(2), _cards()) for name in "ab")
    _, made = _run([one], _tile())
    assert made["stack"].header["MAGSYS"] == "AB"
    two["light"] = Member("b/1", {**two["light"].value, "scale": "Vega"})
    with pytest.raises(DataFault, match="a/1: AB; b/1: Vega") as caught:
        _run([one, two], _tile())
    assert caught.value.code == "stack.mixed-scales"


def test_a_sky_that_only_some_have_is_named() -> None:
    given = [_input(f"{name}/1", _noise(2), _cards()) for name in "ab"]
    mesh = {"level": [[100.0]], "rms": 2.0}
    with pytest.raises(DataFault, match="b/1") as caught:
        _run(given, _tile(), {"a/1": mesh})
    assert caught.value.code == "stack.no-sky"
    _, made = _run(given, _tile(), {"a/1": mesh}, lost="leave out")
    assert (made["stack"].header["LEFT01"], made["stack"].header["BACKMETH"]) == ("b/1 stack.no-sky", "mesh")
    _, made = _run(given, _tile())
    assert made["stack"].header["BACKMETH"] == "none"


def test_a_tile_with_no_exposure() -> None:
    with pytest.raises(DataFault) as caught:
        _run([_input("a/1", _noise(1), _cards(place=(50.0, 20.0)))], _tile())
    assert caught.value.code == "stack.nothing"
