"""Reference catalogues from online services (IVOA Table Access Protocol), cell by cell, each cell fetched once.

The sky is asked for in HEALPix cells of one order, so that exposures beside each other, and nights after each other,
share what was fetched. What came is kept as Parquet files beside the survey's catalogues; whoever has them needs no
network.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault, ResourceFault, SetupFault
from spica.core.keys import digest
from spica.files import atomic
from spica.files.hats import healpix
from spica.files.hats.regions import Bounded

Int64 = npt.NDArray[np.int64]

ORDER = 6
"""Of the cells that are asked for: 0.9 degrees wide."""
MOST = 3_000_000
"""Rows of one answer; services cut off beyond some such number."""
_CORNERS = 1.06
"""Widths of a cell from its centre to the farthest corner; 1.04 at most, near the poles."""


@dataclass(frozen=True)
class Service:
    """A table of an online service.

    Attributes
    ----------
    name, title : as people call it.
    url : of the TAP service.
    table : as the query names it.
    ra, dec, magnitude : columns that place and limit are asked by.
    columns : that are fetched.
    epoch : Julian year of positions whose epoch the table does not tell.
    """

    name: str
    title: str
    url: str
    table: str
    ra: str
    dec: str
    magnitude: str
    columns: tuple[str, ...]
    epoch: float | None = None


@cache
def services() -> dict[str, Service]:
    """The services that are known, by name."""
    text = files("spica.intake").joinpath("online.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    return {name: Service(name, **{**table, "columns": tuple(table["columns"])}) for name, table in found.items()}


def service(name: str, url: str = "") -> Service:
    """A service by name, at another address where one is given; SetupFault ``online.unknown``."""
    known = services()
    if name not in known:
        message = f"there is no service {name!r}; there are {', '.join(known)}"
        raise SetupFault("online.unknown", message, service=name)
    found = known[name]
    return Service(**{**vars(found), "url": url}) if url else found


def cells_around(regions: Sequence[Bounded], margin: float) -> Int64:
    """Cells of order `ORDER` that regions, widened by `margin` [degree], touch, rising."""
    found: set[int] = set()
    shift = 2 * (healpix.DEEPEST - ORDER)
    for region in regions:
        first, end = (region.grown(margin) if margin else region).ranges()
        for low, high in zip(first >> shift, (end - 1) >> shift, strict=True):
            found.update(range(int(low), int(high) + 1))
    return np.array(sorted(found), np.int64)


def query(of: Service, cell: int, faintest: float) -> str:
    """The question for one cell: a circle that holds it, down to a magnitude."""
    ra, dec = (float(each[0]) for each in healpix.centres(np.array([cell]), ORDER))
    radius = _CORNERS * healpix.width(ORDER)
    place = f"1=CONTAINS(POINT('ICRS', {of.ra}, {of.dec}), CIRCLE('ICRS', {ra:.8f}, {dec:.8f}, {radius:.8f}))"
    limit = f" AND {of.magnitude} < {faintest:g}" if np.isfinite(faintest) else ""
    return f"SELECT {', '.join(of.columns)} FROM {of.table} WHERE {place}{limit}"  # noqa: S608 - names of our own table, and numbers


def file_of(folder: Path, of: Service, cell: int, faintest: float) -> Path:
    """Where the answer for a cell is kept: another question, another file."""
    return folder / f"{of.name}-{cell}-{digest([of.table, query(of, cell, faintest)])[:10]}.parquet"


def fetch(of: Service, cell: int, faintest: float, folder: Path) -> Path:
    """The rows of one cell as a Parquet file; nothing is asked where it is there already.

    Rows outside of the cell itself, which the circle brings, are left out: no source is fetched twice.

    Raises
    ------
    SetupFault
        ``program.missing`` where pyvo is not installed.
    ResourceFault
        ``online.unreachable``, ``disk.*``.
    DataFault
        ``online.refused`` with what the service says; ``online.truncated`` where it has more rows than it gives.
    """
    path = file_of(folder, of, cell, faintest)
    if path.exists():
        return path
    table = _answer(of, query(of, cell, faintest))
    inside = healpix.cells(np.asarray(table[of.ra], float), np.asarray(table[of.dec], float), ORDER) == cell
    with atomic.disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.writing(path) as part:
            _write(table[inside], part)
    return path


def _answer(of: Service, text: str) -> Any:
    try:
        from pyvo.dal import DALOverflowWarning, DALQueryError, DALServiceError, TAPService
        from pyvo.utils.http import create_session
    except ModuleNotFoundError as error:
        message = f"online catalogues need pyvo: {error}"
        raise SetupFault("program.missing", message, advice="pip install 'spica[online]'") from error
    try:
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore", DALOverflowWarning)  # it becomes a fault below
            session = stack.enter_context(create_session())

            def close_later(response: Any, **_: Any) -> None:
                stack.callback(response.close)  # pyvo leaves the answers that it has read open

            session.hooks["response"] = [close_later]
            found = TAPService(of.url, session=session).run_async(text, maxrec=MOST)
        table = found.to_table()
    except DALQueryError as error:
        raise DataFault("online.refused", f"{of.url} does not answer: {error}", url=of.url, query=text) from error
    except (DALServiceError, OSError) as error:
        raise ResourceFault("online.unreachable", f"{of.url} cannot be reached: {error}", url=of.url) from error
    if found.query_status == "OVERFLOW" or len(table) >= MOST:
        message = f"{of.url} gives {len(table)} rows of a cell and has more"
        raise DataFault("online.truncated", message, url=of.url, rows=len(table), query=text)
    missing = [name for name in of.columns if name not in table.colnames]
    if missing:
        message = f"the answer of {of.url} lacks the column {missing[0]!r}"
        raise DataFault("online.refused", message, url=of.url, query=text)
    return table


def _write(table: Any, path: Path) -> None:
    """Plain columns: what is masked is NaN, or false, or an empty text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {}
    for name in table.colnames:
        values = table[name]
        mask = np.asarray(getattr(values, "mask", np.zeros(len(values), bool)))
        plain = np.asarray(values.filled() if hasattr(values, "filled") else values)
        if plain.dtype.kind == "f":
            plain = np.where(mask, np.nan, plain)
        columns[name] = pa.array([str(each) for each in plain]) if plain.dtype.kind in "OU" else pa.array(plain)
        if plain.dtype.kind != "f" and np.any(mask):
            columns[name] = pa.array(columns[name].to_pylist(), mask=mask)
    pq.write_table(pa.table(columns), path, compression="zstd")
