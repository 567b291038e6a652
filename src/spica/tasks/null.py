"""Null: gives one number and touches no pixel; what is left is what the engine costs."""

from __future__ import annotations

from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Products, Task


class NullSettings(Settings):
    """What it gives."""

    value: float = setting(0.0, "the number")


def null(settings: NullSettings) -> Products:
    """Give the number of the settings as a metric."""
    return {"null": {"null": Measured(settings.value)}}


TASK = Task(
    name="null",
    version=1,
    grain=Grain.DETECTOR,
    settings=NullSettings,
    needs=(),
    gives=(Give("null", Form.METRICS, meaning="the number of the settings"),),
    run=null,
)
