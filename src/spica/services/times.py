"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(seconds: float) -> str:
    """Unix seconds as ``2026-11-20 03:04:05``, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
