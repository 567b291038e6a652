"""Bad input of stacks: the exposure is named, the others are stacked or the stack fails, as the order says; mended, it is as if nothing had been."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.core.images import Image
from spica.core.keywords import is_sky
from spica.files.images import read_image
from tests.drills.ground import contents
from tests.drills.test_disk import KIB, Disk, mounted
from tests.support.deliveries import SIDE, Delivery, Frame, prepare
from tests.support.terminal import Terminal, new_survey

BAD = "detector:mine-0001/1"
HERE = '[[tiles.field]]\nname = "here"\nra = 20.0\ndec = 30.0\nwidth = 0.015\n'
ELSEWHERE = HERE.replace("here", "there").replace("20.0", "22.0")
MEAN = ("--set", "stack.method=mean")
LEAVE = ("--set", "stack.lost=leave out")


def survey(
    folder: Path, spoil: Callable[[Frame], object] | None = None, count: int = 4, tiles: str = HERE, **other: Any
) -> Terminal:
    """A survey with its frames, the second of them spoilt."""
    terminal = new_survey(folder / "survey")
    prepare(terminal.folder, "fields" if tiles else "overlap", tiles)
    Delivery(**other, spoilt={1: spoil} if spoil else {}).write(folder / "delivery", count)
    terminal.ask("ingest", folder / "delivery")
    return terminal


def run(terminal: Terminal, *words: str, code: int = 0) -> Any:
    return terminal.ask("run", "stacks", "--executor", "inprocess", *words, code=code)


def stack(terminal: Terminal, tile: str = "here") -> Image:
    """The newest stack of a tile."""
    return read_image(terminal.product(f"tile-band:{tile}/r", "stack"))


def fault(terminal: Terminal) -> Any:
    """The only fault that is open."""
    [one] = terminal.ask("faults")["faults"]
    return one


def cut(frame: Frame, *names: str) -> None:
    for card in [card for card in frame.header if card.startswith(names)]:
        del frame.header[card]


def wide(frame: Frame) -> None:
    for card in [card for card in frame.header if card.startswith("CD")]:
        frame.header[card] *= 10.0


@pytest.mark.slow
def test_pixels_of_another_scale(tmp_path: Path) -> None:
    """The stack fails with the exposure's name, or goes on without it and says so in its header."""
    terminal = survey(tmp_path, wide)
    run(terminal, code=1)
    told = fault(terminal)
    assert (told["code"], told["subject"]) == ("stack.scale", "tile-band:here/r")
    assert BAD in told["message"]
    assert run(terminal, *LEAVE)["failed"] == 0
    header = stack(terminal).header
    assert (header["NCOMBINE"], header["NLEFTOUT"], header["LEFT01"]) == (3, 1, f"{BAD} stack.scale")


def test_an_input_that_is_spoilt_in_mid_run(tmp_path: Path) -> None:
    """Its bytes change after it was reduced: found by reading, mended by removing it."""
    terminal = survey(tmp_path)
    run(terminal)
    path = terminal.product("mine-0001/1", "science")
    good = path.read_bytes()
    middle = len(good) // 3
    path.write_bytes(
        good[:middle] + bytes(byte ^ 0x55 for byte in good[middle : middle + 2000]) + good[middle + 2000 :]
    )
    run(terminal, *MEAN, code=1)
    told = fault(terminal)
    assert told["code"] == "stack.input"
    assert BAD in told["message"]
    assert path.name in told["message"]
    run(terminal, *MEAN, *LEAVE)
    assert stack(terminal).header["LEFT01"] == f"{BAD} stack.input"
    [different] = terminal.ask("check", "--deep", code=1)["differences"]
    assert different["path"].endswith(path.name)
    path.unlink()
    assert run(terminal, *MEAN, "--retry")["complete"]
    assert path.read_bytes() == good
    assert stack(terminal).header["NCOMBINE"] == 4
    assert terminal.ask("faults")["faults"] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda frame: cut(frame, "CTYPE", "CRVAL"), "data.no-pointing"),
        (lambda frame: cut(frame, "MAGZPT"), "zero-point.none"),
        (lambda frame: frame.weight.fill(0.0), "data.no-pixels"),
        (lambda frame: frame.science.fill(np.nan), "data.no-pixels"),
    ],
    ids=["no solution", "no zero point", "zero weight everywhere", "no numbers"],
)
def test_an_input_that_ends_before_the_stack(tmp_path: Path, spoil: Callable[[Frame], object], code: str) -> None:
    """It fails by name; the others are stacked as if it had not been there, and the preview says who left it out."""
    terminal = survey(tmp_path, spoil)
    made = run(terminal, code=1)
    assert (made["done"], made["failed"]) == (4, 1)
    told = fault(terminal)
    assert (told["code"], told["subject"]) == (code, BAD)
    [left] = terminal.ask("release", "preview", "dr1", "--pipeline", "stacks")["left"]
    assert (left["exposure"], left["rule"]) == ("mine-0001", "place")
    alone = survey(tmp_path / "without", count=4)
    run(alone, "--where", "exposure != 'mine-0001'")
    (alone.folder / "releases" / "dr1.toml").write_text(
        (alone.folder / "releases" / "dr1.toml").read_text()
        + "[[rule]]\nname = 'not'\nwhere = \"exposure != 'mine-0001'\"\n"
    )
    run(alone)
    assert (
        terminal.product("tile-band:here/r", "stack").read_bytes()
        == alone.product("tile-band:here/r", "stack").read_bytes()
    )


@pytest.mark.slow
def test_pixels_without_numbers(tmp_path: Path) -> None:
    """Half a frame: the others fill it, and no pixel of the stack is no number that any of them has."""

    def half(frame: Frame) -> None:
        frame.science[: SIDE // 2] = np.nan
        frame.weight[:, 5] = np.nan

    terminal = survey(tmp_path, half)
    run(terminal)
    made = stack(terminal)
    assert np.isfinite(made.pixels).mean() > 0.999
    with fits.open(terminal.product("tile-band:here/r", "stack")) as hdus:
        number = np.asarray(next(hdu for hdu in hdus if hdu.name.upper() == "NUMBER").data)
    assert np.isin(number[20:90, 20:90], (3, 4)).mean() > 0.98
    assert 0.3 < np.mean(number[20:90, 20:90] == 3) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("place", [(0.0, 30.0), (359.9999, 30.0), (50.0, 90.0)], ids=["RA 0", "RA 360", "pole"])
def test_the_pole_and_right_ascension_0(tmp_path: Path, place: tuple[float, float]) -> None:
    """As the same frames elsewhere, but for where pixels fall."""
    found = []
    for name, at in (("here", (20.0, 30.0)), ("there", place)):
        terminal = survey(tmp_path / name, tiles="", place=at)
        run(terminal)
        [tile] = terminal.ask("tiles", "dr1", "--pipeline", "stacks")
        found.append(stack(terminal, tile["name"]))
    here, there = found
    assert there.header["NCOMBINE"] == 4
    assert there.shape == pytest.approx(here.shape, abs=6)
    sums = [float(np.nansum(np.where(each.pixels > 400.0, each.pixels, 0.0))) for each in found]
    assert sums[1] == pytest.approx(sums[0], rel=0.01)


@pytest.mark.slow
def test_a_tile_with_no_exposures(tmp_path: Path) -> None:
    terminal = survey(tmp_path, tiles=HERE + ELSEWHERE)
    assert run(terminal)["complete"]
    assert stack(terminal).header["NCOMBINE"] == 4
    assert terminal.ask("release", "preview", "dr1", "--pipeline", "stacks")["empty"] == ["there"]
    assert not list((terminal.folder / "products" / "stack").glob("there*"))


@pytest.mark.slow
def test_an_input_that_is_gone_in_mid_run(tmp_path: Path) -> None:
    """It is made again of its raw frame."""
    terminal = survey(tmp_path)
    run(terminal)
    path = terminal.product("mine-0001/1", "science")
    good = path.read_bytes()
    path.unlink()
    run(terminal, *MEAN)
    assert path.read_bytes() == good
    assert stack(terminal).header["NCOMBINE"] == 4


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", 64 * KIB * KIB) as disk:
        yield disk


@pytest.mark.slow
@pytest.mark.parametrize("free", [12, 40], ids=lambda free: f"{free} KiB free")
def test_a_stack_fills_the_disk(tmp_path: Path, disk: Disk, free: int) -> None:
    calm, full = survey(tmp_path / "calm"), survey(disk.folder)
    for terminal in (calm, full):
        run(terminal)
    run(calm, *MEAN)
    disk.resize(disk.used + free * KIB)
    stopped = run(full, *MEAN, code=4)
    told = stopped.get("stopped") or stopped["fault"]
    assert told["code"] == "disk.full"
    assert str(full.folder) in told["message"]
    assert not list(full.folder.rglob("*.part"))
    disk.resize(64 * KIB * KIB)
    run(full, *MEAN)
    assert contents(full.folder) == contents(calm.folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_of_a_thousand_inputs_is_spoilt(tmp_path: Path) -> None:
    """The stack fails with its name, or goes on with 999 and says so."""
    terminal = survey(tmp_path, count=1000)
    run(terminal, *MEAN)
    assert stack(terminal).header["NCOMBINE"] == 1000
    path = terminal.product("mine-0777/1", "science")
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2] + bytes(len(good) - len(good) // 2))
    order = ("--set", "stack.kernel=bilinear", *MEAN)
    run(terminal, *order, code=1)
    assert "mine-0777/1" in fault(terminal)["message"]
    run(terminal, *order, *LEAVE)
    header = stack(terminal).header
    assert (header["NCOMBINE"], header["LEFT01"]) == (999, "detector:mine-0777/1 stack.input")


@pytest.mark.slow
def test_factors_and_cards_of_delivered_headers(tmp_path: Path) -> None:
    """FLXSCALE and cards that no record of ours has come from the header as the observatory wrote it."""

    def dimmer(frame: Frame) -> None:
        frame.header |= {"FLXSCALE": 2.0, "PI-COI": "Bob"}
        frame.science /= 2.0
        frame.weight *= 4.0

    def usual(frame: Frame) -> None:
        frame.header |= {"FLXSCALE": 1.0, "PI-COI": "Ann"}

    settings = (
        '[settings.stack]\nflux = "keyword"\npropagate = ["INSTRUME", "OBSERVER=PI-COI:list", "ZERO=MAGZPT:mean"]\n'
    )
    terminal = new_survey(tmp_path / "survey")
    prepare(terminal.folder, "fields", HERE + settings)
    Delivery(spoilt={0: usual, 1: dimmer, 2: usual, 3: usual}).write(tmp_path / "delivery", 4)
    terminal.ask("ingest", tmp_path / "delivery")
    run(terminal)
    made = stack(terminal)
    header = made.header
    assert (header["OBSERVER"], header["FLUXFROM"]) == ("Ann, Bob", "keyword FLXSCALE")
    assert (header["INSTRUME"], header["ZERO"]) == ("mine", 26.0)
    assert header["PROP03"] == "ZERO=MAGZPT:mean of 4 of 4 exposures"
    # Every frame has the same level once it is multiplied, so no value is clipped but by chance.
    assert np.nanmedian(made.pixels) == pytest.approx(0.0, abs=2.0)
    assert made.variance is not None
    # Four times a noise of 10, less what interpolation takes of it.
    assert 4.0 < np.nanmedian(np.sqrt(made.variance)) < 5.0


@pytest.mark.slow
def test_a_factor_that_no_header_tells(tmp_path: Path) -> None:
    """The stack fails with the exposure's name; by its zero points it is made."""
    terminal = survey(tmp_path)
    run(terminal, "--set", "stack.flux=keyword", code=1)
    told = fault(terminal)
    assert (told["code"], told["subject"]) == ("stack.no-flux-scale", "tile-band:here/r")
    assert "detector:mine-0000/1" in told["message"]
    assert "FLXSCALE" in told["message"]
    assert run(terminal)["failed"] == 0
    assert stack(terminal).header["NCOMBINE"] == 4


@pytest.mark.slow
@pytest.mark.astromatic
def test_a_stack_is_cut_and_its_grid_is_swarps(tmp_path: Path) -> None:
    """By position and by box, through the commands; SWarp with TILE.head makes an image of the same pixels."""
    terminal = survey(tmp_path, count=2)
    head = tmp_path / "heads" / "here.head"
    assert [each["name"] for each in terminal.ask("tiles", "--heads", tmp_path / "heads")] == ["here"]
    before = head.read_text()
    run(terminal, *MEAN)
    terminal.ask("tiles", "--heads", tmp_path / "heads")
    assert head.read_text() == before
    made = stack(terminal)
    [cut_one] = terminal.ask("cutout", "20.0", "30.0", "--stacks", "--size", "20", "--to", tmp_path / "cuts")
    box = cut_one["box"]
    [same] = terminal.ask(
        *("cutout", "--tile", "here", "--band", "r", "--to", tmp_path / "again"),
        *("--box", f"{box['x0']},{box['x1']},{box['y0']},{box['y1']}"),
    )
    assert Path(cut_one["path"]).read_bytes() == Path(same["path"]).read_bytes()
    part = read_image(Path(same["path"]))
    assert np.array_equal(part.pixels, made.pixels[box["y0"] : box["y1"], box["x0"] : box["x1"]], equal_nan=True)
    assert terminal.order("cutout", "--tile", "here", "--box", "1,2", code=2)
    assert terminal.order("cutout", "--stacks", code=2)

    program = shutil.which("SWarp") or shutil.which("swarp")
    assert program is not None
    work = tmp_path / "swarp"
    work.mkdir()
    for number in range(2):
        with fits.open(tmp_path / "delivery" / f"f{number:04d}.fits") as file:
            fits.PrimaryHDU(file["SCI"].data - 500.0, file["SCI"].header).writeto(work / f"f{number}.fits")
    shutil.copy(head, work / "coadd.head")
    words = (
        "-SUBTRACT_BACK N -WEIGHT_TYPE NONE -COMBINE_TYPE AVERAGE -FSCALE_KEYWORD NONE -WRITE_XML N -VERBOSE_TYPE QUIET"
    )
    subprocess.run([program, "f0.fits", "f1.fits", "-c", "/dev/null", *words.split()], cwd=work, check=True)
    with fits.open(work / "coadd.fits") as file:
        theirs, header = file[0].data, file[0].header
    assert theirs.shape == made.pixels.shape
    ours = fits.Header({key: value for key, value in made.header.items() if is_sky(key)})
    for x, y in ((5.0, 7.0), (60.0, 90.0)):
        assert np.allclose(WCS(header).all_pix2world(x, y, 0), WCS(ours).all_pix2world(x, y, 0), atol=1e-9)
    factor = 10 ** (0.4 * (30.0 - 26.0)) / 10.0
    inner = np.s_[15:-15, 15:-15]
    assert np.nanstd(made.pixels[inner] - factor * theirs[inner]) < 0.05 * np.nanstd(made.pixels[inner])
