"""Releases that are followed, ranked, compared, removed and closed, on a survey of small tasks."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from spica.core.columns import Catalogue, Column
from spica.core.faults import DataFault, ResourceFault, SetupFault
from spica.core.images import Image
from spica.core.jobs import maker_of
from spica.core.records import Grain, Metric, Unit
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.core.tiles import Tile
from spica.engine.plan import Plan, Standing
from spica.files import frozen
from spica.files.checksums import of_file
from spica.files.images import open_rows
from spica.services.headers import refreshed
from spica.services.publishing import compare, publish, ranking, status
from spica.services.publishing.compare import Side
from spica.services.publishing.parts import State, by_unit, parts_of, state_of
from spica.services.surveys import Opened
from tests.engine.ground import Ground, make_ground
from tests.engine.test_tiles import RELEASE, TILED
from tests.engine.tiny import Draw

DATES = publish.Dates(dt.date(2026, 12, 1), dt.date(2027, 6, 1))


def stack(settings: Draw, unit: Unit, tile: Tile, inputs: dict[str, Any], frame: tuple[Member, ...]) -> Products:
    """An image of as many counts as it has frames."""
    if settings.misbehave and settings.units in str(unit):
        raise DataFault("data.no-pixels", f"{unit} is empty", unit=str(unit))
    pixels = np.full((8, 9), settings.level + len(frame), np.float32)
    return {
        "stacked": Image(pixels, np.ones_like(pixels), None, {"NCOMBINE": len(frame)}),
        "told": {"zero_point": Measured(25.0, "mag"), "stack_inputs": Measured(float(len(frame)))},
    }


def merge(settings: Draw, tile: Tile, stacked: tuple[Member, ...]) -> Products:
    """A catalogue of a row for each band."""
    columns = {"ra": np.arange(len(stacked), dtype=np.float64), "dec": np.zeros(len(stacked))}
    declared = {name: Column(name, "f8", "deg", "pos.eq", "place") for name in columns}
    return {"merged": Catalogue(columns, {"TILE": tile.name}, declared)}


TASKS = TILED | {
    "stack": Task("stack", 1, Grain.TILE_BAND, Draw, (Need("unit", "unit"), Need("tile", "tile"), Need("inputs", "inputs"), Need("frame", grain=Grain.DETECTOR, stream=True, quorum=1)), (Give("stacked", Form.IMAGE), Give("told", Form.METRICS)), stack),
    "merge": Task("merge", 1, Grain.TILE, Draw, (Need("tile", "tile"), Need("stacked", grain=Grain.TILE_BAND, stream=True, quorum=1)), (Give("merged", Form.CATALOGUE),), merge),
}  # fmt: skip
PIPELINE = """
name = "deep"
""" + "".join(
    f'[[step]]\ntask = "{name}"\nframes = ["object"]\n{more}'
    for name, more in (("draw", 'keep = { frame = "always" }\n'), ("place", ""), ("stack", ""), ("merge", ""))
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("publishing") / "survey"
    ground = make_ground(root, objects=4, bands="rg")
    (root / "releases" / "one.toml").write_text(RELEASE.replace('name = "one"', 'name = "one"\nowners = ["Ada"]'))
    ground = Ground(ground.survey, ground.registry, TASKS)
    result = ground.run(plan(ground))
    assert result.complete
    ground.registry.close()
    return root


@pytest.fixture
def house(made: Path, tmp_path: Path) -> Ground:
    from spica.files.survey import Survey
    from spica.registry.store import Registry

    shutil.copytree(made, tmp_path / "survey")
    survey = Survey.open(tmp_path / "survey")
    return Ground(survey, Registry.open(survey.registry_url), TASKS)


def plan(ground: Ground, **overrides: Any) -> Plan:
    return ground.plan(ground.pipeline("deep", deep=PIPELINE), **overrides)


def close(ground: Ground, made: Plan | None = None, **more: Any) -> publish.Published:
    return publish.closed(Opened(ground.survey, ground.registry), made or plan(ground), DATES, **more)


def units_of(ground: Ground, made: Plan) -> dict[Unit, Any]:
    return by_unit(parts_of(ground.registry, made))


def test_parts_tell_how_far_they_are_and_what_each_job_measured(house: Ground) -> None:
    found = units_of(house, plan(house))
    assert {state_of(parts)[0] for parts in found.values()} == {State.COMPLETED}
    stacks = [parts for unit, parts in found.items() if unit.grain is Grain.TILE_BAND]
    assert all(part.figures["stack_inputs"][0].value == len(part.rows) for parts in stacks for part in parts)
    changed = plan(house, stack__level=7.0)
    assert {state_of(parts)[0] for parts in units_of(house, changed).values()} == {State.PENDING}
    # Another release's job on the unit leaves the figures of this one's as they were.
    unit = stacks[0][0].unit
    before = stacks[0][0].figures["stack_inputs"][0].value
    house.registry.add_metrics([Metric(unit, "stack_inputs", 99.0)])
    assert units_of(house, plan(house))[unit][0].figures["stack_inputs"][0].value == before


def test_what_another_works_on_is_running_and_what_failed_says_why(house: Ground) -> None:
    changed = plan(house, stack__level=7.0)
    job = next(job for job in changed.jobs if job.recipe.chain.label == "stack")
    house.registry.lease([job.key], "somebody", 60.0)
    assert state_of(units_of(house, changed)[job.unit])[0] is State.RUNNING
    bad = str(job.unit)
    result = house.run(plan(house, stack__misbehave="fault", stack__units=bad, stack__level=8.0))
    assert result.failed == 1
    found = units_of(house, result.plan)
    state, why = state_of(found[job.unit])
    assert (state, why) == (State.FAILED, "stack: data.no-pixels")


def test_the_most_urgent_stack_is_made_first(house: Ground) -> None:
    changed = plan(house, stack__level=9.0)
    stacks = [job.unit for _, job in changed.standing(Standing.RUN) if job.recipe.chain.label == "stack"]
    house.registry.add_metrics([Metric(stacks[-1], "priority", 5.0), Metric(stacks[0], "priority", -5.0)])
    result = house.run(changed)
    order = [
        row.unit for row in house.registry.jobs_of_production(result.production) if row.unit.grain is Grain.TILE_BAND
    ]
    assert set(order) == set(stacks)
    begun = sorted((house.registry.jobs_of(unit)[-1].recorded, unit) for unit in stacks)
    assert begun[0][1] == stacks[-1] or begun[0][0] == begun[1][0]


def test_a_closed_release_is_whole_readable_and_stays(house: Ground) -> None:
    before = house.contents()
    told = close(house)
    folder = house.survey.root / "published" / "one"
    assert (told.folder, told.owners) == (folder, ("Ada",))
    manifest = frozen.read(house.survey, "one")
    assert (manifest.released, manifest.public) == ("2026-12-01", "2027-06-01")
    assert told.files == len(list(manifest.files())) == sum(path.is_file() for path in folder.rglob("*")) - 1
    assert not [path for path, what in frozen.damaged(house.survey, manifest) if what]
    [stacked] = [unit for unit in manifest.units if unit.unit.endswith("_0100/r")]
    [image] = [file for file in stacked.files if file.product == "stacked"]
    with fits.open(folder / image.path, checksum=True) as file:
        cards = {name: file[0].header[name] for name in ("RELEASE", "DATE-REL", "DATE-PUB", "MAGZERO")}
    assert cards == {"RELEASE": "one", "DATE-REL": "2026-12-01", "DATE-PUB": "2027-06-01", "MAGZERO": 25.0}
    assert not (folder / image.path).stat().st_mode & 0o222
    # The survey's own products are untouched.
    assert house.contents() == before
    with pytest.raises(SetupFault) as caught:
        plan(house)
    assert caught.value.code == "release.frozen"
    [event] = house.registry.events("release.published")
    assert event.details["owner"] == "Ada"


def test_a_history_goes_down_to_the_raw_files_without_the_registry(house: Ground) -> None:
    close(house)
    [path] = [each for each in (house.survey.root / "published").rglob("history.json") if "_0100/r" in str(each)]
    told = json.loads(path.read_text())
    assert {job["chain"] for job in told["jobs"].values()} == set(told["chains"])
    assert {step["task"] for steps in told["chains"].values() for step in steps} == {"draw", "place", "stack"}
    makers = {maker_of(each[1]) for job in told["jobs"].values() for each in job["inputs"]} - {""}
    assert makers
    assert makers <= set(told["jobs"])
    assert {each["exposure"] for each in told["exposures"]} == {"demo-20261120-00100", "demo-20261120-00102"}
    words = path.with_name("history.txt").read_text()
    assert "2 exposures, 60 s in all" in words
    assert "stack 1 (1 jobs)" in words


def test_a_history_counts_what_each_rule_refuses_on_its_tile(house: Ground) -> None:
    path = house.survey.root / "releases" / "one.toml"
    path.write_text(path.read_text() + '[[rule]]\nname = "early"\nwhere = "sequence < 103"\n')
    assert house.run(plan(house)).complete
    close(house)
    found = {}
    for each in (house.survey.root / "published" / "one" / "stacks").rglob("history.json"):
        told = json.loads(each.read_text())
        found[told["unit"].rpartition("_")[2]] = told
        counts = {rule: sum(one["rule"] == rule for one in told["left_out"]) for rule in told["refused"]}
        assert counts == {rule: count["detectors"] for rule, count in told["refused"].items()}
        words = each.with_name("history.txt").read_text()
        assert ("rule early: 1 exposures" in words) == ("early" in told["refused"])
    # The only exposure that is late lies in the east, in g.
    assert {name for name, told in found.items() if "early" in told["refused"]} == {"0000/g", "0001/g", "0000", "0001"}
    assert found["0001/g"]["refused"] == {"early": {"exposures": 1, "detectors": 1}}


def test_no_release_is_begun_that_the_disk_will_not_hold(house: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def room(units: Any) -> int:
        asked.append(len(units))
        return 10**15

    monkeypatch.setattr("spica.services.publishing.skies.room_for", room)
    with pytest.raises(ResourceFault, match=r"1000000\.0 of them objects and HiPS") as caught:
        close(house)
    assert caught.value.code == "disk.full"
    assert asked == [12]
    assert not (house.survey.root / "published" / "one").exists()


def test_the_header_of_a_stack_is_refreshed_in_place(house: Ground) -> None:
    job = next(each for each in plan(house).jobs if each.recipe.chain.label == "stack")
    house.registry.add_metrics([Metric(job.unit, "seeing", 0.75, "arcsec"), Metric(job.unit, "depth_mag", 25.5, "mag")])
    house.registry.grade(job.unit, "B", "a ghost")
    [product] = [each for each in house.registry.products_of(job.unit) if each.name == "stacked"]
    path = house.survey.root / product.path
    before, size = open_rows(path).read(0, 8), path.stat().st_size
    done = refreshed(house.survey.root, unit=str(job.unit), release="one")
    assert (done.products, done.changed, done.problems) == (1, (product.path,), ())
    with fits.open(path, checksum=True) as file:
        told = {name: file[0].header[name] for name in ("SEEING", "DEPTH", "GRADE", "RELEASE", "MAGZERO")}
        assert file["SCIENCE"].header["NCOMBINE"] == len(job.target.rows)
    assert told == {"SEEING": 0.75, "DEPTH": 25.5, "GRADE": "B", "RELEASE": "one", "MAGZERO": 25.0}
    assert path.stat().st_size == size
    assert np.array_equal(open_rows(path).read(0, 8), before)
    [after] = [each for each in house.registry.products_of(job.unit) if each.name == "stacked"]
    assert (after.key, after.checksum) == (product.key, of_file(path))
    # It is the same stack: nothing is made again, and it is published with what it says now.
    assert plan(house).counts()["run"] == 0
    assert refreshed(house.survey.root, unit=str(job.unit)).changed == ()
    close(house)
    [copied] = (house.survey.root / "published").rglob(f"{'_'.join(job.unit.values)}_stacked.fits")
    assert fits.getheader(copied)["GRADE"] == "B"


def test_what_is_not_made_is_not_published_unless_that_is_allowed(house: Ground) -> None:
    with pytest.raises(SetupFault) as caught:
        close(house, plan(house, stack__level=7.0))
    assert caught.value.code == "release.incomplete"
    bad = "_0101/g"
    spoilt = {"stack__misbehave": "fault", "stack__units": bad}
    house.run(plan(house, **spoilt))
    with pytest.raises(SetupFault, match=r"for one tile-band:\S*_0101/g: failed: stack: data.no-pixels"):
        close(house, plan(house, **spoilt))
    told = close(house, plan(house, **spoilt), incomplete=True)
    assert [name for name in told.missing if name.endswith(bad)]
    assert not [unit for unit in frozen.read(house.survey, "one").units if unit.unit in told.missing]


def test_nothing_is_published_of_spoilt_products(house: Ground) -> None:
    path = next(path for path in (house.survey.root / "products").rglob("*stacked*.fits"))
    data = bytearray(path.read_bytes())
    data[-3000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataFault, match="other bytes than recorded") as caught:
        close(house)
    assert caught.value.code == "file.corrupt"
    assert not list((house.survey.root / "published").iterdir())


def test_what_is_lost_or_changed_of_a_release_is_named(house: Ground) -> None:
    close(house)
    folder = house.survey.root / "published" / "one"
    files = [file.path for file in frozen.read(house.survey, "one").files()]
    (folder / files[0]).unlink()
    (folder / files[1]).chmod(0o644)
    (folder / files[1]).write_bytes(b"x")
    told = publish.verify("one", house.survey.root)
    assert dict(told.damaged) == {files[0]: "it is gone", files[1]: "it has other bytes than were published"}
    (folder / "release.json").chmod(0o644)
    (folder / "release.json").write_text("{")
    with pytest.raises(DataFault, match=r"release\.json"):
        publish.verify("one", house.survey.root)


def test_a_release_that_was_not_published_cannot_be_verified(house: Ground) -> None:
    with pytest.raises(SetupFault) as caught:
        publish.verify("one", house.survey.root)
    assert caught.value.code == "release.unpublished"


def test_a_closed_release_is_followed_by_its_manifest(house: Ground) -> None:
    close(house)
    told = status.status("one", house.survey.root)
    assert told.published == "2026-12-01"
    assert told.counts["completed"] == len(told.units) == 12
    assert {each.exposures for each in told.units if each.band == "r"} == {1, 2}


def side(**figures: float) -> Side:
    return Side("completed", {name: (value, "mag") for name, value in figures.items()})


def test_differences_are_told_in_their_errors() -> None:
    one = side(deep_depth=25.0, completeness_star_80=24.0, completeness_star_80_err=0.03)
    two = side(deep_depth=25.2, completeness_star_80=24.1, completeness_star_80_err=0.04, extra=1.0)
    found = {each.figure: each for each in compare.differences_of("tile-band:t/r", one, two)}
    assert set(found) == {"deep_depth", "completeness_star_80", "extra"}
    assert found["completeness_star_80"].sigma == pytest.approx(2.0)
    assert np.isnan(found["deep_depth"].sigma)
    assert np.isnan(found["extra"].difference)


def test_a_trend_over_many_stacks_is_significant_only_where_there_is_one() -> None:
    random = np.random.default_rng(5)
    lines = []
    for number in range(40):
        noise = random.normal(0.0, 0.1, 2)
        first, second = side(same=25.0, better=25.0), side(same=25.0 + noise[0], better=25.1 + noise[1])
        lines += compare.differences_of(f"tile-band:t{number}/r", first, second)
    trends = {each.figure: each for each in compare.trends_of(lines)}
    assert abs(trends["same"].sigma) < 3.0
    assert trends["better"].sigma > 5.0
    assert trends["better"].mean == pytest.approx(0.1, abs=0.05)


def objects(shift: float, seed: int, count: int = 400) -> Catalogue:
    """Objects at fixed places with magnitudes of known errors."""
    random = np.random.default_rng(seed)
    place = np.random.default_rng(1)
    ra, dec = 359.95 + 0.1 * place.random(count), 0.1 * place.random(count)
    true = 18.0 + 4.0 * place.random(count)
    errors = np.full(count, 0.02)
    columns = {
        "ra": ra % 360.0,
        "dec": dec + random.normal(0.0, 0.02 / 3600.0, count),
        "mag_psf_r": true + shift + random.normal(0.0, errors),
        "mag_psf_err_r": errors,
    }
    declared = {name: Column(name, "f8", "", "", name) for name in columns}
    return Catalogue(columns, {"BANDS": "r"}, declared)


def test_magnitudes_are_compared_star_by_star() -> None:
    found = compare.star_by_star("t", "r", objects(0.0, 2), objects(0.01, 3))
    assert found.common > 390
    assert found.offset == pytest.approx(0.01, abs=4 * found.error)
    assert found.sigma > 3.0
    assert found.chi == pytest.approx(1.0, abs=0.15)
    assert found.error == pytest.approx(0.02 * 2**0.5 * 1.2533 / found.compared**0.5, rel=0.2)
    same = compare.star_by_star("t", "r", objects(0.0, 2), objects(0.0, 2))
    assert (same.offset, same.scatter) == (0.0, 0.0)
    few = compare.star_by_star("t", "r", objects(0.0, 2, 2), objects(0.0, 3, 2))
    assert np.isnan(few.offset)


def test_stacks_are_ranked_with_reasons_and_people_win(house: Ground) -> None:
    sides = {
        f"tile-band:t{number}/r": Side(
            "completed",
            {"deep_depth": (25.0 - 0.6 * (number == 3), "mag"), "deep_fwhm": (3.0 + 0.01 * number, "pixel")},
        )
        for number in range(5)
    }
    found = {each.unit: each for each in ranking.judged("r", sides)}
    assert found["tile-band:t3/r"].grade == "D"
    assert "deep_depth 24.4 mag: 12.0 scatters worse than the median 25 of 5 stacks" in found["tile-band:t3/r"].reasons
    assert {found[f"tile-band:t{number}/r"].grade for number in (0, 1, 2, 4)} == {"A"}
    house.registry.grade(Unit.parse("tile-band:t0/r"), "C", "a ghost in the corner", "Ada")
    noted = ranking.noted(house.registry, found["tile-band:t0/r"])
    assert (noted.grade, noted.person, noted.comments) == ("C", "Ada", ("a ghost in the corner (Ada)",))


def test_what_has_no_grade_comes_last() -> None:
    lines = [
        ranking.Ranked(0, f"exposure:{name}", "r", grade, "", score, ())
        for name, grade, score in (("a", "", 9.0), ("b", "D", 0.0), ("c", "A", -1.0), ("d", "A", 1.0))
    ]
    assert [each.unit[-1] for each in ranking.placed(lines)] == ["d", "c", "b", "a"]
    assert [each.place for each in ranking.placed(lines)] == [1, 2, 3, 4]
