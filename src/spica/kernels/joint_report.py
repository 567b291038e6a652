"""Figures of a joint solution, image by image."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from spica.kernels.associate import Numbering, unit_vectors
from spica.kernels.compiled import Bools, Float64, Int64
from spica.kernels.focal_model import Complex, Mosaic, place, to_plane
from spica.kernels.joint_astrometry import MAS, Fit, Known, Seen


@dataclass(frozen=True)
class ImageFigures:
    """Of each image (m,): numbers of detections, and what they scatter.

    Attributes
    ----------
    used, rejected : detections that count, and that do not.
    ties : of those that count, with a reference star that counts.
    internal : rms per coordinate [mas] of the most precise quarter about the means of their sources, the part that each has
        in its mean put right; NaN without any.
    external : rms per coordinate [mas] of detections about their reference stars.
    chi2 : mean squared pull per coordinate.
    share : of the reference stars on the image those that have a detection that counts; NaN without any.
    """

    used: Int64
    rejected: Int64
    ties: Int64
    internal: Float64
    external: Float64
    chi2: Float64
    share: Float64


def image_figures(mosaic: Mosaic, seen: Seen, known: Known, fit: Fit, reference: Float64) -> ImageFigures:
    """Figures of all images; `reference` are unit vectors (stars, 3) to all reference stars."""
    count = mosaic.exposure.size
    counts = fit.state.seen > 0.0
    star = star_of(seen, known)
    tied = counts & (star >= 0)
    tied[tied] = fit.state.known[star[tied]] > 0.0
    away = fit.residual[tied] - fit.known_residual[star[tied]]
    pull = counts & (fit.state.seen_pull > 0.0)
    sharp = pull & (fit.share < 0.99) & _sharpest(seen, counts, count)
    own = np.abs(fit.residual[sharp]) ** 2 / (1.0 - fit.share[sharp])
    return ImageFigures(
        np.bincount(seen.image[counts], minlength=count),
        np.bincount(seen.image[~counts], minlength=count),
        np.bincount(seen.image[tied], minlength=count),
        np.sqrt(0.5 * _mean(seen.image[sharp], own, count)),
        np.sqrt(0.5 * _mean(seen.image[tied], np.abs(away) ** 2, count)),
        0.5 * _mean(seen.image[pull], fit.state.seen_pull[pull] ** 2, count),
        np.bincount(seen.image[tied], minlength=count) / _stars_on(mosaic, fit, reference),
    )


def _stars_on(mosaic: Mosaic, fit: Fit, reference: Float64) -> Float64:
    """How many reference stars lie on each image, by the outlines that its sides make; NaN for none."""
    out = np.zeros(mosaic.exposure.size)
    tree = cKDTree(reference)
    order = np.argsort(mosaic.exposure, kind="stable")
    corner = np.array([[0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 0.5]])
    for exposure, images in enumerate(np.split(order, np.cumsum(np.bincount(mosaic.exposure))[:-1])):
        x, y = (corner[k] * (mosaic.size[images, k, None] - 1.0) for k in (0, 1))
        sides = place(mosaic, fit.terms, np.repeat(images, 8), x.ravel(), y.ravel()).plane.reshape(-1, 8)
        ra, dec = float(mosaic.ra[exposure]), float(mosaic.dec[exposure])
        reach = 2.02 * np.sin(0.5 * min(np.radians(float(np.max(np.abs(sides)))), 1.0))
        near = tree.query_ball_point(unit_vectors(ra, dec), reach)
        stars = to_plane(reference[np.asarray(near, np.int64)], ra, dec)
        for image, side in zip(images, sides, strict=True):
            out[image] = np.count_nonzero(_inside(stars, side))
    return np.where(out > 0.0, out, np.nan)


def _inside(where: Complex, corner: Complex) -> Bools:
    """Which places lie in a polygon (even-odd rule)."""
    found = np.zeros(where.size, bool)
    for a, b in zip(np.roll(corner, 1), corner, strict=True):
        crosses = (a.imag > where.imag) != (b.imag > where.imag)
        at = a.real + (where.imag[crosses] - a.imag) * (b.real - a.real) / (b.imag - a.imag)
        found[crosses] ^= where.real[crosses] < at
    return found


def position_error(
    mosaic: Mosaic, fit: Fit, image: int, x: Float64, y: Float64, alone: Complex | None = None
) -> Float64:
    """Standard error per coordinate [mas] of the solution itself at pixels of an image.

    `alone` is the covariance of its exposure's terms were the detectors' known, as `Solved.own_alone` has it.
    """
    where = np.full(x.size, image)
    placed = place(mosaic, fit.terms, where, x, y)
    sensor, exposure = int(mosaic.sensor[image]), int(mosaic.exposure[image])
    columns = (
        first * width + np.arange(width) for first, width in ((sensor, mosaic.terms), (exposure, mosaic.field_terms))
    )
    shared_at, own_at = columns
    shared = placed.slope[:, None] * placed.basis
    variance = fit.solved.variance(shared_at, shared, own_at, placed.field, alone)
    return np.asarray(MAS * np.sqrt(np.maximum(variance, 0.0)))


def position_errors(mosaic: Mosaic, fit: Fit) -> Float64:
    """The same of all images (m,), rms over a grid of each."""
    out = np.empty(mosaic.exposure.size)
    order = np.argsort(mosaic.exposure, kind="stable")
    width = mosaic.field_terms
    for exposure, images in enumerate(np.split(order, np.cumsum(np.bincount(mosaic.exposure))[:-1])):
        alone = fit.solved.own_alone(exposure * width + np.arange(width))
        for image in images:
            u, v = (each.ravel() for each in np.meshgrid(*(np.linspace(0.0, n - 1.0, 4) for n in mosaic.size[image])))
            out[image] = np.sqrt(np.mean(position_error(mosaic, fit, int(image), u, v, alone) ** 2))
    return out


def star_of(seen: Seen, known: Known) -> Numbering:
    """Index of each detection's reference star, -1 without one."""
    groups = int(max(seen.group.max(initial=-1), known.group.max(initial=-1))) + 1
    star = np.full(groups, -1, np.int32)
    star[known.group] = np.arange(known.group.size)
    return star[seen.group]


def offsets(seen: Seen, known: Known, fit: Fit) -> Complex:
    """Detection minus reference star, east + i north [mas]; NaN without one."""
    star = star_of(seen, known)
    out = np.full(star.size, np.nan + 1j * np.nan)
    tied = star >= 0
    out[tied] = fit.residual[tied] - fit.known_residual[star[tied]]
    return out


def _sharpest(seen: Seen, counts: Bools, images: int) -> Bools:
    """The most precise quarter of each image's detections."""
    rows = np.flatnonzero(counts)
    order = rows[np.lexsort((seen.sigma[rows], seen.image[rows]))]
    size = np.bincount(seen.image[order], minlength=images)
    rank = np.arange(order.size) - np.repeat(np.cumsum(size) - size, size)
    out = np.zeros(seen.group.size, bool)
    out[order] = rank < np.maximum(size[seen.image[order]] // 4, 10)
    return out


def _mean(image: Int64, values: Float64, count: int) -> Float64:
    size = np.bincount(image, minlength=count)
    return np.where(size > 0, np.bincount(image, values, count) / np.maximum(size, 1), np.nan)
