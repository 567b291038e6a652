"""Tasks and pipelines of outside packages join the shipped ones, or are refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.pipelines import catalogue

Offer = Callable[..., None]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Offer]:
    """Pretend that packages with these entry points and modules are installed."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(group: str, value: str, **modules: str) -> None:
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        point = EntryPoint("outside", value, group)
        monkeypatch.setattr(catalogue, "entry_points", lambda group: [point] if point.group == group else [])
        catalogue.tasks.cache_clear()

    yield install
    catalogue.tasks.cache_clear()


TASK = """
from spica.core.records import Grain
from spica.core.settings import NoSettings
from spica.core.task import Form, Give, Task

def run(settings):
    return {"x": {}}

TASK = Task("NAME", 1, Grain.DETECTOR, NoSettings, (), (Give("x", Form.METRICS),), run)
"""


def test_a_task_of_an_outside_package_is_found(offer: Offer) -> None:
    offer("spica.tasks", "outside_task", outside_task=TASK.replace("NAME", "halo"))
    assert catalogue.tasks()["halo"].name == "halo"
    assert "detrend" in catalogue.tasks()


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("import nowhere_to_be_found", "plugin.broken", "nowhere_to_be_found"),
        ("TASK = 1", "plugin.broken", "holds no task"),
        (TASK.replace("NAME", "detrend"), "task.invalid", "spica.tasks.detrend"),
        (TASK.replace("run(settings)", "run(settings, more)"), "plugin.broken", "more"),
    ],
)
def test_a_broken_package_is_named(offer: Offer, text: str, code: str, word: str) -> None:
    name = f"broken_{abs(hash(text))}"
    offer("spica.tasks", name, **{name: text})
    with pytest.raises(SetupFault) as caught:
        catalogue.tasks()
    assert caught.value.code == code
    assert word in caught.value.message


def test_a_surveys_pipeline_hides_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "null.toml").write_text('name = "null"\ntitle = "ours"\n[[step]]\ntask = "null"\n')
    assert catalogue.load("null", [tmp_path]).title == "ours"
    assert catalogue.load("null").title != "ours"


def test_an_unknown_pipeline_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SetupFault) as caught:
        catalogue.load("reduse")
    assert (caught.value.code, caught.value.evidence["nearest"]) == ("pipeline.unknown", "reduce")
