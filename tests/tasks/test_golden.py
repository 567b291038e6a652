"""Golden figures: a task whose output changes must get a new version.

Each task's output on a fixed input is condensed to a few weighted sums and compared with those recorded beside this
file for the same version, to 1e-5 (so that another CPU's last digits pass). To record a new version after raising
`Task.version`: ``python -m tests.tasks.test_golden``.
"""

from __future__ import annotations

import dataclasses
import json
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import spica.tasks
from spica.core.camera import AmplifierSpec
from spica.core.columns import Catalogue
from spica.core.images import Image, RawDetector
from spica.core.keys import exposure_id
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.core.records import Detector, Exposure, FrameType, Grain, Scalar, Unit
from spica.core.streams import Banded, Parts
from spica.core.task import Form, Measured, Member, Task
from spica.core.tiles import Tile
from spica.engine.reading import MemoryTable
from spica.kernels.projection import Projection
from spica.tasks import (
    anchored,
    background,
    bright_stars,
    colour,
    combine,
    compare,
    completeness,
    cosmics,
    crosstalk_fit,
    crosstalk_sums,
    dark_current,
    deep_noise,
    deep_sources,
    defects,
    defringe,
    delivered,
    detect,
    detection,
    detrend,
    express,
    focal_plane,
    forced,
    grade,
    homogenise,
    interpolate,
    judge,
    level,
    magnitudes,
    measure,
    merge,
    normalise,
    object_mask,
    objects,
    photon_transfer,
    plane,
    pointing,
    psf,
    psf_map,
    psf_measure,
    quality,
    quicklook,
    read_noise,
    register,
    registered,
    running_sky,
    sensitivity,
    signal,
    sky_summary,
    snaps,
    solve,
    stars,
    summary,
    thumbnail,
    trails,
    trusted,
    zero_point,
)
from spica.tasks import stack as stack_task
from tests.support.joint_field import draw as draw_field
from tests.support.joint_lists import SMALL
from tests.support.joint_task import exposure_inputs
from tests.support.joint_task import inputs as joint_inputs
from tests.support.stacks import Everywhere, Plan, catalogue, grid_of_stars, members, stack, three_bands

GOLDEN = Path(__file__).with_name("golden.json")
SIDE = 160
TASKS: dict[str, Task] = {
    module.TASK.name: module.TASK
    for module in (
        anchored, background, bright_stars, colour, combine, compare, completeness, cosmics, crosstalk_fit, crosstalk_sums, dark_current, deep_noise, deep_sources, defects, defringe, delivered, detect, detection, detrend, express,
        focal_plane, forced, grade, homogenise, interpolate, judge, level, magnitudes, measure, merge, normalise, object_mask, objects, photon_transfer, plane, pointing, psf, psf_map, psf_measure, quality, quicklook, read_noise, register, registered,
        running_sky, sensitivity, signal, sky_summary, snaps, solve, stack_task, stars, summary, thumbnail, trails, trusted, zero_point,
    )
}  # fmt: skip


class MemoryRows:
    """`Rows` over one image."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.shape = image.shape
        self.dtype = image.pixels.dtype
        self.header = image.header

    def delivered(self) -> dict[str, Scalar]:
        return {}

    def read(self, y0: int, y1: int, plane: str = "science") -> np.ndarray:
        found = {"science": self.image.pixels, "mask": self.image.mask, "variance": self.image.variance}[plane]
        assert found is not None
        return found[y0:y1]


def raw(number: int) -> RawDetector:
    """A small exposure with stars, drawn with integers so that no library's last digit matters."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(980, 1020, (SIDE, SIDE + 16)).astype(np.uint16)
    pixels[:, :SIDE] += 500
    for x, y, peak in rng.integers((10, 10, 800), (SIDE - 10, SIDE - 10, 30000), (25, 3)):
        v, u = np.mgrid[y - 6 : y + 7, x - 6 : x + 7]
        pixels[v, u] += (peak / (1 + (u - x) ** 2 + (v - y) ** 2) ** 2).astype(np.uint16)
    amplifier = AmplifierSpec(
        name="A", data=(0, SIDE, 0, SIDE), overscan=(SIDE, SIDE + 16, 0, SIDE), detector=(0, SIDE, 0, SIDE),
        gain=1.5, read_noise=5.0,
    )  # fmt: skip
    return RawDetector((pixels,), (amplifier,), SIDE, SIDE, {"exposure_time": 30.0, "dark_time": 30.0})


def ripples() -> Image:
    """Fringes of a triangle's shape: no library's cosine."""
    x = np.arange(SIDE)
    wave = np.abs(x[:, None] + 2 * x[None, :] - 200) % 32 / 16.0 - 0.97
    return Image(wave.astype(np.float32), np.full((SIDE, SIDE), 1e-4, np.float32), None)


def found_field() -> dict[str, Any]:
    """Thirty stars of a field whose header is off by a minute of arc."""
    places = np.random.default_rng(5).integers(0, 1000, (3, 30)).astype(np.float64)
    cards: dict[str, Any] = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 40.0, "CRVAL2": 0.0, "CRPIX1": 500.0, "CRPIX2": 500.0,
        "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4, "NAXIS1": 1000, "NAXIS2": 1000,
    }  # fmt: skip
    sources = Catalogue({"x": places[0], "y": places[1], "flux_iso": places[2] + 1.0, "flags": np.zeros(30, np.int32)})
    ra, dec = 40.01 - 1e-4 * (places[0] - 499.0), 0.012 + 1e-4 * (places[1] - 499.0)
    reference = Catalogue({"ra": ra, "dec": dec, "mag_r": -places[2]})
    return {"sources": (Member("detector:demo-1/2", sources),), "headers": {2: cards}, "reference": reference}


def stack_of_two(run: Callable[..., Mapping[str, Any]], frames: list[Image]) -> Mapping[str, Any]:
    """Two frames on a tile, half a pixel apart."""
    where = Projection(
        "TAN", np.array([10.0, 20.0]), np.array([0.5 * SIDE] * 2), 1e-4 * np.array([[-1.0, 0.0], [0.0, 1.0]])
    )
    tile = SimpleNamespace(nx=SIDE, ny=SIDE, cards=where.cards())
    cards = [where.cards() | {"CRPIX1": 0.5 * SIDE + 1.0 + 0.5 * n} for n in range(2)]
    names = [f"detector:demo-{n}/1" for n in range(2)]
    values = [({"cards": each, "exposure_time": 30.0}, {"zero": 25.0, "flat": []}) for each in cards]
    return run(
        "stack",
        unit=Unit(Grain.TILE_BAND, ("demo", "r")),
        tile=tile,
        inputs=None,
        science=tuple(Member(name, MemoryRows(frame)) for name, frame in zip(names, frames, strict=False)),
        sky_solution=tuple(Member(name, one) for name, (one, _) in zip(names, values, strict=True)),
        light=tuple(Member(name, two) for name, (_, two) in zip(names, values, strict=True)),
        sky_mesh=None,
    )


def series_of_two(run: Callable[..., Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Thirty stars twice, three pixels apart."""
    places = np.random.default_rng(6).uniform(0, 1000, (3, 30))
    records, members = [], []
    for number in (1, 2):
        name = f"demo-{number}"
        records.append(
            Exposure(exposure_id("demo", name), name, "demo", FrameType.OBJECT, "2026-11-20", 61364.0 + number, 30.0)
        )
        columns = {
            "source_id": np.arange(30), "x": places[0] + 3.0 * number, "y": places[1], "flux_auto": 1e3 + 1e3 * places[2] / number,
            "flux_auto_err": np.full(30, 10.0), "flags": np.zeros(30, np.int32),
        }  # fmt: skip
        members.append(Member(f"detector:demo-{number}/2", Catalogue(columns)))
    cards: dict[str, Any] = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 500.0, "CRPIX2": 500.0,
             "CD1_1": -1e-4, "CD2_2": 1e-4}  # fmt: skip
    headers = {f"demo-{number}/2": cards for number in (1, 2)}
    made = run("register", exposures=tuple(records), sources=tuple(members), headers=headers)
    one = {name: made[name] for name in ("registration", "unregistered")}
    unit = Unit(Grain.DETECTOR, ("demo-2", "2"))
    record = Detector("demo-2", 2, "c" * 40, (1,), (), 1000, 1000)
    place = {name: made[name] for name in ("registration", "anchors")}
    return {
        "register": made,
        "registered": run("registered", unit=unit, exposure=records[1], **one),
        "trusted": TASKS["trusted"].run(
            TASKS["trusted"].settings.model_validate({"zero_points": {"demo-2": 26.5}}),
            unit=unit,
            exposure=records[1],
            detector=dataclasses.replace(record, wcs=cards),
        ),
        "anchored": run("anchored", unit=unit, exposure=records[1], detector=record, **place),
    }


def outputs() -> dict[str, Mapping[str, Any]]:
    """Run every task on the outputs of the ones before."""

    def run(name: str, **needs: Any) -> Mapping[str, Any]:
        made = TASKS[name].run(TASKS[name].settings(), **needs)
        # What the engine asks of every task.
        assert all(isinstance(made[give.name], Mapping) for give in TASKS[name].gives if give.form is Form.VALUE)
        return made

    exposure = Exposure(exposure_id("demo", "demo-1"), "demo-1", "demo", FrameType.OBJECT, "2026-11-20", 61364.0, 30.0)
    detector = Detector("demo-1", 2, "c" * 40, (1,), (), SIDE, SIDE)
    records = {"exposure": exposure, "detector": detector}
    nothing = dict.fromkeys(("bias", "dark", "flat", "defects", "crosstalk"))
    frames = [run("detrend", raw=raw(n), **nothing)["science"] for n in range(4)]
    levels = [run("level", frame=frame)["level"] for frame in frames]
    members = tuple(Member(f"detector:{n}/1", value) for n, value in enumerate(levels))
    planes = tuple(Member(f"exposure:{n}", run("plane", levels=(each,))["plane"]) for n, each in enumerate(members))
    chosen = TASKS["compare"].run(
        TASKS["compare"].settings.model_validate({"scale": "level", "outliers": 1.0}), levels=members, planes=planes
    )
    unit = Unit(Grain.CALIBRATION, ("demo", "1", "", "2026-11-20"))
    found: dict[str, Mapping[str, Any]] = {
        "detrend": run("detrend", raw=raw(0), **nothing),
        "level": {"level": levels[0]},
        "combine": run(
            "combine",
            frames=tuple(Member(f"detector:{n}/1", MemoryRows(frame)) for n, frame in enumerate(frames)),
            choice=chosen["choice"],
            unit=unit,
        ),
        "compare": chosen,
        "plane": run("plane", levels=members),
        "defects": run("defects", dark=frames[1], flat=frames[2], known=None),
        "sensitivity": run("sensitivity", flat=frames[0]),
        "normalise": run("normalise", frame=frames[0]),
        "delivered": run("delivered", delivered=frames[0]),
        "stack": stack_of_two(run, frames),
    }
    marked = frames[0].mask | np.where(frames[0].pixels > 20000, np.int32(Mask.BAD), np.int32(0))
    found["interpolate"] = run("interpolate", image=dataclasses.replace(frames[0], mask=marked))
    found["defringe"] = run("defringe", image=frames[0], fringe=ripples())
    found["snaps"] = run("snaps", frames=tuple(Member(str(n), frame) for n, frame in enumerate(frames[:2])))
    found["cosmics"] = run("cosmics", image=frames[0])
    across = np.float32(40.0) * np.exp(-0.5 * ((np.arange(SIDE)[:, None] - 0.7 * np.arange(SIDE) - 20) / 2.0) ** 2)
    lit = dataclasses.replace(frames[0], pixels=frames[0].pixels + across.astype(np.float32))
    found["trails"] = run("trails", image=lit)
    science = frames[0]
    found["background"] = run("background", science=science)
    sky = found["background"]["background"]
    found["detect"] = run("detect", science=science, background=sky)
    segments = found["detect"]["segments"]
    found["object_mask"] = run("object_mask", segments=segments)
    near = tuple(Member(str(n), MemoryRows(frame)) for n, frame in enumerate(frames[1:]))
    found["running_sky"] = run("running_sky", image=frames[0], neighbours=near, objects=None, own=None)
    found["measure"] = run("measure", science=science, background=sky, segments=segments, **records)
    sources = found["measure"]["sources"]
    found["quality"] = run("quality", science=science, background=sky, sources=sources)
    v, u = np.mgrid[-8:9, -8:9]
    round_star = 1.0 / (1.0 + u**2 + v**2) ** 2
    model = PsfModel((round_star / round_star.sum())[None].astype(np.float32), 0, (80.0, 80.0), (80.0, 80.0), 1.0, 1.29)
    found["psf_measure"] = run(
        "psf_measure", science=science, background=sky, sources=sources, psf=model.to_catalogue()
    )
    found["pointing"] = run("pointing", exposure=exposure, **found_field())
    found["stars"] = run("stars", sources=sources)
    found["psf"] = run("psf", science=science, background=sky, sources=sources, stars=found["stars"]["stars"])
    found |= series_of_two(run) | mapped(run, model.to_catalogue())
    found["quicklook"] = run("quicklook", science=science)
    found["merge"] = run("merge", sources=(Member("detector:demo-1/2", MemoryTable(Catalogue({"x": np.arange(3.0)}))),))
    found["grade"] = run(
        "grade", figures=found["quality"]["figures"], exposure=exposure,
        geometry={"pixel_scale": 0.5, "pixel_size": 15.0, "nx": SIDE, "ny": SIDE},
        passband={"zero_point": 25.0, "extinction": 0.1}, grading={"seeing": [1.0, 1.5, 2.0]},
    )  # fmt: skip
    verdicts = (Member("detector:demo-1/2", found["grade"]["verdict"]),)
    found["summary"] = run("summary", verdict=verdicts, members=(1, 2))
    places = [
        {
            "id": n,
            "name": f"D{n}",
            "nx": SIDE,
            "ny": SIDE,
            "x_mm": 2.6 * n,
            "y_mm": 0.0,
            "rotation": 180.0,
            "flip": False,
        }
        for n in (1, 2, 3)
    ]
    pictures = (Member("detector:demo-1/2", found["quicklook"]["quicklook"]),)
    found["focal_plane"] = run(
        "focal_plane", quicklook=pictures, verdict=verdicts, members=(1, 2), exposure=exposure,
        plane={"pixel_size": 15.0, "detectors": places},
    )  # fmt: skip
    return found | measuring(run) | solving(run) | stacked() | painting(run, science)


def stacked() -> dict[str, Mapping[str, Any]]:
    """The tasks that measure stacks."""
    plan = Plan(side=300, exposures=3)
    made = catalogue(stack(grid_of_stars(plan, 40.0, (20.5, 24.0)), plan))
    needs = {name: made[name] for name in ("honest", "sky", "psf", "noise")}
    made |= completeness.completeness(completeness.CompletenessSettings(passes=1), **needs)
    bands = three_bands(300, 90)
    made |= {**bands.detection, "forced": bands.forced["r"], "forced_figures": {}}
    made |= objects.objects(
        objects.ObjectsSettings(), Everywhere(), bands.detection["detected"], members(bands.forced), None, None, None
    )
    made |= bright_stars.bright_stars(
        bright_stars.BrightStarsSettings(),
        Tile("t", 300, 300, {}, ((149.9, 150.1, 150.1, 149.9), (1.9, 1.9, 2.1, 2.1))),
        Catalogue(
            {"ra": 150 + 0.2 * np.arange(4.0), "dec": np.full(4, 2.0), "mag_G": np.array([15.0, 8.0, 17.0, 9.0])}
        ),
    )
    names = ("deep_noise", "deep_sources", "completeness", "detection", "forced", "objects", "bright_stars")
    return {name: {give.name: made[give.name] for give in TASKS[name].gives} for name in names}


def mapped(run: Callable[..., Mapping[str, Any]], model: Catalogue) -> dict[str, Mapping[str, Any]]:
    """The map of a stack's point spread function, with one exposure on the same pixels."""
    cd = 2e-4 * np.array([[-1.0, 0.0], [0.0, 1.0]])
    cards = Projection("TAN", np.array([10.0, 20.0]), np.array([80.0, 80.0]), cd).cards()
    tile = Tile("t", 300, 300, cards, ((0.0, 1.0, 1.0), (0.0, 0.0, 1.0)))
    one = (Member("detector:demo-1/2", MemoryTable(model)),)
    place = (Member("detector:demo-1/2", {"cards": cards}),)
    made = {"psf_map": run("psf_map", tile=tile, stack_psf=model, psf=one, sky_solution=place, sky_mesh=None)}
    rng = np.random.default_rng(12)
    noise = Image(rng.normal(100.0, 10.0, (SIDE, SIDE)).astype(np.float32), np.full((SIDE, SIDE), np.float32(100.0)))
    unit = Unit(Grain.DETECTOR, ("demo-1", "2"))
    solution = {"cards": Projection("TAN", np.array([10.0, 20.0]), np.array([80.0, 80.0]), cd).cards()}
    return made | {"homogenise": run("homogenise", unit=unit, science=noise, psf=model, sky_solution=solution)}


def painting(run: Callable[..., Mapping[str, Any]], stack: Image) -> dict[str, Mapping[str, Any]]:
    """The pictures of a tile."""
    bands = tuple(Member(f"tile-band:1/{band}", stack) for band in "gri")
    return {"thumbnail": run("thumbnail", stack=stack), "colour": run("colour", stack=bands)}


def solving(run: Callable[..., Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The tasks that tie lists of sources to a reference catalogue."""
    field = draw_field(SMALL)
    one = run("zero_point", **exposure_inputs(field, 0))
    given = joint_inputs(field)
    made = run("solve", **given)
    record, unit = given["exposures"][1], Unit.parse("demo-1/0")
    joint = {"solution": made["solution"], "refused": made["refused"]}
    told = run("express", unit=unit, exposure=record, grading={}, **joint)
    members = (Member(str(unit), told["sky_solution"]),)
    whole = run("sky_summary", sky_solution=members, members=(0, 1))
    sections = {"geometry": {"pixel_scale": 0.5}, "grading": {"seeing": [1.5, 2.0, 3.0]}}
    sections["passband"] = {"zero_point": 25.0, "extinction": 0.1, "sky": 21.0}
    others = dict.fromkeys(("verdict", "psf", "psf_sources", "pointing"))
    verdict = run(
        "judge",
        exposure=record,
        sky_solution=members,
        zero_points=one["zero_points"],
        members=(0, 1),
        **others,
        **sections,
    )
    few = given["sources"][2].value
    scaled = run(
        "magnitudes", unit=unit, exposure=record, sources=few, psf_sources=None, zero_points=one["zero_points"],
        solution=made["solution"],
    )  # fmt: skip
    last = {"sky_summary": whole, "judge": verdict, "magnitudes": scaled}
    return {"zero_point": one, "solve": made, "express": told, **last}


def measuring(run: Callable[..., Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The tasks that measure a camera, on frames whose halves are taken for two amplifiers."""
    made = [run("signal", raw=halves(raw(n))) for n in range(4)]
    frames = tuple(Member(str(n), MemoryRows(each["signal"])) for n, each in enumerate(made))
    layouts = tuple(Member(str(n), each["layout"]) for n, each in enumerate(made))
    noise = run("read_noise", frames=frames, layouts=layouts)
    sums = [run("crosstalk_sums", signal=each["signal"], layout=each["layout"]) for each in made]
    flat_noise = {"amplifiers": [{**each, "level": 0.0, "variance": 10.0} for each in noise["noise"]["amplifiers"]]}
    return {
        "signal": made[0],
        "read_noise": noise,
        "dark_current": run("dark_current", layouts=layouts, noise=noise["noise"]),
        "photon_transfer": run("photon_transfer", frames=frames, layouts=layouts, noise=flat_noise),
        "crosstalk_sums": sums[0],
        "crosstalk_fit": run("crosstalk_fit", sums=tuple(Member(str(n), each["sums"]) for n, each in enumerate(sums))),
    }


def halves(whole: RawDetector) -> RawDetector:
    """The same pixels as of two amplifiers that share the overscan; the second is read from its far end."""
    only, half = whole.amplifiers[0], SIDE // 2
    parts = [(0, half, 0, SIDE), (half, SIDE, 0, SIDE)]
    amplifiers = tuple(
        only.model_copy(update={"name": name, "data": part, "detector": part, "flip_x": name == "B"})
        for name, part in zip("AB", parts, strict=True)
    )
    return RawDetector(whole.pixels * 2, amplifiers, whole.nx, whole.ny, whole.header)


def condense(value: Any) -> dict[str, float]:  # noqa: C901, PLR0911 - one line per form
    """A product as a few numbers that change when any of its values does."""
    match value:
        case Banded():
            bands = list(value.bands)
            return condense({name: np.concatenate([band.planes[name] for band in bands]) for name in bands[0].planes})
        case Parts():
            return condense(next(value.parts))
        case Image():
            return condense({"pixels": value.pixels, "variance": value.variance, "mask": value.mask})
        case Catalogue():
            return condense(dict(value.columns))
        case Measured():
            return {"": value.value}
        case None | str() | bool():
            return {}
        case list() | tuple():
            return condense({str(n): part for n, part in enumerate(value)})
        case Mapping():
            return {f"{name}.{inner}": x for name, part in value.items() for inner, x in condense(part).items()}
        case float() | int():
            return {"": float(value)}
        case str() | list():
            # Words count by their letters.
            return condense(dict(enumerate(value if isinstance(value, list) else map(ord, value))))
        case np.ndarray():
            values = np.nan_to_num(value.astype(np.float64)).ravel()
            weights = np.random.default_rng(1).uniform(0.5, 1.5, values.size)
            return {"sum": float(values.sum()), "weighted": float(values @ weights), "size": float(values.size)}
        case _:
            return condense({name: part for name, part in vars(value).items() if not isinstance(part, bool)})


def record() -> dict[str, dict[str, Any]]:
    return {
        name: {"version": TASKS[name].version, "figures": condense(products)} for name, products in outputs().items()
    }


@pytest.fixture(scope="module")
def now() -> dict[str, dict[str, Any]]:
    return record()


@pytest.mark.parametrize("name", sorted(TASKS))
def test_an_output_changes_only_with_its_version(now: dict[str, dict[str, Any]], name: str) -> None:
    golden = json.loads(GOLDEN.read_text())[name]
    assert now[name]["version"] == golden["version"], "a new version: record it with python -m tests.tasks.test_golden"
    assert now[name]["figures"].keys() == golden["figures"].keys()
    for figure, value in golden["figures"].items():
        assert now[name]["figures"][figure] == pytest.approx(value, rel=1e-5, abs=1e-9), figure


def test_every_shipped_task_has_golden_figures() -> None:
    shipped = {module.name for module in pkgutil.iter_modules(spica.tasks.__path__)} - {"null"}
    assert shipped == {task.run.__module__.split(".")[2] for task in TASKS.values()}


def test_the_figures_notice_a_small_change() -> None:
    image = outputs()["detrend"]["science"]
    pixels = image.pixels.copy()
    pixels[5, 5] += np.float32(50)
    changed = condense(Image(pixels, image.variance, image.mask | np.int32(0 * Mask.BAD)))
    before = condense(image)
    assert changed["pixels.weighted"] != pytest.approx(before["pixels.weighted"], rel=1e-6)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(record(), indent=1, sort_keys=True) + "\n")
