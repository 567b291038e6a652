"""Homogenised exposures: light and errors of stars on their stacks, colours in bands of unlike seeing, the pipeline; against the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from spica.core.records import Grain, Unit
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.kernels.aperture import circular_photometry
from spica.services import run
from spica.tasks import detection, forced
from tests.support.calibrated import calibrated
from tests.support.homogenising import stacked
from tests.support.stacks import Plan, catalogue, grid_of_stars, members, truth_flux

pytestmark = pytest.mark.slow

WIDTHS = 3.4, 4.4, 3.8, 5.0, 3.6, 4.1
"""Of six exposures [pixel]: 0.68 to 1.0 seconds of arc."""
WIDE = {"g": (5.5, 5.2, 5.7, 5.4), "r": (3.5, 3.3, 3.6, 3.4)}
"""Of four in each of two bands."""
TARGET = 1.45
"""Of the simulated night [arcsec]: an exposure in each band is broader."""


def test_a_stars_light_in_the_stack_is_what_fell_in() -> None:
    plan = Plan(side=500, beta=3.0)
    sky = grid_of_stars(plan, 70.0, (18.0, 20.0))
    image = stacked(sky, plan, WIDTHS, 1.2, noisy=False)
    radii = [20.0, 30.0]
    found = circular_photometry(image.pixels, np.ones_like(image.pixels), sky.x, sky.y, radii).flux
    # Between the two lie the wings of the exposures' own profiles.
    assert found[:, 1] == pytest.approx(truth_flux(sky, plan), rel=1e-3)
    assert np.ptp(found[:, 0] / truth_flux(sky, plan)) < 1e-3


def test_errors_of_isolated_stars_are_their_scatter_though_noise_was_smoothed() -> None:
    off: dict[str, list[np.ndarray]] = {}
    for seed in (1, 2, 3):
        plan = Plan(side=900, seed=seed, beta=3.0)
        sky = grid_of_stars(plan, 45.0, (20.6, 24.0))
        image, bare = (stacked(sky, plan, WIDTHS, 1.2, noisy=noisy) for noisy in (True, False))
        made = catalogue(image)
        found = made["deep_sources"]
        apart, nearest = cKDTree(np.stack([sky.x, sky.y], -1)).query(np.stack([found["x"], found["y"]], -1))
        rows = np.flatnonzero((apart < 2.0) & (found["flags"] == 0) & (found["snr_psf"] > 10.0))
        star = nearest[rows]
        radii = [float(found.header[f"APER{n}"]) for n in (1, 2, 3)]
        light = circular_photometry(bare.pixels, np.ones_like(bare.pixels), sky.x, sky.y, radii).flux[star]
        true = {"flux_psf": truth_flux(sky, plan)[star], "x": sky.x[star], "y": sky.y[star]}
        for name, value in true.items():
            off.setdefault(name, []).append((found[name][rows] - value) / found[f"{name}_err"][rows])
        for n in range(3):
            pull = (found["flux_aper"][rows, n] - light[:, n]) / found["flux_aper_err"][rows, n]
            off.setdefault(f"flux_aper {n}", []).append(pull)
        figures = made["noise_figures"]
        # The card is of the stated variance; what is measured, of that of the pixels as they are.
        large = figures["noise_large"].value * figures["noise_scale"].value
        assert large == pytest.approx(figures["noise_large_stated"].value, rel=0.12)
        assert figures["noise_point"].value > 4.0
    for name, values in off.items():
        pulls = np.concatenate(values)
        assert pulls.size > 900
        assert np.std(pulls[np.abs(pulls) < 5]) == pytest.approx(1.0, abs=0.1), name
        assert abs(np.median(pulls)) < 0.3, name


def _colours(target: float | None) -> dict[str, np.ndarray]:
    """Errors of galaxies' colours by kind: bands of 0.7 and 1.1 seconds of arc, sizes of 0.3 to 1.0, colours the same all over a galaxy."""
    rng = np.random.default_rng(3)
    plan = Plan(side=800, beta=3.0, seed=3)
    places = grid_of_stars(plan, 45.0, (18.0, 20.0))
    number = places.x.size
    shear = rng.normal(0.0, 0.15, (2, number)).clip(-0.4, 0.4)
    red = replace(places, size=rng.uniform(1.5, 5.0, number), shear=(shear[0], shear[1]))
    # A model of the point spread function needs some stars.
    red.size[rng.random(number) < 0.3] = 0.0
    colour = rng.uniform(-0.5, 0.5, number)
    skies = {"g": replace(red, flux=red.flux * 10 ** (-0.4 * colour)), "r": red}
    images = {
        band: stacked(sky, replace(plan, seed=seed), WIDE[band], target)
        for seed, (band, sky) in enumerate(skies.items(), 3)
    }
    made = {band: catalogue(image, Unit(Grain.TILE_BAND, ("t1", band))) for band, image in images.items()}
    noise = {band: each["noise"] for band, each in made.items()}
    found = detection.detection(detection.DetectionSettings(), members(images), members(noise))
    places_of = found["detection_labels"], found["detected"]
    light = {
        band: forced.forced(forced.ForcedSettings(), images[band], made[band]["psf"], noise[band], *places_of)["forced"]
        for band in images
    }
    at = np.stack([found["detected"]["x"], found["detected"]["y"]], -1)
    apart, nearest = cKDTree(np.stack([red.x, red.y], -1)).query(at)
    rows = (apart < 1.5) & (red.size[nearest] > 0.0)
    assert np.count_nonzero(rows) > 150
    return {
        kind: (light["g"][f"mag_{kind}"] - light["r"][f"mag_{kind}"] - colour[nearest])[rows]
        for kind in ("colour", "psf")
    }


def test_colours_of_galaxies_are_nearer_to_the_truth_in_bands_of_unlike_seeing() -> None:
    as_they_come, alike = _colours(None), _colours(1.2)
    for kind, nearer, most in (("colour", 2.0, 0.01), ("psf", 5.0, 0.04)):
        before, after = (float(np.sqrt(np.mean(each[kind] ** 2))) for each in (as_they_come, alike))
        assert after < before / nearer, kind
        assert after < most, kind
        assert abs(np.median(alike[kind])) < abs(np.median(as_they_come[kind])) / 3.0, kind


@pytest.mark.timeout(1200)
def test_the_pipeline_makes_both_bands_alike_and_names_what_is_too_broad(tmp_path: Path) -> None:
    home = calibrated(tmp_path, exposures="4", bands="r,g") / "survey"
    (home / "releases" / "dr1.toml").write_text('name = "dr1"\n[tiles]\ngrid = "overlap"\nscale = 0.4\noverlap = 0.0\n')
    order = run.Order(
        "deep-homogenised", executor="inprocess", release="dr1", settings={"homogenise.fwhm": str(TARGET)}
    )
    result = run.run(order, home)
    [fault] = result.faults
    assert (fault.code, result.failed, result.refused, result.left) == ("homogenise.seeing", fault.count, 0, 0)
    assert 'the target is 1.450"' in fault.message
    stacks = [read_image(path) for path in (home / "products" / "stack").rglob("*.fits")]
    assert len(stacks) == 2
    # Two exposures of four detectors are too broad, in either band one.
    assert sum(int(str(each.header["NCOMBINE"])) for each in stacks) == 16 - fault.count
    assert {(each.header["HOMOFWHM"], each.header["HOMOKEPT"]) for each in stacks} == {(TARGET, 0)}
    for path in (home / "products" / "psf_map").rglob("*.parquet"):
        seen = read_catalogue(path)
        assert seen["fwhm_exposures"] == pytest.approx(TARGET, rel=0.01)
        assert seen["fwhm"] == pytest.approx(TARGET, rel=0.05)
