"""Where a FITS file breaks the standard (version 4.0) without being unreadable: one line each, for people.

The quick look of `of_hdus` runs on every delivered file; `by_astropy` and `by_fitsverify` are slower and asked by name.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from astropy.io import fits as astropy_fits

from spica.core.faults import SetupFault
from spica.files.cards import BLOCK, CARD
from spica.files.fits import Hdu

MOST_LINES = 40
PROGRAM = "fitsverify"
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8} *")
_TEXT = re.compile(r" *'(?:[^']|'')*' *(?:/.*)?$")
_NUMBER = re.compile(r" *(?:[TF]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[ED][-+]?\d+)?|\([^)]*\))? *(?:/.*)?$")
_FREE = ("COMMENT ", "HISTORY ", "        ", "HIERARCH", "CONTINUE")
_OLD = {"RADECSYS": "RADESYS", "EPOCH": "EQUINOX", "BLOCKED": "nothing"}


def of_hdus(hdus: Sequence[Hdu], size: int) -> list[str]:
    """Departures from the standard seen in the headers and in the file's size, at most `MOST_LINES`."""
    lines = []
    if size % BLOCK:
        lines.append(f"file: {size} bytes are not a multiple of {BLOCK}")
    promised = hdus[0].header.get("NEXTEND")
    if type(promised) is int and promised != len(hdus) - 1:
        lines.append(f"file: NEXTEND promises {promised} extensions, {len(hdus) - 1} are there")
    for hdu in hdus:
        lines += [f"HDU {hdu.index}: {line}" for line in _of_header(hdu)]
        if len(lines) > MOST_LINES:
            return [*lines[:MOST_LINES], "and more"]
    return lines


def _of_header(hdu: Hdu) -> Iterator[str]:
    if not hdu.text.isascii() or not hdu.text.isprintable():
        yield "characters that are not printable ASCII"
    yield from _of_order(hdu)
    seen: set[str] = set()
    for at in range(0, len(hdu.text), CARD):
        card = hdu.text[at : at + CARD]
        if card.startswith(_FREE):
            continue
        word = card[:8]
        key = word.rstrip()
        if _KEYWORD.fullmatch(word) is None:
            yield f"keyword {key!r} is not allowed"
        if card[8:10] != "= ":
            if card[8:9] == "=":
                yield f"no blank after the equals sign of {key}"
            continue
        if key in seen:
            yield f"keyword {key} stands there twice"
        seen.add(key)
        if key in _OLD:
            yield f"keyword {key} is deprecated (now {_OLD[key]})"
        value = card[10:]
        if (_TEXT if value.lstrip().startswith("'") else _NUMBER).match(value) is None:
            yield f"the value of {key} is not written as the standard asks: {value.strip()[:30]!r}"


def _of_order(hdu: Hdu) -> Iterator[str]:
    """The mandatory keywords in their order."""
    axes = hdu.header.get("NAXIS")
    count = axes if isinstance(axes, int) else 0
    wanted = ["SIMPLE" if hdu.index == 0 else "XTENSION", "BITPIX", "NAXIS"]
    wanted += [f"NAXIS{axis}" for axis in range(1, count + 1)]
    if hdu.index:
        wanted += ["PCOUNT", "GCOUNT"]
    for number, key in enumerate(wanted):
        if hdu.text[number * CARD : number * CARD + 8].rstrip() != key:
            yield f"card {number + 1} is not {key}"
            return


def by_astropy(path: Path) -> tuple[str, ...]:
    """What astropy's verification says (slow: every card)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with astropy_fits.open(path, disable_image_compression=True, memmap=False) as file:
            file.verify("warn")
    return tuple(line for warning in caught for line in str(warning.message).splitlines() if line.strip())


def by_fitsverify(path: Path) -> tuple[str, ...]:
    """What fitsverify, the reference program of NASA's HEASARC, says: warnings and errors, one line each.

    Raises
    ------
    SetupFault
        ``program.missing`` where it is not installed.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise SetupFault("program.missing", f"{PROGRAM} is not installed", program=PROGRAM)
    done = subprocess.run([program, "-q", "-l", str(path)], capture_output=True, text=True, check=False)  # noqa: S603
    if done.stdout.startswith("verification OK"):
        return ()
    listing = subprocess.run([program, "-l", str(path)], capture_output=True, text=True, check=False)  # noqa: S603
    lines = tuple(line.strip() for line in listing.stdout.splitlines() if line.lstrip().startswith("***"))
    return lines or (f"{PROGRAM} ended with {done.returncode}: {(done.stdout or done.stderr).strip()[:200]}",)
