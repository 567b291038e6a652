"""Bands from short waves to long ones."""

from __future__ import annotations

from collections.abc import Iterable

ORDER = ("u", "g", "r", "i", "z", "y", "Y", "J", "H", "Ks", "K")
"""Bands from short waves to long ones; others stand behind them, by name. What follows an underline tells bands of the same waves apart."""


def by_wavelength(bands: Iterable[str]) -> list[str]:
    """Bands in order, the shortest waves first."""
    places = {band: place for place, band in enumerate(ORDER)}
    return sorted(bands, key=lambda band: (places.get(band.partition("_")[0], len(ORDER)), band))
