"""A task of an outside package that misbehaves on order, installed for a drill and gone with its folder."""

from __future__ import annotations

import json
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
from spica.core.records import Grain, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task


class MischiefSettings(Settings):
    order: str = setting("", "file that tells what to do: deed, part of the unit's text, seconds")


def mischief(settings: MischiefSettings, sources: Catalogue, unit: Unit) -> Products:
    """Counts sources, unless it is told otherwise."""
    path = Path(settings.order)
    told = json.loads(path.read_text()) if path.is_file() else {}
    time.sleep(told.get("seconds", 0.0))
    if told.get("deed") and told["unit"] in str(unit):
        once = told.get("once")
        if once is None or not Path(once).exists():
            if once:
                Path(once).touch()
            return DEEDS[told["deed"]](unit)
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


def gives_rubbish(unit):
    return {"mischief": "three"}


def gives_nothing(unit):
    return None


def gives_nan(unit):
    return {"mischief": {"count": Measured(float("nan"))}}


def prints(unit):
    print("x" * 100000)
    sys.stderr.write("noise\\\\n")
    return {"mischief": {"count": Measured(0.0)}}


DEEDS = {deed.__name__: deed for deed in (
    raises, hangs, hangs_deaf, eats, kills_itself, crashes, exits, leaves, gives_rubbish, gives_nothing, gives_nan,
    prints,
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
frames = ["object"]
settings = {{ order = {order} }}
"""


def install(folder: Path) -> Path:
    """Install the package into a folder for Python's path."""
    info = folder / "mischief-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mischief\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spica.tasks]\nmischief = spica_mischief\n")
    (folder / "spica_mischief.py").write_text(MODULE)
    return folder


def pipeline(field: Field, order: Path) -> None:
    """Give a survey the pipeline; `order` is the file that the task looks into."""
    text = PIPELINE.format(order=json.dumps(str(order)))
    (field.folder / "pipelines" / "mischief.toml").write_text(text)


def tell(order: Path, **words: object) -> None:
    """Tell the task what to do."""
    order.write_text(json.dumps(words))
