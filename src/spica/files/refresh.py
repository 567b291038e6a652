"""Cards that come later, written into the primary header in place: no pixel moves.

The primary header of an image product has room for them (`spica.core.keywords.REFRESHED`) and keeps its size. What is
about to be written is first put down in a journal, so that a process that is killed, or a disk that fills, leaves
nothing in between: whoever comes next finishes what the journal says (`finish`), as often as it likes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spica.core.faults import DataFault
from spica.core.keywords import REFRESHED
from spica.core.records import Scalar
from spica.files import atomic, cards, fits
from spica.files.cards import CARD

JOURNAL = "refresh.journal"
"""File in the survey folder: what is being written just now."""
CHUNK = 1 << 20
_SUMS = ("DATASUM", "CHECKSUM")


@dataclass(frozen=True)
class Change:
    """A primary header that is to be written over the one that a file has.

    Attributes
    ----------
    key : of the product.
    path : of the file, relative to the survey's folder.
    header : the new primary header, of the old one's size.
    before, after : checksum of the whole file.
    """

    key: str
    path: str
    header: bytes
    before: str
    after: str


def cards_of(path: Path) -> dict[str, Scalar]:
    """The refreshed cards that a file has now; ``file.*`` as `fits.layout`."""
    primary = fits.layout(fits.open_bytes(path), path)[0].header
    return {key: primary[key] for key in REFRESHED if primary.get(key) is not None}


def change(root: Path, path: str, key: str, checksum: str, values: Mapping[str, Scalar]) -> Change | None:
    """What is to be written so that a file's refreshed cards are these and no others; None where they are so already.

    Parameters
    ----------
    root, path : the survey's folder, and the file in it.
    key, checksum : of the product as recorded.
    values : keyword to value; what is None or empty has no card.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.corrupt`` where the bytes are not those recorded; ``header.no-room``.
    """
    wanted = {name: values[name] for name in REFRESHED if values.get(name) not in {None, ""}}
    data = fits.open_bytes(root / path)
    primary = fits.layout(data, root / path)[0]
    if cards_of(root / path) == wanted:
        return None
    header = _header(primary.text, wanted)
    if len(header) != primary.data - primary.start:
        message = f"{path} has no room for {len(wanted)} cards in its primary header"
        raise DataFault("header.no-room", message, path=path)
    before, after = (hashlib.blake2b(start, digest_size=20) for start in (bytes(data[: primary.data]), header))
    for at in range(primary.data, len(data), CHUNK):
        block = data[at : at + CHUNK]
        before.update(block)
        after.update(block)
    if before.hexdigest() != checksum:
        message = f"{path} has other bytes than recorded"
        raise DataFault("file.corrupt", message, advice="'spica check --deep', then run it again", path=path)
    return Change(key, path, header, checksum, after.hexdigest())


def begin(root: Path, changes: Iterable[Change]) -> None:
    """Put down in the journal what is to be written: from here on `finish` brings it to its end."""
    plain = [
        {"key": each.key, "path": each.path, "header": base64.b64encode(each.header).decode(), "after": each.after}
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
        with atomic.disk_faults(path):
            try:
                handle = os.open(path, os.O_WRONLY)
            except FileNotFoundError:
                continue
            try:
                os.pwrite(handle, base64.b64decode(each["header"]), 0)
                os.fsync(handle)
            finally:
                os.close(handle)
        found[each["key"]] = each["after"]
    return found


def end(root: Path) -> None:
    """What the journal said is written and recorded."""
    (root / JOURNAL).unlink(missing_ok=True)


def _header(text: str, wanted: Mapping[str, Scalar]) -> bytes:
    """The primary header with the cards wanted, in as many cards as it had."""
    lines = [text[at : at + CARD] for at in range(0, len(text), CARD)]
    dropped = {*REFRESHED, *_SUMS, ""}
    kept = [line for line in lines if line[:8].rstrip() not in dropped]
    kept += [cards.card(name, value, REFRESHED[name].comment) for name, value in wanted.items()]
    kept += [" " * CARD] * (len(lines) - len(_SUMS) - len(kept))
    return fits.sealed("".join(kept), 0)
