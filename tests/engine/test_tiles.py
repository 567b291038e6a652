"""Units of tiles: chosen by rules when what they are made of has ended, stacked by tile and band, merged by tile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spica.core.bands import by_wavelength
from spica.core.faults import DataFault, SetupFault
from spica.core.images import Image
from spica.core.records import Exposure, Grain, Unit
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.core.tiles import Tile
from spica.engine.plan import Plan, Standing
from spica.engine.planner import make_plan
from spica.engine.tiling.choosing import choose
from spica.files.hats.moc import Moc
from spica.files.hats.moc_files import parse_moc, write_moc
from spica.files.releases import load
from tests.engine.ground import Ground, make_ground
from tests.engine.tiny import TASKS, Count, Draw


def place(settings: Draw, unit: Unit, exposure: Exposure, frame: Image) -> Products:
    """Each exposure 0.1 degree east of the one before, its two detectors one above the other; seeing grows with its number."""
    if settings.misbehave and settings.units in str(unit):
        raise DataFault("data.no-pixels", f"{unit} is empty", unit=str(unit))
    west = 10.0 + 0.1 * (exposure.sequence % 100)
    south = 0.2 * int(unit.keys["detector"])
    box = {"ra": [west, west + 0.15, west + 0.15, west], "dec": [south, south, south + 0.19, south + 0.19]}
    figures = {
        "psf_size": Measured(0.8 + 0.1 * (exposure.sequence % 100), "arcsec"),
        "point_depth": Measured(24.0, "mag"),
    }
    return {"here": {"south": south}, "outline": box, "figures": figures | {"verdict": Measured(1.0)}}


def stack(
    settings: Count, tile: Tile, inputs: dict[str, Any], frame: tuple[Member, ...], here: tuple[Member, ...]
) -> Products:
    """Which frames it was given, with what."""
    assert [member.unit for member in frame] == [member.unit for member in here]
    facts = [inputs[member.unit] for member in frame]
    return {
        "stacked": {
            "units": [member.unit for member in frame],
            "tile": tile.name,
            "bands": sorted({each["band"] for each in facts}),
        }
    }


def gather(settings: Count, tile: Tile, stacked: tuple[Member, ...]) -> Products:
    """All bands of a tile."""
    return {"gathered": {"units": [member.unit for member in stacked], "tile": tile.name}}


def back(settings: Count, stacked: dict[str, Any], gathered: dict[str, Any]) -> Products:
    """A band with what all of them gave."""
    return {"again": {"bands": len(gathered["units"]), "own": len(stacked["units"])}}


TILED = TASKS | {
    "place": Task("place", 1, Grain.DETECTOR, Draw, (Need("unit", "unit"), Need("exposure", "exposure"), Need("frame")), (Give("here", Form.VALUE), Give("outline", Form.OUTLINE), Give("figures", Form.METRICS)), place),
    "stack": Task("stack", 1, Grain.TILE_BAND, Count, (Need("tile", "tile"), Need("inputs", "inputs"), Need("frame", grain=Grain.DETECTOR, stream=True, quorum=1), Need("here", grain=Grain.DETECTOR, quorum=1)), (Give("stacked", Form.VALUE),), stack),
    "gather": Task("gather", 1, Grain.TILE, Count, (Need("tile", "tile"), Need("stacked", grain=Grain.TILE_BAND)), (Give("gathered", Form.VALUE),), gather),
    "back": Task("back", 1, Grain.TILE_BAND, Count, (Need("stacked"), Need("gathered", grain=Grain.TILE)), (Give("again", Form.VALUE),), back),
}  # fmt: skip
PIPELINE = """
name = "tiled"
[[step]]
task = "draw"
frames = ["object"]
keep = { frame = "always" }
[[step]]
task = "place"
frames = ["object"]
[[step]]
task = "stack"
frames = ["object"]
[[step]]
task = "gather"
frames = ["object"]
[[step]]
task = "back"
frames = ["object"]
"""
RELEASE = """
name = "one"
[tiles]
grid = "box"
ra = [10.0, 10.4]
dec = [0.0, 0.8]
patches = 2
scale = 2.0
overlap = 10.0
"""


@pytest.fixture
def tiled(tmp_path: Path) -> Ground:
    made = make_ground(tmp_path / "survey", objects=6, bands="rg")
    ground = Ground(made.survey, made.registry, TILED)
    release(ground, RELEASE)
    return ground


def release(ground: Ground, text: str) -> None:
    (ground.survey.folder("releases") / "one.toml").write_text(text)


def plan(ground: Ground, where: str = "", **overrides: Any) -> Plan:
    return ground.plan(ground.pipeline("tiled", tiled=PIPELINE), where, **overrides)


def values(ground: Ground, made: Plan, product: str) -> dict[str, Any]:
    keys = {f"{job.key}/{product}": str(job.unit) for job in made.jobs}
    return {keys[key]: record.value for key, record in ground.registry.products(keys).items()}


def numbers(units: list[str]) -> list[int]:
    return sorted({int(unit.rpartition("/")[0][-2:]) for unit in units})


def test_tiles_wait_for_the_figures_that_the_rules_ask_for(tiled: Ground) -> None:
    first = plan(tiled)
    assert [chain.label for chain in first.waiting] == ["stack", "gather", "back"]
    assert {job.unit.grain for job in first.jobs} == {Grain.DETECTOR}
    result = tiled.run(first)
    assert result.complete
    assert not result.plan.waiting
    stacked = values(tiled, result.plan, "stacked")
    assert len(stacked) == 8
    assert all(value["bands"] == [unit[-1]] for unit, value in stacked.items())
    # Even numbers are r, odd ones g; 10.0 to 10.2 is the western half.
    west = {unit: numbers(value["units"]) for unit, value in stacked.items() if "_0100/" in unit}
    assert [each for unit, each in west.items() if unit.endswith("/r")] == [[0, 2]]
    gathered = values(tiled, result.plan, "gathered")
    assert len(gathered) == 4
    assert all([unit[-1] for unit in value["units"]] == ["g", "r"] for value in gathered.values())
    assert {value["bands"] for value in values(tiled, result.plan, "again").values()} == {2}
    again = plan(tiled)
    assert again.counts()["run"] == 0
    assert not again.waiting
    later = tiled.run(again)
    assert (later.left, later.already, later.complete) == (0, len(again.jobs), True)


def test_a_run_that_finds_its_frames_done_tells_all_that_was_done_before(tiled: Ground) -> None:
    tiled.run(plan(tiled))
    result = tiled.run(plan(tiled, draw__level=50.0))
    assert result.complete
    assert result.left == 0
    assert result.done == len(result.plan.jobs)


def test_rules_leave_out_and_say_which(tiled: Ground) -> None:
    tiled.run(plan(tiled))
    release(
        tiled, RELEASE.replace('name = "one"', 'name = "one"\n[[rule]]\nname = "seeing"\nwhere = "psf_size < 1.05"', 1)
    )
    changed = plan(tiled)
    stacked = {
        str(job.unit): [link.unit for link in job.inputs[2]]
        for job in changed.jobs
        if job.recipe.chain.label == "stack"
    }
    assert {number for units in stacked.values() for number in numbers(units)} == {0, 1, 2}
    chosen = choose(tiled.registry, load(tiled.survey), (), ())
    refused = {each.exposure[-2:]: (each.rule, each.why) for each in chosen.left if each.rule == "seeing"}
    assert refused == dict.fromkeys(("03", "04", "05"), ("seeing", "psf_size < 1.05"))
    # What keeps its inputs is not made again.
    assert {
        str(job.unit)[-6:]
        for job in changed.jobs
        if job.standing is Standing.DONE and job.recipe.chain.label == "stack"
    } == {
        "0100/g",
        "0100/r",
        "0101/g",
        "0101/r",
    }


def test_bands_of_the_release_s_own_keep_filters_apart_or_bring_them_together(tiled: Ground) -> None:
    names = [exposure.name for exposure in tiled.registry.exposures() if exposure.band == "r"]
    own = "[[band]]\nname = '{}'\nwhere = \"exposure = '{}'\"\n"
    release(tiled, RELEASE + own.format("r_other", names[0]))
    assert tiled.run(plan(tiled)).complete
    chosen = choose(tiled.registry, load(tiled.survey), (), ())
    stacked = {
        band: {row.exposure for key, rows in chosen.rows.items() if key[1] == band for row in rows}
        for band in ("r", "r_other")
    }
    assert stacked == {"r": set(names[1:]), "r_other": {names[0]}}
    units = {str(job.unit) for job in plan(tiled).jobs if job.recipe.chain.label in {"stack", "back"}}
    assert {text.rpartition("/")[2] for text in units} == {"g", "r", "r_other"}
    assert by_wavelength({band for _, band in chosen.rows}) == ["g", "r", "r_other"]
    # The first that holds; the release's list of bands is of these names.
    release(
        tiled,
        RELEASE.replace("[tiles]", "bands = ['white']\n[tiles]")
        + "[[band]]\nname = 'white'\nwhere = \"band = 'r'\"\n"
        + own.format("r_other", names[0]),
    )
    chosen = choose(tiled.registry, load(tiled.survey), (), ())
    assert {band for _, band in chosen.rows} == {"white"}
    assert {each.band for each in chosen.left if each.band} == {"g"}


@pytest.mark.parametrize(
    ("table", "taken", "rule"),
    [("best = 1", [0, 1], "best"), ("fraction = 0.5", [0, 1], "best"), ("depth = 24.1", [0, 1, 2], ""), ("by = '-psf_size'\nbest = 1", [1, 2], "best")],
)  # fmt: skip
def test_the_best_of_each_tile_and_band(tiled: Ground, table: str, taken: list[int], rule: str) -> None:
    tiled.run(plan(tiled))
    release(tiled, f"{RELEASE}[choose]\n{table}\n")
    chosen = choose(tiled.registry, load(tiled.survey), (), ())
    west = [key for key in chosen.rows if key[0].endswith("_0100")]
    assert sorted({int(row.exposure[-2:]) for key in west for row in chosen.rows[key]}) == taken
    if rule:
        assert {each.rule for each in chosen.left if each.tile.endswith("_0100")} == {rule}


def test_a_frame_that_fails_leaves_the_others_to_be_stacked(tiled: Ground) -> None:
    result = tiled.run(plan(tiled, place__misbehave="fault", place__units="00100/1"))
    assert result.failed == 1
    assert not result.plan.waiting
    stacked = values(tiled, result.plan, "stacked")
    assert len(stacked) == 8
    assert not any("00100/1" in unit for value in stacked.values() for unit in value["units"])


def test_an_order_for_some_exposures_leaves_tiles_of_others_alone(tiled: Ground) -> None:
    tiled.run(plan(tiled))
    some = plan(tiled, "sequence < 102")
    units = {str(job.unit) for job in some.jobs if job.unit.grain is Grain.TILE_BAND}
    # Only the western tiles' stacks in g are of those alone.
    assert {unit.rpartition("_")[2] for unit in units} == {"0100/g", "0101/g"}
    assert not [job for job in some.jobs if job.unit.grain is Grain.TILE]
    band = plan(tiled, "band = 'r'")
    assert {str(job.unit)[-1] for job in band.jobs if job.recipe.chain.label == "stack"} == {"r"}


def test_only_the_tiles_that_are_named(tiled: Ground) -> None:
    tiled.run(plan(tiled))
    pipeline = tiled.pipeline("tiled", tiled=PIPELINE)
    [name] = [each for each in choose_names(tiled) if each.endswith("_0101")]
    some = make_plan(tiled.registry, tiled.survey, pipeline, tiles=[name])
    assert {job.unit.keys["tile"] for job in some.jobs if job.unit.grain is Grain.TILE} == {name}
    with pytest.raises(SetupFault, match="did you mean") as caught:
        make_plan(tiled.registry, tiled.survey, pipeline, tiles=[name[:-1]])
    assert caught.value.code == "tile.unknown"


def choose_names(ground: Ground) -> list[str]:
    return list(choose(ground.registry, load(ground.survey), (), ()).tiles)


def test_a_map_of_coverage_beside_the_release_leaves_tiles_out(tiled: Ground) -> None:
    field = "[[tiles.field]]\nname = '{0}'\nra = {1}\ndec = 5.0\n"
    tiles = "name = 'one'\nmode = 'pre'\n[tiles]\ngrid = 'fields'\nscale = 5.0\nsize = 0.2\n"
    fields = field.format("west", 359.8) + field.format("east", 0.3)
    release(tiled, tiles + fields)
    assert sorted(choose_names(tiled)) == ["east", "west"]
    moc = Moc.of_cone(0.35, 5.0, 0.02, 12)
    write_moc(tiled.survey.folder("releases") / "wanted.fits", moc)
    release(tiled, f"{tiles}moc = 'wanted.fits'\n{fields}")
    assert choose_names(tiled) == ["east"]
    # The release says all of what it is by itself, and so stays what it is.
    assert parse_moc(load(tiled.survey).tiles.moc) == moc


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = 'one'\n[tile]\nsize = 2", "tile: no such setting; did you mean"),
        ("name = 'one'\n[tiles]\nsizes = 2", "tiles.sizes: no such setting; did you mean 'size'"),
        ("name = 'one'\n[[rule]]\nname = 'a'", "where"),
        ("name = 'one'\n[[band]]\nname = 'a/b'\nwhere = \"band = 'r'\"", "band.0.name"),
        ("name = 'two'", "called 'two' inside"),
        ("name = 'one'\nmode = 'pi'", "programme"),
        ("name = 'one'\n[tiles]\ngrid = 'box'", "ra = "),
        ("name = 'one'\n[tiles]\ngrid = 'fields'", "tiles.field"),
        ("name = 'one'\n[tiles]\nmoc = 'none.fits'", "none.fits cannot be read"),
        ("name = 'one'\n[tiles]\nmoc = '3/768'", "there is no cell 3/768"),
        ("name = 'one", "one.toml"),
    ],
)
def test_a_release_s_file_that_cannot_be_used(tiled: Ground, text: str, says: str) -> None:
    release(tiled, text)
    with pytest.raises(SetupFault) as caught:
        plan(tiled)
    assert caught.value.code == "release.invalid"
    assert says in str(caught.value)


def test_a_survey_with_no_release_or_several_asks_which(tiled: Ground) -> None:
    (tiled.survey.folder("releases") / "two.toml").write_text(RELEASE.replace('"one"', '"two"'))
    with pytest.raises(SetupFault, match="there are one, two") as caught:
        plan(tiled)
    assert caught.value.code == "release.unnamed"
    pipeline = tiled.pipeline("tiled", tiled=PIPELINE)
    with pytest.raises(SetupFault) as caught:
        make_plan(tiled.registry, tiled.survey, pipeline, release="twoo")
    assert caught.value.code == "release.unknown"
    assert "did you mean 'two'" in str(caught.value)
    with pytest.raises(SetupFault, match="makes no tiles"):
        make_plan(tiled.registry, tiled.survey, tiled.pipeline(), release="two")
