"""The picture of a joint solution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spica.core.task import Products
from spica.services.solution_picture import draw as draw_picture
from spica.tasks.solve.settings import SolveSettings
from tests.support.joint_field import draw
from tests.support.joint_lists import SMALL
from tests.support.joint_task import inputs, solved


@pytest.fixture(scope="module")
def made() -> Products:
    return solved(SolveSettings(), **inputs(draw(SMALL)))


def test_it_is_drawn_and_the_same_twice(made: Products, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        draw_picture(made["solution"], made["matches"], tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "one.png").convert("L"))
    assert pixels.shape == (990, 1210)
    assert np.mean(pixels < 128) > 0.005


def test_without_detections_that_count_it_is_drawn_all_the_same(made: Products, tmp_path: Path) -> None:
    none = made["matches"].select(made["matches"]["used"] < 0)
    draw_picture(made["solution"], none, tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 10_000
