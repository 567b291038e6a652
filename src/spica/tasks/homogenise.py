"""Homogenise: an image brought to one round point spread function, the same everywhere, on all detectors and in all bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.psf import PsfModel
from spica.core.records import Grain, Scalar, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels.convolve import convolve, windowed_or
from spica.kernels.homogenise import (
    FINE,
    Kernels,
    Target,
    applied,
    matching_kernel,
    model_samples,
    target_samples,
    varying,
)
from spica.kernels.psf_look import Shapes, shapes_at
from spica.kernels.wcs import TangentWcs, pixel_to_sky
from spica.kernels.wcs_cards import from_cards

Floats = npt.NDArray[np.float64]
ARCSEC = 3600.0

_PLACES = 7
"""Along each axis, places where a kernel is made: more than the terms of a model's polynomial."""
_SAME = 0.01
"""A width that exceeds the target by less than this part of it does not count as broader."""
_TOUCHED = 0.01
"""A pixel is called interpolated where more than this part of its kernel lies on pixels of no use."""


class HomogeniseSettings(Settings):
    """Which point spread function all images get."""

    fwhm: float = setting(1.3, "full width at half maximum that all get, broader than all that comes", "arcsec", gt=0)
    form: Literal["moffat", "gaussian"] = setting("moffat", "profile that all get")
    beta: float = setting(3.0, "exponent of Moffat's profile", gt=1.2, le=20)
    smooth: float = setting(
        1e-5,
        "weight of a kernel's roughness: more gives less noise, and a profile less like the one wanted",
        gt=0,
        le=1,
    )
    lost: float = setting(
        0.1, "a pixel is unusable where more than this part of its kernel lies on unusable ones", gt=0, lt=1
    )
    broader: Literal["fault", "keep"] = setting(
        "fault", "an image of broader stars than the target: refused, or kept as it is and its header says so"
    )


class _Matched(NamedTuple):
    """Kernels of an image, what its model becomes by them, and how well."""

    kernels: Kernels
    model: PsfModel
    figures: dict[str, Measured]


def homogenise(
    settings: HomogeniseSettings, unit: Unit, science: Image, psf: Catalogue, sky_solution: Mapping[str, Any]
) -> Products:
    """Convolve an image with the kernel, another at each place, that makes its stars round and as wide as all are to be.

    Kernels are those of `spica.kernels.homogenise`; they are of sum 1, so that zero point and sky stay. Values that `interpolate` gave to
    lost pixels are taken, others are filled from their surroundings; neither counts: where more of a kernel than `lost` lies on unusable pixels,
    the pixel has their bits, and one that was unusable stays so.

    Parameters
    ----------
    sky_solution : as `express` gives it: the target is round on the sky.

    Returns
    -------
    homogenised : the image [electron], its variance that of independent pixels under the kernel's squares; HOMOFWHM, HOMOBETA, HOMONOIS, HOMOKEPT.
    homogenised_psf : Catalogue, `PsfModel.to_catalogue`: what the image's model becomes.
    homogenise_quality : metrics: width, shape, misfit to the target as a part of its peak, and what becomes of the noise.

    Raises
    ------
    DataFault
        ``homogenise.seeing`` where stars are broader than the target; ``psf.missing``; ``stack.no-solution``; ``data.bad-value`` without a variance.
    """
    if len(psf) == 0:
        raise DataFault("psf.missing", f"{unit} has no PSF model", unit=str(unit))
    if science.variance is None:
        raise DataFault("data.bad-value", f"{unit}: an image is homogenised with its variance", need="science")
    model = PsfModel.from_catalogue(psf)
    x, y = (np.linspace(0.0, size - 1.0, _PLACES) for size in science.shape[::-1])
    metrics = _metrics(_wcs(unit, sky_solution), x, y)
    before = _seen(model, x, y, metrics)
    widest = float(np.nanmax(before.fwhm))
    figures = {"homogenise_fwhm_before": Measured(float(np.nanmedian(before.fwhm)), "arcsec")}
    if not widest <= (1.0 + _SAME) * settings.fwhm:
        if settings.broader == "fault":
            raise DataFault(
                "homogenise.seeing",
                f'{unit}: its stars are up to {widest:.3f}" wide, the target is {settings.fwhm:.3f}"',
                unit=str(unit),
                fwhm=widest,
                target=settings.fwhm,
            )
        figures |= {"homogenise_kept": Measured(1.0), "homogenise_fwhm": figures["homogenise_fwhm_before"]}
        image = replace(science, header={**science.header, **_cards(settings, widest, 1.0, kept=True)})
        return {"homogenised": image, "homogenised_psf": psf, "homogenise_quality": figures}
    matched = _match(settings, model, x, y, metrics)
    noise = float(np.sqrt(np.median(matched.kernels.squares)))
    image = _convolved(settings, science, science.variance, matched.kernels)
    image = replace(image, header={**science.header, **_cards(settings, settings.fwhm, noise, kept=False)})
    after = _seen(matched.model, x, y, metrics)
    figures |= matched.figures | {
        "homogenise_kept": Measured(0.0),
        "homogenise_fwhm": Measured(float(np.nanmedian(after.fwhm)), "arcsec"),
        "homogenise_ellipticity": Measured(round(float(np.nanmax(after.ellipticity)), 6)),
        "homogenise_noise": Measured(noise),
        "homogenise_lost": Measured(_share(image, int(Mask.unusable())) - _share(science, int(Mask.unusable()))),
    }
    return {
        "homogenised": image,
        "homogenised_psf": matched.model.to_catalogue(),
        "homogenise_quality": figures,
    }


def _cards(settings: HomogeniseSettings, fwhm: float, noise: float, *, kept: bool) -> dict[str, Scalar]:
    return {
        "HOMOFWHM": round(fwhm, 4),
        "HOMOBETA": settings.beta if settings.form == "moffat" else 0.0,
        "HOMONOIS": round(noise, 5),
        "HOMOKEPT": int(kept),
    }


def _share(image: Image, bits: int) -> float:
    return 0.0 if image.mask is None else float(np.mean(image.mask & bits != 0))


def _wcs(unit: Unit, solution: Mapping[str, Any]) -> TangentWcs:
    try:
        return from_cards(solution["cards"])
    except ValueError as error:
        raise DataFault("stack.no-solution", f"{unit}: {error}", unit=str(unit)) from error


def _metrics(wcs: TangentWcs, x: Floats, y: Floats) -> Floats:
    """Square of distances on the sky by steps on pixels, at each place of a grid: (rows, columns, 2, 2) [arcsec²]."""
    u, v = np.meshgrid(x, y)
    # On the sphere, where no pole is in the way.
    along = [_direction(wcs, u + dx, v + dy) - _direction(wcs, u - dx, v - dy) for dx, dy in ((0.5, 0.0), (0.0, 0.5))]
    steps = np.degrees(np.stack(along, axis=-1)) * ARCSEC
    return np.asarray(np.einsum("...ka,...kb->...ab", steps, steps))


def _direction(wcs: TangentWcs, x: Floats, y: Floats) -> Floats:
    ra, dec = (np.radians(each) for each in pixel_to_sky(wcs, x, y))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _pixels(metrics: Floats) -> Floats:
    """Width of pixels of that metric [arcsec]."""
    return np.asarray(np.linalg.det(metrics) ** 0.25)


def _seen(model: PsfModel, x: Floats, y: Floats, metrics: Floats) -> Shapes:
    """Shapes of a model at the places of a grid, its widths in seconds of arc."""
    u, v = (axis.ravel() for axis in np.meshgrid(x, y))
    found = shapes_at(model.coefficients, model.values(u, v), model.sampling, model.fwhm)
    return found._replace(fwhm=found.fwhm * _pixels(metrics).ravel())


def _match(settings: HomogeniseSettings, model: PsfModel, x: Floats, y: Floats, metrics: Floats) -> _Matched:
    """Kernels at the places of a grid, and between them."""
    target = Target(settings.fwhm, settings.beta if settings.form == "moffat" else 0.0)
    reach = target.reach(float(_pixels(metrics).min()))
    half = max(reach, int(np.ceil((model.size // 2) * model.sampling))) + 1
    u, v = (axis.ravel() for axis in np.meshgrid(x, y))
    before = model_samples(model.coefficients, model.values(u, v), model.sampling, half)
    wanted = [target_samples(target, metric, half) for metric in metrics.reshape(-1, 2, 2)]
    pairs = list(zip(before, wanted, strict=True))
    made = np.stack([matching_kernel(one, two, settings.smooth, reach + 1) for one, two in pairs])
    kernels = varying(made.reshape(*metrics.shape[:2], *made.shape[1:]), x, y)
    after = np.stack([applied(kernel, one) for kernel, one in zip(made, before, strict=True)])
    off = [float(np.abs(one - two).max() / two.max()) for one, two in zip(after, wanted, strict=True)]
    gain = max(float(np.abs(np.fft.rfft2(kernel)).max()) for kernel in made)
    figures = {
        "homogenise_misfit": Measured(max(off)),
        "homogenise_amplified": Measured(gain),
        "homogenise_patterns": Measured(float(len(kernels.patterns))),
    }
    return _Matched(
        kernels, _as_model(model, after, (u, v), settings.fwhm / float(np.median(_pixels(metrics)))), figures
    )


def _as_model(model: PsfModel, after: Floats, places: tuple[Floats, Floats], fwhm: float) -> PsfModel:
    """What a model becomes at places, as one of its degree."""
    values = model.values(*places)
    light = after / after.sum(axis=(1, 2), keepdims=True) * FINE**2
    answer = np.linalg.pinv(values) @ light.reshape(len(light), -1)
    made = answer.reshape(-1, *after.shape[1:]).astype(np.float32)
    facts: dict[str, Scalar] = {"made": "homogenised"}
    return PsfModel(made, model.degree, model.centre, model.scale, 1.0 / FINE, fwhm, facts=facts)


def _convolved(
    settings: HomogeniseSettings, science: Image, variance: npt.NDArray[np.float32], kernels: Kernels
) -> Image:
    """The image after its kernels, with what that does to its mask."""
    mask = np.zeros(science.shape, np.int32) if science.mask is None else science.mask
    wrong = ~(np.isfinite(science.pixels) & np.isfinite(variance))
    mask = mask | np.where(wrong, np.int32(Mask.NO_DATA), np.int32(0))
    unusable = int(Mask.unusable())
    unfit = mask & unusable != 0
    unknown = wrong | (unfit & (mask & int(Mask.INTERPOLATED) == 0))
    made = convolve(science.pixels, variance, unfit, unknown, kernels)
    near = windowed_or(mask & unusable, _core(kernels.mean, settings.lost))
    told = np.where(made.lost > settings.lost, near, np.int32(0))
    # Beyond the edge there is no pixel whose bits could be taken.
    told |= np.where((made.lost > settings.lost) & (told == 0), np.int32(Mask.NO_DATA), np.int32(0))
    told |= np.where(made.lost > _TOUCHED, np.int32(Mask.INTERPOLATED), np.int32(0))
    return Image(made.pixels, made.variance, np.asarray(mask | told, np.int32), science.header)


def _core(kernel: Floats, part: float) -> int:
    """Half the side of the square about a kernel's middle outside of which less than a part of its weight lies."""
    half = kernel.shape[0] // 2
    weight = np.abs(kernel) / np.abs(kernel).sum()
    at = np.abs(np.arange(-half, half + 1))
    ring = np.maximum(at[:, None], at[None, :])
    return next(r for r in range(half + 1) if weight[ring > r].sum() < part)


TASK = Task(
    name="homogenise",
    version=1,
    grain=Grain.DETECTOR,
    settings=HomogeniseSettings,
    needs=(
        Need("unit", source="unit"),
        Need("science"),
        Need("psf"),
        Need("sky_solution"),
    ),
    gives=(
        Give("homogenised", Form.IMAGE, meaning="image whose stars are round and as wide as those of all others"),
        Give("homogenised_psf", Form.CATALOGUE, meaning="model of its point spread function"),
        Give("homogenise_quality", Form.METRICS, meaning="width and shape of its stars before and after, noise"),
    ),
    run=homogenise,
)
