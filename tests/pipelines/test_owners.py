"""Settings by task or step in tables: what nobody knows is refused with the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.instruments import tables
from spica.pipelines import catalogue
from spica.pipelines.owners import refuse_strangers
from tests.support.terminal import new_survey

CAMERA = """
extends = "demo"

[settings.{owner}]
{name} = {value}
"""


@pytest.mark.parametrize("camera", tables.names())
def test_every_shipped_camera_names_what_there_is(camera: str) -> None:
    refuse_strangers(tables.load(camera).settings, "[settings.{}]", ())


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ({"cosmic": {"threshold": 6.0}}, "cosmics"),
        ({"combine_bais": {"minimum": 1}}, "combine_bias"),
        ({"cosmics": {"treshold": 6.0}}, "threshold"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest(given: dict[str, dict[str, float]], near: str) -> None:
    with pytest.raises(SetupFault, match=f"did you mean '{near}'") as caught:
        refuse_strangers(given, "table: [settings.{}]", (), catalogue.load("reduce"))
    assert caught.value.code == "settings.unknown"
    assert "table: [settings." in caught.value.message


def test_steps_of_other_pipelines_are_known() -> None:
    refuse_strangers({"combine_bias": {"minimum": 1}}, "{}", (), catalogue.load("catalogue"))


@pytest.mark.parametrize(("owner", "name"), [("cosmic", "threshold"), ("cosmics", "treshold")])
def test_check_and_show_refuse_it(tmp_path: Path, owner: str, name: str) -> None:
    terminal = new_survey(tmp_path / "survey")
    text = CAMERA.format(owner=owner, name=name, value=6.0)
    (terminal.folder / "cameras" / "mine.toml").write_text(text)
    assert "settings.unknown" in terminal.order("camera", "check", "mine", terminal.folder / "survey.toml", code=2)
    assert "settings.unknown" in terminal.order("pipeline", "show", "reduce", "--camera", "mine", code=2)


def test_show_tells_the_camera_s_own_defaults(tmp_path: Path) -> None:
    terminal = new_survey(tmp_path / "survey")
    (terminal.folder / "cameras" / "mine.toml").write_text(CAMERA.format(owner="cosmics", name="threshold", value=6.5))

    def told(*words: str) -> tuple[float, str]:
        lines = terminal.ask("pipeline", "show", "reduce", *words)["settings"]
        return next((e["value"], e["source"]) for e in lines if (e["step"], e["name"]) == ("cosmics", "threshold"))

    assert told() == (5.0, "default")
    assert told("--camera", "mine") == (6.5, "camera mine")
    assert told("--camera", "demo") == (5.0, "default")
    survey = terminal.folder / "survey.toml"
    survey.write_text(survey.read_text() + "\n[tasks.cosmics]\nthreshold = 7.0\n")
    assert told("--camera", "mine") == (7.0, "survey")
