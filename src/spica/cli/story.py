"""`spica status`, `spica faults`, `spica why`, `spica check`: how it stands, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spica.cli.door import ExitCode
from spica.cli.options import JsonOption, SurveyOption, WhereOption, examples
from spica.cli.render import duration, facts, print_json, say, show_table, size
from spica.cli.watching import watching

if TYPE_CHECKING:
    from spica.services.conforming import Conformance
    from spica.services.why import JobStory, Story

STATUS = examples(
    "spica status", "spica status --survey /data/survey --json", "spica status --orders 5        the latest runs"
)
FAULTS = examples(
    "spica faults",
    "spica faults file.truncated",
    "spica faults --pipeline reduce",
    "spica faults --codes      every code and its meaning",
)
WHY = examples(
    "spica why demo-20261120-00012/3            one detector of an exposure",
    "spica why demo-20261120-00012              an exposure",
    "spica why calibration:demo/3/r/2026-11-20  a master's unit",
)
CHECK = examples(
    "spica check",
    "spica check --deep           also read every byte: checksums, and what products say they are",
    "spica check --conformance    also check all FITS files against the standard",
)
GRADES = examples(
    "spica grades                              the worst detectors first",
    "spica grades --where \"night='2026-11-20' and verdict >= 3\"",
    "spica grades --exposures",
    "A 1 … D 4 is the metric verdict; limits stand in the camera's table under [grading].",
)
SHOWN = 30
STYLES = {"A": "green", "B": "cyan", "C": "yellow", "D": "red"}


def status(
    orders: Annotated[int, typer.Option("--orders", min=0, help="Show this many of the latest runs instead.")] = 0,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """How the survey stands: what came in, what was made, what is wrong."""
    if orders:
        _show_orders(survey, orders, as_json=as_json)
        return
    from spica.services import status as service

    found = service.status(survey)
    if as_json:
        print_json(found)
        return
    say(f"{found.name}  {found.folder}", "bold")
    facts(
        {
            "registry": found.registry,
            "nights": found.nights,
            "raw": f"{found.files} files ({size(found.bytes)}), {found.detectors} detectors",
            "products": f"{found.products} ({size(found.product_bytes)})",
            "at work": f"{found.running} units now" if found.running else "",
        },
        indent="  ",
    )
    rows = [(e.camera, e.frame_type, e.exposures) for e in found.exposures]
    show_table("Exposures", ("camera", "frames", "exposures"), rows, "no exposures yet: spica ingest PATH…")
    work = [(w.pipeline, w.done, w.refused, w.failed) for w in found.work]
    show_table("Units", ("pipeline", "done", "refused", "failed"), work, "nothing has run yet: spica run night")
    if found.verdicts:
        show_table("Verdicts", ("detectors", "grade"), [(v.detectors, v.grade) for v in found.verdicts])
    if found.faults:
        show_table("Open faults", ("code", "count", "next"), [(f.code, f.count, f.advice) for f in found.faults])
        say("more: spica faults; the story of one unit: spica why UNIT")
    if found.quarantined:
        say(f"{found.quarantined} files in quarantine: spica faults", "yellow")


def _show_orders(survey: Path | None, count: int, *, as_json: bool) -> None:
    from spica.services import productions as service

    found = service.productions(survey, count)
    if as_json:
        print_json({"productions": found})
        return
    rows = [
        (p.id, p.name, p.pipeline, p.selection, p.opened, p.closed or "not closed", p.done, p.refused, p.failed, p.cpu)
        for p in found
    ]
    heads = ("", "name", "pipeline", "where", "began (UTC)", "ended", "done", "refused", "failed", "CPU s")
    show_table("Runs, the latest first", heads, rows, "nothing has run yet: spica run night")


def faults(
    code: Annotated[str, typer.Argument(help="Only faults of this code.")] = "",
    pipeline: Annotated[str | None, typer.Option("--pipeline", help="Only of this pipeline; or ingest.")] = None,
    codes: Annotated[bool, typer.Option("--codes", help="List every fault code with its meaning and advice.")] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """What went wrong, by code: which units, with which evidence, and what to try next."""
    from spica.services import faults as service

    if codes:
        declared = service.codes()
        if as_json:
            print_json({"codes": declared})
            return
        show_table("", ("code", "kind", "meaning", "next"), [(c.code, c.kind, c.meaning, c.advice) for c in declared])
        return
    found = service.faults(survey, code, pipeline)
    if as_json:
        print_json({"faults": found})
        return
    if not found:
        say("no faults", "green")
    for fault in found[:SHOWN]:
        say(f"{fault.code} {fault.subject}", "red")
        facts({"what": fault.message, **fault.evidence, "next": fault.advice}, indent="  ")
    if len(found) > SHOWN:
        say(f"… and {len(found) - SHOWN} more (a code narrows, --json has all)")


def why(
    unit: Annotated[str, typer.Argument(help="EXPOSURE, EXPOSURE/DETECTOR, grain:key/key…, or the path of a file.")],
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """The whole story of one unit: where it came from, what was done to it and with what, and what to do."""
    from spica.services import why as service

    story = service.why(unit, survey)
    if as_json:
        print_json(story)
        return
    _show_story(story)


def _show_story(story: Story) -> None:
    say(f"{story.unit}  {story.verdict}", "bold")
    facts(story.facts, indent="  ")
    show_table(
        "Files",
        ("file", "size", "where", "checksum"),
        [(f.name, size(f.size), f.path, f.checksum[:12]) for f in story.files],
    )
    for fault in story.faults:
        say(f"{fault.code} {fault.message}", "red")
        facts({**fault.evidence, "next": fault.advice}, indent="  ")
    if story.quality is not None:
        say(f"verdict {story.quality.grade}", STYLES.get(story.quality.grade, ""))
        for reason in story.quality.reasons:
            say(f"  {reason}")
    for job in story.jobs:
        _show_job(job)
    show_table(
        "Metrics", ("metric", "value", "unit", "from"), [(m.name, m.value, m.units, m.source) for m in story.metrics]
    )
    rows = [(g.when, g.what, g.detail) for g in story.events]
    show_table("Events", ("when (UTC)", "what", ""), rows)
    for line in story.todo:
        say(f"next: {line}", "bold")


def _show_job(job: JobStory) -> None:
    style = {"done": "green", "refused": "yellow", "failed": "red"}.get(job.outcome, "")
    say(f"\njob {job.key[:12]} {job.pipeline}: {job.outcome}", style)
    facts(
        {
            "unit": job.unit,
            "steps": " → ".join(f"{s.label} (v{s.version})" for s in job.steps),
            "set": ", ".join(f"{name}={value}" for name, value in job.settings_changed.items()),
            "attempts": job.attempts,
            "rungs": ", ".join(job.rungs),
            "cost": f"{duration(job.wall)} wall, {duration(job.cpu)} CPU, {size(job.peak_memory)}, host {job.host}"
            if job.wall
            else "",
        },
        indent="  ",
    )
    show_table("", ("input", "of", "chosen by"), [(i.need, i.unit or i.key[:20] or "none", i.how) for i in job.inputs])
    show_table("", ("product", "form", "size", "path"), [(p.name, p.form, size(p.size), p.path) for p in job.products])
    show_table("", ("left out", "because", "says"), [(each.unit, each.why, each.choice) for each in job.left_out])
    if job.fault:
        say(f"  {job.fault.code} {job.fault.message}", "red")
        facts({**job.fault.evidence, "next": job.fault.advice}, indent="    ")
    if job.traceback:
        say(job.traceback)


def grades(
    where: WhereOption = "",
    exposures: Annotated[bool, typer.Option("--exposures", help="Of exposures instead of detectors.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")] = 50,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verdicts A to D with their reasons, the worst first, and what people noted by hand."""
    from spica.services import grades as service

    found = service.grades(survey, where, limit, exposures=exposures)
    if as_json:
        print_json({"grades": found})
        return
    rows = [(line.unit, line.grade, "\n".join(line.reasons), "\n".join(line.people)) for line in found]
    show_table("", ("unit", "grade", "why", "by hand"), rows, "nothing was graded yet: spica run night")


def check(
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every byte: compare checksums, and what products say they are.")
    ] = False,
    conformance: Annotated[
        bool, typer.Option("--conformance", help="Check raw files and images with astropy and fitsverify.")
    ] = False,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare registry and disk both ways: files lost or changed, and files that nobody recorded."""
    from spica.services import check as service

    with watching() as watcher:
        found = service.check(survey, deep=deep, conforming=conformance, watcher=watcher)
    if as_json:
        print_json(found)
    else:
        rows = [(d.path, d.what, d.advice) for d in found.differences[:SHOWN]]
        show_table("", ("path", "what", "next"), rows)
        if len(found.differences) > SHOWN:
            say(f"… and {len(found.differences) - SHOWN} more (--json has all)")
        say(f"{found.files} files and {found.products} products compared, {len(found.differences)} differences")
        if found.conformance is not None:
            _show_conformance(found.conformance)
    if found.differences or (found.conformance is not None and found.conformance.findings):
        raise typer.Exit(ExitCode.SOME_FAILED)


def _show_conformance(found: Conformance) -> None:
    for each in found.findings[:SHOWN]:
        say(f"{each.path} ({each.kind}), {each.program}:", "yellow")
        for text in each.lines[:SHOWN]:
            say(f"  {text}")
    if len(found.findings) > SHOWN:
        say(f"… and {len(found.findings) - SHOWN} more (--json has all)")
    for program in found.absent:
        say(f"{program} is not installed: its findings are missing", "yellow")
    by = " and ".join(found.programs)
    say(f"{found.files} FITS files checked against the standard by {by}, {len(found.findings)} findings")
