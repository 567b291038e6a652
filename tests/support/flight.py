"""A HiPS as Aladin Lite shows it: pictures of its view, sent home by the page, and all that was asked for."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.support.browser import QUIET, asked

_REPORTS = """<script type="module">
const report = async () => {
  const view = window.aladin;
  if (view) {
    const picture = await view.getViewDataURL();
    const stars = STARS.map(([ra, dec]) => Array.from(view.world2pix(ra, dec)));
    const size = view.getSize();
    await fetch("/report", { method: "POST", body: JSON.stringify({ picture, stars, size }) });
  }
  setTimeout(report, 1000);
};
report();
</script>
"""


class View(NamedTuple):
    """What the page shows: ``(ny, nx, 3)``, row 0 at the top; where the places asked for are in it [pixel]."""

    picture: npt.NDArray[np.uint8]
    places: tuple[tuple[float, float], ...]


class Flight(NamedTuple):
    """The view that was waited for, None where it did not come; paths that were served; addresses elsewhere; the console."""

    view: View | None
    last: View | None
    served: tuple[str, ...]
    elsewhere: tuple[str, ...]
    console: tuple[str, ...]


class _Server(ThreadingHTTPServer):
    """Serves a folder at this machine only; its page reports what it shows."""

    def __init__(self, folder: Path, page: str, places: Sequence[tuple[float, float]]) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.page = page
        self.snippet = _REPORTS.replace("STARS", json.dumps([list(place) for place in places])).encode()
        self.reports: Queue[dict[str, Any]] = Queue()
        self.served: list[str] = []


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path == self.server.page:
            body = Path(self.translate_path(self.path)).read_bytes() + self.server.snippet
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.server.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        del size
        if str(code) in {"200", "HTTPStatus.OK"}:
            self.server.served.append(self.path)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        del format, args


def fly(
    site: Path, page: str, places: Sequence[tuple[float, float]], wanted: Callable[[View], bool], folder: Path
) -> Flight:
    """Open a page of a site in Chromium until it shows what is wanted, two minutes at most.

    Parameters
    ----------
    page : its path from the site's root.
    places : right ascensions and declinations [degree] that are looked for in the view.
    folder : takes the browser's profile and log.
    """
    log = folder / "net.json"
    told = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--enable-logging=stderr", "--v=0"]
    with _Server(site, page, places) as server, (folder / "console").open("w") as console:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}{page}"
        # A browser that may be steered stays until it is ended.
        words = ["chromium", *QUIET, *told, "--window-size=900,700", "--remote-debugging-port=0", address]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=console) as browser:
            try:
                view, last = _awaited(server.reports, wanted)
            finally:
                browser.terminate()
        server.shutdown()
        served = tuple(server.served)
    lines = tuple(line for line in (folder / "console").read_text().splitlines() if ":CONSOLE:" in line)
    elsewhere = tuple(each for each in asked(log) if not each.startswith("http://127.0.0.1:"))
    return Flight(view, last, served, elsewhere, lines)


def _awaited(reports: Queue[dict[str, Any]], wanted: Callable[[View], bool]) -> tuple[View | None, View | None]:
    end, last = monotonic() + 120, None
    while monotonic() < end:
        try:
            last = _view(reports.get(timeout=5))
        except Empty:
            continue
        if wanted(last):
            return last, last
    return None, last


def _view(report: dict[str, Any]) -> View:
    from base64 import b64decode

    with Image.open(io.BytesIO(b64decode(report["picture"].partition(",")[2]))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    ny, nx = pixels.shape[:2]
    width, height = report["size"]
    return View(pixels, tuple((x * nx / width, y * ny / height) for x, y in report["stars"]))
