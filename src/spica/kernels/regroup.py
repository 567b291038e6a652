"""Segments under other owners: what dividing and cleaning have in common."""

from dataclasses import replace

import numpy as np

from spica.kernels.compiled import Bools, Float32, Int32, Int64, compiled
from spica.kernels.detect import Segments


@compiled
def _regroup(
    pixels: Int32, values: Float32, owner: Int32, rank: Int64, start: Int64, out: Int32, light: Float32
) -> None:
    """Sort pixels by the rank of their owner, keeping their order within it; an owner of rank -1 is left out."""
    start[:] = 0
    for q in range(owner.size):
        if rank[owner[q]] >= 0:
            start[rank[owner[q]] + 1] += 1
    for k in range(start.size - 1):
        start[k + 1] += start[k]
    place = start[:-1].copy()
    for q in range(owner.size):
        k = rank[owner[q]]
        if k >= 0:
            out[place[k]] = pixels[q]
            light[place[k]] = values[q]
            place[k] += 1


@compiled
def _first_pixels(pixels: Int32, owner: Int32, count: int) -> Int32:
    first = np.full(count, np.int32(2147483647), dtype=np.int32)
    for q in range(owner.size):
        first[owner[q]] = min(first[owner[q]], pixels[q])
    return first


def regroup(segments: Segments, owner: Int32, blended: Bools) -> Segments:
    """The same pixels under other owners, in the order of their first pixels.

    Parameters
    ----------
    segments : Segments
        Pixels of a segment rise; those of an owner may come from several segments if these are given in order.
    owner : (pixels,) int32
        Number of the owner of each pixel, from 0; every number below ``blended.size`` owns a pixel.
    blended : bool array
        Of each owner.
    """
    first = _first_pixels(segments.pixels, owner, blended.size)
    order = np.argsort(first, kind="stable")
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    start = np.empty(order.size + 1, dtype=np.int64)
    pixels, values = np.empty_like(segments.pixels), np.empty_like(segments.values)
    _regroup(segments.pixels, segments.values, owner, rank, start, pixels, values)
    return replace(segments, start=start, pixels=pixels, values=values, blended=blended[order], count=int(order.size))
