"""The true sky solution against astropy, against the nominal one, and against itself."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.core.camera import Camera
from spica.instruments import tables
from spica.instruments.geometry import nominal_wcs
from spica.simulate.optics import Misplacement, cards, plate, to_pixels, to_sky

POINTINGS = [(67.4, -22.6, 0.0), (0.01, 60.0, 33.0), (359.99, -85.0, 181.0)]


@pytest.mark.parametrize("pointing", POINTINGS)
@pytest.mark.parametrize("name", ["demo", "decam", "hsc", "megaprime"])
def test_pixels_to_sky_and_back(name: str, pointing: tuple[float, float, float]) -> None:
    camera = tables.load(name)
    spec = camera.detectors[-1]
    solution = plate(camera, spec, pointing, Misplacement(3.0, -2.0, 0.05), 1.03)
    x, y = np.random.default_rng(1).uniform(-50, 2000, size=(2, 200))
    again = to_pixels(solution, *to_sky(solution, x, y))
    np.testing.assert_allclose(again, (x, y), atol=1e-5)


@pytest.mark.parametrize("pointing", POINTINGS)
@pytest.mark.parametrize("name", ["demo", "decam"])
def test_header_means_the_same_to_astropy(name: str, pointing: tuple[float, float, float]) -> None:
    camera = tables.load(name)
    solution = plate(camera, camera.detectors[0], pointing, Misplacement(1.0, 2.0, 0.02), 1.1)
    x, y = np.random.default_rng(2).uniform(0, 500, size=(2, 100))
    ra, dec = WCS(fits.Header(cards(solution))).all_pix2world(x, y, 0)
    ours = to_sky(solution, x, y)
    np.testing.assert_allclose(np.mod(ours[0] - ra + 180, 360) - 180, 0, atol=1e-9)
    np.testing.assert_allclose(ours[1], dec, atol=1e-9)


@pytest.mark.parametrize("name", ["demo", "decam", "hsc", "suprimecam", "imsim"])
def test_undisturbed_solution_is_the_nominal_one(name: str) -> None:
    camera = tables.load(name)
    for spec in (camera.detectors[0], camera.detectors[-1]):
        nominal = WCS(fits.Header(nominal_wcs(camera, spec.id, 150.0, 2.0, 20.0)))
        x, y = np.array([0.0, spec.nx, 0.3 * spec.nx]), np.array([0.0, 0.7 * spec.ny, spec.ny])
        ra, dec = nominal.all_pix2world(x, y, 0)
        ours = to_sky(plate(camera, spec, (150.0, 2.0, 20.0)), x, y)
        np.testing.assert_allclose(ours, (ra, dec), atol=1e-7)


def test_rotation_turns_the_field(demo: Camera) -> None:
    spec = demo.detectors[0]
    turned = plate(demo, spec, (10.0, 0.0, 90.0))
    straight = plate(demo, spec, (10.0, 0.0, 0.0))
    # Detector +y points north without, east with a rotation of 90 degrees.
    assert straight.cd[1][1] > 0
    assert abs(straight.cd[0][1]) < 1e-12
    assert turned.cd[0][1] > 0
    assert abs(turned.cd[1][1]) < 1e-12
