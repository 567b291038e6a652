"""A Table Access Protocol service over HTTP that hands out given stars: asynchronous jobs, VOTable answers."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import Table

from spica.files.hats.regions import Cone

_CIRCLE = re.compile(r"CIRCLE\('ICRS', ([-\d.]+), ([-\d.]+), ([\d.]+)\)")
_LIMIT = re.compile(r"AND (\w+) < ([\d.]+)")


@dataclass
class Tap:
    """What the service has, what it was asked, and how it misbehaves.

    `broken` answers with that text of an error where a query contains `trouble`; `most` cuts answers off.
    """

    stars: Table
    queries: list[str] = field(default_factory=list)
    broken: str = ""
    most: int = 10**9
    url: str = ""

    def answer(self, query: str) -> bytes:
        """The VOTable of one query."""
        names = [name.strip() for name in query.partition("FROM")[0].removeprefix("SELECT").split(",")]
        found = _CIRCLE.search(query)
        assert found is not None, query
        ra, dec = (np.asarray(self.stars[name], float) for name in names[1:3])
        inside = Cone(*map(float, found.groups())).contains(ra, dec)
        if limit := _LIMIT.search(query):
            inside &= np.asarray(self.stars[limit[1]], float) < float(limit[2])
        rows = self.stars[names][inside]
        document = from_table(rows[: self.most])
        status = "OVERFLOW" if len(rows) > self.most else "OK"
        document.resources[0].type = "results"
        document.resources[0].infos.append(Info(name="QUERY_STATUS", value=status))
        stream = io.BytesIO()
        document.to_xml(stream)
        return stream.getvalue()


class _Handler(BaseHTTPRequestHandler):
    """Universal worker service: jobs that are done as soon as they are there."""

    tap: Tap

    def do_POST(self) -> None:
        given = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        if urlparse(self.path).path == "/tap/async":
            self.tap.queries.append(given["QUERY"][0])
            number = len(self.tap.queries) - 1
        else:
            number = self._number()
        self._give(b"", status=303, Location=f"{self.tap.url}/async/{number}")

    def do_GET(self) -> None:
        if not self.path.startswith("/tap/async/"):
            self._give(b"no such thing", "text/plain", 404)
        elif self.path.endswith("/results/result"):
            self._give(self.tap.answer(self.tap.queries[self._number()]), "application/x-votable+xml")
        else:
            self._give(self._job())

    def do_DELETE(self) -> None:
        self._give(b"")

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def _give(self, body: bytes, kind: str = "text/xml", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _number(self) -> int:
        return int(self.path.split("/")[3].partition("?")[0])

    def _job(self) -> bytes:
        number, error = self._number(), self.tap.broken
        told = f'<uws:errorSummary type="fatal"><uws:message>{error}</uws:message></uws:errorSummary>' if error else ""
        return f"""<?xml version="1.0"?>
<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1">
<uws:jobId>{number}</uws:jobId><uws:ownerId/><uws:phase>{"ERROR" if error else "COMPLETED"}</uws:phase><uws:quote/>
<uws:startTime/><uws:endTime/><uws:executionDuration>600</uws:executionDuration><uws:destruction/><uws:parameters/>
<uws:results><uws:result id="result" xlink:href="{self.tap.url}/async/{number}/results/result"/></uws:results>{told}
</uws:job>""".encode()


@contextmanager
def serving(tap: Tap) -> Iterator[Tap]:
    """The service on a port of this machine; its address is in `tap.url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"tap": tap}))
    tap.url = f"http://127.0.0.1:{server.server_port}/tap"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield tap
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
