"""A point spread function for a detector that has too few stars, from the models of other units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.psf import PsfModel
from spica.core.records import Scalar, Unit
from spica.core.task import Member
from spica.kernels.psf_look import shapes_at
from spica.kernels.psf_model import psf_stamps
from spica.kernels.psf_plane import Chip, Samples, fit_plane, light_error, nodes_of, on_chip

Float32 = npt.NDArray[np.float32]

OF_STARS = "stars"
SEEING = "seeing"
"""Name of the fact that tells the full width [pixel] with which the fit of a model began."""
_STRETCH = 2.0
"""A model of another exposure is not taken where the widths differ by a larger factor."""


class Lent(NamedTuple):
    """The model, how many lend to it, and by what part light comes out wrong with it (NaN where that is not known)."""

    model: PsfModel
    lenders: int
    error: float


def lent_model(
    unit: Unit, members: Sequence[Member], plane: Mapping[str, Any], degree: int, seeing: float
) -> Lent | None:
    """The model of a detector from those of others, whose own stars made them; None where there is none.

    Of other detectors of its exposure: a polynomial over the focal plane of at most this degree, sample by sample, through
    their models, each turned as it stands there (with one alone it is that neighbour's). Of another exposure: its model,
    stretched to the seeing [pixel] that the detector's own few stars show (NaN where none does). What `made` it is
    'plane', 'neighbour' or 'exposure'.
    """
    models = {Unit.parse(each.unit): PsfModel.from_catalogue(each.value) for each in members}
    own = {each: model for each, model in models.items() if model.facts.get("made") == OF_STARS}
    if elsewhere := [model for each, model in own.items() if each.keys["exposure"] != unit.keys["exposure"]]:
        made = _stretched(elsewhere[0], seeing)
        return None if made is None else Lent(made, 1, float("nan"))
    chips = {int(spec["id"]): _chip(spec, float(plane["pixel_size"])) for spec in plane["detectors"]}
    by_number = {int(each.keys["detector"]): model for each, model in own.items()}
    seen = {number: _samples(model, chips[number]) for number, model in sorted(by_number.items())}
    if not seen:
        return None
    error = _error(seen, by_number, degree)
    width = float(np.median([model.fwhm for model in own.values()]))
    made = _on(chips[int(unit.keys["detector"])], list(seen.values()), degree, width)
    facts: dict[str, Scalar] = {"made": "plane" if len(seen) > 1 else "neighbour", "error": error}
    return Lent(replace(made, facts=facts), len(seen), error)


def _stretched(model: PsfModel, seeing: float) -> PsfModel | None:
    """Another exposure's model, as wide as this one's stars."""
    then = model.facts.get(SEEING)
    ratio = seeing / then if isinstance(then, float) and np.isfinite(seeing) else 1.0
    if not 1.0 / _STRETCH < ratio < _STRETCH:
        return None
    return PsfModel(
        (model.coefficients / ratio**2).astype(np.float32),
        *(model.degree, model.centre, model.scale, model.sampling * ratio, model.fwhm * ratio),
        facts={"made": "exposure", "stretch": round(ratio, 4)},
    )


def _error(seen: Mapping[int, Samples], models: Mapping[int, PsfModel], degree: int) -> float:
    """By what part the light of bright stars comes out wrong on detectors that are left out one by one (rms)."""
    errors = []
    for left_out, samples in seen.items() if len(seen) > 1 else ():
        others = [each for number, each in seen.items() if number != left_out]
        there = _on(samples.chip, others, degree, models[left_out].fwhm)
        errors.append(light_error(*_alike(there, models[left_out], samples)))
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2))) if errors else float("nan")


def _chip(spec: Mapping[str, Any], pixel_size: float) -> Chip:
    angle, pitch = np.radians(float(spec["rotation"])), pixel_size * 1e-3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([-pitch if spec["flip"] else pitch, pitch])
    return Chip((int(spec["nx"]), int(spec["ny"])), (float(spec["x_mm"]), float(spec["y_mm"])), matrix)


def _samples(model: PsfModel, chip: Chip) -> Samples:
    x, y = nodes_of(chip)
    return Samples(chip, x, y, model.samples(x, y), model.sampling)


def _on(chip: Chip, seen: Sequence[Samples], degree: int, guess: float) -> PsfModel:
    """The focal plane's model on a detector, with the width that it has in the middle."""
    fitted = fit_plane(seen, degree)
    coefficients = on_chip(fitted, chip)
    width = float(shapes_at(coefficients, np.eye(1, len(coefficients)), fitted.sampling, guess).fwhm[0])
    nx, ny = chip.size
    centre, scale = (0.5 * (nx - 1), 0.5 * (ny - 1)), (0.5 * nx, 0.5 * ny)
    return PsfModel(coefficients, fitted.degree, centre, scale, fitted.sampling, width)


def _alike(made: PsfModel, true: PsfModel, samples: Samples) -> tuple[Float32, Float32]:
    """Both models at the places, on pixels: (places, size, size) each."""
    zero, size = np.zeros(samples.x.size), 2 * int(1.5 * true.fwhm) + 1
    one, other = (
        psf_stamps(model.coefficients, model.values(samples.x, samples.y), model.sampling, zero, zero, size)[:, 0]
        for model in (made, true)
    )
    return one, other
