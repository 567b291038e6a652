"""Tiny tasks for the engine's tests: they go through every form of product, and misbehave where they are told to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.records import Exposure, Grain, Unit
from spica.core.settings import Settings, setting
from spica.core.streams import Band, Banded, Rows
from spica.core.task import Form, Give, Keep, Measured, Member, Need, Products, Task

SHAPE = (32, 48)


class Draw(Settings):
    level: float = setting(100.0, "level")
    seconds: float = setting(0.0, "time it takes")
    misbehave: str = setting("", "what to do wrong on the units below")
    units: str = setting("", "part of the unit's text")
    marker: str = setting("", "a file: misbehave only while it is not there")


def draw(settings: Draw, unit: Unit, exposure: Exposure) -> Products:
    """An image that depends on its unit alone."""
    time.sleep(settings.seconds)
    if settings.misbehave and settings.units in str(unit):
        _misbehave(settings, unit)
    seed = int.from_bytes(str(unit).encode(), "big") % 2**32
    noise = np.random.default_rng(seed).normal(0, 3, SHAPE)
    pixels = (settings.level + exposure.exposure_time + noise).astype(np.float32)
    return {"frame": Image(pixels, np.full(SHAPE, 9, np.float32), np.zeros(SHAPE, np.int32), {"LEVEL": settings.level})}


def _misbehave(settings: Draw, unit: Unit) -> None:
    if settings.misbehave == "sign":
        Path(f"{settings.marker}.{os.getpid()}").touch()
        return
    if settings.marker:
        marker = Path(settings.marker)
        if marker.exists():
            return
        marker.touch()
    DEEDS[settings.misbehave](unit)


def _raise(unit: Unit) -> None:
    raise ZeroDivisionError(str(unit))


def _fault(unit: Unit) -> None:
    raise DataFault("data.no-pixels", f"{unit} is empty", unit=str(unit))


def _kill(unit: Unit) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang(unit: Unit) -> None:
    time.sleep(1000)


def _eat(unit: Unit) -> None:
    eaten = []
    while True:
        eaten.append(np.ones(2**23, np.uint8))


def _full(unit: Unit) -> None:
    raise OSError(28, "No space left on device", "somewhere")


DEEDS = {"raise": _raise, "fault": _fault, "kill": _kill, "hang": _hang, "eat": _eat, "full": _full}


def level(settings: Draw, frame: Image) -> Products:
    """Its mean, as a value and as a metric."""
    mean = float(frame.pixels.mean(dtype=np.float64))
    return {"level": {"mean": mean}, "figures": {"mean_level": Measured(mean, "electron")}}


def combine(settings: Draw, frames: tuple[Member, ...], levels: tuple[Member, ...], unit: Unit) -> Products:
    """Mean of the frames, by bands."""
    assert [member.unit for member in frames] == [member.unit for member in levels]
    rows: list[Rows] = [member.value for member in frames]

    def bands() -> Iterator[Band]:
        for y0 in range(0, SHAPE[0], 10):
            y1 = min(y0 + 10, SHAPE[0])
            stack = np.array([each.read(y0, y1) for each in rows], np.float64)
            yield Band(y0, {"science": np.asarray(stack.mean(axis=0), np.float32)})

    return {"master": Banded(SHAPE, bands(), {"NFRAMES": len(rows)})}


def subtract(settings: Draw, frame: Image, bias: Image | None) -> Products:
    """The frame without its bias."""
    pixels = frame.pixels if bias is None else frame.pixels - bias.pixels
    return {"science": Image(pixels, frame.variance, frame.mask, {"BIASED": bias is not None})}


class Find(Settings):
    threshold: float = setting(5.0, "threshold")


def find(settings: Find, science: Image) -> Products:
    """Pixels above the threshold; too many of them are a fault."""
    y, x = np.nonzero(science.pixels > settings.threshold)
    if len(x) > 400:
        raise DataFault("data.too-many-sources", f"{len(x)} are too many", found=len(x))
    columns = {"x": x.astype(np.float64), "y": y.astype(np.float64)}
    picture = np.clip(science.pixels, 0, 255).astype(np.uint8)
    return {"sources": Catalogue(columns), "picture": picture, "count": {"sources": Measured(len(x))}}


class Count(Settings):
    pass


def count(settings: Count, sources: tuple[Member, ...]) -> Products:
    """Sources of a whole exposure."""
    return {"total": {"total": Measured(sum(len(member.value) for member in sources))}}


TASKS = {
    task.name: task
    for task in (
        Task("draw", 1, Grain.DETECTOR, Draw, (Need("unit", "unit"), Need("exposure", "exposure")), (Give("frame", Form.IMAGE, Keep.NEVER),), draw),
        Task("level", 1, Grain.DETECTOR, Draw, (Need("frame"),), (Give("level", Form.VALUE), Give("figures", Form.METRICS)), level),
        Task("combine", 1, Grain.CALIBRATION, Draw, (Need("frames", stream=True, quorum=2), Need("levels", quorum=2), Need("unit", "unit")), (Give("master", Form.IMAGE, master=True, stream=True),), combine),
        Task("subtract", 1, Grain.DETECTOR, Draw, (Need("frame"), Need("bias", "master", optional=True)), (Give("science", Form.IMAGE),), subtract),
        Task("find", 1, Grain.DETECTOR, Find, (Need("science"),), (Give("sources", Form.CATALOGUE), Give("picture", Form.PICTURE), Give("count", Form.METRICS)), find),
        Task("count", 1, Grain.EXPOSURE, Count, (Need("sources", columns=("x",), quorum=0.5),), (Give("total", Form.METRICS),), count),
    )
}  # fmt: skip

PIPELINE = """
name = "tiny"
title = "Everything the engine does, on tiny images"

[[step]]
as = "draw_bias"
task = "draw"
frames = ["bias"]
rename = { frame = "bias_frame" }

[[step]]
as = "level_bias"
task = "level"
frames = ["bias"]
rename = { frame = "bias_frame", level = "bias_level" }

[[step]]
as = "combine_bias"
task = "combine"
frames = ["bias"]
rename = { frames = "bias_frame", levels = "bias_level", master = "bias" }

[[step]]
task = "draw"
frames = ["object"]
settings = { level = 70.0 }

[[step]]
task = "subtract"
frames = ["object"]
require = ["bias"]

[[step]]
task = "find"
frames = ["object"]

[[step]]
task = "count"
frames = ["object"]
"""
