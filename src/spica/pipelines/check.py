"""Refuse a pipeline that cannot work, before a pixel is read; every refusal names both culprits."""

from __future__ import annotations

from collections.abc import Iterable

from spica.core import where as selection
from spica.core.catalogue import CODES
from spica.core.faults import SetupFault
from spica.core.records import Grain
from spica.core.settings import resolve
from spica.core.task import Form, Give, Keep, Need
from spica.pipelines.graph import ROWS, TILED, chains, makers
from spica.pipelines.model import RENAMED, Pipeline, Step
from spica.pipelines.reading import nearest

SECTIONS = ("amplifiers", "grading", "geometry", "focal plane", "filter", "crosstalk", "site")
PIXELS = frozenset({"raw", "delivered", "detector"})
FACTS = frozenset({"exposure", "exposures", "camera", "unit", "members", "reference", "wcs", "systems", "indexes"})
OF_TILES = frozenset({"tile", "inputs", "previous", "dust"})
SOURCES = RENAMED | FACTS | OF_TILES | PIXELS
LATE = frozenset({"lent", "camera", "unit"})
PURPOSES = ("", "astrometry", "photometry")
UNSHARED = frozenset({Form.MEMORY})
LENDING = {Grain.DETECTOR: frozenset({"exposure", "night"}), Grain.EXPOSURE: frozenset({"night"})}
"""From whom a unit may borrow, by grain (`spica.pipelines.model.LENDERS`)."""
CIRCLES = frozenset({"visit", "dither"})
OF_FRAMES = frozenset({"exposure", "exposures", "camera", "members", "wcs", "systems"})
"""Facts that tiles do not have: they are of many cameras and nights."""
FLOWS = frozenset(
    {
        (Grain.DETECTOR, Grain.CALIBRATION),
        (Grain.DETECTOR, Grain.EXPOSURE),
        (Grain.EXPOSURE, Grain.DETECTOR),
        (Grain.EXPOSURE, Grain.CALIBRATION),
        (Grain.DETECTOR, Grain.GROUP),
        (Grain.EXPOSURE, Grain.GROUP),
        (Grain.GROUP, Grain.EXPOSURE),
        (Grain.GROUP, Grain.DETECTOR),
        (Grain.DETECTOR, Grain.TILE_BAND),
        (Grain.EXPOSURE, Grain.TILE_BAND),
        (Grain.DETECTOR, Grain.TILE),
        (Grain.EXPOSURE, Grain.TILE),
        (Grain.TILE_BAND, Grain.TILE),
        (Grain.TILE, Grain.TILE_BAND),
    }
)
"""From which grain to which other one a product may flow: all of a block, a group, an exposure or a tile, that of each
exposure of a block or a group, and one to each exposure or detector; of the bands of a tile, and one to each of them."""


def check(pipeline: Pipeline) -> None:
    """Check a whole pipeline.

    Raises
    ------
    SetupFault
        ``settings.unknown`` and ``settings.invalid``; ``where.invalid``; ``pipeline.invalid`` for a rename of something
        unknown, a need that nothing earlier gives, a product with two makers, grains that do not meet, a rung for an
        unknown step or fault.
    """
    if not pipeline.steps:
        raise _fault(pipeline, "has no steps")
    for step in pipeline.steps:
        _names(pipeline, step)
        resolve(step.task.settings, [("pipeline", step.settings)], step.label)
        selection.parse(step.where)
        _sources(pipeline, step)
    _two_makers(pipeline)
    for place, step in enumerate(pipeline.steps):
        for need in step.needs():
            if need.source == "product":
                _product(pipeline, place, step, need)
    _across(pipeline)
    _rescues(pipeline)


def _fault(pipeline: Pipeline, message: str, **evidence: str) -> SetupFault:
    return SetupFault("pipeline.invalid", f"pipeline {pipeline.name!r} {message}", pipeline=pipeline.name, **evidence)


def _known(pipeline: Pipeline, step: Step, word: str, given: Iterable[str], known: Iterable[str]) -> None:
    allowed = list(known)
    for name in given:
        if name not in allowed:
            near = nearest(name, allowed)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(allowed) or 'none'}"
            raise _fault(
                pipeline,
                f"step {step.label!r}: {word} names {name!r}, which task {step.task.name!r} does not have; {hint}",
                step=step.label,
                nearest=near,
            )


def _names(pipeline: Pipeline, step: Step) -> None:
    task = step.task
    renamed = [need.name for need in task.needs if need.source in RENAMED] + [give.name for give in task.gives]
    optional = [need.name for need in task.needs if need.optional]
    _known(pipeline, step, "rename", step.rename, renamed)
    _known(pipeline, step, "keep", step.keep, [step.product(give.name) for give in task.gives])
    _known(pipeline, step, "without", step.without, optional)
    _known(pipeline, step, "require", step.require, optional)
    if both := set(step.without) & set(step.require):
        raise _fault(pipeline, f"step {step.label!r} is both without and requires {sorted(both)}", step=step.label)


def _sources(pipeline: Pipeline, step: Step) -> None:
    for need in step.needs():
        what = f"step {step.label!r}: its need {need.name!r}"
        strange = OF_FRAMES if step.task.grain in TILED else OF_TILES
        if need.source in strange:
            raise _fault(
                pipeline,
                f"{what} is {need.source!r}, which units of grain {step.task.grain} do not have",
                step=step.label,
            )
        if need.source not in SOURCES:
            raise _fault(pipeline, f"{what} has the unknown source {need.source!r}", step=step.label)
        if need.among and (
            need.among not in CIRCLES or need.source != "product" or step.task.grain is not Grain.DETECTOR
        ):
            raise _fault(
                pipeline, f"{what} cannot be among {need.among!r}: only products of detectors are", step=step.label
            )
        _late(pipeline, step, need)
        if need.source == "camera" and need.section not in SECTIONS:
            raise _fault(pipeline, f"{what}: a camera has no section {need.section!r}", step=step.label)
        if need.source in {"reference", "systems"}:
            _reference(pipeline, step, need)
        if need.source in PIXELS and step.task.grain is not Grain.DETECTOR:
            raise _fault(
                pipeline,
                f"{what} is of one detector, but task {step.task.name!r} works by {step.task.grain}",
                step=step.label,
            )


def _late(pipeline: Pipeline, step: Step, need: Need) -> None:
    """Needs that a rung of the ladder fills, in a job of its own."""
    what = f"step {step.label!r}: its need {need.name!r}"
    if need.late and not (need.optional and need.source in LATE):
        raise _fault(pipeline, f"{what} is late, but not optional or not of {sorted(LATE)}", step=step.label)
    if need.source != "lent":
        return
    gives = [give for give in step.task.gives if give.name == need.name]
    if not need.late or not gives or step.task.grain not in LENDING:
        raise _fault(
            pipeline, f"{what} is no product of the step's own that units can lend, or not late", step=step.label
        )
    if gives[0].form in {*ROWS, *UNSHARED} or step.kept(gives[0]) is not Keep.ALWAYS:
        raise _fault(pipeline, f"{what} is lent, but not kept: keep {step.product(need.name)!r}", step=step.label)


def _reference(pipeline: Pipeline, step: Step, need: Need) -> None:
    what = f"step {step.label!r}: its need {need.name!r}"
    if need.section not in PURPOSES:
        raise _fault(pipeline, f"{what} is for the unknown purpose {need.section!r}", step=step.label)
    if need.margin and need.margin not in step.task.settings.model_fields:
        raise _fault(pipeline, f"{what} is widened by {need.margin!r}, which is no setting of it", step=step.label)
    if need.placed and need.placed not in {other.name for other in step.needs()}:
        raise _fault(pipeline, f"{what} is placed by {need.placed!r}, which is no need of it", step=step.label)
    if need.opposite and need.opposite not in step.task.settings.model_fields:
        raise _fault(pipeline, f"{what} is mirrored by {need.opposite!r}, which is no setting of it", step=step.label)


def _two_makers(pipeline: Pipeline) -> None:
    seen: dict[str, Step] = {}
    for step in pipeline.steps:
        for give in step.task.gives:
            if give.form in ROWS:
                continue  # they are rows under names of their own, not a product that could hide another
            product = step.product(give.name)
            if product in seen:
                raise _fault(
                    pipeline,
                    f"has two makers of {product!r}: the steps {seen[product].label!r} and {step.label!r}",
                    product=product,
                )
            seen[product] = step


def _product(pipeline: Pipeline, place: int, step: Step, need: Need) -> None:
    product = step.product(need.name)
    made = makers(pipeline)
    if product not in made:
        if step.optional(need):
            return
        near = nearest(product, made)
        hint = f"; did you mean {near!r}, which {made[near][0].label!r} gives?" if near else ""
        raise _fault(
            pipeline, f"step {step.label!r} needs {product!r}, which nothing earlier gives{hint}", step=step.label
        )
    maker, give = made[product]
    if pipeline.steps.index(maker) >= place:
        later = "itself" if maker is step else f"the later step {maker.label!r}"
        raise _fault(
            pipeline,
            f"step {step.label!r} needs {product!r}, which only {later} gives",
            step=step.label,
            maker=maker.label,
        )
    _meet(pipeline, step, need, maker, give)


def _meet(pipeline: Pipeline, step: Step, need: Need, maker: Step, give: Give) -> None:
    product = step.product(need.name)
    wrong = _mismatch(step, need, maker, give)
    if wrong:
        raise _fault(
            pipeline,
            f"step {step.label!r} needs {product!r} of step {maker.label!r}, but {wrong}",
            step=step.label,
            maker=maker.label,
        )


def _mismatch(step: Step, need: Need, maker: Step, give: Give) -> str:
    """Why a need cannot take what another step gives, '' if it can."""
    here, there = step.task.grain, maker.task.grain
    selections = [(each.frames, each.where, each.block) for each in (step, maker)]
    found = {
        f"expects it by {need.grain}, and it is made by {there}": need.grain is not None and need.grain is not there,
        f"works by {here}, and it is made by {there}"
        + ("; masters are taken with source 'master'" if give.master else ""): here is not there
        and (there, here) not in FLOWS,
        "they work on different frames": bool(step.frames and maker.frames)
        and not set(step.frames) & set(maker.frames),
        "their blocks are of different frames; masters are taken with source 'master'": here
        is there
        is Grain.CALIBRATION
        and selections[0] != selections[1],
        f"it wants rows of an image or a catalogue, and this is a {give.form}": need.stream
        and give.form not in {Form.IMAGE, Form.CATALOGUE},
        f"it wants planes of an image, and this is a {give.form}": bool(need.planes) and give.form is not Form.IMAGE,
        f"it wants columns or rows of a catalogue, and this is a {give.form}": bool(need.columns or need.where)
        and give.form is not Form.CATALOGUE,
        f"{give.form}s are no product to hand on; give a value beside them"
        if give.form is Form.OUTLINE
        else "metrics are no product to hand on; give a value beside them": give.form in ROWS,
    }
    return next((wrong for wrong, true in found.items() if true), "")


def _across(pipeline: Pipeline) -> None:
    """What flows from one job to another must be something that can be kept in between."""
    linked = chains(pipeline)
    for chain in linked:
        for binding in chain.outside:
            if binding.chain is None:
                continue
            output = linked[binding.chain].output(binding.product)
            if output.give.form in UNSHARED:
                raise _fault(
                    pipeline,
                    f"step {binding.step!r} needs {binding.product!r} of step {output.step!r}, but a {output.give.form} "
                    "cannot be kept between jobs; place the steps one after the other, on the same frames",
                    step=binding.step,
                    maker=output.step,
                )


def _rescues(pipeline: Pipeline) -> None:
    labels = [step.label for step in pipeline.steps]
    for rung in pipeline.rescues:
        if rung.step not in labels:
            near = nearest(rung.step, labels)
            hint = f"; did you mean {near!r}?" if near else ""
            raise _fault(
                pipeline, f"has a rung for the step {rung.step!r}, which it does not have{hint}", step=rung.step
            )
        if rung.after not in CODES:
            near = nearest(rung.after, CODES)
            hint = f"; did you mean {near!r}?" if near else ""
            raise _fault(pipeline, f"has a rung after the unknown fault {rung.after!r}{hint}", step=rung.step)
        step = pipeline.step(rung.step)
        resolve(step.task.settings, [("pipeline", step.settings), ("rescue", rung.settings)], step.label)
        if rung.needs and rung.needs not in {need.name for need in step.needs() if step.optional(need)}:
            raise _fault(
                pipeline, f"has a rung that needs {rung.needs!r}, no optional need of its step", step=rung.step
            )
        if not rung.borrow:
            continue
        if not any(need.source == "lent" for need in step.needs()):
            raise _fault(
                pipeline,
                f"has a rung that borrows for the step {rung.step!r}, which takes nothing lent",
                step=rung.step,
            )
        if rung.borrow not in LENDING[step.task.grain]:
            grain = step.task.grain
            raise _fault(
                pipeline, f"has a rung by which a unit of grain {grain} borrows of {rung.borrow!r}", step=rung.step
            )
