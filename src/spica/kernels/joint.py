"""From lists of detections with rough sky solutions to groups that a joint solution can be made of.

Exposures are laid over the reference one by one, a common focal plane follows, detections are cross-identified with each
other and with the reference, and where they crowd, thinned to a uniform density.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from spica.kernels.associate import friends, unit_vectors
from spica.kernels.compiled import Float64, Int64
from spica.kernels.focal_model import Complex, Mosaic, Terms, directions, to_plane
from spica.kernels.focal_start import common_plane, node_pixels
from spica.kernels.joint_astrometry import Known, Seen
from spica.kernels.rough_match import Laid, lay_over
from spica.kernels.wcs import TangentWcs, pixel_to_sky

_ARCSEC = np.pi / 648_000.0
_BLOCK = 1200.0
"""Side of a block of the first search [pixel], about."""


@dataclass(frozen=True)
class Lists:
    """Detections of many images.

    Attributes
    ----------
    image : (n,) int64, ascending.
    x, y, err : (n,) [pixel]; the error is per coordinate.
    snr : (n,) signal-to-noise: the brightest are looked at first.
    """

    image: Int64
    x: Float64
    y: Float64
    err: Float64
    snr: Float64


@dataclass(frozen=True)
class Images:
    """The images: exposure, sensor and size as in `Mosaic`, and the sky solution that each has so far."""

    exposure: Int64
    sensor: Int64
    size: Float64
    context: Int64
    wcs: Sequence[TangentWcs]


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

    Where nothing was found the header stands, and the exposure's `Laid` has no matches.
    """
    ra, dec = pointings(images)
    plane = _node_planes(images, ra, dec)
    first = np.searchsorted(lists.image, np.arange(images.exposure.size + 1))
    tree = cKDTree(reference) if reference.size else None
    found = []
    order = np.argsort(images.exposure, kind="stable")
    for number, members in enumerate(np.split(order, np.cumsum(np.bincount(images.exposure))[:-1])):
        laid = _lay_one(images, lists, (reference, tree), how, (members, first, float(ra[number]), float(dec[number])))
        plane[members] = laid.move(plane[members])
        found.append(laid)
    terms, radius = common_plane(plane, images.exposure, images.sensor, images.context, (how.degree, how.field_degree))
    mosaic = Mosaic(
        *(images.exposure, images.sensor, images.size, images.context, ra, dec, how.degree, how.field_degree, radius)
    )
    return mosaic, terms, found


def _node_planes(images: Images, ra: Float64, dec: Float64) -> Complex:
    out = []
    for number, wcs in enumerate(images.wcs):
        sky = pixel_to_sky(wcs, *node_pixels(tuple(images.size[number])))
        exposure = images.exposure[number]
        out.append(to_plane(unit_vectors(*sky), float(ra[exposure]), float(dec[exposure])))
    return np.array(out)


def _lay_one(
    images: Images,
    lists: Lists,
    catalogue: tuple[Float64, cKDTree | None],
    how: Matching,
    which: tuple[Int64, Int64, float, float],
) -> Laid:
    """Lay the bright detections of one exposure over the reference stars in its field."""
    members, first, ra, dec = which
    places, blocks, used = [], [], 0
    for image in members:
        rows = np.arange(first[image], first[image + 1])
        rows = rows[np.argsort(-lists.snr[rows], kind="stable")[: how.bright]]
        sky = pixel_to_sky(images.wcs[image], lists.x[rows], lists.y[rows])
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
    here = np.concatenate(places)
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
    rows, stars : (n,), (r,) int64
        Which detection of the lists, which star of the reference each of them is.
    """

    seen: Seen
    known: Known
    rows: Int64
    stars: Int64


def identify(
    mosaic: Mosaic, terms: Terms, lists: Lists, scale: Float64, reference: tuple[Float64, Float64], how: Matching
) -> Identified:
    """Cross-identify detections with each other and with the reference.

    Parameters
    ----------
    scale : (m,) milliarcseconds per pixel of each image.
    reference : unit vectors (r, 3) and errors (r,) [mas].
    """
    direction = directions(mosaic, terms, lists.image, lists.x, lists.y)
    both = np.concatenate([direction, reference[0]])
    ra = np.degrees(np.arctan2(both[:, 1], both[:, 0])) % 360.0
    dec = np.degrees(np.arctan2(both[:, 2], np.hypot(both[:, 0], both[:, 1])))
    # One exposure sees a source once, on whichever detector.
    source = np.concatenate([mosaic.exposure[lists.image] + 1, np.zeros(len(reference[0]), np.int64)])
    groups = friends(ra, dec, source, how.radius)
    members = np.bincount(groups.group[groups.group >= 0], minlength=groups.count)
    useful = members > 1
    if how.density > 0:
        useful &= _thinned(groups.group, groups.count, (ra, dec), source == 0, members, how.density)
    kept = (groups.group >= 0) & useful[groups.group]
    number = np.cumsum(useful) - 1
    group = np.where(kept, number[groups.group], -1)
    count = lists.image.size
    rows = np.flatnonzero(kept[:count])
    rows = rows[np.argsort(group[rows], kind="stable")]
    stars = np.flatnonzero(kept[count:])
    stars = stars[np.argsort(group[count + stars], kind="stable")]
    image = lists.image[rows]
    seen = Seen(group[rows], image, lists.x[rows], lists.y[rows], lists.err[rows] * scale[image])
    return Identified(seen, Known(group[count + stars], reference[0][stars], reference[1][stars]), rows, stars)


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
    sees = coo_array((np.ones(exposure.size, np.int64), (exposure, found.seen.group)), (count, max(groups, 1))).tocsr()
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
    number = np.cumsum(whole) - 1
    keep &= whole[found.seen.group]
    stays = whole[found.known.group]
    old, tie = found.seen, found.known
    seen = Seen(number[old.group[keep]], old.image[keep], old.x[keep], old.y[keep], old.sigma[keep])
    known = Known(number[tie.group[stays]], tie.direction[stays], tie.sigma[stays])
    return Identified(seen, known, found.rows[keep], found.stars[stays])


def _thinned(
    group: Int64,
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
