"""Records: units by name, geometry that fits, declarations that agree."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from spica.core.camera import AmplifierSpec
from spica.core.columns import COLUMNS
from spica.core.faults import SetupFault
from spica.core.mask import MEANINGS, Mask
from spica.core.records import Grain, Unit
from spica.core.settings import Settings, resolve, setting
from spica.core.task import Form, Give, Need, Products, Task


@pytest.mark.parametrize("text", ["detector:demo-1/3", "exposure:demo-1", "calibration:demo/3/r/2026-11-20", "tile:12"])
def test_units_read_back(text: str) -> None:
    assert str(Unit.parse(text)) == text


def test_short_unit_names() -> None:
    assert Unit.parse("demo-1/3") == Unit(Grain.DETECTOR, ("demo-1", "3"))
    assert Unit.parse("demo-1") == Unit(Grain.EXPOSURE, ("demo-1",))
    with pytest.raises(ValueError, match="keys"):
        Unit.parse("tile:1/2")


def test_an_amplifier_must_fill_its_place() -> None:
    with pytest.raises(ValidationError, match="does not fill"):
        AmplifierSpec(name="A", data=(0, 10, 0, 10), detector=(0, 9, 0, 10))


def test_every_mask_bit_has_a_meaning() -> None:
    assert set(MEANINGS) == {bit.name for bit in Mask}


def test_every_column_is_declared_whole() -> None:
    for name, column in COLUMNS.items():
        assert column.name == name
        assert column.meaning
        assert column.ucd


class ToySettings(Settings):
    """Two numbers."""

    threshold: float = setting(5.0, "detection threshold", "sigma", gt=0)
    window: int = setting(3, "window", "pixel")


def toy(settings: ToySettings, science: object) -> Products:
    """Do nothing."""
    return {"out": science, "settings": settings}


def test_settings_remember_their_source() -> None:
    found = resolve(ToySettings, [("camera", {"window": 5}), ("command line", {"threshold": 4})], "detect")
    assert found.plain() == {"threshold": 4.0, "window": 5}
    assert found.sources == {"threshold": "command line", "window": "camera"}


def test_an_unknown_setting_suggests_the_nearest() -> None:
    with pytest.raises(SetupFault, match="did you mean 'threshold'") as caught:
        resolve(ToySettings, [("command line", {"treshold": 4})], "detect")
    assert caught.value.evidence["nearest"] == "threshold"


def test_a_wrong_value_says_where_it_came_from() -> None:
    with pytest.raises(SetupFault, match=r"detect\.threshold.*survey\.toml") as caught:
        resolve(ToySettings, [("survey.toml", {"threshold": -1})], "detect")
    assert caught.value.code == "settings.invalid"


def test_a_declaration_must_fit_its_function() -> None:
    gives = (Give("out", Form.IMAGE),)
    assert Task("toy", 1, Grain.DETECTOR, ToySettings, (Need("science"),), gives, toy).summary == "Do nothing."
    with pytest.raises(SetupFault, match="flat"):
        Task("toy", 1, Grain.DETECTOR, ToySettings, (Need("flat"),), gives, toy)
