"""Defringe: the pattern that night-sky lines make in thinned detectors, scaled to the frame and taken off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.images import Float32, Image
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.pattern import Sample, pattern_amplitude, sampled


class DefringeSettings(Settings):
    """How the fringes of a frame are measured."""

    box: int = setting(128, "side of the cells in which the sky is a plane plus fringes", "pixel", ge=16)
    kappa: float = setting(3.0, "pixels further off are sources and take no part", "sigma", gt=1)
    sample: int = setting(300_000, "about so many pixels are used, evenly spread", "pixel", gt=0)
    least_significance: float = setting(3.0, "fringes fainter than this are left alone", "sigma", ge=0)


def defringe(settings: DefringeSettings, image: Image, fringe: Image | None) -> Products:
    """Fringes scaled by robust least squares to the frame's sky, subtracted; without a master the frame passes through.

    In each cell the sky is a plane plus amplitude × pattern; pixels off by more than kappa sigma (sources, cosmic rays)
    are left out, again and again. The frame's amplitude is the weighted mean of the cells', without outliers. What is
    left is measured on other pixels than those that gave the amplitude.

    Parameters
    ----------
    image : ``(ny, nx)`` [electron].
    fringe : master pattern, about zero in the mean, in units of the sky's level; None where the band has none.

    Returns
    -------
    science : Image; the variance holds that of the pattern and of its amplitude.
    fringing : metrics: amplitude [electron], its error, what is left of it [electron]; rms of what was taken off. Empty
        without a master.

    Raises
    ------
    DataFault
        ``calibration.shape``.
    """
    if fringe is None:
        return {"science": image, "fringing": {}}
    if fringe.shape != image.shape:
        raise DataFault(
            "calibration.shape",
            f"the fringe has {fringe.shape[1]} × {fringe.shape[0]} pixels, "
            f"the image {image.shape[1]} × {image.shape[0]}",
            master="fringe",
            master_nx=fringe.shape[1],
            master_ny=fringe.shape[0],
        )
    good = _good(image, fringe)
    step = max(1, int(np.sqrt(image.pixels.size / settings.sample)))
    found = pattern_amplitude(_sample(image.pixels, fringe, good, step, 0, settings), settings.kappa)
    metrics: dict[str, Measured] = {
        "fringe_amplitude": Measured(found.value, "electron"),
        "fringe_amplitude_error": Measured(found.error, "electron"),
    }
    if not found.value > settings.least_significance * found.error:
        return {"science": image, "fringing": metrics | {"fringe_rms": Measured(0.0, "electron")}}
    pattern: Float32 = np.where(np.isfinite(fringe.pixels), fringe.pixels, np.float32(0))
    pixels = image.pixels - np.float32(found.value) * pattern
    left = pattern_amplitude(_sample(pixels, fringe, good, step, step // 2, settings), settings.kappa)
    metrics["fringe_residual"] = Measured(left.value, "electron")
    metrics["fringe_rms"] = Measured(found.value * float(np.std(pattern[::step, ::step])), "electron")
    variance = image.variance
    if variance is not None:
        variance = variance + np.float32(found.error**2) * pattern * pattern
        if fringe.variance is not None:
            variance += np.float32(found.value**2) * fringe.variance
    header: dict[str, Scalar] = {**image.header, "FRNGAMP": round(found.value, 4)}
    return {"science": Image(pixels, variance, image.mask, header), "fringing": metrics}


def _good(image: Image, fringe: Image) -> npt.NDArray[np.bool_]:
    """Pixels that say something of sky and fringes."""
    good: npt.NDArray[np.bool_] = np.isfinite(fringe.pixels)
    for mask in (image.mask, fringe.mask):
        if mask is not None:
            good &= mask & int(Mask.unusable()) == 0
    return good


def _sample(
    pixels: npt.NDArray[np.float32],
    fringe: Image,
    good: npt.NDArray[np.bool_],
    step: int,
    first: int,
    settings: DefringeSettings,
) -> Sample:
    some = np.s_[first::step, first::step]
    return sampled(pixels[some], fringe.pixels[some], good[some], max(8, settings.box // step))


TASK = Task(
    name="defringe",
    version=2,
    grain=Grain.DETECTOR,
    settings=DefringeSettings,
    needs=(Need("image"), Need("fringe", source="master", optional=True)),
    gives=(
        Give("science", Form.IMAGE, meaning="image without fringes"),
        Give("fringing", Form.METRICS, meaning="amplitude of the fringes, and what is left of them"),
    ),
    run=defringe,
)
