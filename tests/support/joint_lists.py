"""A drawn field as the kernels of the joint solution take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spica.kernels.associate import unit_vectors
from spica.kernels.focal_model import Mosaic, Terms, place, to_plane
from spica.kernels.joint import Identified, Images, Lists, Matching, identify, lay
from spica.kernels.joint_astrometry import Fit, Options, adjust
from tests.support.joint_field import Field, Plan, draw, true_positions

SMALL = Plan(exposures=5, detectors=2, nx=700, ny=1200, corner=4.0, step=200.0, stars=60_000.0, floor=0.02)
"""Some 400 detections in each of ten images."""


def images_of(field: Field) -> Images:
    """The images with the solutions of their headers."""
    count, chips = len(field.header), field.plan.detectors
    return Images(
        np.repeat(np.arange(count), chips),
        np.tile(np.arange(chips), count),
        np.tile(np.array([field.plan.nx, field.plan.ny], float), (count * chips, 1)),
        np.zeros(chips, np.int64),
        [wcs for each in field.header for wcs in each],
    )


def lists_of(field: Field) -> tuple[Lists, np.ndarray]:
    """All detections, and which star each is of."""
    each = [seen for lists in field.detections for seen in lists]
    image = np.repeat(np.arange(len(each)), [seen.x.size for seen in each])
    x, y, err, flux, flux_err, star = (
        np.concatenate([getattr(seen, name) for seen in each]) for name in ("x", "y", "err", "flux", "flux_err", "star")
    )
    return Lists(image, x, y, err, flux / flux_err), star


@dataclass(frozen=True)
class Solved:
    """All stages of a solution."""

    field: Field
    mosaic: Mosaic
    start: Terms
    found: Identified
    star: np.ndarray
    fit: Fit

    def away(self) -> np.ndarray:
        """Solution minus truth (images, nodes), complex [mas], in the exposures' planes."""
        return away(self.field, self.mosaic, self.fit.terms)


def away(field: Field, mosaic: Mosaic, terms: Terms) -> np.ndarray:
    """Terms minus truth (images, nodes), complex [mas]."""
    out = []
    for image, exposure in enumerate(mosaic.exposure):
        true = field.truth[exposure][image % field.plan.detectors]
        x, y, ra, dec = true_positions(true, field.plan, 5)
        there = to_plane(unit_vectors(ra, dec), mosaic.ra[exposure], mosaic.dec[exposure])
        out.append(3.6e6 * (place(mosaic, terms, np.full(x.size, image), x, y).plane - there))
    return np.array(out)


def solved(plan: Plan = SMALL, options: Options | None = None, how: Matching | None = None) -> Solved:
    """Draw and solve."""
    field = draw(plan)
    lists, star = lists_of(field)
    known = unit_vectors(field.ref_ra, field.ref_dec), np.full(field.ref_ra.size, plan.error)
    mosaic, start, _ = lay(images_of(field), lists, known[0], how or Matching())
    scale = np.full(mosaic.exposure.size, plan.scale * 1e3)
    found = identify(mosaic, start, lists, scale, known, how or Matching())
    return Solved(
        field, mosaic, start, found, star, adjust(mosaic, start, found.seen, found.known, options or Options())
    )


def rms(values: np.ndarray) -> float:
    """Per coordinate."""
    return float(np.sqrt(0.5 * np.mean(np.abs(values) ** 2)))
