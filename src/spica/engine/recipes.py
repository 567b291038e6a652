"""Recipes: a chain with the settings of one camera, survey and order, and the digest of all that decides its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.keys import digest
from spica.core.release import Release
from spica.core.settings import Resolved, resolve, unknown
from spica.engine.spec import Recipe
from spica.files import standard
from spica.pipelines.graph import Chain
from spica.pipelines.model import Pipeline, Rescue, Step
from spica.pipelines.reading import nearest

Layer = tuple[str, Mapping[str, Any]]


class RecipeBook:
    """Makes recipes, one for each chain and camera.

    Parameters
    ----------
    pipeline : the pipeline.
    camera : camera table by name.
    survey : the survey's settings: task or step label to values.
    overrides : the order's settings, ``label.field`` (or ``task.field``) to value.
    release : that tiles are of: its settings, for the tasks that work on them.

    Raises
    ------
    SetupFault
        ``settings.unknown`` where an override names no step, task or setting of the pipeline; ``program.missing`` or
        ``program.version`` naming all programs of the pipeline that are not there, or not as they should be.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        camera: Callable[[str], Camera],
        survey: Mapping[str, Mapping[str, Any]],
        overrides: Mapping[str, Any],
        release: Release | None = None,
    ) -> None:
        _refuse_without_programs(pipeline)
        self._pipeline = pipeline
        self._camera = camera
        self._survey = survey
        self._order = _by_owner(pipeline, overrides)
        self._release = release
        self._made: dict[tuple[int, str], Recipe] = {}

    def recipe(self, chain: Chain, camera: str) -> Recipe:
        """The recipe of a chain for a camera, '' for tiles, which are of many; SetupFault ``settings.*`` where a layer does not fit."""
        found = self._made.get((chain.index, camera))
        if found is None:
            found = self._made[chain.index, camera] = self._make(chain, camera)
        return found

    def _make(self, chain: Chain, camera: str) -> Recipe:
        resolved = tuple(self._resolve(step, camera) for step in chain.steps)
        settings = tuple(each.plain() for each in resolved)
        labels = {step.label for step in chain.steps}
        rescues = tuple(rung for rung in self._pipeline.rescues if rung.step in labels)
        return Recipe(
            self._pipeline.name,
            chain,
            settings,
            tuple(each.sources for each in resolved),
            rescues,
            digest(_deciding(chain, settings, rescues)),
        )

    def _resolve(self, step: Step, camera: str) -> Resolved:
        table = self._camera(camera).settings if camera else {}
        owners = list(dict.fromkeys((step.task.name, step.label)))
        layers: list[Layer] = [(f"camera {camera}", table[owner]) for owner in owners if owner in table]
        layers.append((f"pipeline {self._pipeline.name}", step.settings))
        layers.extend(("survey", self._survey[owner]) for owner in owners if owner in self._survey)
        if self._release is not None and not camera:
            given, name = self._release.settings, f"release {self._release.name}"
            layers.extend((name, given[owner]) for owner in owners if owner in given)
        layers.extend(("order", self._order[owner]) for owner in owners if owner in self._order)
        return resolve(step.task.settings, layers, step.label)


def _deciding(chain: Chain, settings: Iterable[Mapping[str, Any]], rescues: Iterable[Rescue]) -> Any:
    """All of a chain that decides which bytes come out of given inputs, as plain data.

    Labels are no part of it: the same work under another label is the same work. What is wired to what is told by
    product names inside the chain and by place for what comes from outside.
    """
    outside = {(binding.step, binding.need.name): place for place, binding in enumerate(chain.outside)}
    place_of = {step.label: place for place, step in enumerate(chain.steps)}
    steps = [
        {
            "task": step.task.name,
            "version": step.task.version,
            **({"program": step.task.external.version()} if step.task.external else {}),
            "settings": given,
            "takes": {
                need.name: outside.get((step.label, need.name), step.product(need.name)) for need in step.needs()
            },
            "reads": {
                need.name: [
                    list(need.columns),
                    need.where,
                    need.stream,
                    need.section,
                    list(need.planes),
                    *filter(None, [need.among, need.margin, need.opposite, need.placed]),
                ]
                for need in step.needs()
                if need.columns or need.where or need.stream or need.section or need.planes or need.among
            },
        }
        for step, given in zip(chain.steps, settings, strict=True)
    ]
    gives = [
        [
            output.product,
            place_of[output.step],
            output.give.name,
            output.give.form.value,
            output.written,
            output.scratch,
        ]
        for output in chain.outputs
    ]
    ladder = [
        [
            *(rung.after, place_of[rung.step], dict(rung.settings)),
            *filter(None, [rung.borrow, f"needs {rung.needs}" if rung.needs else ""]),
        ]
        for rung in rescues
    ]
    validity = [step.validity for step in chain.steps if any(give.master for give in step.task.gives)]
    found = {"grain": chain.grain.value, "steps": steps, "gives": gives, "rescues": ladder, "validity": validity}
    return found | ({"header": standard.VERSION} if chain.files else {})


def _refuse_without_programs(pipeline: Pipeline) -> None:
    """Before anything starts: every program that the pipeline runs must be there, all that lack are named at once."""
    wrong: dict[str, SetupFault] = {}
    for step in pipeline.steps:
        if step.task.external is None:
            continue
        try:
            step.task.external.version()
        except SetupFault as fault:
            wrong[step.task.external.name] = fault
    if wrong:
        first = next(iter(wrong.values()))
        message = f"pipeline {pipeline.name!r}: " + "; ".join(fault.message for fault in wrong.values())
        raise SetupFault(first.code, message, advice=first.advice, programs=", ".join(wrong))


def _by_owner(pipeline: Pipeline, overrides: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Overrides ``owner.field`` by owner; the owner must be a step or task of the pipeline."""
    owners = {step.label: step for step in pipeline.steps} | {step.task.name: step for step in pipeline.steps}
    owners |= {step.label: step for step in pipeline.steps}
    found: dict[str, dict[str, Any]] = {}
    for name, value in overrides.items():
        owner, dot, setting = name.partition(".")
        if not dot or not setting:
            raise SetupFault(
                "settings.invalid", f"{name!r} is no setting: write step.setting or task.setting", setting=name
            )
        if owner not in owners:
            near = nearest(owner, owners)
            hint = f"; did you mean {near!r}?" if near else f"; there are {', '.join(sorted(owners))}"
            raise SetupFault(
                "settings.unknown",
                f"pipeline {pipeline.name!r} has no step or task {owner!r}{hint}",
                setting=name,
                nearest=near,
            )
        fields = owners[owner].task.settings.model_fields
        if setting not in fields:
            raise unknown(setting, fields, owner, "order")
        found.setdefault(owner, {})[setting] = value
    return found
