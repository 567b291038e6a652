"""A page as a browser shows it: what it asks for, and what it says to the console."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_OWN = (".google.com", ".googleapis.com", ".gvt1.com")
"""Hosts that the browser itself asks, whatever the page."""
QUIET = (
    "--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


class Looked(NamedTuple):
    """Addresses other than the page's own that were asked for, lines of the console, the page as it was built."""

    asked: tuple[str, ...]
    console: tuple[str, ...]
    built: str


def look(page: Path, folder: Path) -> Looked:
    """Open a file in Chromium; `folder` takes the browser's profile and log."""
    log = folder / "net.json"
    told = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--enable-logging=stderr", "--v=0"]
    done = subprocess.run(
        ["chromium", *QUIET, *told, "--dump-dom", page.absolute().as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    console = tuple(line for line in done.stderr.splitlines() if ":CONSOLE:" in line)
    return Looked(tuple(each for each in asked(log) if not each.startswith("file:")), console, done.stdout)


def asked(log: Path) -> tuple[str, ...]:
    """Addresses in a net log of Chromium, without those that the browser itself asks for."""
    found = dict.fromkeys(re.findall(r'"url":"([a-z]+://[^"]*)', log.read_text()))
    return tuple(each for each in found if not (urlsplit(each).hostname or "").endswith(_OWN))
