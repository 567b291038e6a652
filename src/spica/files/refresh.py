"""Cards that come later, written into headers in place: no pixel moves.

The primary header of an image product has room for figures (`spica.core.keywords.REFRESHED`), that of SCIENCE for a better
sky solution (`spica.core.keywords.SKY_ROOM`), and both keep their size. What is
about to be written is first put down in a journal, so that a process that is killed, or a disk that fills, leaves
nothing in between: whoever comes next finishes what the journal says (`finish`), as often as it likes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault
from spica.core.keywords import REFRESHED, is_sky
from spica.core.records import Scalar
from spica.files import atomic, cards, fits
from spica.files.cards import CARD
from spica.files.fits import Hdu

JOURNAL = "refresh.journal"
"""File in the survey folder: what is being written just now."""
CHUNK = 1 << 20
_SUMS = ("DATASUM", "CHECKSUM")


@dataclass(frozen=True)
class Change:
    """Headers that are to be written over those that a file has.

    Attributes
    ----------
    key : of the product.
    path : of the file, relative to the survey's folder.
    pieces : first byte and bytes of each new header, of the old one's size.
    before, after : checksum of the whole file.
    """

    key: str
    path: str
    pieces: tuple[tuple[int, bytes], ...]
    before: str
    after: str


def cards_of(path: Path) -> dict[str, Scalar]:
    """The refreshed cards that a file has now; ``file.*`` as `fits.layout`."""
    primary = fits.layout(fits.open_bytes(path), path)[0].header
    return {key: primary[key] for key in REFRESHED if primary.get(key) is not None}


def change(
    root: Path,
    path: str,
    key: str,
    checksum: str,
    values: Mapping[str, Scalar],
    sky: Mapping[str, Scalar] | None = None,
) -> Change | None:
    """What is to be written so that a file's refreshed cards are these and no others; None where they are so already.

    Parameters
    ----------
    root, path : the survey's folder, and the file in it.
    key, checksum : of the product as recorded.
    values : keyword to value; what is None or empty has no card.
    sky : cards of the sky solution of SCIENCE, in place of those that it has; None or empty leaves them.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.corrupt`` where the bytes are not those recorded; ``header.no-room``.
    """
    wanted = {name: values[name] for name in REFRESHED if values.get(name) not in {None, ""}}
    data = fits.open_bytes(root / path)
    hdus = fits.layout(data, root / path)
    pieces: list[tuple[int, bytes]] = []
    if {name: hdus[0].header[name] for name in REFRESHED if hdus[0].header.get(name) is not None} != wanted:
        pieces.append(_piece(hdus[0], _primary(hdus[0].text, wanted), path))
    science = _science(hdus)
    if sky and science is not None:
        own = {name: value for name, value in science.header.items() if is_sky(name)}
        if own != dict(sky):
            pieces.append(_piece(science, _solved(science, sky), path))
    if not pieces:
        return None
    before, after = hashlib.blake2b(digest_size=20), hashlib.blake2b(digest_size=20)
    for old, new in _blocks(data, pieces):
        before.update(old)
        after.update(new)
    if before.hexdigest() != checksum:
        message = f"{path} has other bytes than recorded"
        raise DataFault("file.corrupt", message, advice="'spica check --deep', then run it again", path=path)
    return Change(key, path, tuple(pieces), checksum, after.hexdigest())


def _science(hdus: Sequence[Hdu]) -> Hdu | None:
    return next((hdu for hdu in hdus if hdu.name == "SCIENCE"), None)


def _piece(hdu: Hdu, header: bytes, path: str) -> tuple[int, bytes]:
    if len(header) != hdu.data - hdu.start:
        message = f"{path} has no room for more cards in its header {hdu.index}"
        raise DataFault("header.no-room", message, path=path, hdu=hdu.index)
    return hdu.start, header


def _blocks(data: memoryview, pieces: Sequence[tuple[int, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The bytes of a file as they are and as they shall be, a block at a time."""
    at = 0
    for start, header in [*pieces, (len(data), b"")]:
        for first in range(at, start, CHUNK):
            block = bytes(data[first : min(first + CHUNK, start)])
            yield block, block
        at = start + len(header)
        yield bytes(data[start:at]), header


def apply(path: Path, pieces: Iterable[tuple[int, bytes]]) -> None:
    """Write headers over those that a file has; a file that is gone is left so."""
    with atomic.disk_faults(path):
        try:
            handle = os.open(path, os.O_WRONLY)
        except FileNotFoundError:
            return
        try:
            for start, header in pieces:
                os.pwrite(handle, header, start)
            os.fsync(handle)
        finally:
            os.close(handle)


def begin(root: Path, changes: Iterable[Change]) -> None:
    """Put down in the journal what is to be written: from here on `finish` brings it to its end."""
    plain = [
        {
            "key": each.key,
            "path": each.path,
            "pieces": [(start, base64.b64encode(header).decode()) for start, header in each.pieces],
            "after": each.after,
        }
        for each in changes
    ]
    atomic.write_bytes(root / JOURNAL, json.dumps(plain).encode())


def finish(root: Path) -> dict[str, str]:
    """Write what the journal says; answers the new checksum of each product, to be recorded before `end`.

    A file that is gone meanwhile is left out.
    """
    journal = root / JOURNAL
    if not journal.exists():
        return {}
    found: dict[str, str] = {}
    for each in json.loads(journal.read_bytes()):
        path = root / each["path"]
        if not path.exists():
            continue
        apply(path, [(start, base64.b64decode(header)) for start, header in each["pieces"]])
        found[each["key"]] = each["after"]
    return found


def end(root: Path) -> None:
    """What the journal said is written and recorded."""
    (root / JOURNAL).unlink(missing_ok=True)


def _primary(text: str, wanted: Mapping[str, Scalar]) -> bytes:
    """The primary header with the cards wanted, in as many cards as it had."""
    lines = _lines(text)
    dropped = {*REFRESHED, *_SUMS, ""}
    kept = [line for line in lines if line[:8].rstrip() not in dropped]
    kept += [cards.card(name, value, REFRESHED[name].comment) for name, value in wanted.items()]
    kept += [" " * CARD] * (len(lines) - len(_SUMS) - len(kept))
    return fits.sealed("".join(kept), 0)


def _solved(hdu: Hdu, sky: Mapping[str, Scalar]) -> bytes:
    """The header of an image with another sky solution, in as many cards as it had; the sum of its data stands."""
    lines = _lines(hdu.text)
    # A new solution stands where the old one began, else behind the image's name.
    first = next((at for at, line in enumerate(lines) if is_sky(line[:8].rstrip())), None)
    if first is None:
        first = 1 + next(at for at, line in enumerate(lines) if line.startswith("EXTNAME "))
    ordered = sorted(sky.items(), key=lambda item: item[0] != "WCSAXES")
    fresh = [cards.card(name, value) for name, value in ordered]
    kept: list[str] = []
    for at, line in enumerate(lines):
        if at == first:
            kept += fresh
        name = line[:8].rstrip()
        if name and name not in _SUMS and not is_sky(name):
            kept.append(line)
    kept += [" " * CARD] * (len(lines) - len(_SUMS) - len(kept))
    return fits.sealed("".join(kept), int(fits.stored_sum(hdu.header, "DATASUM") or 0))


def _lines(text: str) -> list[str]:
    return [text[at : at + CARD] for at in range(0, len(text), CARD)]
