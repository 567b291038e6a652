"""Stars are found among galaxies, cosmic rays and each other, whatever their size, and each candidate has its reason."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.columns import Catalogue, Flag
from spica.tasks.stars import Reason, StarsSettings, stars
from tests.support.starfield import catalogue

SIDE = 2000.0


def mixed(
    seed: int, number: tuple[int, int, int], fwhm: float = 3.4, slope: float = 0.06
) -> tuple[Catalogue, np.ndarray]:
    """So many stars, galaxies and cosmic rays, and which they are (0, 1, 2); stars' widths change over the detector."""
    rng = np.random.default_rng(seed)
    n = sum(number)
    kind = np.repeat([0, 1, 2], number)
    x, y = rng.uniform(10, SIDE - 10, (2, n))
    flux = np.exp(rng.uniform(np.log(4e3), np.log(5e5), n))
    own = fwhm * (1 + slope * (x / SIDE - 0.5))
    wide = np.where(kind == 1, own * np.exp(np.abs(rng.normal(0.45, 0.25, n)) + 0.05), own)
    wide = np.where(kind == 2, rng.uniform(0.8, 1.4, n), wide)
    made = catalogue(x, y, flux, wide)
    columns = dict(made.columns)
    for name in ("half_light_radius", "flux_aper"):
        error = columns[name + "_err"]
        if name == "flux_aper":
            # Apertures share the noise of their inner pixels.
            ring = np.sqrt(np.maximum(np.diff(error**2, axis=1, prepend=0.0), 0.0))
            columns[name] = columns[name] + np.cumsum(rng.normal(0, 1, error.shape) * ring, axis=1)
        else:
            columns[name] = columns[name] * np.exp(rng.normal(0, 1, n) * np.minimum(error / columns[name], 0.3))
    order = rng.permutation(n)
    return Catalogue({k: v[order] for k, v in columns.items()}, {**made.header, "FILTFWHM": fwhm * 1.08}), kind[order]


def judged(sources: Catalogue, kind: np.ndarray, **settings: float) -> tuple[np.ndarray, np.ndarray]:
    """Reasons of the candidates, and what they are."""
    made = stars(StarsSettings(**settings), sources)["stars"]
    return np.asarray(made["reason"]), kind[rows_of(sources, made)]


def rows_of(sources: Catalogue, made: Catalogue) -> np.ndarray:
    place = {int(number): row for row, number in enumerate(sources["source_id"])}
    return np.array([place[int(number)] for number in made["source_id"]], int)


@pytest.mark.parametrize(
    ("number", "fwhm", "pure"),
    [
        ((400, 400, 0), 3.4, 0.96),
        ((150, 1500, 0), 3.4, 0.84),
        ((150, 300, 1500), 3.4, 0.95),
        ((40, 120, 40), 4.5, 0.93),
        ((2000, 200, 50), 2.4, 0.99),
    ],
    ids=["half and half", "galaxies ten to one", "cosmic rays ten to one", "sparse", "crowded"],
)
def test_stars_are_told_from_all_else(number: tuple[int, int, int], fwhm: float, pure: float) -> None:
    # The smallest galaxies are a twentieth larger than stars: of ten times as many some are stars for all that shows.
    sources, kind = mixed(3, number, fwhm)
    reason, is_a = judged(sources, kind, most_stars=5000, blend=0.5)
    accepted = reason == Reason.ACCEPTED
    assert np.mean(is_a[accepted] == 0) > pure
    assert np.count_nonzero(accepted & (is_a == 0)) > 0.9 * np.count_nonzero(is_a == 0)


@pytest.mark.parametrize("fwhm", [1.8, 9.0, 20.0])
def test_any_width_is_found_without_being_told(fwhm: float) -> None:
    sources, kind = mixed(4, (300, 300, 30), fwhm)
    sources = Catalogue(sources.columns, {k: v for k, v in sources.header.items() if k != "FILTFWHM"})
    reason, is_a = judged(sources, kind, most_stars=5000)
    accepted = reason == Reason.ACCEPTED
    assert np.count_nonzero(accepted & (is_a == 0)) > 100
    assert np.mean(is_a[accepted] == 0) > 0.75


def test_cosmic_rays_are_small_and_galaxies_large() -> None:
    reason, is_a = judged(*mixed(5, (200, 200, 200)))
    assert set(reason[is_a == 2].tolist()) <= {Reason.SMALL, Reason.BLENDED}
    assert np.mean(reason[is_a == 1] == Reason.LARGE) > 0.9


def test_a_trailed_frame_has_trailed_stars() -> None:
    sources, kind = mixed(6, (200, 100, 0))
    trailed = Catalogue({**sources.columns, "x2": sources["x2"] * np.float32(3)}, sources.header)
    reason, is_a = judged(trailed, kind)
    assert np.count_nonzero((reason == Reason.ACCEPTED) & (is_a == 0)) > 150
    # One round star among trailed ones is the odd one.
    odd = np.flatnonzero(kind == 0)[3]
    x2 = np.array(trailed["x2"])
    x2[odd] /= 3
    made = stars(StarsSettings(), Catalogue({**trailed.columns, "x2": x2}, sources.header))["stars"]
    where = np.flatnonzero(rows_of(sources, made) == odd)
    assert made["reason"][where].tolist() == [Reason.ODD_SHAPE]


def test_every_candidate_has_its_reason() -> None:
    sources, _ = mixed(7, (200, 0, 0))
    flags, auto = np.zeros(200, np.int32), np.array(sources["flux_auto"])
    flags[:4] = Flag.SATURATED, Flag.TRUNCATED, Flag.BAD_PIXELS, Flag.SUSPECT
    auto[4] = np.nan
    x, y = np.array(sources["x"]), np.array(sources["y"])
    x[6], y[6] = x[5] + 5.0, y[5]
    columns = {**sources.columns, "flags": flags, "flux_auto": auto, "x": x, "y": y}
    made = stars(StarsSettings(), Catalogue(columns, sources.header))
    reason = dict(zip(rows_of(sources, made["stars"]).tolist(), made["stars"]["reason"].tolist(), strict=True))
    assert [reason[row] for row in range(5)] == [
        Reason.SATURATED, Reason.EDGE, Reason.MASKED, Reason.SATURATED, Reason.UNMEASURED,
    ]  # fmt: skip
    assert Reason.BLENDED in (reason[5], reason[6])
    total = sum(each.value for each in made["star_numbers"].values())
    assert total == len(made["stars"])
    assert made["star_numbers"]["candidates_saturated"].value == 2


def test_enough_is_enough_and_stars_come_from_everywhere() -> None:
    sources, _ = mixed(8, (3000, 0, 0))
    made = stars(StarsSettings(most_stars=200, blend=0.5), sources)["stars"]
    taken = made["accepted"] == 1
    assert np.count_nonzero(taken) == 200
    assert np.count_nonzero(made["reason"] == Reason.SURPLUS) > 500
    counts = np.histogram2d(made["x"][taken], made["y"][taken], bins=(4, 4), range=[[0, SIDE], [0, SIDE]])[0]
    assert counts.min() >= 6


def test_few_stars_bring_fainter_and_more_blended_ones() -> None:
    sources, _ = mixed(9, (12, 5, 0))
    faint = Catalogue({**sources.columns, "snr": np.full(17, 10.0, np.float32)}, sources.header)
    made = stars(StarsSettings(), faint)["stars"]
    assert len(made) == 17
    assert np.count_nonzero(made["accepted"]) >= 9


@pytest.mark.parametrize("number", [0, 1, 2])
def test_no_or_hardly_any_source_is_a_result(number: int) -> None:
    sources, _ = mixed(10, (2, 0, 0))
    rows = np.arange(number)
    made = stars(StarsSettings(), sources.select(rows))
    assert len(made["stars"]) == number
    assert made["star_numbers"]["candidates_saturated"].value == 0


def test_light_in_single_pixels_is_no_star() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.uniform(10, SIDE - 10, (2, 60))
    made = catalogue(x, y, np.exp(rng.uniform(np.log(4e3), np.log(5e5), 60)), np.full(60, 0.8))
    columns = {**made.columns, "half_light_radius": np.full(60, 0.41, np.float32)}
    reason, _ = judged(Catalogue(columns, {**made.header, "FILTFWHM": 3.0}), np.full(60, 2))
    assert set(reason) == {Reason.SMALL}
