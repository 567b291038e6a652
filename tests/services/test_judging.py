"""Judging against the truth judges rightly: honest results are good, spoilt ones are not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spica.core.camera import AmplifierSpec, DetectorSpec
from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Unit
from spica.services import judging
from spica.services.judging import Finding
from spica.services.truth import Frame, Master, match

SIZE = 600
SKY = 900.0
RNG = np.random.default_rng(5)


def frame(shift: float = 1.0, light: float = 1.0, scale: float = 1.0) -> Frame:
    """A detector with stars on a grid; errors of place and light as stated times `shift`, noise times `scale`."""
    x, y = (axis.ravel() + RNG.uniform(-2, 2, axis.size) for axis in np.meshgrid(*[np.arange(30.0, 590.0, 40.0)] * 2))
    n = x.size
    electrons = 10 ** RNG.uniform(4.2, 5.5, n)
    error = np.sqrt(electrons + 80 * SKY)
    place_error = np.full(n, 0.02)
    sources = Catalogue(
        {
            "x": x + shift * place_error * RNG.normal(size=n),
            "y": y + shift * place_error * RNG.normal(size=n),
            "x_err": place_error,
            "y_err": place_error,
            "flux_aper": np.repeat((light * electrons + error * RNG.normal(size=n))[:, None], 3, axis=1),
            "flux_aper_err": np.repeat(error[:, None], 3, axis=1),
            "snr": electrons / error,
            "flags": np.zeros(n, np.int32),
        }
    )
    places = Catalogue(
        {"x": x, "y": y, "electrons": electrons, "mag": 25 - 2.5 * np.log10(electrons), "id": np.arange(n)}
    )
    rows, true_rows = match(sources, places)
    whole = (0, SIZE, 0, SIZE)
    pixels = (SKY + scale * math.sqrt(SKY) * RNG.normal(size=(SIZE, SIZE))).astype(np.float32)
    variance, clear = np.full((SIZE, SIZE), SKY, np.float32), np.zeros((SIZE, SIZE), np.int32)
    return Frame(
        unit=Unit.parse("x-1/1"),
        spec=DetectorSpec(
            id=1,
            name="D",
            nx=SIZE,
            ny=SIZE,
            hdus=(1,),
            amplifiers=(AmplifierSpec(name="A", data=whole, detector=whole),),
        ),
        band="r",
        pixel_scale=0.5,
        conditions={"seeing": 1.0},
        response=1.0,
        image=Image(pixels, variance, clear),
        sources=sources,
        places=places,
        types=np.full(n, "star"),
        mask=clear,
        rows=rows,
        true_rows=true_rows,
        seeing=1.0,
    )


def with_sources(given: Frame, sources: Catalogue) -> Frame:
    rows, true_rows = match(sources, given.places)
    return replace(given, sources=sources, rows=rows, true_rows=true_rows)


def found(findings: Any) -> dict[str, Finding]:
    return {f"{each.group}: {each.name}": each for each in findings}


def test_honest_results_are_good() -> None:
    told = found(judging.judge_sources([frame(), frame()]))
    assert [name for name, each in told.items() if not each.good] == []
    assert told["sources: completeness of stars, S/N > 10"].value == 1.0
    assert told["positions: pull, all stars"].value == pytest.approx(1.0, abs=0.1)
    assert told["photometry: pull, S/N > 50"].value == pytest.approx(1.0, abs=0.15)
    assert told["seeing: measured / true, median"].value == pytest.approx(1.0)


def test_understated_errors_are_seen() -> None:
    told = found(judging.judge_sources([frame(shift=3.0)]))
    assert told["positions: pull, all stars"].value == pytest.approx(3.0, rel=0.15)
    assert not told["positions: pull, all stars"].good


def test_lost_light_is_seen() -> None:
    told = found(judging.judge_sources([frame(light=0.8)]))
    assert told["photometry: light lost, S/N > 50, median"].value == pytest.approx(-2.5 * math.log10(0.8), abs=0.01)
    assert not told["photometry: light lost, S/N > 50, median"].good
    assert told["photometry: scatter, S/N > 50"].good


def test_missed_sources_are_seen() -> None:
    whole = frame()
    half = with_sources(whole, whole.sources.select(np.arange(len(whole.sources)) % 2 == 0))
    told = found(judging.judge_sources([half]))
    assert told["sources: completeness of stars, S/N > 10"].value == pytest.approx(0.5, abs=0.02)


def test_false_sources_are_seen_unless_something_true_explains_them() -> None:
    whole = frame()
    false = whole.sources.select(np.arange(20))
    moved = Catalogue({**false.columns, "x": np.asarray(false["x"]) + 20.0})
    both = {name: np.concatenate([whole.sources[name], moved[name]]) for name in whole.sources.columns}
    spoilt = with_sources(whole, Catalogue(both))
    assert not found(judging.judge_sources([spoilt]))["sources: purity, S/N > 7"].good
    mask = whole.mask.copy()
    for x, y in zip(moved["x"].tolist(), moved["y"].tolist(), strict=True):
        mask[round(y), round(x)] = int(Mask.COSMIC)
    assert found(judging.judge_sources([replace(spoilt, mask=mask)]))["sources: purity, S/N > 7"].value == 1.0


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_noise_is_compared_with_the_stated_noise(scale: float) -> None:
    told = found(judging.judge_images([frame(scale=scale)]))["images: noise / stated noise"]
    assert told.value == pytest.approx(scale, rel=0.01)
    assert told.good == (scale == 1.0)


def test_masks_are_compared_with_the_true_ones() -> None:
    whole = frame()
    true, made = whole.mask.copy(), whole.mask.copy()
    true[:100, 0] = int(Mask.BAD)
    made[50:150, 0] = int(Mask.BAD)
    told = found(judging.judge_images([replace(whole, mask=true, image=replace(whole.image, mask=made))]))
    assert told["images: bad pixels found"].value == 0.5
    assert told["images: bad pixels that are not"].value == 0.5


def test_masters_are_judged_by_their_own_noise() -> None:
    true = np.full((200, 200), 10.0)
    noise = np.full((200, 200), 0.5)
    good = np.ones((200, 200), bool)
    made = true + noise * RNG.normal(size=true.shape)
    told = found(judging.judge_masters([Master("bias", "", 1, made, true, noise, good)]))
    assert told["masters: bias: scatter / stated noise"].value == pytest.approx(1.0, rel=0.02)
    off = found(judging.judge_masters([Master("bias", "", 1, made + 2.0, true, noise, good)]))
    assert not off["masters: bias: made - true, median"].good


def test_the_brightest_true_source_chooses_first() -> None:
    sources = Catalogue({"x": np.array([10.0, 50.0]), "y": np.array([10.0, 50.0])})
    places = Catalogue(
        {"x": np.array([10.2, 10.9, 80.0]), "y": np.array([10.0, 10.0, 80.0]), "electrons": np.array([5.0, 500.0, 9.0])}
    )
    rows, true_rows = match(sources, places)
    assert (rows.tolist(), true_rows.tolist()) == ([0], [1])


def test_what_is_no_number_is_never_good() -> None:
    assert not judging.finding("a", "b", math.nan, "").good
    assert judging.finding("a", "b", 1.0, "").good
    assert judging.finding("a", "b", 1.0, "", 0.0).expected == "> 0"
    assert judging.finding("a", "b", 1.0, "", high=2.0).expected == "< 2"
