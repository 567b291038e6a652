"""Astropy's times, told first never to fetch anything: leap seconds and Earth orientation ship with the installation."""

from __future__ import annotations

from astropy.utils import iers

iers.conf.auto_download = False

from astropy.time import ScaleValueError, Time  # noqa: E402 - its import looks for leap seconds at once, so the line above comes first

__all__ = ["ScaleValueError", "Time"]
