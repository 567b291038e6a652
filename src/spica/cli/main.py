"""`spica`: every command of the house, in the order in which a survey meets them.

Nothing heavy is imported here: a command imports its service when it runs, so that help answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from spica import __version__
from spica.cli import (
    begin,
    calib,
    cameras,
    coverage,
    cutting,
    frames,
    headers,
    hips,
    metrics,
    pictures,
    pipelines,
    published,
    queue,
    refcat,
    registry,
    releases,
    releasing,
    reporting,
    story,
    wcs,
    work,
)
from spica.cli.door import Door
from spica.cli.options import examples

app = typer.Typer(
    name="spica",
    cls=Door,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "spica demo build/demo                    from a simulated sky to catalogues, judged against the truth",
        "spica init survey && cd survey           begin a survey of your own",
        "spica ingest /data/raw                   take frames in",
        "spica run night --where \"night='2026-11-20'\"   masters, detrended images, catalogues",
        "spica status                             how it stands; then: spica why UNIT",
    ),
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"spica {__version__}")
        raise typer.Exit


@app.callback()
def spica(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """Everything between a wide-field telescope and a published sky survey."""


BEGIN, FRAMES, WORK, STORY, TABLES = "Begin", "Frames", "Work", "How it stands", "Tables and upkeep"

app.command("init", rich_help_panel=BEGIN, epilog=begin.INIT)(begin.init)
app.command("demo", rich_help_panel=BEGIN, epilog=begin.DEMO)(begin.demo)
app.command("doctor", rich_help_panel=BEGIN, epilog=begin.DOCTOR)(begin.doctor)
app.command("simulate", rich_help_panel=FRAMES, epilog=frames.SIMULATE)(frames.simulate)
app.command("ingest", rich_help_panel=FRAMES, epilog=frames.INGEST)(frames.ingest)
app.command("inventory", rich_help_panel=FRAMES, epilog=frames.INVENTORY)(frames.inventory)
app.command("run", rich_help_panel=WORK, epilog=work.RUN)(work.run)
app.command("up", rich_help_panel=WORK, epilog=queue.UP)(queue.up)
app.command("sources", rich_help_panel=WORK, epilog=work.SOURCES)(work.sources)
app.command("tiles", rich_help_panel=WORK, epilog=releases.TILES)(releases.tiles)
app.command("export", rich_help_panel=WORK, epilog=work.EXPORT)(work.export)
# A declination below the equator is no option.
app.command("cutout", rich_help_panel=WORK, epilog=cutting.CUTOUT, context_settings={"ignore_unknown_options": True})(
    cutting.cutout
)
app.command("covering", rich_help_panel=WORK, epilog=wcs.COVERING, context_settings={"ignore_unknown_options": True})(
    wcs.covering
)
app.command("cone", rich_help_panel=WORK, epilog=published.CONE, context_settings={"ignore_unknown_options": True})(
    published.cone
)
app.command("status", rich_help_panel=STORY, epilog=story.STATUS)(story.status)
app.command("faults", rich_help_panel=STORY, epilog=story.FAULTS)(story.faults)
app.command("why", rich_help_panel=STORY, epilog=story.WHY)(story.why)
app.command("grades", rich_help_panel=STORY, epilog=story.GRADES)(story.grades)
app.command("report", rich_help_panel=STORY, epilog=reporting.REPORT)(reporting.report)
app.command("check", rich_help_panel=STORY, epilog=story.CHECK)(story.check)
app.add_typer(queue.app, name="queue", rich_help_panel=WORK)
app.add_typer(pictures.app, name="picture", rich_help_panel=WORK)
app.add_typer(hips.app, name="hips", rich_help_panel=WORK)
app.add_typer(calib.app, name="calib", rich_help_panel=WORK)
app.add_typer(cameras.app, name="camera", rich_help_panel=TABLES)
app.add_typer(pipelines.app, name="pipeline", rich_help_panel=TABLES)
app.add_typer(refcat.app, name="refcat", rich_help_panel=TABLES)
app.add_typer(releasing.app, name="release", rich_help_panel=WORK)
app.add_typer(published.app, name="published", rich_help_panel=WORK)
app.add_typer(coverage.app, name="moc", rich_help_panel=WORK)
app.add_typer(headers.app, name="header", rich_help_panel=TABLES)
app.add_typer(wcs.app, name="wcs", rich_help_panel=TABLES)
app.add_typer(metrics.app, name="metrics", rich_help_panel=TABLES)
app.add_typer(registry.app, name="registry", rich_help_panel=TABLES)
