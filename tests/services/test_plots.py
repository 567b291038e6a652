"""Plots: the numbers that they are drawn from are those that went in, and what is missing is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from spica.kernels.illumination import departure
from spica.services.plots import astrometry, light, shapes, stars, ties
from spica.services.plots.plot import Plot, radial_width, rendered, running, width
from spica.services.plots.records import (
    Depths,
    Flats,
    Outlines,
    Points,
    Residuals,
    Shapes,
    Stars,
    Ties,
    ZeroPoints,
)
from spica.services.plots.ties import cells_over

GROUND = Outlines(
    np.array([1, 2]),
    np.array(["D1", "D2"]),
    np.array(
        [[[-8.0, -4.0], [-1.0, -4.0], [-1.0, 4.0], [-8.0, 4.0]], [[1.0, -4.0], [8.0, -4.0], [8.0, 4.0], [1.0, 4.0]]]
    ),
)


def detections(count: int = 4000, seed: int = 1) -> Residuals:
    """Detections with honest errors that grow with magnitude; the second half is of the second detector."""
    rng = np.random.default_rng(seed)
    mag = rng.uniform(15.0, 21.0, count)
    sigma = 2.0 * 10.0 ** (0.2 * (mag - 15.0))
    east, north = sigma * rng.normal(size=(2, count))
    part_x, part_y = rng.random((2, count))
    second = np.arange(count) >= count // 2
    return Residuals(
        exposure=np.ones(count, np.int64),
        detector=1 + second.astype(np.int64),
        band=np.full(count, "r"),
        x=512.0 * part_x,
        y=512.0 * part_y,
        part_x=part_x,
        part_y=part_y,
        focal_x=np.where(second, 1.0, -8.0) + 7.0 * part_x,
        focal_y=-4.0 + 8.0 * part_y,
        east=east,
        north=north,
        along_x=east,
        along_y=north,
        sigma=sigma,
        expected=sigma,
        pull=np.hypot(east, north) / sigma,
        used=np.ones(count, bool),
        mag=mag,
        mag_off=np.zeros(count),
        mag_pull=np.abs(rng.normal(size=count)),
        mag_used=np.ones(count, bool),
        colour=rng.uniform(0.0, 3.0, count),
    )


def points(bands: str = "gri", seed: int = 2, offset: float = 0.0) -> Points:
    """400 stars on a line in colours, seen twice in each band, to 20 at 24 mag; `offset` is wrong in the second band."""
    rng = np.random.default_rng(seed)
    count = 400
    ra, dec = 30.0 + rng.uniform(0, 0.2, count), -20.0 + rng.uniform(0, 0.2, count)
    first, hue = rng.uniform(16.0, 19.0, count), rng.uniform(0.2, 1.5, count)
    parts = []
    for number, band in enumerate(bands):
        mag = first - number * hue * (1.0 if number < 2 else 0.75) + (offset if number == 1 else 0.0)
        for again in range(2):
            away = rng.normal(scale=0.02 / 3600.0, size=(2, count))
            snr = 20.0 * 10.0 ** (0.4 * (24.0 - mag))
            parts.append(
                Points(
                    exposure=np.full(count, f"{band}{again}"),
                    detector=np.ones(count, np.int64),
                    band=np.full(count, band),
                    ra=ra + away[0],
                    dec=dec + away[1],
                    mag=mag,
                    snr=snr,
                    spread=rng.normal(scale=0.002, size=count),
                    spread_error=np.full(count, 0.002),
                    p_star=np.full(count, 0.99),
                    clean=np.ones(count, bool),
                    calibrated=np.ones(count, bool),
                )
            )
    whole = Points.joined(parts)
    assert whole is not None
    return whole


def zeros(clouds: float = 0.0, *, tied: bool = True) -> ZeroPoints:
    """Six exposures of two bands whose zero points are usual, but for clouds in the last."""
    airmass = np.array([1.0, 1.2, 1.4, 1.6, 1.8, 2.0])
    band = np.array(["g", "r"] * 3)
    usual, slope = np.where(band == "g", 25.2, 25.3), np.where(band == "g", 0.18, 0.1)
    zero = usual - slope * (airmass - 1.0) - clouds * (np.arange(6) == 5)
    return ZeroPoints(
        exposure=np.array([f"e{number}" for number in range(6)]),
        band=band,
        hours=np.arange(6.0),
        airmass=airmass,
        zero=zero,
        error=np.full(6, 0.002),
        spread=np.full(6, 0.004),
        usual=usual,
        extinction=slope,
        tied=np.full(6, tied),
        chosen=np.arange(6) == 2,
    )


def models() -> Shapes:
    """Two places, three exposures."""
    fwhm = np.array([1.0, 2.0, 1.2, 2.2, 1.9, 2.9])
    place = np.tile([-4.0, 4.0], 3)
    square = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    return Shapes(
        exposure=np.repeat(["a", "b", "c"], 2),
        detector=np.tile([1, 2], 3),
        focal_x=place,
        focal_y=np.zeros(6),
        cells=np.stack([place, np.zeros(6)], axis=-1)[:, None, :] + square,
        fwhm=fwhm,
        e_x=np.zeros(6),
        e_y=np.tile([0.1, -0.05], 3),
    )


def limits(bands: list[str], values: list[float]) -> Depths:
    """Depths of exposures, the first of which is chosen."""
    count = len(bands)
    return Depths(
        exposure=np.array([f"{band}{number}" for number, band in enumerate(bands)]),
        band=np.array(bands),
        hours=np.arange(float(count)),
        limit=np.array(values),
        spread=np.zeros(count),
        calibrated=np.ones(count, bool),
        chosen=np.arange(count) == 0,
    )


def test_widths_are_honest_about_themselves() -> None:
    rng = np.random.default_rng(3)
    found = np.array([width(2.0 * rng.normal(size=300)) for _ in range(400)])
    assert np.mean(found[:, 0]) == pytest.approx(2.0, rel=0.01)
    assert np.std(found[:, 0]) == pytest.approx(np.mean(found[:, 1]), rel=0.12)
    found = np.array([radial_width(2.0 * np.hypot(*rng.normal(size=(2, 300)))) for _ in range(400)])
    assert np.mean(found[:, 0]) == pytest.approx(2.0, rel=0.01)
    assert np.std(found[:, 0]) == pytest.approx(np.mean(found[:, 1]), rel=0.12)
    line = running(np.arange(100.0), np.arange(100.0), lambda values: (float(values.max()), 0.0), 5)
    np.testing.assert_array_equal(line.value, [19, 39, 59, 79, 99])
    assert line.count.sum() == 100


def test_arrows_are_the_mean_residuals_of_their_cells() -> None:
    given = detections()
    first = given.detector == 1
    moved = replace(
        given, along_x=given.along_x * 0 + np.where(first, 5.0, 0.0), along_y=given.along_y * 0 - 3.0 * first
    )
    data = astrometry.arrows(moved, GROUND).data
    left = data["x"] < 0
    assert left.sum() == (~left).sum() >= 30
    np.testing.assert_allclose(data["dx"][left], 5.0)
    np.testing.assert_allclose(data["dy"][left], -3.0)
    np.testing.assert_allclose(data["dx"][~left], 0.0)
    # What does not count is not drawn, and noise averages as it is told to.
    spoilt = replace(moved, used=~first)
    assert np.all(astrometry.arrows(spoilt, GROUND).data["x"] > 0)
    noise = astrometry.arrows(given, GROUND).data
    assert np.std(np.concatenate([noise["dx"], noise["dy"]]) / np.tile(noise["error"], 2)) == pytest.approx(
        1.0, abs=0.2
    )


def test_residuals_by_magnitude_scatter_as_they_were_drawn() -> None:
    data = astrometry.against_magnitude(detections(20_000)).data
    np.testing.assert_allclose(data["scatter"], data["error"], rtol=0.08)
    np.testing.assert_allclose(data["error"], 2.0 * 10.0 ** (0.2 * (data["error_at"] - 15.0)), rtol=0.02)


def test_a_slope_in_colour_is_drawn() -> None:
    given = detections()
    tilted = replace(given, east=4.0 * (given.colour - 1.5), north=given.north * 0)
    plot = astrometry.against_colour(tilted, "g - i")
    np.testing.assert_allclose(plot.data["east"], 4.0 * (plot.data["east_at"] - 1.5), atol=0.1)
    np.testing.assert_allclose(plot.data["north"], 0.0)
    unknown = replace(given, colour=np.full(given.x.size, np.nan))
    assert "0 detections" in astrometry.against_colour(unknown, "g - i").missing
    assert astrometry.against_colour(unknown, "", "one band").missing == "one band"


def test_a_step_on_the_detector_is_drawn() -> None:
    given = detections()
    stepped = replace(given, along_x=np.where(given.x > 256.0, 6.0, 0.0), along_y=0.0 * given.y)
    data = astrometry.against_place(stepped).data
    away = np.abs(data["across_at"] - 256.0) > 20.0
    np.testing.assert_allclose(data["across"][away], np.where(data["across_at"][away] > 256.0, 6.0, 0.0))
    np.testing.assert_allclose(data["along"], 0.0)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_pulls_have_the_width_of_their_errors(factor: float) -> None:
    given = detections()
    wide = replace(given, pull=factor * given.pull, mag_pull=factor * given.mag_pull)
    for plot in (astrometry.pulls(wide), light.pulls(wide)):
        value, error = plot.data["width"]
        assert abs(value - factor) < 4.0 * error
        assert np.all(np.abs(plot.data["widths"] - factor) < 5.0 * plot.data["widths_error"])
    alone = replace(given, pull=0.0 * given.pull)
    assert "20 are needed" in astrometry.pulls(alone).missing


def test_zero_points_are_told_from_the_usual_ones() -> None:
    data = light.by_time(zeros(0.3)).data
    np.testing.assert_allclose(data["away"], [0, 0, 0, 0, 0, -0.3], atol=1e-12)
    data = light.by_airmass(zeros()).data
    np.testing.assert_allclose(data["away"], -data["slope"] * (data["airmass"] - 1.0), atol=1e-12)
    # Relative ones have no usual value: they are told from their band's median.
    relative = replace(zeros(0.3, tied=False), zero=np.array([1.0, 2.0, 1.1, 2.0, 1.2, 1.7]))
    np.testing.assert_allclose(light.by_time(relative).data["away"], [-0.1, 0, 0, 0, 0.1, -0.3], atol=1e-12)
    assert "airmass" in light.by_airmass(replace(zeros(), airmass=np.full(6, np.nan))).missing


def test_depth_has_the_limits_of_its_bands() -> None:
    found = points()
    given = replace(limits(["g", "g", "r", "i"], [25.0, 25.2, 25.5, 24.0]), chosen=np.ones(4, bool))
    plot = light.depth(found, given)
    assert plot.data["limits"] == {"g": pytest.approx(25.1), "r": 25.5, "i": 24.0}
    np.testing.assert_array_equal(plot.data["snr"], found.snr)
    assert "one exposure" in light.depth_by_time(given.select(np.arange(4) == 0)).missing


def test_the_locus_is_that_of_the_stars_and_shows_a_wrong_zero_point() -> None:
    true = stars.locus(points()).data
    assert true["bands"] == ["g", "r", "i"]
    assert true["blue"].size == 400
    np.testing.assert_allclose(true["red"], 0.5 * true["blue"], atol=1e-9)
    wrong = stars.locus(points(offset=0.1)).data
    np.testing.assert_allclose(np.sort(wrong["blue"]), np.sort(true["blue"]) - 0.1, atol=1e-9)
    assert "three bands, there is g, r here" in stars.locus(points("gr")).missing
    known = {"g": np.array([20.0, np.nan]), "r": np.array([19.5, 19.0]), "i": np.array([19.3, 18.0])}
    drawn = stars.locus(points(), known).data
    np.testing.assert_allclose(drawn["reference_blue"], [0.5])
    np.testing.assert_allclose(drawn["reference_red"], [0.2])


def test_stars_and_galaxies_are_all_there_but_the_unclean() -> None:
    given = points("r")
    spoilt = replace(given, clean=np.arange(given.mag.size) >= 100)
    data = stars.plane(spoilt).data
    np.testing.assert_array_equal(data["spread"], given.spread[100:])
    np.testing.assert_allclose(data["error"], 0.002)


def test_widths_and_shapes_over_the_focal_plane() -> None:
    data = shapes.size_map(models(), GROUND).data
    np.testing.assert_allclose(data["x"], [-4.0, 4.0])
    np.testing.assert_allclose(data["fwhm"], [1.2, 2.2])
    shaped = shapes.shape_map(models(), GROUND).data
    np.testing.assert_allclose(shaped["ellipticity"], [0.1, 0.05])
    np.testing.assert_allclose(shaped["angle"], [45.0, -45.0])
    known = Stars(*(np.array([1, 2]), np.zeros(2), np.zeros(2), np.array([1e3, 1e5]), np.array([1.0, 9.0])), np.array([True, False]), np.array([False, False]))  # fmt: skip
    np.testing.assert_array_equal(shapes.star_map(known, GROUND).data["chi2"], [1.0, 9.0])
    stamps = np.ones((2, 5, 5), np.float32)
    assert shapes.model_map(stamps, np.array([[-4.0, 0.0], [4.0, 0.0]]), GROUND).data["stamps"] is stamps


def held() -> Ties:
    """Four detectors in a row over RA 0; the last is tied to nothing."""
    ra = np.array([359.8, 359.9, 0.0, 0.1])
    square = np.array([(-0.06, -0.05), (0.06, -0.05), (0.06, 0.05), (-0.06, 0.05)])
    corners = np.stack([ra, np.full(4, 40.0)], axis=-1)[:, None, :] + square
    return Ties(
        exposure=np.array(["a", "b", "c", "d"]),
        band=np.array(["g", "g", "r", "r"]),
        corners=corners,
        error=np.array([0.002, 0.004, 0.003, 7.0]),
        tied=np.array([True, True, True, False]),
        island=np.array([0, 0, 1, 2]),
    )


def bowed() -> Flats:
    """A detector whose right side adds 0.02 mag, of cells without gaps."""
    x, y, cells = cells_over((40.0, 80.0), 4)
    assert (x.min(), x.max(), y.max(), len(cells)) == (4.5, 34.5, 74.5, 32)
    sides = cells[:, 1, 0] - cells[:, 0, 0], cells[:, 2, 1] - cells[:, 1, 1]
    assert np.sum(sides[0] * sides[1]) == pytest.approx(40.0 * 80.0)
    return Flats(np.full(x.size, "r"), cells * 0.1, departure(x, y, (40.0, 80.0), np.array([9.0, 0.0, 0.02])))


def test_ties_and_illumination_show_what_was_found() -> None:
    plot = ties.ties_map(held())
    np.testing.assert_allclose(plot.data["error"], [2.0, 4.0, 3.0, np.nan])
    assert "tied to none" in plot.text
    made = ties.illumination(bowed(), GROUND).data["value"]
    assert (made.min(), made.max()) == pytest.approx((-0.0154, 0.0154), abs=1e-4)


NOTHING: tuple[Callable[[], Plot], ...] = (
    lambda: astrometry.arrows(None, GROUND),
    lambda: astrometry.against_magnitude(None),
    lambda: astrometry.against_colour(None, ""),
    lambda: astrometry.against_place(None),
    lambda: astrometry.pulls(None),
    lambda: light.by_time(None),
    lambda: light.by_airmass(None),
    lambda: ties.ties_map(None),
    lambda: ties.illumination(None, GROUND),
    lambda: light.depth(None, None),
    lambda: light.depth_by_time(None),
    lambda: light.pulls(None),
    lambda: shapes.size_map(None, GROUND),
    lambda: shapes.shape_map(None, GROUND),
    lambda: shapes.model_map(None, np.zeros((0, 2)), GROUND),
    lambda: shapes.star_map(None, GROUND),
    lambda: stars.plane(None),
    lambda: stars.locus(None),
)


@pytest.mark.parametrize("make", NOTHING)
def test_what_is_missing_says_why_and_what_would_help(make: Callable[[], Plot]) -> None:
    plot = make()
    assert plot.draw is None
    assert "run a pipeline with the step" in plot.missing
    with pytest.raises(ValueError, match=plot.name):
        rendered(plot, "png")


def test_all_are_drawn_and_the_same_twice() -> None:
    given = detections(600)
    sources = points()
    depths = replace(limits(["g", "r"], [25.0, 25.5]), chosen=np.ones(2, bool))
    drawn = (
        astrometry.arrows(given, GROUND),
        astrometry.against_place(given),
        light.by_time(zeros()),
        light.by_airmass(zeros(tied=False)),
        light.depth(sources.select(sources.band != "i"), depths),
        shapes.size_map(models(), GROUND),
        stars.locus(sources),
        ties.ties_map(held()),
        ties.illumination(bowed(), GROUND),
    )
    for plot in drawn:
        png = rendered(plot, "png")
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(png) > 8_000
    assert rendered(drawn[6], "png", dark=True) != rendered(drawn[6], "png")
    for plot in (drawn[0], drawn[2]):
        assert rendered(plot, "png") == rendered(plot, "png")
        vector = rendered(plot, "svg")
        assert vector == rendered(plot, "svg")
        assert b"<svg" in vector
        assert b"dc:date" not in vector
