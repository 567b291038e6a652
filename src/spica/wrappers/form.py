"""The second form in which a task is declared: `run(settings, paths, folder)` over plain files in a folder of its own.

    TASK = wrapped(name="sextractor", version=1, grain=Grain.DETECTOR, settings=SExtractorSettings, program=SEXTRACTOR,
                   needs=(Need("science"),), gives=(Give("sources", Form.CATALOGUE),), run=sextractor)

What the function needs lies there as plain files (`spica.wrappers.materials`); what it returns are products as those of any
other task. The folder is removed afterwards; after a failure it is kept where the setting `keep_folder` asks for it.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.faults import Fault
from spica.core.records import Grain
from spica.core.settings import Settings, setting
from spica.core.task import External, Give, Need, Products, Task
from spica.wrappers.materials import materialise

Paths = Mapping[str, Path]


class ProgramSettings(Settings):
    """What every wrapped program can be told."""

    time_limit: float = setting(3600.0, "time that the program may take", "second", gt=0)
    keep_folder: bool = setting(False, "keep the work folder after a failure; the fault names it")


@dataclass(frozen=True)
class Dressed:
    """A function over files, dressed as the pure function of a task."""

    name: str
    needs: tuple[Need, ...]
    function: Callable[[Any, Paths, Path], Products]

    @property
    def __signature__(self) -> inspect.Signature:
        """The parameters of a task's function: settings and needs."""
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [inspect.Parameter(name, kind) for name in ("settings", *(need.name for need in self.needs))]
        )

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        """That of the function."""
        return inspect.getdoc(self.function)

    def __call__(self, settings: Any, **needs: Any) -> Products:
        """Lay out the needs, run the function over them."""
        with work_folder(self.name, keep=settings.keep_folder) as folder:
            return self.function(settings, materialise(self.needs, needs, folder), folder)


def wrapped(
    *,
    name: str,
    version: int,
    grain: Grain,
    settings: type[ProgramSettings],
    program: External,
    needs: Sequence[Need],
    gives: Sequence[Give],
    run: Callable[[Any, Paths, Path], Products],
) -> Task:
    """Declare a task that runs a program; arguments as those of `spica.core.task.Task`."""
    dressed = Dressed(name, tuple(needs), run)
    return Task(name, version, grain, settings, tuple(needs), tuple(gives), dressed, program)


@contextmanager
def work_folder(name: str, *, keep: bool) -> Iterator[Path]:
    """An empty folder, removed at the end; after a named fault it is kept where asked, and the fault names it."""
    folder = Path(tempfile.mkdtemp(prefix=f"spica-{name}-"))
    kept = False
    try:
        yield folder
    except Fault as fault:
        if keep:
            kept = True
            fault.evidence["folder"] = str(folder)
        raise
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
