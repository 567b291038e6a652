"""`spica calib`: masters listed, ordered for other nights, taken from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spica.cli.options import JsonOption, SurveyOption, examples
from spica.cli.render import print_json, say, show_table

app = typer.Typer(no_args_is_help=True, help="Master calibrations: list, use, copy, import.")

LIST = examples(
    "spica calib list",
    "spica calib list --night 2026-11-21         those that would serve that night, and how well",
    "spica calib list --kind flat --band r --json",
)
USE = examples(
    "spica calib use 2026-11-20 2026-11-22..2026-11-25 --kind flat --band r",
    "spica calib use --withdraw 3                that order holds no longer",
)
COPY = examples("spica calib copy 2026-11-20 2026-12-24     where that night has none of its own")
IMPORT = examples(
    "spica calib import flat_r.fits --kind flat --band r --camera demo --detector 1",
    "spica calib import bias_mosaic.fits --kind bias --camera decam --unit adu --from 2026-11-20 --to 2026-12-20",
)

CameraOption = Annotated[str, typer.Option("--camera", help="Of this camera.")]
BandOption = Annotated[str, typer.Option("--band", help="Of this band.")]
DetectorOption = Annotated[int | None, typer.Option("--detector", min=0, help="Of this detector.")]
KindOption = Annotated[list[str] | None, typer.Option("--kind", help="bias, dark, flat, defects …; repeated.")]
BlockArgument = Annotated[
    str, typer.Argument(help="Block of the masters, as spica calib list shows it: a night, mostly.", show_default=False)
]
NightsArgument = Annotated[
    str, typer.Argument(help="Nights that they are for: NIGHT or NIGHT..NIGHT.", show_default=False)
]
WithdrawOption = Annotated[int, typer.Option("--withdraw", min=0, help="Withdraw the order of this number.")]


@app.command("list", epilog=LIST)
def list_(
    night: Annotated[str, typer.Option("--night", help="Only those that would serve this night.")] = "",
    kind: KindOption = None,
    camera: CameraOption = "",
    band: BandOption = "",
    detector: DetectorOption = None,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Masters with what they serve, how they were made, and the orders given on them."""
    from spica.services import masters as service

    found = service.listing(service.Wanted(camera, band, detector, tuple(kind or ()), night), survey)
    if as_json:
        print_json(found)
        return
    rows = [
        [
            *(m.master, m.camera, m.detector, m.band, m.unit.rpartition("/")[2], f"{m.valid_from} … {m.valid_to}"),
            *(f"{m.binning} {m.readout_mode}".strip(), m.frames or "", m.serves, m.origin or "here"),
        ]
        for m in found.masters
    ]
    heads = ("master", "camera", "det", "band", "block", "valid", "read-out", "frames", "serves", "made")
    show_table("Masters", heads, rows, "no masters: spica run calibrations, or spica calib import FILE")
    orders = [
        [
            *(o.id, o.action, o.camera, o.block, o.master or "all", o.band or "all"),
            *("all" if o.detector is None else o.detector, f"{o.first} … {o.last}", o.who),
        ]
        for o in found.orders
    ]
    show_table("Orders", ("", "", "camera", "block", "master", "band", "det", "for the nights", "by"), orders)


@app.command("use", epilog=USE)
def use(
    block: BlockArgument = "",
    nights: NightsArgument = "",
    kind: KindOption = None,
    camera: CameraOption = "",
    band: BandOption = "",
    detector: DetectorOption = None,
    withdraw: WithdrawOption = 0,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fix the masters of a block for some nights: they are used there, whatever else there is."""
    _order("use", (block, nights), (kind, camera, band, detector), withdraw, survey, as_json=as_json)


@app.command("copy", epilog=COPY)
def copy(
    block: BlockArgument = "",
    nights: NightsArgument = "",
    kind: KindOption = None,
    camera: CameraOption = "",
    band: BandOption = "",
    detector: DetectorOption = None,
    withdraw: WithdrawOption = 0,
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the masters of a block valid for other nights too, where those have no better ones."""
    _order("copy", (block, nights), (kind, camera, band, detector), withdraw, survey, as_json=as_json)


def _order(
    action: str,
    what: tuple[str, str],
    which: tuple[list[str] | None, str, str, int | None],
    withdraw: int,
    survey: Path | None,
    *,
    as_json: bool,
) -> None:
    from spica.core.faults import SetupFault
    from spica.services import masters as service

    if withdraw:
        number = service.withdraw(withdraw, survey)
        if as_json:
            print_json({"withdrawn": number})
        else:
            say(f"order {number} holds no longer", "bold")
        return
    if not all(what):
        advice = f"example: spica calib {action} 2026-11-20 2026-11-21..2026-11-25"
        raise SetupFault("order.invalid", "name the masters' block and the nights that they are for", advice=advice)
    kind, camera, band, detector = which
    wanted = service.Wanted(camera, band, detector, tuple(kind or ()))
    given = service.order(action, *what, wanted, survey)
    if as_json:
        print_json({"orders": given})
        return
    for each in given:
        what_of = f"{each.master or 'all masters'} of {each.camera}, block {each.block}"
        say(f"order {each.id}: {each.action} {what_of} for {each.first} … {each.last}", "bold green")
    say("next: spica run night --dry-run says what that changes")


@app.command("import", epilog=IMPORT)
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="FITS files: one image per detector, or one with many extensions.")
    ],
    kind: Annotated[str, typer.Option("--kind", help="bias, dark, flat, fringe, hot or defects.")],
    camera: CameraOption = "",
    band: BandOption = "",
    detector: DetectorOption = None,
    unit: Annotated[str, typer.Option("--unit", help="Of the pixels: electron, adu, electron/s, adu/s.")] = "",
    gain: Annotated[float | None, typer.Option("--gain", min=0, help="electron/ADU; the camera table says.")] = None,
    binning: Annotated[str, typer.Option("--binning", help="Of the frames that it serves: 2x2.")] = "",
    readout_mode: Annotated[str, typer.Option("--readout-mode", help="Of the frames that it serves.")] = "",
    first: Annotated[str, typer.Option("--from", help="First night that it serves; always, without.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last night that it serves.")] = "",
    survey: SurveyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register masters made elsewhere, so that frames that would be refused can be reduced."""
    from spica.services import importing as service

    order = service.Order(kind, camera, band, detector, unit, gain, binning, readout_mode, first, last)
    found = service.bring_in(files, order, survey)
    if as_json:
        print_json({"imported": found})
        return
    show_table("", ("master", "unit", "path", "from"), [(f.master, f.unit, f.path, f.origin) for f in found])
    say(f"{len(found)} masters imported", "bold green")
