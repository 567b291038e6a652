"""Frames that the masters do not suit, what helps, and bad frames among the good ones of a master."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from spica.core.mask import Mask
from spica.files.images import read_identity, read_image
from tests.drills.ground import LAST, NIGHT, Field, edit, name_of
from tests.drills.test_exposures import FLATS, bin_by_two

BIASES = (1, 2, 3)
UNIT = f"calibration:demo/1//{NIGHT}"


def another(field: Field, number: int, **cards: object) -> str:
    """A further delivery like the last science frame, with other cards; its exposure."""
    shutil.copy(field.raw(LAST), field.raw(number))
    edit(field.raw(number), OBSID=name_of(number).removeprefix("demo-"), SEQNUM=number, **cards)
    return name_of(number)


def redraw(path: Path, change: Callable[[np.ndarray], None]) -> None:
    """Change the numbers of every image of a raw file."""
    with fits.open(path) as hdus:
        parts: list[Any] = [fits.PrimaryHDU(header=hdus[0].header)]
        for hdu in hdus[1:]:
            pixels = hdu.data.astype(float)
            change(pixels)
            header = hdu.header.copy()
            whole = np.clip(np.rint(pixels), 0, 65535).astype(np.uint16)
            parts.append(fits.CompImageHDU(whole, header=header, name=hdu.name, compression_type="RICE_1"))
    fits.HDUList(parts).writeto(path, overwrite=True, checksum=True)


def refusal(field: Field, exposure: str) -> Any:
    return detrended(field, exposure)["fault"]


def detrended(field: Field, exposure: str) -> Any:
    """The newest job of a detector that reads the raw frame."""
    jobs = field.ask("why", f"{exposure}/1")["jobs"]
    return [job for job in jobs if job["steps"][0]["task"] == "detrend"][-1]


def chosen(field: Field, exposure: str) -> dict[str, Any]:
    cards = read_identity(field.product(f"{exposure}/1", "science"))
    return {key: value for key, value in cards.items() if key.startswith("CAL")}


def test_frames_that_no_master_suits_are_refused_and_what_helps(done: Field) -> None:
    fast = another(done, 20, READMODE="fast")
    another(done, 21)
    bin_by_two(done, 21)
    # A year and a day later the same field stands where it stood.
    then = Time(float(fits.getheader(done.raw(LAST))["MJD-OBS"]) + 366, format="mjd")
    late = another(done, 22, **{"MJD-OBS": then.mjd, "DATE-OBS": then.isot})
    done.ask("ingest", done.raw(20), done.raw(21), done.raw(22))
    done.night(pipeline="reduce", code=1)
    codes = {name: refusal(done, name)["code"] for name in (fast, name_of(21), late)}
    assert codes == {
        fast: "calibration.readout",
        name_of(21): "calibration.binning",
        late: "calibration.expired",
    }
    assert "'fast'" in refusal(done, fast)["message"]
    assert "2x2" in refusal(done, name_of(21))["message"]

    (order,) = done.ask("calib", "copy", NIGHT, done.ask("why", late)["facts"]["night"])["orders"]
    where = ("--where", f"exposure = '{late}'")
    foreseen = done.ask("run", "reduce", "--dry-run", *where)
    assert {(m["master"], m["quality"]) for m in foreseen["masters"]} >= {("bias", "copied"), ("flat", "copied")}
    done.night(*where, pipeline="reduce")
    assert chosen(done, late)["CALFLAT"] == f"copied {NIGHT}"
    assert {m["name"]: m["value"] for m in done.ask("why", f"{late}/1")["metrics"]}["master_bias"] == 3
    done.ask("calib", "copy", "--withdraw", str(order["id"]))
    done.night(*where, pipeline="reduce", code=1)

    for kind in ("bias", "flat"):
        files = [Path(m["path"]) for m in done.ask("calib", "list", "--kind", kind)["masters"]]
        assert len(files) == 2
        words = ("--kind", kind, "--readout-mode", "fast")
        assert len(done.ask("calib", "import", *(done.folder / path for path in files), *words)["imported"]) == 2
    done.night("--where", f"exposure = '{fast}'", pipeline="reduce")
    cards = chosen(done, fast)
    assert cards["CALBIAS"].startswith("imported imported-")
    assert cards["CALDEFEC"] == "none", "usable without a mask of defects, and flagged"
    assert {m["name"]: m["value"] for m in done.ask("why", f"{fast}/1")["metrics"]}["master_defects"] == 6
    assert done.ask("check", "--deep")["differences"] == []


def test_an_order_fixes_masters(done: Field) -> None:
    (flat,) = done.ask("calib", "list", "--kind", "flat", "--detector", "1", "--night", NIGHT)["masters"]
    assert (flat["serves"], flat["frames"], flat["night"], flat["origin"]) == ("same-night", 3, NIGHT, "")
    words = ("--kind", "flat", "--detector", "1", "--from", NIGHT, "--to", NIGHT)
    (imported,) = done.ask("calib", "import", done.folder / flat["path"], *words)["imported"]
    assert done.ask("run", "reduce", "--dry-run")["to_run"] == 0, "its own serves better"
    block = imported["unit"].rpartition("/")[2]
    done.ask("calib", "use", block, NIGHT, "--kind", "flat")
    foreseen = done.ask("run", "reduce", "--dry-run")
    assert {unit["unit"] for unit in foreseen["units"] if unit["verdict"] == "run" and "detector:" in unit["unit"]} == {
        f"detector:{name_of(number)}/1" for number in (LAST - 1, LAST)
    }
    done.night(pipeline="reduce")
    assert chosen(done, name_of(LAST))["CALFLAT"] == f"fixed {block}"
    assert any("fixed" in used["how"] for used in detrended(done, name_of(LAST))["inputs"])
    assert "fixed" in done.order("calib", "list", "--night", NIGHT)
    assert block in done.order("calib", "list")


def test_bad_frames_are_left_out_of_masters_with_their_reasons(field: Field) -> None:
    def leak(pixels: np.ndarray) -> None:
        pixels[10:60, 10:50] += 500

    def lose_half(pixels: np.ndarray) -> None:
        pixels[:64] -= 0.5 * np.maximum(pixels[:64] - 1000, 0)

    def blind(pixels: np.ndarray) -> None:
        pixels[100:103, 20:23] = np.median(pixels[:, -8:])

    redraw(field.raw(BIASES[1]), leak)
    redraw(field.raw(FLATS[2]), lose_half)
    for number in FLATS:
        redraw(field.raw(number), blind)
    field.ask("ingest", field.delivery)
    made = field.night(code=1)
    assert {fault["code"] for fault in made["faults"]} >= {"calibration.too-few"}
    (fault,) = [job["fault"] for job in field.ask("why", UNIT)["jobs"] if job["outcome"] == "failed"]
    assert fault["code"] == "calibration.too-few"
    assert f"{name_of(BIASES[1])}/" in fault["message"]
    assert "of its area differs from its siblings" in fault["message"]

    two = [word for kind in ("bias", "flat") for word in ("--set", f"combine_{kind}.minimum=2")]
    assert field.night(*two)["complete"]
    told = {}
    for name in ("bias", "flat"):
        used = [each for each in detrended(field, name_of(LAST))["inputs"] if each["need"] == f"detrend.{name}"]
        jobs = field.ask("why", used[0]["unit"])["jobs"]
        left_out = [each for job in jobs if job["outcome"] == "done" for each in job["left_out"]]
        told[name] = {each["unit"]: each["why"] for each in left_out if each["choice"] == f"{name}_choice"}
    assert list(told["bias"]) == [f"detector:{name_of(BIASES[1])}/1"]
    assert list(told["flat"]) == [f"detector:{name_of(FLATS[2])}/1"]
    assert "of its area differs from its siblings" in told["flat"][f"detector:{name_of(FLATS[2])}/1"]
    assert "left out" in field.order("why", used[0]["unit"])
    science = read_image(field.product(f"{name_of(LAST)}/1", "science"))
    assert science.mask is not None
    blind_pixels = science.mask & int(Mask.BAD | Mask.NO_DATA) != 0
    assert np.count_nonzero(blind_pixels) >= 9, "a flat without light there: the pixels are marked"
    assert np.isfinite(science.pixels[~blind_pixels]).all()
