"""A first common focal plane from the solutions of single images, to start a joint solution from."""

import numpy as np

from spica.kernels.compiled import Int64
from spica.kernels.focal_model import Complex, Terms, pixel_basis

NODES = 8
"""Nodes per axis of an image on which its solution is known."""


def node_pixels(size: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels x, y (nodes²,) of a grid over an image of this width and height."""
    axes = (np.linspace(0.0, length - 1.0, NODES) for length in size)
    x, y = (values.ravel() for values in np.meshgrid(*axes))
    return x, y


def common_plane(
    plane: Complex, exposure: Int64, sensor: Int64, context: Int64, degrees: tuple[int, int]
) -> tuple[Terms, float]:
    """Terms that follow the given places as well as the model can, and the radius of the focal plane [degree].

    Parameters
    ----------
    plane : (m, nodes²) complex [degree]
        Places of each image's nodes in its exposure's plane.
    exposure, sensor : (m,) int64
    context : (sensors,) int64
    degrees : of the detectors' and the exposures' polynomials.

    Notes
    -----
    In each context the exposure with most images is the focal plane; the others are laid upon it by shift, rotation, scale
    and shear, and bring the detectors that it lacks. At last each detector has the mean of all.
    """
    order = np.argsort(exposure, kind="stable")
    exposures = int(exposure.max()) + 1
    images = np.split(order, np.searchsorted(exposure[order], np.arange(1, exposures)))
    own = np.zeros((exposures, 3), complex)
    focal = np.full((context.size, plane.shape[1]), np.nan + 0j)
    for number in np.unique(context):
        _lay_context(
            plane,
            sensor,
            [k for k in range(exposures) if _is(images[k], sensor, context, number)],
            (images, own, focal),
        )
    inverse = _back(plane, own[exposure])
    count = np.bincount(sensor, minlength=context.size)
    total = np.zeros_like(focal)
    np.add.at(total, sensor, inverse)
    mean = total / np.maximum(count, 1)[:, None]
    x, y = node_pixels((2.0, 2.0))
    basis = pixel_basis(x, y, np.array([2.0, 2.0]), degrees[0])
    detectors = np.linalg.lstsq(basis, mean.T, rcond=None)[0].T
    radius = float(np.max(np.abs(mean[count > 0]))) or 1.0
    terms = np.zeros((exposures, (degrees[1] + 1) * (degrees[1] + 2) // 2), complex)
    terms[:, :3] = own * np.array([1.0, radius, radius])
    return Terms(np.ascontiguousarray(detectors), terms), radius


def _is(images: Int64, sensor: Int64, context: Int64, number: int) -> bool:
    return images.size > 0 and int(context[sensor[images[0]]]) == number


def _lay_context(
    plane: Complex, sensor: Int64, members: list[int], tables: tuple[list[Int64], Complex, Complex]
) -> None:
    images, own, focal = tables
    left = sorted(members, key=lambda number: (-images[number].size, number))
    while left:
        apart = []
        for place, number in enumerate(left):
            there = focal[sensor[images[number]]]
            shared = np.isfinite(there[:, 0])
            if place > 0 and not np.any(shared):
                apart.append(number)
                continue
            own[number] = affine(there[shared].ravel(), plane[images[number]][shared].ravel())
            new = images[number][~shared]
            focal[sensor[new]] = _back(plane[new], own[number][None, :].repeat(new.size, axis=0))
        left = apart


def affine(known: Complex, seen: Complex) -> Complex:
    """Shift, rotation with scale, and shear that take places to others; none where there is nothing to go by."""
    if known.size == 0:
        return np.array([0.0, 1.0, 0.0], complex)
    design = np.stack([np.ones_like(known), known, known.conj()], axis=1)
    return np.asarray(np.linalg.lstsq(design, seen, rcond=None)[0])


def _back(plane: Complex, own: Complex) -> Complex:
    """Focal places of ζ = t + m·X + n·conj(X)."""
    t, m, n = (own[:, k][:, None] for k in range(3))
    away = plane - t
    return np.asarray((m.conj() * away - n * away.conj()) / (np.abs(m) ** 2 - np.abs(n) ** 2))
