"""Psf_plane: the point spread function of a whole focal plane, for detectors that have too few stars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.faults import DataFault
from spica.core.psf import PsfModel, table_of_models
from spica.core.records import Grain, Scalar, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.psf_look import shapes_at
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_plane import Chip, Samples, fit_plane, light_error, nodes_of, on_chip

Float32 = npt.NDArray[np.float32]

MADE_OF_STARS = "stars"


class PsfPlaneSettings(Settings):
    """How the model of the focal plane is made."""

    degree: int = setting(
        2, "largest degree of the polynomial over the focal plane; less with few detectors", ge=0, le=4
    )
    least_detectors: int = setting(2, "fewer detectors with a model of stars of their own make none of the plane", ge=1)


def psf_plane(settings: PsfPlaneSettings, psf: tuple[Member, ...], plane: Mapping[str, Any]) -> Products:
    """Fit a polynomial over the focal plane, sample by sample, through the models of the detectors that have stars of their own.

    With one detector alone it is that neighbour's model.

    Returns
    -------
    psf_plane : Catalogue of a model for every detector of the camera, `spica.core.psf.table_of_models`.
    psf_plane_quality : metrics: detectors that made it; by what part light comes out wrong with it (rms over detectors left out one by one).

    Raises
    ------
    DataFault
        ``psf.too-few-detectors``.
    """
    models = {int(Unit.parse(each.unit).keys["detector"]): PsfModel.from_catalogue(each.value) for each in psf}
    own = {number: model for number, model in models.items() if model.facts.get("made") == MADE_OF_STARS}
    chips = {int(spec["id"]): _chip(spec, float(plane["pixel_size"])) for spec in plane["detectors"]}
    seen = {number: _samples(model, chips[number]) for number, model in sorted(own.items()) if number in chips}
    if len(seen) < settings.least_detectors:
        raise DataFault(
            "psf.too-few-detectors",
            f"{len(seen)} detectors of {len(models)} have a model of their own stars ({settings.least_detectors} needed)",
            detectors=len(seen),
            needed=settings.least_detectors,
        )
    errors = []
    for left_out, samples in seen.items() if len(seen) > 1 else ():
        others = [each for number, each in seen.items() if number != left_out]
        fitted = fit_plane([*others], settings.degree)
        there = _model(on_chip(fitted, samples.chip), samples.chip, fitted.sampling, fitted.degree, own[left_out].fwhm)
        errors.append(light_error(*_alike(there, own[left_out], samples)))
    fitted = fit_plane(list(seen.values()), settings.degree)
    guess = float(np.median([model.fwhm for model in own.values()]))
    error = float(np.sqrt(np.mean(np.concatenate(errors) ** 2))) if errors else float("nan")
    made = {
        number: _model(on_chip(fitted, chip), chip, fitted.sampling, fitted.degree, guess, error)
        for number, chip in chips.items()
    }
    quality = {"psf_plane_detectors": Measured(float(len(seen))), "psf_plane_degree": Measured(float(fitted.degree))}
    if errors:
        quality["psf_plane_error"] = Measured(error)
    return {"psf_plane": table_of_models(made), "psf_plane_quality": quality}


def _chip(spec: Mapping[str, Any], pixel_size: float) -> Chip:
    angle, pitch = np.radians(float(spec["rotation"])), pixel_size * 1e-3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([-pitch if spec["flip"] else pitch, pitch])
    return Chip((int(spec["nx"]), int(spec["ny"])), (float(spec["x_mm"]), float(spec["y_mm"])), matrix)


def _samples(model: PsfModel, chip: Chip) -> Samples:
    x, y = nodes_of(chip)
    return Samples(chip, x, y, model.samples(x, y), model.sampling)


def _model(
    coefficients: Float32, chip: Chip, sampling: float, degree: int, guess: float, error: float = 0.0
) -> PsfModel:
    """A model of a detector, with the width that it has in the middle."""
    terms = np.eye(1, len(coefficients))
    width = float(shapes_at(coefficients, terms, sampling, guess).fwhm[0])
    nx, ny = chip.size
    facts: dict[str, Scalar] = {"made": "plane", "error": error}
    centre, scale = (0.5 * (nx - 1), 0.5 * (ny - 1)), (0.5 * nx, 0.5 * ny)
    return PsfModel(coefficients, degree, centre, scale, sampling, width, facts=facts)


def _alike(made: PsfModel, true: PsfModel, samples: Samples) -> tuple[Float32, Float32]:
    """Both models at the places, on pixels: (places, size, size) each."""
    zero, size = np.zeros(samples.x.size), 2 * int(1.5 * true.fwhm) + 1
    one, other = (
        psf_stamps(model.coefficients, model.values(samples.x, samples.y), model.sampling, zero, zero, size)[:, 0]
        for model in (made, true)
    )
    return one, other


TASK = Task(
    name="psf_plane",
    version=1,
    grain=Grain.EXPOSURE,
    settings=PsfPlaneSettings,
    needs=(
        Need("psf", grain=Grain.DETECTOR, quorum=1),
        Need("plane", source="camera", section="focal plane"),
    ),
    gives=(
        Give("psf_plane", Form.CATALOGUE, meaning="models of the PSF of all detectors, of one over the focal plane"),
        Give("psf_plane_quality", Form.METRICS, meaning="how many detectors made it, and how well it foretells one"),
    ),
    run=psf_plane,
)
