"""From lists of detections with rough sky solutions to groups that a joint solution can be made of.

Exposures are laid over the reference one by one, a common focal plane follows, detections are cross-identified with each
other and with the reference, and where they crowd, thinned to a uniform density.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spica.kernels.associate import Groups, Numbering, friends, unit_vectors
from spica.kernels.compiled import Float64, Int64
from spica.kernels.focal_model import Complex, Mosaic, Terms, directions, to_plane
from spica.kernels.focal_start import NODES, affine, common_plane, node_pixels
from spica.kernels.joint_astrometry import Known, Seen
from spica.kernels.joint_motion import Moving
from spica.kernels.rough_match import Laid, lay_over
from spica.kernels.wcs import TangentWcs, pixel_to_sky

Values = npt.NDArray[Any]
"""float64, or float32 where there is one for each detection."""

_ARCSEC = np.pi / 648_000.0
_CHUNK = 1 << 18
_NEIGHBOURS, _WIDER, _WIDEST = 3, (3.0, 6.0), 120.0
"""What is tried for an exposure that was not found: so many neighbours, circles of so many radii, up to arc seconds."""
_SURE = 12
"""Pairs at least for an exposure to be taken for found by a rescue."""
_BLOCK = 1200.0
"""Side of a block of the first search [pixel], about."""


@dataclass(frozen=True)
class Lists:
    """Detections of many images; int32 and float32 will do where a table is long, but for x and y.

    Attributes
    ----------
    image : (n,) integers, ascending.
    x, y, err : (n,) [pixel]; the error is per coordinate.
    snr : (n,) signal-to-noise: the brightest are looked at first.
    """

    image: Numbering
    x: Float64
    y: Float64
    err: Values
    snr: Values


@dataclass(frozen=True)
class Images:
    """The images: exposure, sensor and size as in `Mosaic`, and the sky solution that each has so far.

    `header` are the solutions that were delivered, where those so far are better; by them neighbours help each other.
    """

    exposure: Int64
    sensor: Int64
    size: Float64
    context: Int64
    wcs: Sequence[TangentWcs]
    header: Sequence[TangentWcs] = ()


@dataclass(frozen=True)
class Matching:
    """How to identify: radii [arcsec], degrees of the polynomials, thinning.

    `density` is the most sources per square degree that are used, 0 for all; `bright` the detections of an image that the
    first search looks at.
    """

    search: float = 20.0
    radius: float = 1.0
    degree: int = 3
    field_degree: int = 1
    density: float = 0.0
    bright: int = 800


def pointings(images: Images) -> tuple[Float64, Float64]:
    """Middle of each exposure's images [degree]."""
    middles = np.array(
        [
            pixel_to_sky(w, 0.5 * (size[0] - 1.0), 0.5 * (size[1] - 1.0))
            for w, size in zip(images.wcs, images.size, strict=True)
        ]
    ).reshape(-1, 2)
    vectors = unit_vectors(middles[:, 0], middles[:, 1])
    count = int(images.exposure.max()) + 1
    mean = np.stack([np.bincount(images.exposure, vectors[:, k], count) for k in range(3)], axis=1)
    ra = np.degrees(np.arctan2(mean[:, 1], mean[:, 0])) % 360.0
    return ra, np.degrees(np.arctan2(mean[:, 2], np.hypot(mean[:, 0], mean[:, 1])))


def lay(images: Images, lists: Lists, reference: Float64, how: Matching) -> tuple[Mosaic, Terms, list[Laid]]:
    """Lay each exposure over the reference (unit vectors), and put the focal plane together.

    Exposures are in order of time. One that nothing was found for by itself is tried from where its neighbours were off
    their headers, then in a wider circle (`Laid.rung`). Where all of that fails the header stands, and the exposure's `Laid`
    has no matches.
    """
    ra, dec = pointings(images)
    plane = np.empty((images.exposure.size, NODES**2), np.complex128)
    first = np.searchsorted(lists.image, np.arange(images.exposure.size + 1))
    tree = cKDTree(reference) if reference.size else None
    order = np.argsort(images.exposure, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(images.exposure))[:-1])
    found = []
    for number, mine in enumerate(members):
        where = mine, first, float(ra[number]), float(dec[number])
        laid = _lay_one(images, lists, (reference, tree), how, where)
        plane[mine] = laid.move(_node_planes(images.wcs, images, mine, *where[2:]))
        found.append(laid)
    for number in [number for number, laid in enumerate(found) if laid.matched == 0]:
        where = members[number], first, float(ra[number]), float(dec[number])
        for rung, start, search in _rungs(images, (ra, dec), members, plane, found, number, how.search):
            wider = replace(how, search=search)
            laid = _lay_one(images, lists, (reference, tree), wider, where, start)
            if laid.matched >= _SURE:
                nodes = _node_planes(images.header or images.wcs, images, members[number], *where[2:])
                plane[members[number]] = laid.move(_moved_by(start, nodes))
                found[number] = replace(laid, rung=rung)
                break
    terms, radius = common_plane(plane, images.exposure, images.sensor, images.context, (how.degree, how.field_degree))
    mosaic = Mosaic(
        *(images.exposure, images.sensor, images.size, images.context, ra, dec, how.degree, how.field_degree, radius)
    )
    return mosaic, terms, found


def _rungs(
    images: Images,
    where: tuple[Float64, Float64],
    members: list[Int64],
    plane: Complex,
    found: list[Laid],
    number: int,
    search: float,
) -> Iterator[tuple[int, Complex, float]]:
    """What is tried for an exposure that was not found: number of the rung, start, radius [arcsec].

    A start is a shift, rotation with scale, and shear of the places by its headers.
    """
    context = images.context[images.sensor[members[number][0]]]
    near = sorted(range(len(found)), key=lambda other: (abs(other - number), other))
    near = [
        other
        for other in near
        if found[other].matched > 0
        and found[other].rung == 0
        and images.context[images.sensor[members[other][0]]] == context
    ]
    for other in near[:_NEIGHBOURS]:
        mine = members[other]
        header = _node_planes(images.header or images.wcs, images, mine, *(float(each[other]) for each in where))
        yield 1, affine(header.ravel(), plane[mine].ravel()), search
    same = np.array([0.0, 1.0, 0.0], complex)
    for wide in _WIDER:
        yield 2, same, min(wide * search, _WIDEST)


def _moved_by(start: Complex, place: Complex) -> Complex:
    return np.asarray(start[0] + start[1] * place + start[2] * place.conj())


def _node_planes(wcs: Sequence[TangentWcs], images: Images, members: Int64, ra: float, dec: float) -> Complex:
    """Places of the nodes of some images of one exposure."""
    sky = [pixel_to_sky(wcs[image], *node_pixels(tuple(images.size[image]))) for image in members]
    return np.array([to_plane(unit_vectors(*each), ra, dec) for each in sky])


def _lay_one(
    images: Images,
    lists: Lists,
    catalogue: tuple[Float64, cKDTree | None],
    how: Matching,
    which: tuple[Int64, Int64, float, float],
    start: Complex | None = None,
) -> Laid:
    """Lay the bright detections of one exposure over the reference stars in its field, by its headers from a `start`."""
    members, first, ra, dec = which
    wcs = images.wcs if start is None else images.header or images.wcs
    places, blocks, used = [], [], 0
    for image in members:
        rows = np.arange(first[image], first[image + 1])
        rows = rows[np.argsort(-lists.snr[rows], kind="stable")[: how.bright]]
        sky = pixel_to_sky(wcs[image], lists.x[rows], lists.y[rows])
        places.append(to_plane(unit_vectors(*sky), ra, dec))
        # Few detections: one block. Many: blocks of some thirty, no smaller than their side.
        split = np.maximum(np.minimum(np.round(images.size[image] / _BLOCK), np.sqrt(rows.size / 30.0)), 1.0).astype(
            np.int64
        )
        column, row = (
            np.clip(values * split[k] / images.size[image][k], 0, split[k] - 1).astype(np.int64)
            for k, values in enumerate((lists.x[rows], lists.y[rows]))
        )
        blocks.append(used + row * split[0] + column)
        used += int(split[0] * split[1])
    here = np.concatenate(places) if start is None else _moved_by(start, np.concatenate(places))
    reference, tree = catalogue
    if tree is None or here.size == 0:
        return lay_over(here, np.concatenate(blocks), np.empty(0, complex), how.search)
    reach = np.radians(float(np.max(np.abs(here)))) + 2.0 * how.search * _ARCSEC
    ball = tree.query_ball_point(unit_vectors(ra, dec), 2.0 * np.sin(min(0.5 * reach, 0.5)))
    near = np.sort(np.asarray(ball, np.int64))
    return lay_over(here, np.concatenate(blocks), to_plane(reference[near], ra, dec), how.search)


@dataclass(frozen=True)
class Identified:
    """Groups of detections and reference stars.

    Attributes
    ----------
    seen, known : what a solution is made of, ordered by group.
    rows, stars : (n,), (r,) integers
        Which detection of the lists, which star of the reference each of them is.
    """

    seen: Seen
    known: Known
    rows: Numbering
    stars: Numbering


def identify(
    mosaic: Mosaic,
    terms: Terms,
    lists: Lists,
    scale: Float64,
    reference: tuple[Float64, Float64],
    how: Matching,
    moving: Moving | None = None,
) -> Identified:
    """Cross-identify detections with each other and with the reference.

    Parameters
    ----------
    scale : (m,) milliarcseconds per pixel of each image.
    reference : unit vectors (r, 3) and errors (r,) [mas].
    moving : motions of the reference stars, where exposures lie far apart in time.
    """
    count = lists.image.size
    ra, dec = np.empty((2, count + len(reference[0])))
    for begin in range(0, count, _CHUNK):
        part = slice(begin, min(begin + _CHUNK, count))
        found = directions(mosaic, terms, lists.image[part], lists.x[part], lists.y[part])
        ra[part], dec[part] = _position(found)
    ra[count:], dec[count:] = _position(reference[0])
    if moving is not None:
        moving.follow(ra[:count], dec[:count], mosaic.exposure[lists.image], how.radius)
    # One exposure sees a source once, on whichever detector.
    source = np.zeros(ra.size, np.int32)
    source[:count] = mosaic.exposure[lists.image] + 1
    groups = friends(ra, dec, source, how.radius)
    kept, number = _useful(groups, (ra, dec), count, how.density)
    del ra, dec, source
    rows, stars = (_by_group(kept[part], groups.group[part]) for part in (slice(count), slice(count, None)))
    image = lists.image[rows]
    sigma = (lists.err[rows] * scale[image]).astype(lists.err.dtype)
    seen = Seen(number[groups.group[rows]], image, lists.x[rows], lists.y[rows], sigma)
    tied = number[groups.group[count + stars.astype(np.int64)]]
    if moving is not None:
        seen = _moved(moving, seen, mosaic.exposure, (tied, stars))
    return Identified(seen, Known(tied, reference[0][stars], reference[1][stars]), rows, stars)


def _moved(moving: Moving, seen: Seen, exposure: Int64, known: tuple[Numbering, Numbering]) -> Seen:
    """Detections with how far their star was from its place, and the error that a motion adds which is not known."""
    group, stars = known
    of_group = np.full(int(seen.group.max(initial=-1)) + 1, -1, np.int32)
    of_group[group] = stars
    out, sigma = np.zeros(seen.group.size, np.complex64), seen.sigma.copy()
    for begin in range(0, out.size, _CHUNK):
        part = slice(begin, begin + _CHUNK)
        out[part], error = moving.unknown(of_group[seen.group[part]], exposure[seen.image[part]])
        sigma[part] = np.hypot(sigma[part], error)
    return replace(seen, moved=out, sigma=sigma)


def _position(direction: Float64) -> tuple[Float64, Float64]:
    """Right ascension and declination [degree] of unit vectors."""
    ra = np.degrees(np.arctan2(direction[:, 1], direction[:, 0])) % 360.0
    return ra, np.degrees(np.arctan2(direction[:, 2], np.hypot(direction[:, 0], direction[:, 1])))


def _useful(
    groups: Groups, where: tuple[Float64, Float64], detections: int, density: float
) -> tuple[npt.NDArray[np.bool_], Numbering]:
    """Which members take part: those of groups of two, thinned; and the number that each group has among these."""
    joined = groups.group >= 0
    members = np.bincount(groups.group[joined], minlength=groups.count)
    useful = members > 1
    if density > 0:
        known = np.arange(joined.size) >= detections
        useful &= _thinned(groups.group, groups.count, where, known, members, density)
    number = np.cumsum(useful, dtype=np.int32)
    number -= 1
    joined &= useful[groups.group]
    return joined, number


def _by_group(kept: npt.NDArray[np.bool_], group: Numbering) -> Numbering:
    """Rows that are kept, in the order of their groups."""
    rows = np.flatnonzero(kept).astype(np.int32)
    return np.asarray(rows[np.argsort(group[rows], kind="stable")])


def ties(mosaic: Mosaic, found: Identified, least: int) -> tuple[Int64, Int64]:
    """How each exposure hangs together with the sky.

    Parameters
    ----------
    least : sources in common that make two exposures hang together, at least.

    Returns
    -------
    (exposures,) sources that it shares with anything, and reference stars of all exposures that hang together with it.
    """
    exposure = mosaic.exposure[found.seen.image]
    groups = int(found.seen.group[-1]) + 1 if exposure.size else 0
    count = mosaic.ra.size
    shape = (count, max(groups, 1))
    sees = coo_array((np.ones(exposure.size, np.int32), (exposure.astype(np.int32), found.seen.group)), shape).tocsr()
    common = (sees @ sees.T).tocoo()
    strong = common.data >= least
    graph = coo_array((np.ones(int(strong.sum()), np.int8), (common.row[strong], common.col[strong])), (count, count))
    part = connected_components(graph, directed=False)[1]
    known = np.zeros(max(groups, 1), bool)
    known[found.known.group] = True
    tied = np.bincount(exposure, known[found.seen.group], count)
    return np.bincount(exposure, minlength=count), np.bincount(part, tied)[part].astype(np.int64)


def without(found: Identified, exposure: Int64, dropped: npt.NDArray[np.bool_]) -> Identified:
    """The groups without the detections of some exposures; what has one member left goes too."""
    keep = ~dropped[exposure[found.seen.image]]
    groups = int(found.seen.group[-1]) + 1 if keep.size else 0
    members = np.bincount(found.seen.group[keep], minlength=groups)
    whole = members + np.bincount(found.known.group, minlength=groups) > 1
    whole &= members > 0
    number = np.cumsum(whole, dtype=np.int32)
    number -= 1
    keep &= whole[found.seen.group]
    stays = whole[found.known.group]
    old, tie = found.seen, found.known
    moved = None if old.moved is None else old.moved[keep]
    seen = Seen(number[old.group[keep]], old.image[keep], old.x[keep], old.y[keep], old.sigma[keep], moved)
    known = Known(number[tie.group[stays]], tie.direction[stays], tie.sigma[stays])
    return Identified(seen, known, found.rows[keep], found.stars[stays])


def _thinned(
    group: Numbering,
    count: int,
    where: tuple[Float64, Float64],
    known: npt.NDArray[np.bool_],
    members: Int64,
    density: float,
) -> npt.NDArray[np.bool_]:
    """The most useful groups of each cell of the sky: those with a reference star, then those seen most often."""
    tied = np.zeros(count, bool)
    tied[group[known & (group >= 0)]] = True
    _, first = np.unique(np.where(group >= 0, group, count), return_index=True)
    ra, dec = (values[first[:count]] for values in where)
    side = np.sqrt(16.0 / density)
    row = np.floor((dec + 90.0) / side).astype(np.int64)
    column = np.floor(ra * np.cos(np.radians((row + 0.5) * side - 90.0)) / side).astype(np.int64)
    cell = row * np.int64(360.0 / side + 2) + column
    order = np.lexsort((dec, ra, -members, ~tied, cell))
    start = np.r_[0, np.flatnonzero(np.diff(cell[order])) + 1]
    rank = np.arange(count) - np.repeat(start, np.diff(np.r_[start, count]))
    out = np.zeros(count, bool)
    out[order] = rank < 16
    return out
