"""A task of an outside package that misbehaves on order, installed for a drill and gone with its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.drills.ground import Field

MODULE = '''
"""A task that does what a file beside the survey tells it to do."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.records import Grain, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task


class MischiefSettings(Settings):
    order: str = setting("mischief.json", "file that tells what to do: unit to deed")


def mischief(settings: MischiefSettings, sources: Catalogue, unit: Unit) -> Products:
    """Counts sources, unless it is told otherwise."""
    path = Path(settings.order)
    told = json.loads(path.read_text()) if path.is_file() else {}
    deed = told.get(unit.values[0][-5:] + "/" + unit.values[1])
    if deed:
        once = Path(f"{deed}.once")
        if not told.get("once") or not once.exists():
            once.touch()
            return DEEDS[deed](unit)
    return {"mischief": {"count": Measured(float(len(sources)))}}


def raises(unit):
    raise ZeroDivisionError(f"nothing to divide in {unit}")


def hangs(unit):
    time.sleep(1000)


def hangs_deaf(unit):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


def eats(unit):
    eaten = []
    while True:
        eaten.append(np.ones(2**22))


def kills_itself(unit):
    os.kill(os.getpid(), signal.SIGKILL)


def crashes(unit):
    os.kill(os.getpid(), signal.SIGSEGV)


def exits(unit):
    sys.exit(3)


def leaves(unit):
    os._exit(0)


def recurses(unit):
    return recurses(unit)


def interrupts(unit):
    raise GeneratorExit(f"{unit} ends oddly")


def undeclared(unit):
    raise DataFault("mischief.done", f"{unit} has a fault that nobody declared")


def gives_rubbish(unit):
    return {"mischief": "three"}


def gives_nothing(unit):
    return None


def gives_nan(unit):
    return {"mischief": {"count": Measured(float("nan"))}}


def prints(unit):
    print("x" * 100000)
    sys.stderr.write("noise")
    return {"mischief": {"count": Measured(0.0)}}


DEEDS = {deed.__name__: deed for deed in (
    raises, hangs, hangs_deaf, eats, kills_itself, crashes, exits, leaves, gives_rubbish, gives_nothing, gives_nan,
    prints, recurses, interrupts, undeclared,
)}

TASK = Task(
    name="mischief",
    version=1,
    grain=Grain.DETECTOR,
    settings=MischiefSettings,
    needs=(Need("sources"), Need("unit", "unit")),
    gives=(Give("mischief", Form.METRICS),),
    run=mischief,
)
'''

PIPELINE = """
name = "mischief"
title = "A night with a task that misbehaves"
extends = "night"

[[step]]
task = "mischief"
after = "measure"
frames = ["object"]
"""


def install(folder: Path) -> Path:
    """Install the package into a folder for Python's path."""
    info = folder / "mischief-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mischief\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spica.tasks]\nmischief = spica_mischief\n")
    (folder / "spica_mischief.py").write_text(MODULE)
    return folder


def tell(field: Field, deeds: Mapping[str, str] | None = None, *, once: bool = False) -> None:
    """Tell the task what to do, by unit (``demo-20261120-00010/1``); without deeds to behave."""
    told: dict[str, object] = {unit[-7:]: deed for unit, deed in (deeds or {}).items()}
    (field.folder / "mischief.json").write_text(json.dumps(told | {"once": once}))
    (field.folder / "pipelines" / "mischief.toml").write_text(PIPELINE)
