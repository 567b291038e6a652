"""The map of a stack's point spread function: widths as the models have them, exposures where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import DataFault
from spica.core.psf import PsfModel
from spica.core.task import Member
from spica.core.tiles import Tile
from spica.engine.reading import MemoryTable
from spica.kernels.projection import Projection
from spica.kernels.psf_prior import Profiles, draw_profiles
from spica.kernels.wcs import tangent_wcs
from spica.kernels.wcs_cards import to_cards
from spica.tasks.psf_map import TASK, PsfMapSettings

SCALE = 0.2 / 3600
SIDE, CELL = 1024, 256
TILE = Tile(
    *("t", SIDE, SIDE),
    Projection("TAN", np.array([10.0, 20.0]), np.array([511.5, 511.5]), SCALE * np.diag([-1.0, 1.0])).cards(),
    ((9.97, 10.03, 10.03, 9.97), (19.97, 19.97, 20.03, 20.03)),
)


def _model(fwhm: float, size: int = SIDE, slope: float = 0.0) -> PsfModel:
    """A Moffat profile whose width grows linearly along x by `slope` of it at the edge."""
    widths = fwhm * (1.0 + slope * np.array([0.0, 1.0]))
    images = draw_profiles(Profiles(widths, np.zeros(2), np.zeros(2), np.full(2, 3.0)), 41, 1.0)
    middle = 0.5 * (size - 1)
    terms = [images[0], images[1] - images[0], np.zeros_like(images[0])]
    return PsfModel(
        np.array(terms[: 3 if slope else 1]), 1 if slope else 0, (middle,) * 2, (size / 2.0,) * 2, 1.0, fwhm
    )


def _exposure(name: str, fwhm: float, dx: float, rms: float, size: int = SIDE) -> dict[str, Any]:
    middle = 0.5 * (size - 1)
    cards = dict(to_cards(tangent_wcs([10.0, 20.0], [middle + dx, middle], SCALE * np.diag([-1.0, 1.0]))))
    table = MemoryTable(_model(fwhm, size).to_catalogue())
    return {
        "psf": Member(name, table),
        "sky_solution": Member(name, {"cards": cards}),
        "sky_mesh": Member(name, {"rms": rms}),
    }


def _run(given: list[dict[str, Any]], model: PsfModel) -> Any:
    members = {key: tuple(each[key] for each in given) or None for key in ("psf", "sky_solution", "sky_mesh")}
    return TASK.run(PsfMapSettings(cell=CELL), tile=TILE, stack_psf=model.to_catalogue(), **members)


def test_the_model_is_seen_in_arcseconds_where_it_varies() -> None:
    made = _run([], _model(4.0, slope=0.05))["psf_map"]
    assert len(made) == (SIDE // CELL) ** 2
    row = np.asarray(made["y"]) < CELL
    x = np.asarray(made["x"])[row]
    true = 0.2 * 4.0 * (1.0 + 0.05 * (x - 511.5) / 512.0)
    # Between two Moffat profiles a straight line is not quite one.
    assert np.asarray(made["fwhm"])[row] == pytest.approx(true, rel=0.01)
    assert np.abs(made["e1"]).max() < 0.01
    assert not np.asarray(made["exposures"]).any()
    assert np.isnan(np.asarray(made["fwhm_exposures"])).all()


def test_exposures_are_where_they_lie_and_weigh_by_their_skies() -> None:
    # The second covers the half of lower x, and has half of the first one's noise.
    given = [_exposure("detector:a/1", 4.0, 0.0, 2.0), _exposure("detector:b/1", 5.0, 512.0, 1.0)]
    told = _run(given, _model(4.4))
    made = told["psf_map"]
    x = np.asarray(made["x"])
    both = x < 512
    assert np.array_equal(np.asarray(made["exposures"]), np.where(both, 2, 1))
    assert np.asarray(made["fwhm_exposures"])[both] == pytest.approx(0.2 * (4.0 + 4 * 5.0) / 5.0)
    assert np.asarray(made["fwhm_exposures"])[~both] == pytest.approx(0.8)
    assert np.asarray(made["fwhm_largest"])[both] == pytest.approx(1.0)
    assert np.asarray(made["fwhm_least"])[both] == pytest.approx(0.8)
    assert told["psf_map_figures"]["psf_map_jump"].value == pytest.approx(0.5 * (0.96 - 0.8) / 0.88, rel=1e-4)
    backwards = _run(given[::-1], _model(4.4))["psf_map"]
    assert all(np.array_equal(np.asarray(made[name]), np.asarray(backwards[name])) for name in made.columns)


def test_what_is_no_model_is_refused() -> None:
    given = [_exposure("detector:a/1", 4.0, 0.0, 2.0)]
    given[0]["psf"] = Member("detector:a/1", MemoryTable(Catalogue({"x": np.zeros(1)})))
    with pytest.raises(DataFault, match="no PSF model") as told:
        _run(given, _model(4.0))
    assert told.value.code == "data.bad-value"


def test_ra_and_dec_are_those_of_the_tile() -> None:
    made = _run([], _model(4.0))["psf_map"]
    assert float(np.mean(made["ra"])) == pytest.approx(10.0, abs=1e-6)
    assert float(np.max(made["dec"]) - np.min(made["dec"])) == pytest.approx((SIDE - CELL) * SCALE, rel=1e-4)
