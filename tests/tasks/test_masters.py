"""Level, combine, defects: masters from frames, by bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar, Unit
from spica.core.streams import Banded, Rows
from spica.core.task import Member
from spica.tasks.combine import CombineSettings, combine
from spica.tasks.compare import CompareSettings, compare
from spica.tasks.defects import DefectSettings, defects
from spica.tasks.level import LevelSettings, level
from spica.tasks.normalise import NormaliseSettings, normalise
from spica.tasks.sensitivity import SensitivitySettings, sensitivity

LEVELLED = CompareSettings(scale="level")
UNIT = Unit(Grain.CALIBRATION, ("demo", "1", "r", "2026-11-20"))
SHAPE = (40, 30)


@dataclass
class Memory:
    """`Rows` over arrays, that counts how many rows were asked for at once."""

    image: Image
    header: Mapping[str, Scalar] = field(default_factory=dict)
    highest: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return self.image.pixels.dtype

    def delivered(self) -> Mapping[str, Scalar]:
        return {}

    def read(self, y0: int, y1: int, plane: str = "science") -> npt.NDArray[np.generic]:
        self.highest = max(self.highest, y1 - y0)
        planes = {"science": self.image.pixels, "mask": self.image.mask, "variance": self.image.variance}
        found = planes[plane]
        assert found is not None
        return found[y0:y1]


def frames(number: int, mean: float, sigma: float, seed: int = 1) -> list[Image]:
    rng = np.random.default_rng(seed)
    header = {"EXPTIME": 10.0, "DARKTIME": 10.0}
    return [
        Image(
            rng.normal(mean, sigma, SHAPE).astype(np.float32),
            np.full(SHAPE, sigma**2, np.float32),
            np.zeros(SHAPE, np.int32),
            header,
        )
        for _ in range(number)
    ]


def chosen(images: list[Image], settings: CompareSettings, planes: list[float] | None = None) -> Mapping[str, Any]:
    """What `level` and `compare` make of frames."""
    levels = [Member(f"detector:e{n}/1", level(LevelSettings(), image)["level"]) for n, image in enumerate(images)]
    whole = [Member(f"exposure:e{n}", {"level": value}) for n, value in enumerate(planes or ())]
    choice: Mapping[str, Any] = compare(settings, tuple(levels), tuple(whole))["choice"]
    return choice


def members(images: list[Image]) -> tuple[Member, ...]:
    rows = [Memory(image) for image in images]
    assert all(isinstance(row, Rows) for row in rows)
    return tuple(Member(f"detector:e{n}/1", row) for n, row in enumerate(rows))


def together(banded: Banded) -> Image:
    """Run a banded product to its end and put the bands together."""
    bands = list(banded.bands)
    planes = [np.concatenate([band.planes[name] for band in bands]) for name in ("science", "variance", "mask")]
    assert planes[0].shape == banded.shape
    return Image(planes[0], planes[1], planes[2], banded.header)


def master(
    images: list[Image],
    settings: CombineSettings | None = None,
    compared: CompareSettings | None = None,
    planes: list[float] | None = None,
) -> Image:
    choice = chosen(images, compared or CompareSettings(), planes)
    banded = combine(settings or CombineSettings(), members(images), choice, UNIT)["master"]
    assert isinstance(banded, Banded)
    return together(banded)


def test_the_mean_comes_back_with_its_error() -> None:
    found = master(frames(9, 100, 6), CombineSettings())
    assert found.variance is not None
    assert float(found.pixels.mean()) == pytest.approx(100, abs=4 * 2 / np.sqrt(found.pixels.size))
    assert np.median(found.variance) == pytest.approx(4.0)
    assert float(np.sqrt(found.variance.mean())) == pytest.approx(2.0, rel=0.05)
    assert found.header["NCOMBINE"] == 9


@pytest.mark.parametrize("method", ["clipped", "median", "mean"])
@pytest.mark.parametrize("number", [3, 5])
def test_pulls_of_few_frames_have_unit_width(method: str, number: int) -> None:
    settings = CombineSettings.model_validate({"method": method})
    found = [master(frames(number, 50, 4, seed), settings) for seed in range(10)]
    pulls = np.concatenate([(image.pixels - 50) / np.sqrt(np.asarray(image.variance)) for image in found])
    assert 0.95 < float(np.std(pulls)) < 1.08


def test_neighbours_share_their_variance_but_not_with_a_hot_pixel() -> None:
    images = frames(3, 100, 6)
    rng = np.random.default_rng(5)
    shape = images[0].shape
    noisy = [
        dataclasses.replace(image, variance=rng.normal(36, 4, shape).astype(np.float32), pixels=image.pixels.copy())
        for image in images
    ]
    for image in noisy:
        assert image.variance is not None
        image.variance[3, 4] = 900.0
    found = np.asarray(master(noisy).variance)
    assert found[3, 4] == pytest.approx(300.0)
    others = np.delete(found.ravel(), 3 * shape[1] + 4)
    assert np.median(others) == pytest.approx(12.0, rel=0.02)
    assert np.std(others) < 0.4 * 4 / 3 / np.sqrt(3), "they do not scatter with the frames' noise"


def test_the_result_does_not_depend_on_the_bands() -> None:
    images = [
        dataclasses.replace(
            image,
            pixels=np.tile(image.pixels, (40, 40)),
            variance=np.ones((1600, 1200), np.float32),
            mask=np.zeros((1600, 1200), np.int32),
        )
        for image in frames(4, 50, 5)
    ]
    small, large = (master(images, CombineSettings(memory=memory)) for memory in (8, 512))
    assert np.array_equal(small.pixels, large.pixels)
    rows = members(images)
    list(combine(CombineSettings(memory=8), rows, chosen(images, CompareSettings()), UNIT)["master"].bands)
    assert max(row.value.highest for row in rows) < images[0].shape[0]


def test_cosmic_rays_and_masked_pixels_are_left_out() -> None:
    images = frames(7, 100, 3)
    images[2].pixels[5, 5] = 9000
    images[3].pixels[6, 6] = -9000
    assert images[3].mask is not None
    images[3].mask[6, 6] = Mask.BAD
    found = master(images, CombineSettings())
    assert abs(found.pixels[5, 5] - 100) < 10
    assert abs(found.pixels[6, 6] - 100) < 10


def test_flats_of_any_level_make_one_flat() -> None:
    rng = np.random.default_rng(4)
    response = rng.uniform(0.9, 1.1, SHAPE)
    zero = np.zeros(SHAPE, np.int32)
    images = [
        Image((response * scale).astype(np.float32), np.full(SHAPE, scale, np.float32), zero)
        for scale in (1e4, 2e4, 3e4)
    ]
    found = master(images, None, LEVELLED)
    np.testing.assert_allclose(found.pixels, response / np.median(response), rtol=1e-5)


def test_darks_become_a_rate() -> None:
    found = master(frames(5, 40, 1), None, CompareSettings(scale="dark_time"))
    assert float(found.pixels.mean()) == pytest.approx(4.0, abs=0.02)
    assert found.header["BUNIT"] == "electron/s"


def test_unfit_frames_are_left_out_with_their_reason() -> None:
    images = [*frames(3, 20000, 10), *frames(1, 10, 1)]
    found = master(images, None, CompareSettings(scale="level", least_level=1000.0))
    assert found.header["NLEFTOUT"] == 1
    with pytest.raises(DataFault, match=r"3 of 4 frames.*e3/1: level \d+\.\d+ is too low") as caught:
        master(images, CombineSettings(minimum=4), CompareSettings(least_level=1000.0))
    assert caught.value.code == "calibration.too-few"


def test_frames_of_other_shapes_are_named() -> None:
    odd = Image(np.ones((3, 3), np.float32), np.ones((3, 3), np.float32), np.zeros((3, 3), np.int32))
    with pytest.raises(DataFault, match=r"e3/1 has the shape \(3, 3\)"):
        master([*frames(3, 1, 1), odd], CombineSettings())


def test_a_frame_without_pixels_has_no_level() -> None:
    with pytest.raises(DataFault) as caught:
        level(LevelSettings(), Image(np.full(SHAPE, np.nan, np.float32)))
    assert caught.value.code == "data.no-pixels"


def test_hot_pixels_are_found_and_no_others() -> None:
    dark = frames(1, 0.1, 0.01)[0]
    dark.pixels[3, 4], dark.pixels[30, 20] = 5.0, 0.4
    found = defects(DefectSettings(), dark)["defects"]
    assert [tuple(place) for place in np.argwhere(found.mask)] == [(3, 4), (30, 20)]
    assert found.header["NHOT"] == 2


def test_cold_low_high_pixels_of_a_flat_are_found_and_no_others() -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:256, :200] / 256.0
    flat = ((1 - 0.2 * (x**2 + y**2)) * rng.normal(1, 0.01, y.shape)).astype(np.float32)
    flat[40, 50], flat[41, 60], flat[42, 70] = 0.0, 0.4, 1.5
    found = defects(DefectSettings(), None, Image(flat))["defects"]
    assert [tuple(place) for place in np.argwhere(found.mask)] == [(40, 50), (41, 60), (42, 70)]
    assert (found.header["NLOW"], found.header["NHIGH"], found.header["NBAD"]) == (2, 1, 3)


def test_whole_and_weak_columns_are_found() -> None:
    rng = np.random.default_rng(3)
    flat = rng.normal(1, 0.01, (256, 200)).astype(np.float32)
    dark = rng.normal(0.02, 0.01, flat.shape).astype(np.float32)
    flat[:, 30] *= 0.92  # no pixel of it is low
    flat[100:, 50] = np.where(rng.uniform(size=156) < 0.5, 0.1, 1.0)  # every other pixel is
    dark[60:, 80] += 5.0
    hot = defects(DefectSettings(), dark=Image(dark))["defects"]
    found = defects(DefectSettings(), flat=Image(flat), known=hot)["defects"]
    assert found.mask is not None
    bad = found.mask & int(Mask.BAD) != 0
    assert set(np.flatnonzero(bad.any(axis=0))) == {30, 50, 80}
    assert bad[:, 30].all()
    assert bad[110:250, 50].all()
    assert not bad[:98, 50].any()
    assert bad[60:, 80].all()
    assert found.header["NCOLUMN"] == 3
    assert found.header["NBAD"] == np.count_nonzero(bad)


def test_pixels_that_do_not_repeat_are_marked_and_become_defects() -> None:
    images = frames(9, 100, 3)
    for n, image in enumerate(images):
        image.pixels[10, 10] += 60.0 * (n % 2)
    found = master(images)
    assert found.mask is not None
    assert [tuple(place) for place in np.argwhere(found.mask)] == [(10, 10)]
    assert found.mask[10, 10] == Mask.SUSPECT
    unstable = defects(DefectSettings(least_dark=1e3), dark=found)["defects"]
    assert unstable.header["NUNSTABL"] == 1
    assert unstable.mask is not None
    assert unstable.mask[10, 10] == Mask.BAD


def test_a_pixel_without_light_has_no_flat() -> None:
    images = frames(4, 20000, 100)
    for image in images:
        image.pixels[5, 5] = 0.0
    images[1].pixels[6, 6] = 0.0
    found = master(images, None, LEVELLED)
    assert found.mask is not None
    assert [tuple(place) for place in np.argwhere(found.mask & int(Mask.NO_DATA))] == [(5, 5)]
    assert found.pixels[6, 6] == pytest.approx(1.0, abs=0.02)


def test_a_flat_keeps_the_sensitivity_of_its_detector() -> None:
    found = master(frames(4, 20000, 100), None, LEVELLED, [25000.0] * 4)
    assert float(np.median(found.pixels)) == pytest.approx(0.8, rel=1e-3)
    assert found.header["FLATNORM"] == "focal plane"
    assert found.header["RELSENS"] == pytest.approx(0.8, rel=1e-3)


@pytest.mark.parametrize(("method", "number"), [("clipped", 5), ("clipped", 20), ("median", 11), ("mean", 7)])
def test_many_masters_scatter_as_much_as_they_say(method: str, number: int) -> None:
    settings = CombineSettings.model_validate({"method": method})
    made = [master(frames(number, 50, 4, seed), settings) for seed in range(40)]
    scatter = np.var([each.pixels for each in made], axis=0, ddof=1).mean()
    stated = np.mean([np.asarray(each.variance).mean() for each in made])
    assert scatter / stated == pytest.approx(1.0, abs=0.03)


def test_the_smooth_map_is_the_response_without_its_pixels() -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[-1:1:400j, -1:1:300j]
    smooth = 0.9 * (1 - 0.1 * (x**2 + y**2) + 0.03 * x * y - 0.02 * y)
    flat = (smooth * rng.normal(1, 0.01, y.shape)).astype(np.float32)
    flat[100:130, 50:80] *= np.float32(0.7)  # dust
    found = sensitivity(SensitivitySettings(), Image(flat))["sensitivity"]
    assert np.abs(found.pixels / smooth - 1).max() < 2e-3
    assert found.header["RELSENS"] == pytest.approx(float(np.median(smooth)), rel=1e-3)
    assert found.header["CHEB11"] == pytest.approx(0.9 * 0.03, abs=5e-4)
    with pytest.raises(DataFault) as caught:
        sensitivity(SensitivitySettings(), Image(np.full((300, 300), np.nan, np.float32)))
    assert caught.value.code == "data.no-pixels"


def sky(seed: int, shape: tuple[int, int] = (512, 512)) -> tuple[Image, npt.NDArray[np.float64]]:
    """A frame with fringes of 2 % on a sloping sky, stars and a galaxy; and the true fringes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    fringes = 0.02 * np.sin(2 * np.pi * (x + 0.5 * y) / 35 + 2 * np.sin(y / 80))
    level = 8000 * (1 + 0.05 * x / 512)
    light = level * (1 + fringes)
    for v, u, flux, width in zip(
        rng.uniform(0, shape[0], 60),
        rng.uniform(0, shape[1], 60),
        10 ** rng.uniform(3.5, 6, 60),
        [3.0] * 59 + [20.0],
        strict=True,
    ):
        light += flux / (2 * np.pi * width**2) * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 2 / width**2)
    pixels = rng.normal(light, np.sqrt(light)).astype(np.float32)
    return Image(pixels, light.astype(np.float32), np.zeros(shape, np.int32), {"EXPTIME": 60.0}), fringes


def test_fringes_come_back_from_dithered_skies() -> None:
    frames_of_sky = [sky(seed) for seed in range(9)]
    patterns = [normalise(NormaliseSettings(), image)["pattern"] for image, _ in frames_of_sky]
    found = master(patterns, CombineSettings(kappa=3.0), CompareSettings(offset=0.02, outliers=0.05, noise=5.0))
    truth = frames_of_sky[0][1]
    assert found.header["NCOMBINE"] == 9
    assert abs(float(np.mean(found.pixels))) < 5e-4
    slope = float(np.sum(found.pixels * truth) / np.sum(truth**2))
    assert slope == pytest.approx(1.0, abs=0.04)
    pulls = (found.pixels - slope * truth) / np.sqrt(np.asarray(found.variance))
    assert float(np.std(pulls)) == pytest.approx(1.0, abs=0.1)


def test_a_crowded_or_dark_sky_makes_no_fringes() -> None:
    image, _ = sky(1)
    rng = np.random.default_rng(1)
    crowded = image.pixels + 5000 * (rng.uniform(size=image.shape) < 0.05).astype(np.float32)
    with pytest.raises(DataFault) as caught:
        normalise(NormaliseSettings(), Image(crowded, image.variance, image.mask))
    assert caught.value.code == "data.no-pixels"
    with pytest.raises(DataFault) as caught:
        normalise(NormaliseSettings(), Image(image.pixels - 9000, image.variance, image.mask))
    assert caught.value.code == "data.bad-value"
