"""What a stack says of exposures that were brought to one point spread function before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spica.core.records import Scalar


def homogenised(inputs: Sequence[tuple[Mapping[str, Scalar], float]]) -> dict[str, float | int]:
    """Cards of a stack from those of its inputs, each with its weight (1 / variance of the blank sky); none where no input has some.

    HOMOFWHM and HOMOBETA are told where all agree that were changed. HOMONOIS is that by which the noise of a pixel is smaller than it would be of the
    exposures as they came: light of large apertures has lost none of its noise.
    """
    told = [(header, weight) for header, weight in inputs if _number(header, "HOMOFWHM") is not None]
    if not told:
        return {}
    kept = [header for header, _ in told if _number(header, "HOMOKEPT")]
    changed = [header for header, _ in told if not _number(header, "HOMOKEPT")]
    cards: dict[str, float | int] = {}
    for name in ("HOMOFWHM", "HOMOBETA"):
        values = {_number(header, name) for header in changed}
        value = values.pop() if len(values) == 1 else None
        if value is not None:
            cards[name] = value
    weights = np.array([weight for _, weight in inputs])
    noises = np.array([_number(header, "HOMONOIS") or 1.0 for header, _ in inputs])
    cards["HOMONOIS"] = round(float(np.sqrt(np.sum(weights * noises**2) / weights.sum())), 5)
    # Those that nobody tried to change count as those that could not be.
    return cards | {"HOMOKEPT": len(kept) + len(inputs) - len(told)}


def _number(header: Mapping[str, Scalar], name: str) -> float | None:
    value = header.get(name)
    return float(value) if isinstance(value, int | float) else None
