"""A real series of forty dithered frames without a sky solution, stacked by the pipeline: as deep as noise allows, hits left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.series import DEPTHS, Stack, darkest, depth, hits, light, made

pytestmark = [pytest.mark.realdata, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def stacks(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stack]:
    return made(real_data, tmp_path_factory.mktemp("series") / "survey")


def test_all_forty_frames_are_on_the_stack(stacks: dict[str, Stack]) -> None:
    whole = stacks["all"]
    assert whole.image.header["NCOMBINE"] == 40
    assert whole.image.header["MAGSYS"] == "relative"
    assert np.mean(whole.number > 35) > 0.9
    assert 3.5 < float(whole.sources.header["PSFFWHM"] or 0.0) < 5.0


def test_the_noise_is_what_the_stack_says_and_falls_as_frames_are_added(stacks: dict[str, Stack]) -> None:
    dark = darkest(stacks["all"].image)
    found = [depth(stacks[f"a{n:02d}"], stacks[f"b{n:02d}"], dark, n) for n in DEPTHS]
    for each in found:
        assert each.sky == pytest.approx(each.stated, rel=0.06)
        # Frames are of unlike transparency and sky.
        assert found[0].sky / each.sky == pytest.approx(np.sqrt(each.frames), rel=0.15)
        assert each.bright[1] > 15
        assert each.bright[0] < 0.025
    assert found[-1].faint[0] < 0.75 * found[0].faint[0]
    # The noise of all forty: half the difference of both halves.
    halves = depth(stacks["a20"], stacks["b20"], dark, 20).sky / np.sqrt(2.0)
    assert halves == pytest.approx(float(np.median(stacks["all"].noise[dark])), rel=0.06)


def test_hits_are_left_out_and_the_light_of_stars_stays(stacks: dict[str, Stack]) -> None:
    mean, clipped, strict = stacks["mean"], stacks["all"], stacks["strict"]
    assert hits(mean, clipped).sum() > 300
    assert np.nanmedian(np.abs(light(clipped, mean))) < 0.015
    # Seeing from 3.4 to 8.2 pixels: a narrow limit takes the middles of stars in poor seeing for artefacts.
    assert np.nanmedian(light(strict, mean)) < -0.03
