"""How far single images depart from a photometric solution, and so how well the zero point of each is known.

A zero point of the exposure and one of the detector leave nothing to a single image. What changes from image to image (the seeing's
part in the light that is measured, thin clouds, an amplifier) stays in the residuals, common to all stars of an image: no number of
stars averages it out, so it belongs into the error. It is told by images that hang together by stars: one detector alone, or
one exposure, has no image to spare.
"""

import numpy as np

from spica.kernels.associate import Numbering
from spica.kernels.compiled import Float64, Int64
from spica.kernels.reduced import Solved


def image_scatter(image: Numbering, residual: Float64, weight: Float64, total: Float64, freedom: int) -> float:
    """Scatter of images about the solution beyond what the errors of their stars explain [mag].

    The moment estimate of DerSimonian & Laird (1986, Controlled Clinical Trials 7, 177) over mean deletion residuals; 0 where their
    chi2 is within a standard deviation of what noise makes.

    Parameters
    ----------
    image : (n,) of each detection.
    residual : (n,) detection minus its group's mean [mag].
    weight, total : (n,) its weight (inverse variance times factor), and its group's.
    freedom : parameters that images share: what the residuals of as many images have no say in.
    """
    alone = weight * (1.0 - weight / np.where(total > 0.0, total, 1.0))
    told, off = np.bincount(image, alone), np.bincount(image, weight * residual)
    there = told > 0.0
    left = int(np.count_nonzero(there)) - freedom
    if left < 1:
        return 0.0
    chi2 = float(np.sum(off[there] ** 2 / told[there]))
    if chi2 <= left + np.sqrt(2.0 * left):
        return 0.0
    return float(np.sqrt((chi2 - left) / (left / np.count_nonzero(there) * told[there].sum())))


def stretched(chi2: float, pull: Float64, weight: Float64) -> float:
    """By what factor errors are too small, 1 at least.

    What is wrong with a star's light (a neighbour, a colour) is the same in all exposures: they agree, and the star is off. So the
    standards are asked as well, each with its detections for one: the mean square of their pulls, by their weights, is what the
    variance of a weighted mean is off by.

    Parameters
    ----------
    chi2 : of all, by degree of freedom.
    pull, weight : (r,) of the standards against the detections of their sources.
    """
    total = float(weight.sum())
    return float(np.sqrt(max(1.0, chi2, float(weight @ pull**2) / total if total > 0.0 else 1.0)))


def zero_errors(solved: Solved, exposure: Int64, columns: Int64, nights: tuple[Int64, Float64]) -> Float64:
    """Standard errors (m,) of the images' zero points by their stars' errors: exposure, detector and night together [mag].

    Parameters
    ----------
    exposure, columns : (m,) of each image: its exposure, and where its detector's constant stands among the shared parameters.
    nights : (m, 2) where those of its night stand, (m, 2) their derivatives; both (m, 0) without nights.
    """
    variance = np.empty(exposure.size)
    order = np.argsort(exposure, kind="stable")
    for images in np.split(order, np.flatnonzero(np.diff(exposure[order])) + 1):
        if images.size == 0:
            continue
        at = np.concatenate([columns[images], nights[0][images[0]]])
        by_night = np.repeat(nights[1][images[:1]], images.size, axis=0)
        derivative = np.concatenate([np.eye(images.size), by_night], axis=1)
        own = exposure[images[:1]]
        variance[images] = solved.variance(at, derivative, own, np.ones((images.size, 1)))
    return np.sqrt(np.maximum(variance, 0.0))
