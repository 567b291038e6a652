"""The joint solution against the truth of drawn fields, and its laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares

from spica.kernels.associate import unit_vectors
from spica.kernels.express import as_tpv
from spica.kernels.focal_model import Mosaic, Terms, place, to_sky
from spica.kernels.joint import Matching, identify, lay, ties, without
from spica.kernels.joint_astrometry import Known, Options, Seen, adjust
from spica.kernels.joint_report import image_figures, position_error
from spica.kernels.wcs import pixel_to_sky
from tests.support.joint_field import Field, draw, together, true_positions
from tests.support.joint_lists import SMALL, Solved, away, images_of, lists_of, rms, solved


@pytest.fixture(scope="module")
def field() -> Solved:
    return solved()


def test_the_start_is_good_to_a_fraction_of_the_radius(field: Solved) -> None:
    assert rms(away(field.field, field.mosaic, field.start)) < 60.0


def test_groups_are_sources(field: Solved) -> None:
    star, group = field.star[field.found.rows], field.found.seen.group
    pairs = np.unique(np.stack([star, group]), axis=1)
    assert pairs.shape[1] <= 1.004 * np.unique(group).size
    known = field.field.reference[field.found.stars]
    mine = dict(zip(group, star, strict=True))
    right = [mine.get(number) == other for number, other in zip(field.found.known.group, known, strict=True)]
    assert np.mean(right) > 0.995


def test_truth_is_recovered_within_the_errors_that_are_told(field: Solved) -> None:
    x, y, _, _ = true_positions(field.field.truth[0][0], field.field.plan, 5)
    told = np.array([position_error(field.mosaic, field.fit, image, x, y) for image in range(10)])
    assert field.fit.converged
    assert 0.5 < rms(field.away() / told) < 1.5
    between = field.away().reshape(5, 2, -1)
    assert rms(between - between.mean(axis=0)) < 0.6 * rms(between)


def test_pulls_have_unit_width(field: Solved) -> None:
    state = field.fit.state
    for pull, factor in ((state.seen_pull, state.seen), (state.known_pull, state.known)):
        used = pull[(factor > 0) & (pull > 0)]
        assert np.sqrt(0.5 * np.mean(used**2)) == pytest.approx(1.0, abs=0.06)
    assert field.fit.chi2 / field.fit.freedom == pytest.approx(1.0, abs=0.06)


def test_pulls_of_the_solution_over_many_fields() -> None:
    pulls = []
    plan = replace(SMALL, exposures=3, detectors=1, stars=40_000.0)
    x, y, _, _ = true_positions(draw(plan).truth[0][0], plan, 5)
    for seed in range(8):
        one = solved(replace(plan, seed=100 + seed))
        told = np.array([position_error(one.mosaic, one.fit, image, x, y) for image in range(3)])
        pulls.append(one.away() / told)
    assert 0.75 < rms(np.array(pulls)) < 1.25


def test_headers_hold_the_solution(field: Solved) -> None:
    for image in (0, 7):
        x, y, _, _ = true_positions(field.field.truth[0][0], field.field.plan, 7)
        placed = place(field.mosaic, field.fit.terms, np.full(x.size, image), x, y)
        exposure = field.mosaic.exposure[np.full(x.size, image)]
        there = to_sky(field.mosaic, exposure, placed.plane)[0]
        made = as_tpv(field.mosaic, field.fit.terms, image)
        assert made.residual < 1e-3
        ra, dec = np.radians(pixel_to_sky(made.wcs, x, y))
        back = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
        assert np.abs(back - there).max() < 1e-3 / 2e8


def test_terms_of_a_higher_degree_are_still_exact_as_tpv() -> None:
    one = solved(replace(SMALL, exposures=3, stars=90_000.0), how=Matching(degree=3, field_degree=2))
    assert as_tpv(one.mosaic, one.fit.terms, 3).residual < 1e-3
    assert rms(one.away()) < 12.0


def test_the_order_of_exposures_does_not_matter(field: Solved) -> None:
    """Neither the order, nor which exposure the focal plane is begun with."""
    order = np.array([3, 0, 4, 2, 1])
    plain = field.field
    turned = replace(
        plain,
        truth=tuple(plain.truth[k] for k in order),
        header=tuple(plain.header[k] for k in order),
        detections=tuple(plain.detections[k] for k in order),
    )
    other = _solve(turned)
    mine = field.away().reshape(5, 2, -1)[order]
    assert np.abs(other.away().reshape(5, 2, -1) - mine).max() < 0.02


def _solve(drawn: Field) -> Solved:
    lists, star = lists_of(drawn)
    error = np.full(drawn.ref_ra.size, drawn.plan.error)
    ra, dec = np.radians(drawn.ref_ra), np.radians(drawn.ref_dec)
    known = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1), error
    mosaic, start, _ = lay(images_of(drawn), lists, known[0], Matching())
    found = identify(mosaic, start, lists, np.full(mosaic.exposure.size, drawn.plan.scale * 1e3), known, Matching())
    return Solved(drawn, mosaic, start, found, star, adjust(mosaic, start, found.seen, found.known, Options()))


@pytest.mark.parametrize("centre", [(359.99, -71.0), (80.0, 89.3)])
def test_the_place_on_the_sky_does_not_matter(field: Solved, centre: tuple[float, float]) -> None:
    other = solved(replace(SMALL, centre=centre))
    assert rms(other.away()) < 1.6 * rms(field.away()) + 1.0
    assert other.fit.chi2 / other.fit.freedom == pytest.approx(1.0, abs=0.06)


def test_wrong_matches_and_moving_stars_do_not_move_it(field: Solved) -> None:
    """A fifth of the reference lies half an arc second off, all to one side, and a tenth of the detections astray."""
    rng = np.random.default_rng(9)
    known, seen = field.found.known, field.found.seen
    moved = rng.uniform(size=known.group.size) < 0.2
    direction = known.direction.copy()
    direction[moved, 2] += 0.5 / 206265.0
    astray = np.where(rng.uniform(size=seen.group.size) < 0.1, 2.0, 0.0)
    bad = Seen(seen.group, seen.image, seen.x + astray, seen.y, seen.sigma)
    fit = adjust(field.mosaic, field.start, bad, Known(known.group, direction, known.sigma), Options())
    assert np.mean(fit.state.known[moved]) < 0.1
    assert np.mean(fit.state.known[~moved]) > 0.97
    assert np.mean(fit.state.seen[astray > 0]) < 0.15
    shift = away(field.field, field.mosaic, fit.terms) - field.away()
    assert rms(shift) < 0.7 * max(rms(field.away()), 2.0)


def test_errors_that_are_too_small_are_found_out(field: Solved) -> None:
    seen = field.found.seen
    lying = Seen(seen.group, seen.image, seen.x, seen.y, np.sqrt(np.maximum(seen.sigma**2 - 5.0**2, 0.2**2)))
    fit = adjust(field.mosaic, field.start, lying, field.found.known, Options())
    assert fit.state.floor[0] == pytest.approx(5.0, abs=1.2)
    assert fit.chi2 / fit.freedom == pytest.approx(1.0, abs=0.1)


def test_a_second_solution_begins_where_the_first_ended(field: Solved) -> None:
    fit = adjust(*(field.mosaic, field.fit.terms, field.found.seen, field.found.known, Options()), warm=field.fit.state)
    assert fit.converged
    assert fit.steps < field.fit.steps
    assert rms(away(field.field, field.mosaic, fit.terms) - field.away()) < 0.05


def test_figures_of_images_say_what_was_put_in(field: Solved) -> None:
    reference = unit_vectors(field.field.ref_ra, field.field.ref_dec)
    figures = image_figures(field.mosaic, field.found.seen, field.found.known, field.fit, reference)
    bright = SMALL.floor * SMALL.scale * 1e3
    assert (figures.internal > 0.8 * bright).all()
    assert (figures.chi2 > 0.8).all()
    assert (figures.chi2 < 1.2).all()
    assert np.median(figures.external) == pytest.approx(np.hypot(30.0, 40.0), rel=0.3)
    assert (figures.used + figures.rejected == np.bincount(field.found.seen.image, minlength=10)).all()


def test_an_exposure_far_off_hangs_together_with_nothing() -> None:
    far = ((150.0, 2.2), (150.005, 2.2), (150.002, 2.203), (190.0, -40.0))
    drawn = draw(replace(SMALL, centres=far[:3]))
    lonely = draw(replace(SMALL, centres=far[3:], seed=8))
    both = together(drawn, lonely)
    one = _solve(both)
    shared, tied = ties(one.mosaic, one.found, 12)
    assert shared[3] < 12
    assert tied[3] < 12
    assert (tied[:3] > 12).all()
    kept = without(one.found, one.mosaic.exposure, shared < 12)
    fit = adjust(one.mosaic, one.start, kept.seen, kept.known, Options())
    alone = _solve(drawn)
    assert rms(away(both, one.mosaic, fit.terms)[:6] - alone.away()) < 1.0


def test_thinning_keeps_the_density_and_the_ties(field: Solved) -> None:
    lists, _ = lists_of(field.field)
    drawn = field.field
    ra, dec = np.radians(drawn.ref_ra), np.radians(drawn.ref_dec)
    known = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1), np.full(ra.size, 30.0)
    scale = np.full(10, drawn.plan.scale * 1e3)
    thin = identify(field.mosaic, field.start, lists, scale, known, Matching(density=10_000.0))
    groups = np.unique(thin.seen.group).size
    assert groups < 0.5 * np.unique(field.found.seen.group).size
    assert thin.known.group.size > 0.6 * groups
    fit = adjust(field.mosaic, field.start, thin.seen, thin.known, Options())
    assert rms(away(drawn, field.mosaic, fit.terms)) < 2.5 * rms(field.away())


def test_a_tiny_problem_equals_that_of_an_independent_solver() -> None:
    """Two exposures of one detector, degree 1: all unknowns at once, the sources' places among them, by scipy."""
    rng = np.random.default_rng(5)
    count = 40
    where = np.array([20.0, 20.002]), np.array([10.0, 10.001])
    one = np.array([0])
    mosaic = Mosaic(np.array([0, 1]), np.array([0, 0]), np.full((2, 2), 1000.0), one, *where, 1, 1, 0.05)
    step = 999.0 / 2.0 * 0.2 / 3600.0
    truth = Terms(np.array([[0.0, 1j * step, step]]), np.array([[0.0, 0.05, 0.0], [1e-4, 0.05 + 1e-5j, 1e-6]]))
    place_x = rng.uniform(0, 999, (2, count)), rng.uniform(0, 999, (2, count))
    image = np.tile([0, 1], count)
    group = np.repeat(np.arange(count), 2)
    x, y = place_x[0].T.ravel(), place_x[1].T.ravel()
    first = place(mosaic, truth, np.zeros(count, int), x[::2], y[::2])
    stars = to_sky(mosaic, np.zeros(count, int), first.plane)[0]
    # Where the second exposure has the same stars: shifted by the difference of the pointings.
    start = np.stack([x[::2], y[::2]])
    for _ in range(20):
        placed = place(mosaic, truth, np.ones(count, int), *start)
        reached = to_sky(mosaic, np.ones(count, int), placed.plane)[0]
        off = 206264.8 * (stars - reached)
        east = np.stack([-np.sin(np.radians(20.0)), np.cos(np.radians(20.0)), 0.0])
        start = start + np.stack([off @ east, off[:, 2] / np.cos(np.radians(10.0))]) / 0.2
    x[1::2], y[1::2] = start
    x, y = x + 0.01 * rng.normal(size=x.size), y + 0.01 * rng.normal(size=x.size)
    noise = 20.0 * rng.normal(size=(count, 3)) / 206264.8e3
    seen = Seen(group, image, x, y, rng.uniform(1.5, 3.0, x.size))
    known = Known(np.arange(count), stars + noise, np.full(count, 20.0))
    fit = adjust(
        mosaic, truth, seen, known, Options(fit_floor=False, clip=50.0, pointing_prior=1e6, distortion_prior=(1e7,))
    )
    middle = stars

    def residuals(flat: np.ndarray) -> np.ndarray:
        own = flat[:12].view(complex).reshape(2, 3)
        terms = Terms(truth.detectors, truth.exposures + 1e-6 * own)
        sky = to_sky(mosaic, image, place(mosaic, terms, image, x, y).plane)[0]
        places = middle + 1e-9 * flat[12:].reshape(count, 3)
        seen_off = 206264.8e3 * (sky - places[group]) / seen.sigma[:, None]
        known_off = 206264.8e3 * (known.direction - places) / known.sigma[:, None]
        return np.concatenate([seen_off.ravel(), known_off.ravel()])

    whole = least_squares(residuals, np.zeros(12 + 3 * count), diff_step=10.0, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    own = truth.exposures + 1e-6 * whole.x[:12].view(complex).reshape(2, 3)
    nodes = np.array([0.0, 0.0, 999.0, 999.0]), np.array([0.0, 999.0, 0.0, 999.0])
    for number in (0, 1):
        image = np.full(4, number)
        mine = place(mosaic, fit.terms, image, *nodes).plane
        theirs = place(mosaic, Terms(truth.detectors, own), image, *nodes).plane
        assert np.abs(mine - theirs).max() * 3.6e6 < 0.05
