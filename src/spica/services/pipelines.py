"""Pipelines and tasks: which there are, what one does, whether it can work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spica.core.settings import resolve
from spica.files import releases
from spica.files.survey import FILE_NAME, Survey
from spica.instruments import tables
from spica.pipelines import catalogue
from spica.pipelines.graph import TILED, describe
from spica.pipelines.leaving import leave_out
from spica.pipelines.model import LENDERS, Pipeline
from spica.pipelines.owners import refuse_strangers
from spica.services.surveys import camera_folders, locate_if_any, pipeline_folders


@dataclass(frozen=True)
class PipelineLine:
    """One pipeline in a list; `source` is 'shipped', 'survey', or the file of an outside package."""

    name: str
    title: str
    steps: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class TaskLine:
    """One task in a list."""

    name: str
    version: int
    grain: str
    needs: tuple[str, ...]
    gives: tuple[str, ...]
    summary: str


@dataclass(frozen=True)
class SettingLine:
    """One setting of one step, as it would be used here, and the layer that its value comes from."""

    step: str
    name: str
    value: Any
    unit: str
    meaning: str
    source: str


@dataclass(frozen=True)
class Shown:
    """A pipeline: its graph in lines of text and as data, and every setting."""

    name: str
    title: str
    source: str
    graph: tuple[str, ...]
    description: Mapping[str, Any]
    settings: tuple[SettingLine, ...]
    picture: Path | None


@dataclass(frozen=True)
class Checked:
    """A pipeline that can work."""

    name: str
    source: str
    steps: int


def load(name: str, survey: Survey | None) -> Pipeline:
    """A pipeline by its name, or by the path of its file.

    Raises
    ------
    SetupFault
        ``pipeline.*``, ``task.unknown``, ``settings.*``; ``settings.unknown`` also where survey.toml has settings for
        something that is neither a task nor a step of any pipeline.
    """
    folders = pipeline_folders(survey)
    if name.endswith(".toml"):
        path = Path(name).absolute()
        pipeline = catalogue.load(path.stem, (*folders, path.parent))
    else:
        pipeline = catalogue.load(name, folders)
    if survey is not None:
        where = f"{survey.root / FILE_NAME}: [tasks.{{}}]"
        refuse_strangers(survey.settings.tasks, where, folders, pipeline)
    return pipeline


def load_for(release: str, name: str, survey: Survey) -> Pipeline:
    """A pipeline as a release wants it: without the steps that it leaves out, where the pipeline makes tiles.

    Raises
    ------
    SetupFault
        As `load`; ``release.*`` for a release that cannot be used, or that leaves out what another step needs.
    """
    pipeline = load(name, survey)
    if not any(step.task.grain in TILED for step in pipeline.steps):
        return pipeline
    given = releases.load(survey, release)
    return leave_out(pipeline, given.without, given.name)


def listing(folder: Path | None) -> tuple[PipelineLine, ...]:
    """All pipelines by name.

    Raises
    ------
    SetupFault
        ``pipeline.invalid`` of the first one that cannot work.
    """
    survey = locate_if_any(folder)
    return tuple(_line(load(name, survey), survey) for name in catalogue.names(pipeline_folders(survey)))


def _line(pipeline: Pipeline, survey: Survey | None) -> PipelineLine:
    path = Path(pipeline.source)
    source = "shipped" if path.parent == Path(catalogue.__file__).parent / "shipped" else str(path)
    if survey and path.parent == survey.folder("pipelines"):
        source = "survey"
    return PipelineLine(pipeline.name, pipeline.title, tuple(step.label for step in pipeline.steps), source)


def tasks(folder: Path | None = None) -> tuple[TaskLine, ...]:
    """All tasks by name, those of the survey's wrappers too."""
    return tuple(
        TaskLine(
            task.name,
            task.version,
            str(task.grain),
            tuple(need.name for need in task.needs),
            tuple(give.name for give in task.gives),
            task.summary,
        )
        for _, task in sorted(catalogue.tasks_of(pipeline_folders(locate_if_any(folder))).items())
    )


def show(name: str, folder: Path | None, picture: Path | None = None, camera: str = "") -> Shown:
    """One pipeline, and its graph drawn into a PNG file where `picture` names one.

    Settings are those for exposures of `camera`, its own defaults among them, where one is named.

    Raises
    ------
    SetupFault
        ``pipeline.unknown`` or ``camera.unknown`` with the nearest name, ``pipeline.invalid``, ``settings.unknown``.
    """
    survey = locate_if_any(folder)
    pipeline = load(name, survey)
    defaults: Mapping[str, Mapping[str, Any]] = {}
    if camera:
        defaults = tables.load(camera, camera_folders(survey)).settings
        refuse_strangers(defaults, f"camera {camera}: [settings.{{}}]", pipeline_folders(survey), pipeline)
    description = describe(pipeline)
    if picture is not None:
        _draw(description, picture)
    settings = tuple(_settings(pipeline, survey, camera, defaults))
    return Shown(
        pipeline.name, pipeline.title, pipeline.source, tuple(_graph(description)), description, settings, picture
    )


def check(name: str, folder: Path | None) -> Checked:
    """Check one pipeline: loading it refuses everything that cannot work, naming both culprits.

    Raises
    ------
    SetupFault
        ``pipeline.unknown``, ``pipeline.invalid``, ``task.unknown``, ``settings.*``, ``where.invalid``.
    """
    survey = locate_if_any(folder)
    pipeline = load(name, survey)
    for _ in _settings(pipeline, survey):
        pass
    return Checked(pipeline.name, pipeline.source, len(pipeline.steps))


def _settings(
    pipeline: Pipeline, survey: Survey | None, camera: str = "", defaults: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[SettingLine]:
    """Every setting of every step: the camera's, the pipeline's, the survey's; what a step's own label is given wins."""
    given = survey.settings.tasks if survey else {}
    table = defaults or {}
    for step in pipeline.steps:
        cls = step.task.settings
        owners = tuple(dict.fromkeys((step.task.name, step.label)))
        layers: list[tuple[str, Mapping[str, Any]]] = [(f"camera {camera}", table[n]) for n in owners if n in table]
        layers.append(("pipeline", step.settings))
        layers += [("survey", given[name]) for name in owners if name in given]
        resolved = resolve(cls, layers, step.label)
        for field, value in resolved.plain().items():
            info = cls.model_fields[field]
            extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            yield SettingLine(
                step.label, field, value, str(extra.get("unit", "")), info.description or "", resolved.sources[field]
            )


def _graph(description: Mapping[str, Any]) -> Iterator[str]:
    """The graph as lines: jobs from top to bottom, in each its steps with what goes in and what comes out."""
    makers = {(edge["to"], edge["product"]): edge["from"] for edge in description["edges"]}
    for job in description["jobs"]:
        steps = [step for step in description["steps"] if step["job"] == job["job"]]
        frames = ", ".join(steps[0]["frames"]) or "all"
        where = f" where {steps[0]['where']}" if steps[0]["where"] else ""
        yield f"job {job['job'] + 1}: one per {job['grain']}, {frames} frames{where}"
        for index, step in enumerate(steps):
            last = index == len(steps) - 1
            yield f"  {'└─' if last else '├─'} {step['label']}: {step['summary']}"
            bar = "  " if last else "│ "
            needs = "; ".join(_need(need, makers.get((step["label"], need["product"]), "")) for need in step["needs"])
            gives = "; ".join(_give(give) for give in step["gives"])
            yield f"  {bar}   ◀ {needs or 'nothing'}"
            yield f"  {bar}   ▶ {gives or 'nothing'}"
            if step["settings"]:
                yield f"  {bar}   set {', '.join(f'{name}={value}' for name, value in step['settings'].items())}"
    for rung in description["rescues"]:
        given = ", ".join(f"{name}={value}" for name, value in rung["settings"].items())
        lent = f", lent by {LENDERS[rung['borrow']]}" if rung["borrow"] else ""
        where = f", where {rung['needs']} are there" if rung["needs"] else ""
        yield f"after {rung['after']}: {rung['step']} with {given}{lent}{where}"


def _need(need: Mapping[str, Any], maker: str) -> str:
    optional = " (optional)" if need["optional"] else ""
    if need["source"] == "camera":
        return f"camera's {need['section']}{optional}"
    if not need["product"]:
        return f"{need['source']}{optional}"
    kind = {"master": "master ", "lent": "lent "}.get(need["source"], "")
    return f"{kind}{need['product']}{f' of {maker}' if maker else ''}{optional}"


def _give(give: Mapping[str, Any]) -> str:
    kept = {"always": "", "scratch": ", scratch", "never": ", in memory"}[give["keep"]]
    return f"{give['name']} ({'master ' if give['master'] else ''}{give['form']}{kept})"


def _draw(description: Mapping[str, Any], picture: Path) -> None:
    from spica.services import figures

    layers: dict[str, int] = {}
    for step in description["steps"]:
        above = [layers[edge["from"]] for edge in description["edges"] if edge["to"] == step["label"]]
        layers[step["label"]] = max(above, default=-1) + 1
    depth = max(layers.values()) + 1
    rows = [[name for name, layer in layers.items() if layer == index] for index in range(depth)]
    notes = {s["label"]: f"{s['task']} v{s['version']}, {s['grain']}" for s in description["steps"]}
    arrows = [(edge["from"], edge["to"], edge["product"]) for edge in description["edges"]]
    figures.graph(f"{description['name']}: {description['title']}", rows, notes, arrows, picture)
