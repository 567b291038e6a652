"""The row of an order, whoever gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spica.core.orders import State


def order_row(order: Mapping[str, Any], now: float, owner: str = "") -> dict[str, Any]:
    """Columns of a production that waits for a coordinator, or, where an owner is given, is that one's and runs.

    Parameters
    ----------
    order : columns of `spica.registry.rows.Production`: name, pipeline, selection, settings, and others that are not as usual.
    now : Unix seconds (UTC).
    """
    plain: dict[str, Any] = {key: int(value) if isinstance(value, bool) else value for key, value in order.items()}
    if "tiles" in plain:
        plain["tiles"] = list(plain["tiles"])
    return plain | {
        "settings": dict(plain["settings"]),
        "owner": owner,
        "opened": now,
        "begun": now if owner else None,
        "outcomes": {},
        "state": (State.RUNNING if owner else State.WAITING).value,
        "queued": int(not owner),
    }
