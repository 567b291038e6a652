"""Odd frames: empty, saturated, crowded, trailed … Each ends done with its verdict, or failed by name; nothing is lost.

One detector is spoilt; the other one of the same exposure must give what it gives in a calm night, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from astropy.io import fits

from tests.drills.ground import Field, name_of
from tests.support.survey import SKY
from tests.support.terminal import new_survey

NUMBER = 10
OBJECT = name_of(NUMBER)
ODD, NEIGHBOUR = f"{OBJECT}/1", f"{OBJECT}/2"
SIZE = 256
ORDER = SKY | {
    "exposures": "1",
    "detector_size": f"{SIZE},{SIZE}",
    "density": "4000",
    "mag_faint": "22",
    "star_fraction": "0.8",
    "effects.trails": "false",
}
Pixels = np.ndarray
Spoil = Callable[[Pixels, "Layout"], Pixels]


class Layout(NamedTuple):
    """Columns of the raw HDU: data and overscan of the two amplifiers."""

    data: tuple[slice, slice]
    overscan: tuple[slice, slice]


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """A survey with masters whose object exposure has not come yet; read-only."""
    root = tmp_path_factory.mktemp("frames")
    terminal = new_survey(root / "survey")
    words = [word for name, value in ORDER.items() for word in ("--set", f"{name}={value}")]
    terminal.order("simulate", root / "sky", *words)
    field = Field(terminal.folder, root / "sky")
    calibrations = [path for path in field.delivery.rglob("*.fz") if path != field.raw(NUMBER)]
    field.order("ingest", *calibrations)
    field.order("run", "calibrations", "--executor", "inprocess")
    return field


@pytest.fixture(scope="module")
def good(masters: Field, tmp_path_factory: pytest.TempPathFactory) -> Field:
    """The same with the exposure as it should be, reduced."""
    field = masters.copy(tmp_path_factory.mktemp("good"))
    field.order("ingest", field.delivery)
    assert field.night(pipeline="reduce")["complete"]
    return field


@pytest.fixture
def waiting(masters: Field, tmp_path: Path) -> Field:
    return masters.copy(tmp_path)


def layout() -> Layout:
    """As the demonstration camera lays its two amplifiers out; the second is stored in read-out order."""
    half = SIZE // 2
    step = 16 + half + 32
    return Layout(
        (slice(16, 16 + half), slice(step + 16, step + 16 + half)),
        (slice(16 + half, step), slice(step + 16 + half, 2 * step)),
    )


def spoil_first(path: Path, spoil: Spoil) -> None:
    """Change the raw pixels of the first detector."""
    with fits.open(path) as hdus:
        parts: list[Any] = [fits.PrimaryHDU(header=hdus[0].header)]
        for number, hdu in enumerate(hdus[1:]):
            pixels = hdu.data if number else spoil(hdu.data.astype(np.float64), layout())
            if number == 0 and np.isfinite(pixels).all():
                pixels = np.clip(np.rint(pixels), 0, 65535).astype(np.uint16)
            kind = "RICE_1" if pixels.dtype == np.uint16 else "GZIP_2"
            parts.append(fits.CompImageHDU(pixels, name=hdu.name, compression_type=kind, quantize_level=0))
        fits.HDUList(parts).writeto(path, overwrite=True, checksum=True)


def level(pixels: Pixels, where: Layout, amplifier: int) -> float:
    return float(np.median(pixels[:, where.overscan[amplifier]]))


def no_numbers(pixels: Pixels, where: Layout) -> Pixels:
    return np.full(pixels.shape, np.nan, np.float32)


def no_numbers_in_the_data(pixels: Pixels, where: Layout) -> Pixels:
    for data in where.data:
        pixels[:, data] = np.nan
    return pixels.astype(np.float32)


def all_saturated(pixels: Pixels, where: Layout) -> Pixels:
    for data in where.data:
        pixels[:, data] = 65535
    return pixels


def saturated_with_the_overscan(pixels: Pixels, where: Layout) -> Pixels:
    return np.full(pixels.shape, 65535.0)


def saturated_overscan(pixels: Pixels, where: Layout) -> Pixels:
    pixels[:, where.overscan[0]] = 65535
    return pixels


def without_sources(pixels: Pixels, where: Layout) -> Pixels:
    rng = np.random.default_rng(1)
    for number, data in enumerate(where.data):
        sky = np.median(pixels[:, data]) - level(pixels, where, number)
        pixels[:, data] = level(pixels, where, number) + rng.normal(sky, np.sqrt(sky / 1.6 + 14), pixels[:, data].shape)
    return pixels


def very_crowded(pixels: Pixels, where: Layout) -> Pixels:
    rng = np.random.default_rng(2)
    v, u = np.mgrid[-8:9, -8:9]
    for data in where.data:
        part = np.pad(pixels[:, data], 8)
        for y, x, light in rng.uniform((8, 8, 2), (SIZE + 7, SIZE // 2 + 7, 4), (3000, 3)):
            j, i = int(y), int(x)
            profile = np.exp(-((u - x + i) ** 2 + (v - y + j) ** 2) / (2 * 1.1**2))
            part[j - 8 : j + 9, i - 8 : i + 9] += 10**light * profile
        pixels[:, data] = part[8:-8, 8:-8]
    return pixels


def trailed(pixels: Pixels, where: Layout) -> Pixels:
    """The telescope moved along the columns while the shutter was open."""
    for data in where.data:
        pixels[:, data] = np.mean([np.roll(pixels[:, data], step, axis=0) for step in range(-3, 4)], axis=0)
    return pixels


def dead_amplifier(pixels: Pixels, where: Layout) -> Pixels:
    pixels[:, where.data[0]] = level(pixels, where, 0)
    return pixels


def negative_sky(pixels: Pixels, where: Layout) -> Pixels:
    for number, data in enumerate(where.data):
        pixels[:, data] -= np.median(pixels[:, data]) - level(pixels, where, number) + 60
    return pixels


def bleeding_star(pixels: Pixels, where: Layout) -> Pixels:
    """A star so bright that it bleeds through the whole detector."""
    v, u = np.mgrid[: pixels.shape[0], : SIZE // 2]
    distance = np.hypot(u - 60, v - 120)
    pixels[:, where.data[0]] += 3e6 / (1 + (distance / 2) ** 2) ** 1.8
    first = where.data[0].start
    pixels[:, first + 57 : first + 64] = 65535
    return np.asarray(np.minimum(pixels, 65535))


def spurious(pixels: Pixels, where: Layout) -> Pixels:
    """A pattern of small blobs everywhere: what a lost clock does to a read-out."""
    # As wide as stars: sharper ones are taken for cosmic rays.
    away = (np.indices(pixels.shape) + 6) % 12 - 6
    blobs = np.exp(-(away**2).sum(axis=0) / (2 * 1.7**2))
    for data in where.data:
        pixels[:, data] += 600.0 * blobs[:, data]
    return pixels


FAILING: list[Any] = [
    pytest.param(no_numbers, {"data.no-overscan", "data.no-pixels"}, marks=pytest.mark.slow),
    pytest.param(no_numbers_in_the_data, {"data.no-pixels"}, marks=pytest.mark.slow),
    (all_saturated, {"data.no-pixels"}),
    pytest.param(saturated_with_the_overscan, {"data.no-overscan", "data.no-pixels"}, marks=pytest.mark.slow),
]
DONE: list[Any] = [
    pytest.param(without_sources, "D", "seeing", marks=pytest.mark.slow),
    pytest.param(very_crowded, "", "", marks=pytest.mark.slow),
    (trailed, "D", ""),
    (dead_amplifier, "D", "dead_amplifiers"),
    pytest.param(saturated_overscan, "D", "dead_amplifiers", marks=pytest.mark.slow),
    pytest.param(negative_sky, "", "", marks=pytest.mark.slow),
    pytest.param(bleeding_star, "C", "saturated_fraction", marks=pytest.mark.slow),
]


def neighbour(field: Field) -> tuple[Any, bytes]:
    """What the other detector gives: its verdict and figures, and its picture."""
    story = field.ask("why", NEIGHBOUR)
    figures = {line["name"]: line["value"] for line in story["metrics"]}
    return (story["quality"], figures), field.product(NEIGHBOUR, "quicklook").read_bytes()


def reduced(field: Field, spoil: Spoil, *words: str, code: int = 0) -> Any:
    spoil_first(field.raw(NUMBER), spoil)
    field.order("ingest", field.raw(NUMBER))
    return field.night(*words, pipeline="reduce", code=code)


@pytest.mark.parametrize(("spoil", "codes"), FAILING, ids=lambda value: getattr(value, "__name__", None))
def test_a_frame_without_usable_pixels_fails_by_name(
    waiting: Field, good: Field, spoil: Spoil, codes: set[str]
) -> None:
    made = reduced(waiting, spoil, code=1)
    assert (made["failed"], made["left"]) == (1, 0)
    story = waiting.ask("why", ODD)
    job, verdict = story["jobs"]
    assert job["outcome"] == "failed"
    assert job["fault"]["code"] in codes
    assert ODD in job["fault"]["message"]
    assert job["fault"]["advice"] in story["todo"]
    assert verdict["fault"]["code"] == job["fault"]["code"], "told once, by its own name"
    assert story["verdict"] == "failed in reduce"
    assert neighbour(waiting) == neighbour(good)
    exposure = waiting.ask("why", OBJECT)
    figures = {line["name"]: line["value"] for line in exposure["metrics"]}
    assert (figures["detectors"], figures["detectors_lost"]) == (1, 1)
    assert exposure["quality"]["grade"] == "D"
    assert waiting.product(OBJECT, "focal_plane").stat().st_size > 0


@pytest.mark.parametrize(("spoil", "grade", "metric"), DONE, ids=lambda value: getattr(value, "__name__", None))
def test_an_odd_frame_is_reduced_and_judged(waiting: Field, good: Field, spoil: Spoil, grade: str, metric: str) -> None:
    made = reduced(waiting, spoil)
    assert made["complete"], made["faults"]
    quality = waiting.ask("why", ODD)["quality"]
    calm = good.ask("why", ODD)["quality"]
    assert calm["grade"] in "AB", calm
    assert quality["grade"] >= (grade or calm["grade"])
    if metric:
        assert any(metric in reason for reason in quality["reasons"]), quality
    assert neighbour(waiting) == neighbour(good)
    worst = waiting.ask("grades")["grades"][0]
    assert worst["grade"] == max(quality["grade"], good.ask("why", NEIGHBOUR)["quality"]["grade"])


def test_too_many_detections_stop_with_a_fault(waiting: Field, good: Field) -> None:
    made = reduced(waiting, spurious, "--set", "detect.maximum_sources=300", code=1)
    assert (made["failed"], made["left"]) == (1, 0)
    fault = waiting.ask("why", ODD)["jobs"][0]["fault"]
    assert fault["code"] == "data.too-many-sources"
    assert fault["evidence"]["detections"] > 300
    assert neighbour(waiting)[1] == neighbour(good)[1]


def test_a_camera_without_overscan_where_it_is_required(waiting: Field) -> None:
    table = waiting.folder / "cameras" / "demo.toml"
    # What was overscan is prescan now: the columns are told of, and no level can be taken from them.
    told, count = re.subn(r"overscan = (\[[^]]*\]), prescan = \[[^]]*\]", r"prescan = \1", table.read_text())
    assert count == 4
    table.write_text(told)
    waiting.order("ingest", waiting.raw(NUMBER))
    made = waiting.night(pipeline="reduce", code=1)
    assert made["done"] == 0
    codes = {line["code"] for line in waiting.ask("faults")["faults"]}
    assert codes == {"data.no-overscan", "data.quorum"}
