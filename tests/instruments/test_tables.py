"""Camera tables: the shipped ones, a user's own, an outside package's, and wrong ones."""

from __future__ import annotations

import math
from importlib.metadata import EntryPoint
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.instruments import tables

DETECTORS = {
    "decam": 62,
    "megaprime": 36,
    "hsc": 104,
    "suprimecam": 10,
    "sinistro": 1,
    "lco": 1,
    "huntsman": 1,
    "wircam": 4,
    "imsim": 189,
    "demo": 4,
    "mosaic3": 4,
    "90prime": 4,
    "sdss": 6,
    "saao": 1,
    "asi120": 1,
    "panoptes": 1,
}
AMPLIFIERS = {"decam": 2, "megaprime": 2, "hsc": 4, "suprimecam": 4, "sinistro": 4, "imsim": 16, "demo": 2, "wircam": 1}


def test_every_shipped_table_loads_with_its_detectors(cameras: dict[str, Camera]) -> None:
    assert {name: len(camera.detectors) for name, camera in cameras.items()} == DETECTORS


def test_a_table_is_named_as_its_file(cameras: dict[str, Camera]) -> None:
    assert all(name == camera.name for name, camera in cameras.items())


@pytest.mark.parametrize("name", sorted(AMPLIFIERS))
def test_amplifiers_fill_each_detector_exactly_once(cameras: dict[str, Camera], name: str) -> None:
    for spec in cameras[name].detectors:
        assert len(spec.amplifiers) == AMPLIFIERS[name]
        area = sum((a.detector[1] - a.detector[0]) * (a.detector[3] - a.detector[2]) for a in spec.amplifiers)
        assert area == spec.nx * spec.ny
        for one, two in combinations(spec.amplifiers, 2):
            assert not _overlap(one.detector, two.detector)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_sections_of_one_hdu_do_not_overlap(cameras: dict[str, Camera], name: str) -> None:
    spec = cameras[name].detectors[0]
    sections = [
        (a.hdu, section) for a in spec.amplifiers for section in (a.data, a.overscan, a.prescan) if section is not None
    ]
    for (hdu, one), (other, two) in combinations(sections, 2):
        assert hdu != other or not _overlap(one, two), (one, two)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_detectors_do_not_overlap_in_the_focal_plane(cameras: dict[str, Camera], name: str) -> None:
    camera = cameras[name]
    pitch = camera.pixel_size / 1000
    boxes = []
    for spec in camera.detectors:
        turned = math.isclose(abs(math.sin(math.radians(spec.rotation))), 1.0)
        wide, high = (spec.ny, spec.nx) if turned else (spec.nx, spec.ny)
        boxes.append(
            (
                spec.x_mm - wide * pitch / 2,
                spec.x_mm + wide * pitch / 2,
                spec.y_mm - high * pitch / 2,
                spec.y_mm + high * pitch / 2,
            )
        )
    # A tenth of a millimetre is the rounding of published places.
    assert not [pair for pair in combinations(boxes, 2) if _overlap(*pair, slack=0.1)]


def _overlap(one: tuple[float, ...], two: tuple[float, ...], slack: float = 0.0) -> bool:
    return one[0] < two[1] - slack and two[0] < one[1] - slack and one[2] < two[3] - slack and two[2] < one[3] - slack


def test_decam_chips_are_numbered_as_in_its_headers(cameras: dict[str, Camera]) -> None:
    named = {spec.id: spec.name for spec in cameras["decam"].detectors}
    assert {1: "S29", 9: "S21", 25: "S1", 28: "S4", 32: "N1", 37: "N6", 57: "N26", 62: "N31"}.items() <= named.items()


def test_imsim_has_rafts_of_nine(cameras: dict[str, Camera]) -> None:
    rafts = [spec.raft for spec in cameras["imsim"].detectors]
    assert len(set(rafts)) == 21
    assert all(rafts.count(raft) == 9 for raft in rafts)
    assert cameras["imsim"].snaps == 2


def test_only_wircam_is_near_infrared(cameras: dict[str, Camera]) -> None:
    assert [name for name, camera in cameras.items() if camera.near_infrared] == ["wircam"]


def test_unknown_camera_names_the_nearest() -> None:
    with pytest.raises(SetupFault) as caught:
        tables.load("megaprim")
    assert caught.value.code == "camera.unknown"
    assert caught.value.evidence["nearest"] == "megaprime"


def test_a_survey_table_extends_a_shipped_one_of_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text('extends = "demo"\nname = "demo"\npixel_scale = 0.7\n[site]\nheight = 10.0\n')
    mine, shipped = tables.load("demo", [tmp_path]), tables.load("demo")
    assert mine.pixel_scale == 0.7
    assert mine.site.height == 10.0
    assert mine.site.name == shipped.site.name
    assert mine.detectors == shipped.detectors


def test_a_survey_adds_a_camera(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "demo"\nname = "mine"\nrecognise = { TELESCOP = "Mine" }\n')
    assert "mine" in tables.names([tmp_path])
    assert tables.load("mine", [tmp_path]).recognise == {"TELESCOP": "Mine"}


def test_a_changed_table_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('extends = "demo"\nname = "mine"\npixel_scale = 0.7\n')
    assert tables.load("mine", [tmp_path]).pixel_scale == 0.7
    path.write_text('extends = "demo"\nname = "mine"\npixel_scale = 0.75\n')
    assert tables.load("mine", [tmp_path]).pixel_scale == 0.75


def test_an_outside_package_brings_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.toml").write_text('extends = "demo"\nname = "theirs"\n')
    point = SimpleNamespace(name="theirs", value="theirs:cameras", load=lambda: lambda: tmp_path)
    monkeypatch.setattr(tables, "entry_points", lambda group: [point] if group == "spica.cameras" else [])
    assert tables.load("theirs").name == "theirs"


def test_a_broken_outside_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("broken", "no_such_package_of_cameras", "spica.cameras")
    monkeypatch.setattr(tables, "entry_points", lambda group: [point] if group else [])
    with pytest.raises(SetupFault) as caught:
        tables.names()
    assert caught.value.code == "plugin.broken"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name = 3 3", "Expected newline"),
        ('extends = "demo"\nname = "x"\npixel_scal = 2', "pixel_scal"),
        ('extends = "demo"\nname = "x"\npixel_scale = -2', "pixel_scale"),
        ('extends = "demo"\nname = "x"\n[[detectors]]\ntype = "none"\n', "none"),
        ('extends = "demo"\nname = "x"\n[[detectors]]\ntype = "ccd"\ncolumns = ["id"]\nrows = [[1, 2]]', "columns"),
        (
            (
                'extends = "demo"\nname = "x"\n[[detectors]]\ntype = "ccd"\nhdus=[0]\n'
                'columns = ["id", "name", "gain"]\nrows = [[1, "a", [1.0, 2.0, 3.0]]]'
            ),
            "3 values of gain",
        ),
        (
            'extends = "demo"\nname = "x"\n[[detectors]]\ntype = "ccd"\nhdus=[0]\ncolumns = ["id", "name"]\nrows = [[1, "a"], [1, "b"]]',
            "unique",
        ),
        (
            'extends = "demo"\nname = "x"\n[[filters]]\nband="r"\nnames=["r"]\n[[filters]]\nband="R"\nnames=["r"]',
            "spelling",
        ),
    ],
)
def test_a_wrong_table_says_what_is_wrong(text: str, word: str) -> None:
    with pytest.raises(SetupFault) as caught:
        tables.load_text(text, "mine")
    assert caught.value.code == "camera.invalid"
    assert word in caught.value.message


def test_a_table_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b"\nname = "a"\n')
    (tmp_path / "b.toml").write_text('extends = "a"\nname = "b"\n')
    with pytest.raises(SetupFault, match="extends itself"):
        tables.load("a", [tmp_path])


def test_all_problems_of_a_table_are_told_at_once() -> None:
    with pytest.raises(SetupFault) as caught:
        tables.load_text('extends = "demo"\nname = "x"\npixel_scale = -2\npixel_size = "wide"\n', "mine")
    assert caught.value.evidence["problems"] == 2


def test_the_documented_example_loads() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cameras.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    camera = tables.load_text(example)
    assert [spec.name for spec in camera.detectors] == ["WEST", "EAST"]
    assert camera.detectors[1].amplifiers[1].gain == 1.5
