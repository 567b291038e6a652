"""Cubes: several read-outs of one pointing in one HDU, read as their mean."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spica.core.camera import AmplifierSpec
from spica.core.images import Float32
from spica.files.planes import Plane


def mean_slice(plane: Plane, amplifiers: Iterable[AmplifierSpec]) -> Float32:
    """Mean of the images of a cube, one in memory at a time.

    Parameters
    ----------
    plane : the HDU.
    amplifiers : those whose sections lie in it; they say what is saturated.

    Returns
    -------
    ``(ny, nx)`` float32. A pixel that is undefined in some images is the mean of the others (NaN in all: NaN); one that
    is saturated in any is the largest, so that it is seen to be.
    """
    limit = _saturation(plane, amplifiers)
    total = np.zeros(plane.shape, np.float32)
    # How many images define a pixel is counted from the first that leaves one out.
    number: Float32 | None = None
    largest: Float32 | None = None
    for layer in range(plane.layers):
        values = plane.read(layer=layer).astype(np.float32, copy=False)
        known = np.isfinite(values)
        if not known.all():
            number = np.full(plane.shape, layer, np.float32) if number is None else number
            values = np.where(known, values, np.float32(0))
        total += values
        if number is not None:
            number += known
        full = known & (values >= limit)
        if full.any():
            largest = np.full(plane.shape, -np.inf, np.float32) if largest is None else largest
            np.maximum(largest, np.where(full, values, np.float32(-np.inf)), out=largest)
    with np.errstate(invalid="ignore"):
        total /= np.float32(plane.layers) if number is None else number
    if largest is not None:
        np.copyto(total, largest, where=largest > -np.inf)
    return total


def mean_variance(plane: Plane) -> Float32:
    """Variance of the mean of images whose variances a cube holds; not finite where one of theirs is not."""
    total = np.zeros(plane.shape, np.float32)
    for layer in range(plane.layers):
        total += plane.read(layer=layer).astype(np.float32, copy=False)
    return total / np.float32(plane.layers**2)


def mean_weight(plane: Plane) -> Float32:
    """Weight (inverse variance) of the mean of images whose weights a cube holds; 0 where one of theirs is none."""
    total = np.zeros(plane.shape, np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        for layer in range(plane.layers):
            weight = plane.read(layer=layer).astype(np.float32, copy=False)
            total += np.where(weight > 0, np.float32(1) / weight, np.float32(np.inf))
        return np.float32(plane.layers**2) / total


def _saturation(plane: Plane, amplifiers: Iterable[AmplifierSpec]) -> Float32:
    """Level at which each pixel counts as full, infinite outside of all sections."""
    limit = np.full(plane.shape, np.inf, np.float32)
    for amplifier in amplifiers:
        for section in (amplifier.data, amplifier.overscan, amplifier.prescan):
            if section is not None:
                x0, x1, y0, y1 = section
                limit[y0:y1, x0:x1] = amplifier.saturation
    return limit
