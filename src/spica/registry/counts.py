"""The questions behind `Counts`, in plain SQL that both databases understand; no driver is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spica.registry.spelling import restored

_EXPOSURES = (
    "SELECT camera, frame_type, count(*) FROM exposures GROUP BY camera, frame_type ORDER BY camera, frame_type"
)
_JOBS = (
    "SELECT pipeline, outcome, count(*) FROM jobs "
    "WHERE outcome = 'done' OR key IN (SELECT job FROM faults WHERE cleared IS NULL) "
    "GROUP BY pipeline, outcome ORDER BY pipeline, outcome"
)
_FAULTS = "SELECT code, count(*) FROM faults WHERE cleared IS NULL GROUP BY code ORDER BY code"
_VERDICTS = (
    "SELECT m.value, count(*) FROM metrics m JOIN metric_names n ON n.id = m.name "
    "WHERE n.name = 'verdict' AND n.grain = 'detector' AND m.value IN (1, 2, 3, 4) GROUP BY m.value"
)
_SINGLE = (
    "SELECT (SELECT count(DISTINCT night) FROM exposures), (SELECT count(*) FROM detectors), "
    "(SELECT count(*) FROM files), (SELECT coalesce(sum(size), 0) FROM files), "
    "(SELECT count(*) FROM quarantine WHERE released IS NULL), (SELECT count(*) FROM leases)"
)
_PRODUCTS = "SELECT count(*), coalesce(sum(size), 0) FROM products WHERE NOT forgotten"


@dataclass(frozen=True)
class Counts:
    """The registry at a glance; every mapping leaves out what is not there.

    `exposures` by ``camera``, then ``frame type``; `detectors` in all; `files` and their `bytes`; `jobs` by pipeline,
    then outcome, those that failed or were refused as long as nothing settled it; `faults` open ones by code; `quarantined` files; `products` and their bytes; `verdicts`: detectors
    by the metric of that name.
    """

    exposures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    nights: int = 0
    detectors: int = 0
    files: int = 0
    bytes: int = 0
    jobs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    products: int = 0
    product_bytes: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    quarantined: int = 0
    running: int = 0
    verdicts: Mapping[float, int] = field(default_factory=dict)


def gather(ask: Callable[[str], Sequence[Sequence[Any]]]) -> Counts:
    """Fold the answers to the six questions into one record."""
    ((nights, detectors, files, size, quarantined, running),) = ask(_SINGLE)
    ((products, product_size),) = ask(_PRODUCTS)
    return Counts(
        exposures=_nested(ask(_EXPOSURES)),
        nights=nights,
        detectors=detectors,
        files=files,
        bytes=int(size),
        jobs=_nested(ask(_JOBS)),
        products=products,
        product_bytes=int(product_size),
        faults={restored(code): number for code, number in ask(_FAULTS)},
        quarantined=quarantined,
        running=running,
        verdicts={float(value): number for value, number in ask(_VERDICTS)},
    )


def _nested(rows: Sequence[Sequence[Any]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for outer, inner, number in rows:
        found.setdefault(restored(outer), {})[restored(inner)] = number
    return found
