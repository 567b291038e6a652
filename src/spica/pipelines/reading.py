"""From TOML to steps: one file's tables, folded over the pipelines that it extends.

name = "mine"; title = "…"; extends = "reduce"      # or a list: their steps one after the other
instead = { calibrate = "tie" }                     # wherever the one would be extended, the other is
remove = ["quicklook"]
[[step]]                # overrides the step of this label, or is a new one
as = "detect_deep"      # label; the task's name where left out
task = "detect"
after = "background"    # or before = "…"; a new step comes last by default
[step.settings]
threshold = 1.0
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spica.core.faults import SetupFault
from spica.core.records import FrameType
from spica.core.task import Keep, Task
from spica.pipelines.model import Pipeline, Rescue, Step


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class StepTable(_Strict):
    """One ``[[step]]`` as written; None where it says nothing."""

    label: str | None = Field(default=None, alias="as")
    task: str | None = None
    after: str | None = None
    before: str | None = None
    settings: dict[str, Any] = {}
    rename: dict[str, str] = {}
    frames: tuple[FrameType, ...] | None = None
    where: str | None = None
    keep: dict[str, Keep] = {}
    without: tuple[str, ...] | None = None
    require: tuple[str, ...] | None = None
    apart: bool | None = None
    block: Annotated[int, Field(ge=1)] | None = None
    group: tuple[Literal["night", "band", "field"], ...] | None = None
    validity: Annotated[float, Field(gt=0)] | None = None

    def name(self) -> str:
        """The label, which is the task's name unless given."""
        return self.label or self.task or ""


class RescueTable(_Strict):
    """One ``[[rescue]]`` as written."""

    after: str
    step: str
    settings: dict[str, Any]
    borrow: Literal["", "exposure", "night"] = ""
    needs: str = ""


class PipelineTable(_Strict):
    """A pipeline file as written."""

    name: str
    title: str = ""
    extends: str | tuple[str, ...] = ()
    instead: dict[str, str] = {}
    remove: tuple[str, ...] = ()
    step: tuple[StepTable, ...] = ()
    rescue: tuple[RescueTable, ...] = ()

    def parents(self) -> tuple[str, ...]:
        """Names of the pipelines that this one extends."""
        return (self.extends,) if isinstance(self.extends, str) else self.extends


_FOLDED = ("settings", "rename", "keep")
_REPLACED = ("task", "frames", "where", "without", "require", "apart", "block", "group", "validity")


@dataclass(frozen=True)
class Source:
    """Text of a pipeline and where it comes from."""

    path: str
    text: str


def read_table(source: Source) -> PipelineTable:
    """Parse and validate one file's text; SetupFault ``pipeline.invalid`` with the place and the nearest name."""
    try:
        return PipelineTable.model_validate(tomllib.loads(source.text))
    except tomllib.TOMLDecodeError as error:
        raise _invalid(f"{source.path}: {error}", path=source.path) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = first["msg"]
        if first["type"] == "extra_forbidden":
            tables: dict[str, type[_Strict]] = {"step": StepTable, "rescue": RescueTable}
            table = tables.get(str(first["loc"][0]), PipelineTable)
            known = [field.alias or name for name, field in table.model_fields.items()]
            what = f"no such key{_hint(str(first['loc'][-1]), known)}"
        raise _invalid(f"{source.path}: {place}: {what}", path=source.path, key=place) from error


def fold(name: str, find: Callable[[str], Source], tasks: Mapping[str, Task], below: tuple[str, ...] = ()) -> Pipeline:
    """Read a pipeline and those that it extends, and make its steps.

    Parameters
    ----------
    name : the pipeline.
    find : text of a pipeline by name; raises ``pipeline.unknown``.
    tasks : task catalogue.
    below : pipelines that are being read now, to notice a circle.
    """
    tables, rescues, source, title = _flatten(name, find, below)
    steps = tuple(_step(name, table, tasks) for table in tables)
    ladder = tuple(
        Rescue(rescue.after, rescue.step, rescue.settings, rescue.borrow, rescue.needs) for rescue in rescues
    )
    return Pipeline(name, title, steps, ladder, source.path)


def _flatten(
    name: str, find: Callable[[str], Source], below: tuple[str, ...], instead: Mapping[str, str] = MappingProxyType({})
) -> tuple[list[StepTable], list[RescueTable], Source, str]:
    if name in below:
        circle = " → ".join((*below, name))
        raise _invalid(f"pipelines extend one another in a circle: {circle}", pipeline=name)
    source = find(name)
    table = read_table(source)
    if table.name != name:
        raise _invalid(f"{source.path}: it is called {table.name!r} inside, {name!r} outside", path=source.path)
    steps: list[StepTable] = []
    rescues: list[RescueTable] = []
    # What the child says holds for all below it.
    instead = {**table.instead, **instead}
    for parent in table.parents():
        inherited, ladder, _, _ = _flatten(instead.get(parent, parent), find, (*below, name), instead)
        steps.extend(inherited)
        rescues.extend(ladder)
    _refuse_twins(name, steps)
    for label in table.remove:
        _position(name, steps, label, "remove")
        steps = [step for step in steps if step.name() != label]
    _refuse_twins(name, table.step)
    for step in table.step:
        _put(name, steps, step)
    kept = {step.name() for step in steps}
    rescues = [rescue for rescue in rescues if rescue.step in kept] + list(table.rescue)
    return steps, rescues, source, table.title


def _refuse_twins(name: str, steps: Iterable[StepTable]) -> None:
    seen: set[str] = set()
    for step in steps:
        if not step.name():
            raise _invalid(f"pipeline {name!r}: a step has neither 'task' nor 'as'", pipeline=name)
        if step.name() in seen:
            raise _invalid(f"pipeline {name!r} has two steps labelled {step.name()!r}", pipeline=name, step=step.name())
        seen.add(step.name())


def _put(name: str, steps: list[StepTable], new: StepTable) -> None:
    """Override the step of the same label, or insert a new one where it asks to be."""
    labels = [step.name() for step in steps]
    if new.name() in labels:
        place = labels.index(new.name())
        merged = _merge(steps.pop(place), new)
    elif new.task is None:
        raise _invalid(
            f"pipeline {name!r} overrides the step {new.name()!r}, which it does not have{_hint(new.name(), labels)}",
            pipeline=name,
            step=new.name(),
        )
    else:
        place, merged = len(steps), new
    if new.after is not None:
        place = _position(name, steps, new.after, "after") + 1
    if new.before is not None:
        place = _position(name, steps, new.before, "before")
    steps.insert(place, merged)


def _merge(old: StepTable, new: StepTable) -> StepTable:
    changes: dict[str, Any] = {key: {**getattr(old, key), **getattr(new, key)} for key in _FOLDED}
    for name, product in new.rename.items():
        # What becomes of a product goes with it to its new name.
        before = old.rename.get(name, name)
        if before in old.keep and before != product and before not in new.keep:
            changes["keep"] = {product: old.keep[before], **changes["keep"]}
            del changes["keep"][before]
    changes.update({key: getattr(new, key) for key in _REPLACED if getattr(new, key) is not None})
    return old.model_copy(update={"label": old.name(), **changes})


def _position(name: str, steps: Iterable[StepTable], label: str, word: str) -> int:
    labels = [step.name() for step in steps]
    if label not in labels:
        raise _invalid(
            f"pipeline {name!r}: {word} = {label!r}, but there is no such step{_hint(label, labels)}",
            pipeline=name,
            step=label,
        )
    return labels.index(label)


def _step(name: str, table: StepTable, tasks: Mapping[str, Task]) -> Step:
    wanted = table.task or table.name()
    if wanted not in tasks:
        raise SetupFault(
            "task.unknown",
            f"pipeline {name!r}, step {table.name()!r}: there is no task {wanted!r}{_hint(wanted, tasks)}",
            task=wanted,
        )
    given = {key: getattr(table, key) for key in _REPLACED if key != "task" and getattr(table, key) is not None}
    return Step(
        table.name(),
        tasks[wanted],
        settings=table.settings,
        rename=table.rename,
        keep=table.keep,
        **given,
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name nearest to `name`, '' where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return near[0] if near else ""


def _hint(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""


def _invalid(message: str, **evidence: str) -> SetupFault:
    return SetupFault("pipeline.invalid", message, **evidence)


def read_file(path: Path) -> Source:
    """The text of a pipeline file; SetupFault ``pipeline.invalid`` where it cannot be read."""
    try:
        return Source(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(f"{path} cannot be read: {error}", path=str(path)) from error
