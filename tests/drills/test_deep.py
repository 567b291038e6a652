"""The pipeline deep on a simulated field: from raw frames to stacks, catalogues and objects in two bands, against the truth."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial import cKDTree

from spica.core.columns import Catalogue
from spica.core.faults import SetupFault
from spica.files import frozen
from spica.files.catalogues import read_catalogue
from spica.files.hats.regions import Cone
from spica.files.images import read_image
from spica.files.pictures import read_png
from spica.files.published.catalogue import PublishedCatalogue
from spica.files.survey import Survey
from spica.services import releases, run
from spica.services.publishing import compare, publish, removing, status
from spica.services.report.release import release_page
from tests.support.calibrated import calibrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

RELEASE = """
name = "dr1"
[tiles]
grid = "overlap"
scale = 0.4
overlap = 0.0
[[rule]]
name = "verdict"
where = "detector > 0"
[[rule]]
name = "late"
where = "sequence not in (16, 17, 24)"
"""


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey with the stacks of its one field, beside its sky."""
    root = calibrated(tmp_path_factory.mktemp("deep"), exposures="8", bands="r,g")
    home = root / "survey"
    (home / "releases" / "dr1.toml").write_text(RELEASE)
    result = run.run(run.Order("deep", executor="inprocess", release="dr1"), home)
    assert (result.failed, result.refused, result.left) == (0, 0, 0)
    return root


def objects(field: Path) -> Catalogue:
    [path] = (field / "survey" / "products" / "objects").rglob("*.parquet")
    return read_catalogue(path)


def truth(field: Path) -> Mapping[str, np.ndarray]:
    table = pq.read_table(field / "sky" / "truth" / "sources.parquet")
    return {name: np.asarray(table[name]) for name in ("ra", "dec", "mag_r", "mag_g", "type")}


def test_what_the_rules_take_is_stacked_and_what_they_leave_is_said(field: Path) -> None:
    told = releases.preview("dr1", field / "survey")
    assert {(each.tile, each.band) for each in told.stacks} == {(told.stacks[0].tile, band) for band in "gr"}
    taken = {name for each in told.stacks for name in each.exposures}
    assert not [name for name in taken if int(name[-2:]) in {16, 17, 24}]
    left = {each.exposure for each in told.left if each.rule == "late"}
    assert left
    assert all(int(name[-2:]) in {16, 17, 24} for name in left)
    for path in (field / "survey" / "products" / "stack").rglob("*.fits"):
        image = read_image(path)
        here = [each for each in told.stacks if each.band == path.name.split("_stack")[0][-1]]
        assert image.header["NCOMBINE"] == here[0].detectors
        assert np.mean(np.isfinite(image.pixels)) > 0.7


def test_objects_are_where_and_as_bright_as_the_truth_says(field: Path) -> None:
    found, sky = objects(field), truth(field)
    level = np.cos(np.radians(np.median(sky["dec"])))
    apart, match = cKDTree(np.stack([sky["ra"] * level, sky["dec"]], 1) * 3600.0).query(
        np.stack([found["ra"] * level, found["dec"]], 1) * 3600.0
    )
    same = apart < 1.0
    assert np.mean(same) > 0.9
    stars = same & (sky["type"][match] == "star")
    east = 3.6e6 * (found["ra"] - sky["ra"][match])[stars] * level
    north = 3.6e6 * (found["dec"] - sky["dec"][match])[stars]
    # Motions since the sky's epoch, and blends.
    assert abs(np.median(east)) < 20.0
    assert abs(np.median(north)) < 20.0
    for band in "gr":
        true = sky[f"mag_{band}"][match]
        bright = stars & (true > 17.0) & (true < 20.0) & np.isfinite(found[f"mag_psf_{band}"])
        assert np.count_nonzero(bright) > 15
        off = (found[f"mag_psf_{band}"] - true)[bright]
        assert abs(np.median(off)) < 0.03


def test_sources_tell_how_many_exposures_saw_them_and_tiles_have_a_picture(field: Path) -> None:
    products = field / "survey" / "products"
    for path in (products / "deep_sources").rglob("*.parquet"):
        seen = read_catalogue(path)["exposures"]
        assert seen.min() >= 1
        assert 5 <= seen.max() <= 8
    [colour] = (products / "colour").rglob("*.png")
    picture = read_png(colour)
    assert picture.ndim == 3
    assert picture.std() > 5
    assert len(list((products / "thumbnail").rglob("*.png"))) == 2


def test_nothing_is_made_again_until_something_changes(field: Path) -> None:
    home = field / "survey"
    assert run.foresee(run.Order("deep", release="dr1"), home).to_run == 0
    changed = run.foresee(run.Order("deep", release="dr1", settings={"objects.radius": "0.7"}), home)
    assert {each.chain: each.to_run for each in changed.chains if each.to_run} == {"bright_stars + objects": 1}


def test_releases_are_compared_closed_and_rebuilt(field: Path) -> None:
    home = field / "survey"
    (home / "releases" / "dr2.toml").write_text(
        RELEASE.replace("dr1", "dr2").replace("(16, 17, 24)", "(16, 17, 18, 24)")
    )
    result = run.run(run.Order("deep", executor="inprocess", release="dr2"), home)
    assert (result.failed, result.refused, result.left) == (0, 0, 0)
    dates = publish.Dates(dt.date(2026, 12, 1), dt.date(2027, 12, 1))
    closed = publish.publish("dr1", home, dates)
    assert not publish.verify("dr1", home).damaged
    [history] = (closed.folder / "stacks").rglob("*/r/history.json")
    assert "late" in json.loads(history.read_text())["refused"]
    published = PublishedCatalogue(closed.folder / "objects")
    [table] = (closed.folder / "stacks").rglob("*_objects.parquet")
    assert published.info.rows == np.count_nonzero(read_catalogue(table)["own"])
    [circles] = (closed.folder / "stacks").rglob("*_bright_stars.reg")
    assert circles.with_name(circles.name.replace(".reg", "_moc.fits")).is_file()
    assert "bright_star" in {each.name for each in published.info.columns}
    for name in ("hips/r", "hips/g", "hips/colour"):
        assert "hips_order" in (closed.folder / name / "properties").read_text()
        assert (closed.folder / name / "Moc.fits").is_file()
    page = release_page("dr1", home, output=field / "dr1.html")
    told = Path(page.page).read_text()
    assert (page.shown, page.tiles) == (1, 1)
    assert all(
        text in told for text in ("published on 2026-12-01", "Completeness, g", "The sky in colour", "In colour")
    )
    found = compare.compare("dr1", "dr2", home)
    inputs = {each.unit[-1]: each.difference for each in found.differences if each.figure == "stack_inputs"}
    assert sorted(inputs) == ["g", "r"]
    assert min(inputs.values()) == -2.0, "an exposure of two detectors less"
    for star in found.stars:
        assert star.common > 0.8 * star.first
        assert abs(star.offset) < 0.02
        assert star.chi < 1.1, "they share exposures"
    image = next((closed.folder / "stacks").rglob("*_r_stack.fits"))
    [red] = [each for each in frozen.read(Survey.open(home), "dr1").units if each.unit.endswith("/r")]
    assert read_image(image).header["NCOMBINE"] == red.figures["stack_inputs"][0] == 2.0 * red.exposures
    removed = removing.remove("dr2", home, band="g")
    assert not any((home / path).exists() for path in removed.paths)
    assert any("objects" in path for path in removed.paths), "what was made of it goes too"
    counts = status.status("dr2", home).counts
    assert counts["pending"] > 0
    again = run.run(run.Order("deep", executor="inprocess", release="dr2"), home)
    assert (again.failed, again.left) == (0, 0)
    after = compare.compare("dr1", "dr2", home)
    assert [each.difference for each in after.differences] == pytest.approx(
        [each.difference for each in found.differences], nan_ok=True
    )
    assert not publish.verify("dr1", home).damaged


def test_a_release_without_costly_steps_says_so(field: Path) -> None:
    home = field / "survey"
    text = RELEASE.replace("dr1", "lean").replace("[tiles]", 'without = ["completeness", "bright_stars"]\n[tiles]', 1)
    (home / "releases" / "lean.toml").write_text(text)
    order = run.Order("deep", executor="inprocess", release="lean")
    planned = run.foresee(order, home).chains
    assert not any(word in each.chain for each in planned for word in ("completeness", "bright_stars"))
    assert sum(each.to_run for each in planned if each.chain == "stack") == 0, "the stacks are those of dr1"
    result = run.run(order, home)
    assert (result.failed, result.refused, result.left) == (0, 0, 0)
    publish.publish("lean", home, publish.Dates(dt.date(2026, 12, 1), dt.date(2026, 12, 1)))
    told = frozen.read(Survey.open(home), "lean")
    assert told.asked["without"] == ["completeness", "bright_stars"]
    assert not {"completeness", "bright_stars"} & set(told.tasks)
    assert "stack" in told.tasks
    assert not {"completeness", "bright_stars"} & {file.product for file in told.files()}
    assert run.run(order.__class__("deep", executor="inprocess", release="dr1"), home).done == 0


def test_objects_keep_the_identifiers_of_the_release_before(field: Path) -> None:
    home = field / "survey"
    if not (home / "published" / "dr1").exists():
        publish.publish("dr1", home, publish.Dates(dt.date(2026, 12, 1), dt.date(2027, 12, 1)))
    text = RELEASE.replace("dr1", "dr3").replace("(16, 17, 24)", "(16, 17, 18, 24)")
    (home / "releases" / "dr3.toml").write_text(text.replace("[tiles]", 'previous = "dr1"\n[tiles]', 1))
    result = run.run(run.Order("deep", executor="inprocess", release="dr3"), home)
    assert (result.failed, result.refused, result.left) == (0, 0, 0)
    before = PublishedCatalogue(home / "published" / "dr1" / "objects")
    known = set(before.find(Cone(0.0, 0.0, 180.0), ("object_id",))["object_id"].tolist())
    newest = max((home / "products" / "objects").rglob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    table = read_catalogue(newest)
    kept = table["kept"].astype(bool)
    assert kept.mean() > 0.8
    assert all(number in known for number in table["object_id"][kept].tolist())
    (home / "releases" / "dr4.toml").write_text(
        text.replace("dr3", "dr4").replace("[tiles]", 'previous = "dr2"\n[tiles]', 1)
    )
    with pytest.raises(SetupFault) as caught:
        run.foresee(run.Order("deep", release="dr4"), home)
    assert caught.value.code == "release.unpublished"
