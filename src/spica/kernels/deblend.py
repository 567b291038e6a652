"""Dividing connected sets of pixels into sources: the tree of branches, and what lies between them.

The method is that of SExtractor (Bertin & Arnouts 1996, A&AS 117, 393, section 5) in one pass instead of one labelling
per threshold: pixels join in falling order of brightness, and where two branches meet that both are worth it they stay
apart. Pixels below the place where branches met go to the branch whose profile, extrapolated, is brightest there.
"""

from typing import TypeAlias

import numpy as np

from spica.kernels.compiled import Bools, Float32, Float64, Int32, Int64, Numbers, as_pixels, compiled, inner
from spica.kernels.detect import Segments
from spica.kernels.levels import count_peaks, sort_by_level
from spica.kernels.regroup import regroup

Noise: TypeAlias = tuple[Int32, Float32, Float32]
"""Flat indices of a set's pixels; flat planes of the whole variance and of the sky's, empty where not known."""

LARGEST = 1 << 22
"""Larger sets [pixel] are no blends of sources but a wrong sky: they stay whole, which bounds memory and time."""

_BETA = 3.0
"""Exponent of the Moffat profile that branches are extrapolated with."""

# Rows of the table of integers, one column per pixel of a set.
_PARENT, _COUNT, _TOP, _HEAD, _TAIL, _NEXT, _LEAVES, _OWNER, _ORDER, _X, _Y, _SPOT = range(12)
_INTEGERS = 12
# Columns of the table of leaves.
_LX, _LY, _PEAK, _CXX, _CYY, _CXY, _SIZE, _LIGHT = range(8)


@inner
def _root(parent: Int32, q: int) -> int:
    while parent[q] != q:
        parent[q] = parent[parent[q]]
        q = parent[q]
    return q


@inner
def _place(pixels: Int32, nx: int, whole: Int32, index: Int32) -> None:
    """Columns, rows and places in the padded plane of a set's pixels; the plane gets their numbers from 1."""
    for q in range(pixels.size):
        y = pixels[q] // np.int32(nx)
        x = pixels[q] - y * np.int32(nx)
        spot = (y + 1) * (nx + 2) + x + 1
        whole[_X, q] = x
        whole[_Y, q] = y
        whole[_SPOT, q] = spot
        index[spot] = q + 1


@inner
def _seal(values: Float32, whole: Int32, root: int, leaf: int, step: float, leaves: Float64) -> None:
    """Make a branch a leaf: its pixels are its own, its shape and size are taken from them."""
    top = whole[_TOP, root]
    x0 = whole[_X, top]
    y0 = whole[_Y, top]
    s = sx = sy = xx = yy = xy = 0.0
    q = whole[_HEAD, root]
    area = 0
    while q >= 0:
        whole[_OWNER, q] = leaf
        value = float(values[q])
        dx = whole[_X, q] - x0
        dy = whole[_Y, q] - y0
        s += value
        sx += value * dx
        sy += value * dy
        xx += value * dx * dx
        yy += value * dy * dy
        xy += value * dx * dy
        area += 1
        q = whole[_NEXT, q]
    whole[_HEAD, root] = -1
    whole[_TAIL, root] = -1
    sx /= s
    sy /= s
    # A twelfth: the extent of the pixel itself.
    xx = xx / s - sx * sx + 1.0 / 12.0
    yy = yy / s - sy * sy + 1.0 / 12.0
    xy = xy / s - sx * sy
    root_det = np.sqrt(max(xx * yy - xy * xy, 1e-3))
    peak = float(values[top])
    leaves[leaf, _LIGHT] = s
    leaves[leaf, _LX] = x0 + sx
    leaves[leaf, _LY] = y0 + sy
    leaves[leaf, _PEAK] = peak
    leaves[leaf, _CXX] = yy / root_det
    leaves[leaf, _CYY] = xx / root_det
    leaves[leaf, _CXY] = -2.0 * xy / root_det
    # The area within a level of a Moffat profile tells its scale; of a branch that hardly rises it tells nothing.
    rise = max((peak / step) ** (1.0 / _BETA) - 1.0, 0.1)
    leaves[leaf, _SIZE] = area / np.pi / rise


@inner
def _noise_at(noise: Noise, q: int) -> float:
    """Noise of the filtered image at a pixel of the set, in units of the sky's."""
    pixels, variance, sky = noise
    if variance.size == 0:
        return 1.0
    p = pixels[q]
    return np.sqrt(max(variance[p] / sky[p], 1.0)) if sky[p] > 0.0 else 1.0


@inner
def _light_at(sums: Float64, whole: Int32, root: int, pixel: int, leaves: Float64) -> float:
    """Light of a component so far; of one that is divided, that of the leaf to which a pixel of it belongs."""
    owner = whole[_OWNER, pixel]
    return float(leaves[owner, _LIGHT] if whole[_LEAVES, root] > 0 and owner >= 0 else sums[root])


@inner
def _is_branch(
    values: Float32,
    sums: Float64,
    whole: Int32,
    noise: Noise,
    root: int,
    step: float,
    light: float,
    settings: Float64,
) -> bool:
    """Whether a component is a branch of its own above a level, where it meets so much light."""
    if whole[_LEAVES, root] > 0:
        return True
    top = whole[_TOP, root]
    count = whole[_COUNT, root]
    if count < settings[3] or not sums[root] - step * count > settings[1] * light:
        return False
    return bool(values[top] - step > settings[2] * _noise_at(noise, top))


@inner
def _unite(
    values: Float32,
    sums: Float64,
    whole: Int32,
    noise: Noise,
    a: int,
    b: int,
    step: float,
    light: float,
    settings: Float64,
    found: int,
    leaves: Float64,
) -> int:
    """Unite two components that meet at a level, sealing both if they are branches; returns the number of leaves."""
    apart = _is_branch(values, sums, whole, noise, a, step, light, settings)
    apart = apart and _is_branch(values, sums, whole, noise, b, step, light, settings)
    if apart and found + 2 <= leaves.shape[0]:
        for side in range(2):
            root = a if side == 0 else b
            if whole[_LEAVES, root] == 0:
                _seal(values, whole, root, found, step, leaves)
                whole[_LEAVES, root] = 1
                found += 1
    if whole[_COUNT, a] < whole[_COUNT, b]:
        a, b = b, a
    whole[_PARENT, b] = a
    whole[_COUNT, a] += whole[_COUNT, b]
    whole[_LEAVES, a] += whole[_LEAVES, b]
    sums[a] += sums[b]
    if values[whole[_TOP, b]] > values[whole[_TOP, a]]:
        whole[_TOP, a] = whole[_TOP, b]
    if whole[_HEAD, b] >= 0:
        if whole[_HEAD, a] >= 0:
            whole[_NEXT, whole[_TAIL, a]] = whole[_HEAD, b]
        else:
            whole[_HEAD, a] = whole[_HEAD, b]
        whole[_TAIL, a] = whole[_TAIL, b]
    return found


@inner
def _add(values: Float32, sums: Float64, whole: Int32, q: int, root: int) -> None:
    """Add a pixel to a component, or make it one (root < 0)."""
    whole[_NEXT, q] = -1
    if root < 0:
        whole[_PARENT, q] = q
        whole[_COUNT, q] = 1
        whole[_TOP, q] = q
        whole[_HEAD, q] = q
        whole[_TAIL, q] = q
        whole[_LEAVES, q] = 0
        sums[q] = values[q]
        return
    whole[_PARENT, q] = root
    whole[_COUNT, root] += 1
    sums[root] += values[q]
    if values[q] > values[whole[_TOP, root]]:
        whole[_TOP, root] = q
    if whole[_HEAD, root] >= 0:
        whole[_NEXT, whole[_TAIL, root]] = q
    else:
        whole[_HEAD, root] = q
    whole[_TAIL, root] = q


@inner
def _brightest_here(whole: Int32, q: int, index: Int32, offsets: Int32, leaves: Float64) -> int:
    """The leaf among the owners of the neighbours whose profile is brightest at a pixel, -1 without such."""
    best = -1
    light = 0.0
    for offset in offsets:
        m = index[whole[_SPOT, q] + offset] - 1
        if m < 0 or whole[_OWNER, m] < 0 or whole[_OWNER, m] == best:
            continue
        leaf = leaves[whole[_OWNER, m]]
        dx = whole[_X, q] - leaf[_LX]
        dy = whole[_Y, q] - leaf[_LY]
        square = (leaf[_CXX] * dx * dx + leaf[_CYY] * dy * dy + leaf[_CXY] * dx * dy) / leaf[_SIZE]
        value = leaf[_PEAK] * (1.0 + square) ** -_BETA
        if value > light:
            light = value
            best = whole[_OWNER, m]
    return best


@inner
def _grow_tree(
    values: Float32,
    sums: Float64,
    whole: Int32,
    noise: Noise,
    index: Int32,
    offsets: Int32,
    settings: Float64,
    leaves: Float64,
) -> int:
    """Number of leaves of a set (0: it stays whole); `settings`: levels, contrast, rise, area."""
    steps = np.empty(int(settings[0]), dtype=np.float32)
    order, spots, parent, owner = whole[_ORDER], whole[_SPOT], whole[_PARENT], whole[_OWNER]
    sort_by_level(values, owner, order, steps)
    owner[: values.size] = -1
    parent[: values.size] = -1
    found = 0
    level = 0
    for place in range(values.size):
        q = order[place]
        while values[q] < steps[level]:
            level += 1
        root = near = -1
        for offset in offsets:
            m = index[spots[q] + offset] - 1
            if m >= 0 and parent[m] >= 0 and parent[m] != root:
                other = _root(parent, m)
                if root < 0:
                    root, near = other, m
                elif other != root:
                    light = _light_at(sums, whole, root, near, leaves) + _light_at(sums, whole, other, m, leaves)
                    found = _unite(
                        values, sums, whole, noise, root, other, steps[level], light, settings, found, leaves
                    )
                    root = _root(parent, other)
        _add(values, sums, whole, q, root)
        if root >= 0 and whole[_LEAVES, root] > 0:
            owner[q] = _brightest_here(whole, q, index, offsets, leaves)
    return found


@inner
def _share(number: int, whole: Int32, index: Int32, offsets: Int32, leaves: Float64) -> None:
    """Give the pixels outside of the leaves to one of those that they touch, brightest pixels first."""
    waiting = 0
    for place in range(number):
        q = whole[_ORDER, place]
        if whole[_OWNER, q] < 0:
            whole[_OWNER, q] = _brightest_here(whole, q, index, offsets, leaves)
            waiting += whole[_OWNER, q] < 0
    if waiting == 0:
        return
    # Bumps that touch no leaf from above are reached from below, ring by ring.
    queue = whole[_NEXT]
    end = 0
    for q in range(number):
        if whole[_OWNER, q] >= 0:
            queue[end] = q
            end += 1
    begin = 0
    while begin < end:
        spot = whole[_SPOT, queue[begin]]
        begin += 1
        for offset in offsets:
            m = index[spot + offset] - 1
            if m >= 0 and whole[_OWNER, m] < 0:
                whole[_OWNER, m] = _brightest_here(whole, m, index, offsets, leaves)
                queue[end] = m
                end += 1


@compiled
def _divide(
    start: Int64,
    pixels: Int32,
    values: Float32,
    planes: tuple[Float32, Float32],
    ny: int,
    nx: int,
    settings: Float64,
    owner: Int32,
    blended: Bools,
) -> int:
    """Number the sources of all sets from 0 in `owner`, per pixel; returns how many there are."""
    width = nx + 2
    index = np.zeros((ny + 2) * width, dtype=np.int32)
    offsets = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1], dtype=np.int32)
    largest = 1
    for k in range(start.size - 1):
        largest = max(largest, min(start[k + 1] - start[k], LARGEST))
    whole = np.empty((_INTEGERS, largest), dtype=np.int32)
    sums = np.empty(largest)
    leaves = np.empty((largest // int(settings[3]) + 2, 8))
    count = 0
    for k in range(start.size - 1):
        first, last = start[k], start[k + 1]
        number = last - first
        found = 0
        if 2 * settings[3] <= number <= LARGEST:
            light = values[first:last]
            _place(pixels[first:last], nx, whole, index)
            if count_peaks(light, whole[_SPOT], index, offsets) > 1:
                noise = (pixels[first:last], planes[0], planes[1])
                found = _grow_tree(light, sums, whole, noise, index, offsets, settings, leaves)
            if found > 1:
                _share(number, whole, index, offsets, leaves)
        for q in range(number):
            owner[first + q] = count + (whole[_OWNER, q] if found > 1 else 0)
        for part in range(max(found, 1)):
            blended[count + part] = found > 1
        count += max(found, 1)
    return count


def deblend(
    segments: Segments,
    noise: tuple[Numbers, Numbers] | None = None,
    *,
    levels: int = 1024,
    contrast: float = 0.005,
    rise: float = 2.0,
    min_area: int = 3,
) -> Segments:
    """Divide connected sets into the sources that they are made of.

    Two branches that meet at a level stay apart if each holds, above that level, more than a fraction of the light of
    both, rises above it by more than noise does, and has enough pixels. Of a branch that is divided already only the
    source counts to which the place belongs where they meet, so that in a crowded field, where one set may hold
    thousands of sources, faint ones are told apart as in a sparse one.

    Parameters
    ----------
    segments : Segments
        From `spica.kernels.detect.find_segments`.
    noise : two (ny, nx) arrays, optional
        Variance of the pixels, sources' photons included, and of the sky alone; without them the noise is the sky's.
    levels : int
        Steps, equal in the logarithm, between a set's faintest and its brightest pixel.
    contrast : float
        Least fraction of the light of the two that meet.
    rise : float
        Least rise in units of the noise at the peak.
    min_area : int
        Least number of pixels.

    Returns
    -------
    Segments
        In the order of their first pixels.
    """
    if segments.count == 0:
        return segments
    none = np.empty(0, dtype=np.float32)
    planes = (none, none) if noise is None else (as_pixels(noise[0]).ravel(), as_pixels(noise[1]).ravel())
    owner = np.empty(segments.pixels.size, dtype=np.int32)
    blended = np.empty(segments.count + segments.pixels.size // max(min_area, 1), dtype=np.bool_)
    settings = np.array([levels, contrast, rise, max(min_area, 1)], dtype=np.float64)
    shape = segments.ny, segments.nx
    count = _divide(segments.start, segments.pixels, segments.values, planes, *shape, settings, owner, blended)
    return regroup(segments, owner, blended[:count])
