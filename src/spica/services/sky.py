"""Where detectors lie on the sky, from one place: the joint solution where there is one, else what was delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spica.core.images import Image
from spica.core.keywords import is_sky
from spica.core.records import Detector, Grain, Scalar, Unit
from spica.registry.store import Registry

SOLUTION = "sky_solution"
"""The product of the task `express`: the newest one of a detector tells where it lies."""


def solved(registry: Registry, unit: Unit) -> Mapping[str, Any]:
    """The newest joint solution of a detector as `spica.tasks.express` gives it; empty where there is none."""
    found = [each for each in registry.products_of(unit) if each.name == SOLUTION]
    return found[-1].value if found else {}


def cards_of(registry: Registry, unit: Unit) -> dict[str, Scalar]:
    """Header cards of the joint solution of a detector; empty where there is none."""
    return dict(solved(registry, unit).get("cards", {})) if unit.grain is Grain.DETECTOR else {}


def plate_of(registry: Registry, detector: Detector) -> Mapping[str, Scalar]:
    """Cards of the best sky solution of a detector: the joint one, else the delivered one."""
    return cards_of(registry, detector.unit) or detector.wcs


def overlaid(header: Mapping[str, Scalar], sky: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A header with another sky solution in place of its own; the same header where there is none."""
    if not sky:
        return dict(header)
    return {key: value for key, value in header.items() if not is_sky(key)} | dict(sky)


def solved_image(image: Image, sky: Mapping[str, Scalar]) -> Image:
    """An image with another sky solution."""
    return Image(image.pixels, image.variance, image.mask, overlaid(image.header, sky))
