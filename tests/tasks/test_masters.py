"""Level, combine, defects: masters from frames, by bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

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
from spica.tasks.defects import DefectSettings, defects
from spica.tasks.level import LevelSettings, level

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


def members(images: list[Image]) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    rows = [Memory(image) for image in images]
    assert all(isinstance(row, Rows) for row in rows)
    levels = [level(LevelSettings(), image)["level"] for image in images]
    return (
        tuple(Member(f"detector:e{n}/1", row) for n, row in enumerate(rows)),
        tuple(Member(f"detector:e{n}/1", value) for n, value in enumerate(levels)),
    )


def master(images: list[Image], settings: CombineSettings) -> Image:
    """Run the banded task to its end and put the bands together."""
    banded = combine(settings, *members(images), UNIT)["master"]
    assert isinstance(banded, Banded)
    bands = list(banded.bands)
    planes = [np.concatenate([band.planes[name] for band in bands]) for name in ("science", "variance", "mask")]
    assert planes[0].shape == banded.shape
    return Image(planes[0], planes[1], planes[2], banded.header)


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
    rows, levels = members(images)
    list(combine(CombineSettings(memory=8), rows, levels, UNIT)["master"].bands)
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
    found = master(images, CombineSettings(scale="level"))
    np.testing.assert_allclose(found.pixels, response / np.median(response), rtol=1e-5)


def test_darks_become_a_rate() -> None:
    found = master(frames(5, 40, 1), CombineSettings(scale="dark_time"))
    assert float(found.pixels.mean()) == pytest.approx(4.0, abs=0.02)
    assert found.header["BUNIT"] == "electron/s"


def test_unfit_frames_are_left_out_with_their_reason() -> None:
    images = [*frames(3, 20000, 10), *frames(1, 10, 1)]
    found = master(images, CombineSettings(scale="level", least_level=1000.0))
    assert found.header["NLEFTOUT"] == 1
    with pytest.raises(DataFault, match=r"3 of 4 frames.*e3/1: level \d+\.\d+ is too low") as caught:
        master(images, CombineSettings(minimum=4, least_level=1000.0))
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
