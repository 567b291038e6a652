"""Bands from short waves to long ones."""

from __future__ import annotations

from collections.abc import Iterable

ORDER = ("u", "g", "r", "i", "z", "y", "Y", "J", "H", "Ks", "K")
"""Bands from short waves to long ones; others stand behind them, by name."""


def by_wavelength(bands: Iterable[str]) -> list[str]:
    """Bands in order, the shortest waves first."""
    return sorted(bands, key=lambda band: (ORDER.index(band) if band in ORDER else len(ORDER), band))
