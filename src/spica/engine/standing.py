"""How jobs stand: done, failed before, or to run; and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from spica.core.catalogue import CODES
from spica.core.faults import FaultKind, FaultRecord, Outcome
from spica.core.jobs import ProductRecord
from spica.engine.plan import Plan, PlannedJob, Standing
from spica.files.survey import Survey
from spica.registry.rows import JobState
from spica.registry.store import Registry

NEVER_MADE = "never made"


def judge(
    plan: Plan, registry: Registry, survey: Survey, jobs: Sequence[PlannedJob], given_up: Mapping[str, FaultRecord]
) -> None:
    """Compare these jobs of a plan with the registry and the disk."""
    if not jobs:
        return
    states = registry.states([job.key for job in jobs])
    root = str(survey.root)
    for job in jobs:
        if job.key in given_up:
            job.standing, job.reason = Standing.FAILED, f"failed in this production: {given_up[job.key].code}"
            continue
        state = states.get(job.key)
        here = _on_disk(state, root) if state is not None and state.outcome is Outcome.DONE else {}
        job.standing, job.reason = _judge(job, state, here, retry=plan.order.retry)
        if job.standing is Standing.DONE:
            plan.products.update({record.key: record for record in here.values()})
    refused = registry.states([each.key for each in plan.refusals])
    plan.present |= {
        each.key for each in plan.refusals if each.key in refused and refused[each.key].fault == each.fault.code
    }


def _judge(
    job: PlannedJob, state: JobState | None, here: Mapping[str, ProductRecord], *, retry: bool
) -> tuple[Standing, str]:
    if state is None:
        return Standing.RUN, NEVER_MADE
    if state.outcome is Outcome.REFUSED:
        return Standing.RUN, f"refused before: {state.fault}"
    if state.outcome is Outcome.FAILED:
        # What the data say stays; whether a file can be read depends on the disk, and may be mended meanwhile.
        lasting = state.fault in CODES and CODES[state.fault].kind is FaultKind.DATA
        lasting = lasting and not state.fault.startswith("file.")
        if lasting and not retry:
            return Standing.FAILED, f"failed before on the same data: {state.fault}"
        return Standing.RUN, f"failed before: {state.fault}"
    for output in job.recipe.chain.outputs:
        # Scratch is deleted after its last consumer; `settle` sees whether it is wanted again.
        if output.filed and not output.scratch and output.product not in here:
            return Standing.RUN, f"its product {output.product} is gone, or of another size, on disk"
    return Standing.DONE, "done"


def _on_disk(state: JobState, root: str) -> dict[str, ProductRecord]:
    """The products of a done job whose files are there in their right size (values need none), by name."""
    return {record.name: record for record in state.products if not record.path or _intact(record, root)}


def _intact(record: ProductRecord, root: str) -> bool:
    try:
        return os.stat(f"{root}/{record.path}").st_size == record.size  # noqa: PTH116 - 10⁵ of them: Path costs more
    except OSError:
        return False


def broken(job: PlannedJob, given_up: Mapping[str, FaultRecord]) -> FaultRecord | None:
    """Why a job will not be done, None if it will (or is)."""
    if job.standing is not Standing.FAILED:
        return None
    if job.key in given_up:
        return given_up[job.key]
    code = job.reason.rpartition(": ")[2]
    return FaultRecord(code, CODES[code].kind, f"{job.unit} {job.reason}")


def settle(plan: Plan) -> None:
    """Done jobs run again where a job that runs needs a scratch product of theirs that was deleted."""
    for job in reversed(plan.jobs):
        if job.standing is not Standing.RUN:
            continue
        for links in job.inputs:
            for link in links:
                if link.maker < 0 or plan.jobs[link.maker].standing is not Standing.DONE:
                    continue
                if link.key not in plan.products:
                    maker = plan.jobs[link.maker]
                    maker.standing = Standing.RUN
                    maker.reason = f"needed again: its scratch product {link.key.partition('/')[2]} was deleted"
