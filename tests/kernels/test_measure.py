"""Measurements of gathered sources: sep as the independent implementation, truth, and laws."""

from dataclasses import replace

import numpy as np
import pytest
import sep

from spica.kernels.aperture import circular_photometry
from spica.kernels.compiled import Float32, Numbers
from spica.kernels.detect import Segments, find_segments
from spica.kernels.measure import Measures, Photometry, measure_sources
from spica.kernels.moments import shapes
from spica.kernels.seeing import star_widths
from tests.kernels.sky import SIGMA, gaussian_star

PLAIN = Photometry(floor=0.0, fwhm=0.5)
"""As sep measures: no least size of apertures and windows."""


def find(image: Numbers, threshold: float, min_area: int = 5) -> Segments:
    """Segments of the image itself: a kernel of one pixel."""
    return find_segments(image, 0 * image, np.ones(image.shape), 0.1, threshold, min_area=min_area)


def measure(
    image: Numbers,
    variance: Numbers,
    segments: Segments,
    settings: Photometry = PLAIN,
    mask: Numbers | None = None,
    *,
    alone: bool = False,
) -> Measures:
    """Measure on a sky of zero; `alone` leaves other sources' pixels as they are, as sep does."""
    labels = 0 * segments.labels() if alone else segments.labels()
    return measure_sources(image, 0 * image, variance, segments, labels, settings, mask, bad_bits=1)


def star(flux: float = 20000.0, fwhm: float = 4.0, x: float = 40.3, y: float = 39.6) -> Numbers:
    return gaussian_star((81, 81), x, y, flux, fwhm)


def one(
    image: Numbers,
    variance: Numbers,
    mask: Numbers | None = None,
    settings: Photometry = PLAIN,
    threshold: float = 0.02,
) -> dict[str, float]:
    """All real numbers of the only source above a part of its peak."""
    segments = find(image / image.max(), threshold)
    found = measure(image, variance, segments, settings, mask)
    assert segments.count == 1
    return {name: float(column[0]) for name, column in found.reals.items()}


def test_isophotal_values_are_those_of_sep_on_a_real_frame(real_image: Float32) -> None:
    back = sep.Background(real_image)
    image = real_image - back.back()
    rms = back.globalrms
    variance = np.full(image.shape, rms**2)
    peer = sep.extract(image, 1.5, err=rms, minarea=5, filter_kernel=None, deblend_cont=1.0, clean=False)
    found = measure(image, variance, find(image / np.float32(rms), 1.5))
    reals, wholes, form = found.reals, found.wholes, shapes(found.reals)
    peer = peer[np.lexsort((peer["xmin"], peer["ymin"], peer["npix"], peer["cpeak"]))]
    order = np.lexsort((wholes["x_min"], wholes["y_min"], wholes["area"], reals["peak"].astype(np.float32)))
    assert len(peer) == order.size > 100
    for ours, name in (("area", "npix"), ("x_min", "xmin"), ("x_max", "xmax"), ("y_min", "ymin"), ("y_max", "ymax")):
        np.testing.assert_array_equal(wholes[ours][order], peer[name])
    for name, values in (("x", reals["x_iso"]), ("y", reals["y_iso"]), ("a", form.a), ("b", form.b)):
        np.testing.assert_allclose(values[order], peer[name], atol=3e-5)
    for name, ours in (("flux", "flux_iso"), ("x2", "xx"), ("errx2", "var_x"), ("errxy", "cov_xy"), ("peak", "peak")):
        np.testing.assert_allclose(reals[ours][order], peer[name], rtol=2e-5, atol=1e-9)


def test_kron_and_radii_are_those_of_sep_on_a_real_frame(real_image: Float32) -> None:
    back = sep.Background(real_image)
    image = real_image - back.back()
    variance = np.full(image.shape, back.globalrms**2)
    found = measure(image, variance, find(image / np.float32(back.globalrms), 3.0, 8), alone=True)
    reals, form = found.reals, shapes(found.reals)
    x, y = reals["x_iso"], reals["y_iso"]
    # Where sep's ellipse lies within the frame and ours is not a circle or cut at the reach.
    inner = (x > 30) & (x < 225) & (y > 30) & (y < 225) & (form.b > 0.1 * form.a) & (reals["kron_scale"] < 6.0)
    x, y, a, b, theta, scale = (v[inner] for v in (x, y, form.a, form.b, form.theta, reals["kron_scale"]))
    assert x.size >= 15
    radius, _ = sep.kron_radius(image, x, y, a, b, theta, 6.0)
    np.testing.assert_allclose(reals["kron_radius"][inner], radius, rtol=1e-6)
    flux, _, _ = sep.sum_ellipse(image, x, y, a, b, theta, scale, subpix=5)
    np.testing.assert_allclose(reals["flux_auto"][inner], flux, rtol=1e-6)
    half, flag = sep.flux_radius(image, x, y, 6.0 * a, 0.5, normflux=flux, subpix=5)
    np.testing.assert_allclose(reals["radius_50"][inner][flag == 0], half[flag == 0], rtol=0.02)


def test_windowed_positions_are_those_of_sep_and_their_errors_the_scatter() -> None:
    rng = np.random.default_rng(27)
    places = [(20.3 + 30 * i, 22.7 + 30 * j) for i in range(14) for j in range(14)]
    image = sum(gaussian_star((440, 440), x, y, 800.0, 3.0) for x, y in places) + rng.normal(0, 2, (440, 440))
    found = measure(image, np.full(image.shape, 4.0), find(image, 10.0), Photometry(fwhm=3.0))
    reals = found.reals
    assert found.wholes["converged"].all()
    assert reals["x_win"].size == len(places)
    window = np.maximum(2.0 * reals["radius_50"], 3.0) * SIGMA
    peer_x, peer_y, _ = sep.winpos(image, reals["x_iso"], reals["y_iso"], window)
    np.testing.assert_allclose(reals["x_win"], peer_x, atol=1e-3)
    np.testing.assert_allclose(reals["y_win"], peer_y, atol=1e-3)
    true = np.array(places)[np.argsort([y * 440 + x for x, y in places], kind="stable")]
    nearest = [int(np.argmin(np.hypot(reals["x_win"] - x, reals["y_win"] - y))) for x, y in true]
    for name, error, axis in (("x_win", "var_x_win", 0), ("y_win", "var_y_win", 1)):
        pull = (reals[name][nearest] - true[:, axis]) / np.sqrt(reals[error][nearest])
        assert np.std(pull) == pytest.approx(1.0, abs=0.2), name


@pytest.mark.parametrize("place", [(40.0, 40.0), (40.5, 39.5), (40.31, 39.87)])
def test_a_star_comes_back_whole(place: tuple[float, float]) -> None:
    found = one(star(x=place[0], y=place[1]), np.ones((81, 81)), settings=Photometry(floor=6.0, fwhm=4.0))
    assert (found["x_win"], found["y_win"]) == pytest.approx(place, abs=1e-3)
    assert found["flux_auto"] == pytest.approx(20000.0, rel=0.01)
    assert found["fwhm"] == pytest.approx(4.0, rel=0.02)
    # The pixel, a box of variance 1/12, widens the profile that exact circles see.
    sigma = np.hypot(4.0 * SIGMA, np.sqrt(1 / 12))
    for part, name in ((0.5, "radius_50"), (0.8, "radius_80")):
        assert found[name] == pytest.approx(sigma * np.sqrt(-2 * np.log(1 - part)), rel=0.01)


def test_errors_are_the_scatter() -> None:
    rng = np.random.default_rng(22)
    light = star(3000.0) + gaussian_star((81, 81), 41.5, 40.5, 1500.0, 5.0)
    variance = light + 25.0
    segments = find(light / light.max(), 0.25)
    tries = [
        measure(light + rng.normal(0.0, np.sqrt(variance)), variance, segments, Photometry(fwhm=4.0))
        for _ in range(250)
    ]
    table = {name: np.array([found.reals[name][0] for found in tries]) for name in tries[0].reals}
    forms = [shapes(found.reals) for found in tries]
    pairs = [
        ("x_iso", "var_x"), ("y_iso", "var_y"), ("xx", "var_xx"), ("yy", "var_yy"), ("xy", "var_xy"),
        ("flux_iso", "var_iso"), ("x_win", "var_x_win"), ("y_win", "var_y_win"),
    ]  # fmt: skip
    for name, error in pairs:
        assert np.sqrt(np.median(table[error])) == pytest.approx(np.std(table[name]), rel=0.2), name
    for name, error in (("radius_50", "radius_50_err"), ("fwhm", "fwhm_err")):
        assert np.median(table[error]) == pytest.approx(np.std(table[name]), rel=0.35), name
    for name in ("a", "b", "theta", "elongation"):
        values, errors = (np.array([getattr(form, which)[0] for form in forms]) for which in (name, f"{name}_err"))
        assert np.median(errors) == pytest.approx(np.std(values), rel=0.4), name
    fluxes = np.array([found.flux[0] for found in tries])
    np.testing.assert_allclose(np.sqrt(tries[0].variance[0]), fluxes.std(axis=0), rtol=0.2)


def test_scaling_shift_and_transposition() -> None:
    rng = np.random.default_rng(28)
    image = (star(5000.0, 4.0, 35.2, 41.9) + rng.normal(0, 1, (81, 81))).astype(np.float32)
    ones = np.ones((81, 81))
    segments = find(image, 10.0)
    first = measure(image, ones, segments)
    four = measure(4 * image, 16 * ones, segments)
    moved = measure(np.roll(image, 4, axis=1), ones, find(np.roll(image, 4, axis=1), 10.0))
    turned = measure(image.T, ones, find(image.T, 10.0))
    for name in ("x_iso", "y_win", "xx", "xy", "radius_50", "fwhm", "kron_radius", "var_x_win"):
        assert four.reals[name][0] == pytest.approx(first.reals[name][0], rel=1e-6), name
    assert four.reals["flux_auto"][0] == pytest.approx(4 * first.reals["flux_auto"][0], rel=1e-6)
    assert four.variance[0] == pytest.approx(16 * first.variance[0], rel=1e-6)
    for name in ("x_iso", "x_win"):
        assert moved.reals[name][0] == pytest.approx(first.reals[name][0] + 4, abs=1e-9)
    for name, swapped in (("x_iso", "y_iso"), ("x_win", "y_win"), ("xx", "yy"), ("flux_auto", "flux_auto")):
        assert turned.reals[name][0] == pytest.approx(first.reals[swapped][0], rel=1e-5), name


def test_haze_is_taken_from_all_but_the_circles() -> None:
    rng = np.random.default_rng(31)
    image = (star() + rng.normal(0, 1, (81, 81))).astype(np.float32)
    ones = np.ones((81, 81))
    segments = find(image, 10.0)
    settings = replace(PLAIN, apertures=(3.0, 5.0))
    clear = measure(image, ones, segments, settings)
    veiled = measure(image + np.float32(2), ones, segments, replace(settings, haze=2.0))
    for name in ("x_iso", "xx", "xy", "flux_iso", "flux_auto", "kron_radius", "radius_50", "x_win", "fwhm"):
        assert veiled.reals[name][0] == pytest.approx(clear.reals[name][0], rel=1e-4), name
    np.testing.assert_allclose(veiled.flux - clear.flux, [2 * np.pi * np.array([9.0, 25.0])], rtol=1e-3)
    np.testing.assert_allclose(veiled.variance, clear.variance, rtol=1e-9)


def test_light_radii_hold_their_part_of_the_light() -> None:
    rng = np.random.default_rng(32)
    for fwhm in (2.5, 4.0, 7.0):
        for flux in (2e3, 2e5):
            image = (star(flux, fwhm, *rng.uniform(39, 41, 2)) + rng.normal(0, 1, (81, 81))).astype(np.float32)
            found = one(image, np.ones((81, 81)), threshold=0.2)
            for part, name in ((0.5, "radius_50"), (0.8, "radius_80")):
                place = found["x_iso"], found["y_iso"], [found[name]]
                inside = circular_photometry(image, np.ones((81, 81)), *place).flux[0, 0]
                assert inside == pytest.approx(part * found["flux_auto"], rel=3e-4), (fwhm, flux, name)


def test_neighbours_are_replaced_by_the_opposite_side() -> None:
    lonely = star()
    both = lonely + gaussian_star((81, 81), 52.0, 39.6, 20000.0, 4.0)
    ones = np.ones((81, 81))
    segments = find(both, 60.0)
    assert segments.count == 2
    wide = Photometry(apertures=(3.0, 5.0, 10.0), smallest=6.0, fwhm=4.0)
    ours = measure(both, ones, segments, wide)
    alone = measure(lonely, ones, find(lonely, 60.0), wide)
    spoilt = measure(both, ones, segments, wide, alone=True)
    left = int(np.argmin(ours.reals["x_iso"]))
    for got, want, bad in ((ours.flux[left, 2], alone.flux[0, 2], spoilt.flux[left, 2]),):
        assert abs(got - want) < 0.02 * want < abs(bad - want)
    assert ours.reals["neighbours"][left] > 0.02
    assert alone.reals["neighbours"][0] == 0.0


def test_a_hole_does_not_pull_the_centre_and_is_told() -> None:
    image = star()
    mask = np.zeros((81, 81), dtype=np.int32)
    mask[40, 42] = 1
    spoilt = np.where(mask == 1, np.nan, image)
    segments = find(image, 60.0)
    found = measure(spoilt, np.ones((81, 81)), segments, Photometry(fwhm=4.0), mask)
    assert found.reals["x_win"][0] == pytest.approx(40.3, abs=0.03)
    assert found.reals["flux_auto"][0] == pytest.approx(20000.0, rel=0.02)
    assert found.wholes["bad_auto"][0] == found.bad[0, 0] == 1
    assert found.wholes["good"][0] == found.wholes["area"][0] - 1
    assert found.wholes["bits"][0] == 1


def test_at_the_edge_of_the_image_and_below_the_sky() -> None:
    image = gaussian_star((60, 60), 1.0, 30.0, 20000.0, 4.0)
    found = measure(image, np.ones((60, 60)), find(image, 60.0), Photometry(fwhm=4.0))
    assert found.wholes["x_min"][0] == 0
    assert found.wholes["bad_auto"][0] > 0
    assert found.reals["flux_auto"][0] == pytest.approx(20000.0, rel=0.2)
    assert abs(found.reals["x_win"][0] - 1.0) < 0.6
    hole = -star()
    dark = measure(hole, np.ones((81, 81)), find(-hole, 60.0), Photometry(fwhm=4.0))
    assert dark.reals["flux_iso"][0] < 0
    assert not dark.wholes["converged"][0]
    assert np.isnan(dark.reals["radius_50"][0])
    assert 30 < dark.reals["x_iso"][0] < 50


def test_a_huge_source_is_bounded() -> None:
    rows, columns = np.mgrid[:600, :600]
    image = 100.0 * np.exp(-((rows - 300) ** 2 + (columns - 300) ** 2) / 90000.0)
    segments = find(image, 5.0)
    assert segments.count == 1
    found = measure(image, np.ones(image.shape), segments, Photometry(largest=50, fwhm=4.0))
    assert np.isfinite(found.reals["flux_auto"][0])
    assert found.wholes["x_max"][0] - found.wholes["x_min"][0] > 400
    with pytest.raises(ValueError, match="not all positive"):
        measure(image, image, segments, Photometry(apertures=(0.0, 1.0)))


def test_ellipses_of_round_thin_and_tilted_moments() -> None:
    zero = np.zeros(3)
    moments = {"xx": np.array([4.0, 0.0, 2.5]), "yy": np.array([4.0, 0.0, 2.5]), "xy": np.array([0.0, 0.0, 1.5])}
    errors = dict.fromkeys(("var_xx", "var_yy", "var_xy", "cov_xx_yy", "cov_xx_xy", "cov_yy_xy"), zero)
    form = shapes(moments | errors)
    np.testing.assert_allclose(form.a, [2.0, np.sqrt(1 / 12), 2.0])
    np.testing.assert_allclose(form.b, [2.0, np.sqrt(1 / 12), 1.0])
    assert form.theta[2] == pytest.approx(np.pi / 4)


def test_the_first_look_at_the_seeing() -> None:
    rng = np.random.default_rng(9)
    image = rng.normal(0.0, 3.0, (300, 300))
    for x, y in rng.uniform(20, 280, (30, 2)):
        image += gaussian_star((300, 300), x, y, 30000.0, 3.6)
    # Cosmic rays are peaks without surroundings.
    image[rng.integers(0, 300, 40), rng.integers(0, 300, 40)] += 5000.0
    widths = star_widths(image, 0 * image, np.full(image.shape, 9.0))
    assert 15 < widths.size < 60
    assert np.median(widths) == pytest.approx(3.6, rel=0.05)
    assert star_widths(0 * image, 0 * image, np.ones(image.shape)).size == 0
    assert star_widths(image, 0 * image, np.full(image.shape, 9.0), most=3).size <= 3
