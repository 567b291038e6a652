"""Background, detection, measurement, quality: known stars come back with honest errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spica.core.columns import SOURCE_COLUMNS, Catalogue, Flag
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.keys import exposure_id
from spica.core.mask import Mask
from spica.core.records import Detector, Exposure, FrameType
from spica.core.settings import NoSettings
from spica.core.task import Measured
from spica.kernels.robust import half_sample_mode
from spica.tasks.background import BackgroundSettings, background
from spica.tasks.delivered import take
from spica.tasks.detect import DetectSettings, detect
from spica.tasks.measure import MeasureSettings, measure
from spica.tasks.quality import QualitySettings, quality
from spica.tasks.quicklook import QuicklookSettings, quicklook

NY, NX, SKY, SIGMA_PSF = 300, 340, 400.0, 1.6
EXPOSURE = Exposure(exposure_id("demo", "demo-1"), "demo-1", "demo", FrameType.OBJECT, "2026-11-20", 61364.0, 30.0)
DETECTOR = Detector("demo-1", 2, "c" * 40, (1,), (), NX, NY)


@dataclasses.dataclass
class Sky:
    """A drawn field and its truth."""

    image: Image
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray


def draw(seed: int, fluxes: np.ndarray, slope: float = 0.1) -> Sky:
    """Gaussian stars on a jittered grid (so that they stay apart), a sloping sky, photon noise."""
    rng = np.random.default_rng(seed)
    step = 34
    grid = [(x, y) for y in range(25, NY - 20, step) for x in range(25, NX - 20, step)][: len(fluxes)]
    x, y = np.array(grid, float).reshape(-1, 2).T + rng.uniform(-3, 3, (2, len(grid)))
    v, u = np.mgrid[:NY, :NX]
    expected = SKY + slope * u
    for x0, y0, flux in zip(x, y, fluxes, strict=False):
        profile = np.exp(-((u - x0) ** 2 + (v - y0) ** 2) / (2 * SIGMA_PSF**2))
        expected = expected + flux * profile / (2 * np.pi * SIGMA_PSF**2)
    pixels = rng.poisson(expected).astype(np.float32)
    image = Image(pixels, expected.astype(np.float32), np.zeros((NY, NX), np.int32))
    return Sky(image, x, y, fluxes[: len(grid)])


def catalogue(image: Image, threshold: float = 5.0, apertures: tuple[float, float, float] = (3, 5, 8)) -> Catalogue:
    sky = background(BackgroundSettings(), image)["background"]
    segments = detect(DetectSettings(threshold=threshold), image, sky)["segments"]
    settings = MeasureSettings(apertures=apertures)
    found = measure(settings, image, sky, segments, EXPOSURE, DETECTOR)["sources"]
    assert isinstance(found, Catalogue)
    return found


def matched(sky: Sky, found: Catalogue) -> tuple[np.ndarray, np.ndarray]:
    """Indices (truth, found) of pairs within 2 pixels."""
    distance = np.hypot(sky.x[:, None] - found["x"], sky.y[:, None] - found["y"])
    nearest = distance.argmin(1)
    near = distance[np.arange(len(sky.x)), nearest] < 2
    return np.flatnonzero(near), nearest[near]


def test_the_sky_comes_back_with_its_noise() -> None:
    sky = draw(1, np.full(60, 3e4))
    found = background(BackgroundSettings(), sky.image)
    truth = SKY + 0.1 * np.arange(NX)
    level = found["background"].pixels
    assert np.abs(level - truth)[20:-20, 20:-20].max() < 0.3 * np.sqrt(SKY)
    assert abs(float(np.mean(level - truth))) < 0.06 * np.sqrt(SKY)
    assert found["background_level"]["background_rms"].value == pytest.approx(np.sqrt(SKY + 17), rel=0.03)


def test_adding_a_constant_moves_the_sky_and_nothing_else() -> None:
    sky = draw(2, np.full(30, 1e4))
    higher = dataclasses.replace(sky.image, pixels=sky.image.pixels + np.float32(128))
    once, twice = catalogue(sky.image), catalogue(higher)
    np.testing.assert_allclose(once["flux_aper"], twice["flux_aper"], rtol=1e-3, atol=2)
    np.testing.assert_allclose(once["x"], twice["x"], atol=1e-3)


def test_stars_come_back_with_honest_errors() -> None:
    pulls: dict[str, list[np.ndarray]] = {"flux": [], "x": [], "y": []}
    for seed in range(8):
        sky = draw(seed, np.full(70, 2e4))
        found = catalogue(sky.image)
        truth, rows = matched(sky, found)
        assert len(truth) == len(sky.x)
        inside = 1 - np.exp(-(5.0**2) / (2 * SIGMA_PSF**2))
        pulls["flux"].append((found["flux_aper"][rows, 1] / inside - sky.flux[truth]) / found["flux_aper_err"][rows, 1])
        pulls["x"].append((found["x"][rows] - sky.x[truth]) / found["x_err"][rows])
        pulls["y"].append((found["y"][rows] - sky.y[truth]) / found["y_err"][rows])
    for name, parts in pulls.items():
        values = np.concatenate(parts)
        assert abs(np.median(values)) < 0.3, name
        assert 0.85 < 1.4826 * np.median(np.abs(values - np.median(values))) < 1.15, name


def test_light_of_unseen_stars_is_no_light_of_those_seen() -> None:
    rng = np.random.default_rng(12)
    sky = draw(11, np.full(70, 6e3))
    v, u = np.mgrid[:NY, :NX]
    crowd = np.zeros((NY, NX))
    for x, y in rng.uniform(0, 1, (NX * NY // 15, 2)) * (NX, NY):
        near = (slice(max(int(y) - 8, 0), int(y) + 9), slice(max(int(x) - 8, 0), int(x) + 9))
        crowd[near] += 150.0 * np.exp(-((u[near] - x) ** 2 + (v[near] - y) ** 2) / (2 * SIGMA_PSF**2))
    crowd /= 2 * np.pi * SIGMA_PSF**2
    # The true level behind the crowd, which a good background finds; the crowd is the haze.
    level = Image((SKY + 0.1 * u).astype(np.float32), np.full((NY, NX), SKY, np.float32))
    image = dataclasses.replace(sky.image, pixels=sky.image.pixels + rng.poisson(crowd).astype(np.float32))
    segments = detect(DetectSettings(), image, level)["segments"]
    off = {}
    for haze in (False, True):
        found = measure(MeasureSettings(haze=haze), image, level, segments, EXPOSURE, DETECTOR)["sources"]
        truth, rows = matched(sky, found)
        assert len(truth) == len(sky.x)
        off[haze] = float(np.median(found["flux_auto"][rows] / sky.flux[truth])) - 1
    assert found.header["HAZE"] == pytest.approx(float(crowd.mean()), rel=0.2)
    assert abs(off[True]) < 0.2 * off[False] > 0.01


def test_a_clear_sky_has_no_haze() -> None:
    sky = draw(13, np.full(70, 2e4))
    found = catalogue(sky.image)
    assert abs(float(found.header["HAZE"] or 0.0)) < 0.02 * np.sqrt(SKY)
    truth, rows = matched(sky, found)
    assert float(np.median(found["flux_auto"][rows] / sky.flux[truth])) == pytest.approx(1.0, abs=0.01)


def test_disks_come_back_whole_among_stars() -> None:
    sky = draw(14, np.full(70, 4e4))
    v, u = np.mgrid[:NY, :NX]
    expected = SKY + 0.1 * u
    disks = np.arange(len(sky.x)) % 3 == 0
    for x, y, flux, disk in zip(sky.x, sky.y, sky.flux, disks, strict=True):
        r = np.hypot(u - x, v - y)
        scale = 2.5
        shape = np.exp(-r / scale) / (2 * np.pi * scale**2) if disk else np.exp(-(r**2) / (2 * SIGMA_PSF**2))
        expected = expected + flux * (shape if disk else shape / (2 * np.pi * SIGMA_PSF**2))
    pixels = np.random.default_rng(15).poisson(expected).astype(np.float32)
    found = catalogue(Image(pixels, expected.astype(np.float32), np.zeros((NY, NX), np.int32)))
    truth, rows = matched(sky, found)
    ratio = found["flux_auto"][rows] / sky.flux[truth]
    assert float(np.median(ratio[~disks[truth]])) == pytest.approx(1.0, abs=0.01)
    assert float(np.median(ratio[disks[truth]])) == pytest.approx(1.0, abs=0.03)
    assert float(np.median(found["auto_fraction"][rows][disks[truth]])) < 0.98


@pytest.mark.parametrize("stars", [0, 3, 6])
def test_light_is_whole_where_galaxies_outnumber_the_stars(stars: int) -> None:
    """Galaxies make the mode of sizes: they are not taken for stars; and few stars are as whole as many."""
    sky = draw(16, np.full(40, 4e4))
    v, u = np.mgrid[:NY, :NX]
    expected = SKY + 0.1 * u
    alpha = 0.5 * 3.5 / np.sqrt(2.0 ** (1.0 / 3.0) - 1.0)
    is_star = np.arange(len(sky.x)) < max(stars, 1)
    flux = np.where(is_star & (stars == 0), 6e3, sky.flux)
    width = 2.5 + 3.5 * np.linspace(0.0, 1.0, len(sky.x)) ** 2
    for x, y, light, star, wide in zip(sky.x, sky.y, flux, is_star, width, strict=True):
        square = (u - x) ** 2 + (v - y) ** 2
        point = 2.0 / (np.pi * alpha**2) * (1.0 + square / alpha**2) ** -3.0
        expected = expected + light * (point if star else np.exp(-square / (2 * wide**2)) / (2 * np.pi * wide**2))
    image = Image(np.random.default_rng(17).poisson(expected).astype(np.float32), expected.astype(np.float32))
    level = Image(np.float32(SKY) + 0.1 * u.astype(np.float32), np.full((NY, NX), SKY, np.float32))
    segments = detect(DetectSettings(filter_fwhm=3.5), image, level)["segments"]
    found = measure(MeasureSettings(haze=False), image, level, segments, EXPOSURE, DETECTOR)["sources"]
    assert found.header["AUTOSTAR"] == (stars if stars > 3 else 0)
    truth, rows = matched(sky, found)
    ratio = (found["flux_auto"][rows] / flux[truth])[is_star[truth]]
    assert float(np.median(ratio)) == pytest.approx(1.0, abs=0.03)


def test_nothing_is_found_where_nothing_is() -> None:
    empty = draw(3, np.zeros(0))
    assert len(catalogue(empty.image)) <= 1


def test_bright_stars_are_complete_and_all_columns_are_declared() -> None:
    sky = draw(4, np.geomspace(1500, 2e5, 70))
    found = catalogue(sky.image)
    assert list(found.columns) == list(SOURCE_COLUMNS)
    for name, column in SOURCE_COLUMNS.items():
        assert found[name].dtype == np.dtype(column.dtype), name
        assert found[name].shape == ((len(found),) if column.size == 1 else (len(found), column.size)), name
    assert len(matched(sky, found)[0]) == len(sky.x)
    assert len(set(found["source_id"].tolist())) == len(found)


def test_flags_tell_what_is_wrong() -> None:
    sky = draw(5, np.full(20, 5e4))
    mask = np.zeros((NY, NX), np.int32)
    spots = [(round(float(sky.y[n])), round(float(sky.x[n]))) for n in (0, 1)]
    mask[spots[0]] = Mask.SATURATED
    mask[spots[1][0] + 2, spots[1][1]] = Mask.BAD
    found = catalogue(dataclasses.replace(sky.image, mask=mask))
    truth, rows = matched(sky, found)
    flags = dict(zip(truth.tolist(), found["flags"][rows].tolist(), strict=True))
    assert flags[0] & Flag.SATURATED
    assert flags[1] & (Flag.BAD_PIXELS | Flag.APERTURE_INCOMPLETE)
    assert flags[2] == 0


def test_too_many_detections_are_a_fault() -> None:
    noise = np.random.default_rng(6).normal(0, 1, (200, 200)).astype(np.float32)
    image = Image(noise, np.ones_like(noise), np.zeros(noise.shape, np.int32))
    sky = background(BackgroundSettings(), image)["background"]
    with pytest.raises(DataFault) as caught:
        detect(DetectSettings(threshold=0.5, minimum_area=1, maximum_sources=10), image, sky)
    assert caught.value.code == "data.too-many-sources"


def test_seeing_and_depth_are_those_of_the_stars() -> None:
    sky = draw(7, np.full(70, 3e4))
    back = background(BackgroundSettings(), sky.image)["background"]
    figures = quality(QualitySettings(), sky.image, back, catalogue(sky.image))["quality"]
    assert all(isinstance(figure, Measured) for figure in figures.values())
    assert figures["fwhm"].value == pytest.approx(2.3548 * SIGMA_PSF, rel=0.01)
    assert figures["ellipticity"].value < 0.02
    area = 4 * np.pi * SIGMA_PSF**2
    assert figures["depth_5sigma"].value == pytest.approx(5 * np.sqrt(area * (SKY + 17)), rel=0.03)


def test_too_few_stars_give_no_seeing() -> None:
    sky = draw(8, np.full(3, 3e4))
    back = background(BackgroundSettings(), sky.image)["background"]
    assert "fwhm" not in quality(QualitySettings(), sky.image, back, catalogue(sky.image))["quality"]


def found_width(light: np.ndarray) -> float:
    pixels = np.random.default_rng(3).poisson(light + SKY).astype(np.float32)
    image = Image(pixels, (light + SKY).astype(np.float32), np.zeros(light.shape, np.int32))
    sky = Image(np.full_like(pixels, SKY), np.full_like(pixels, SKY))
    width: float = detect(DetectSettings(maximum_sources=100_000), image, sky)["detection"]["filter_fwhm"].value
    return width


def test_trails_tell_no_width_and_wide_stars_do() -> None:
    v, u = np.mgrid[:400, :400]
    trails, wide = np.zeros((400, 400)), np.zeros((400, 400))
    for k, (x, y) in enumerate((x, y) for y in range(50, 400, 100) for x in range(50, 400, 100)):
        # Along the trail the light is even, but for its noise; it may be of any brightness.
        along = np.clip(v - y, -14.0, 14.0)
        trails += (3e3 + 2e3 * k) * np.exp(-((u - x - 0.1 * along) ** 2 + (v - y - along) ** 2) / (2 * 1.3**2))
        wide += 4e3 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * 11.5**2))
    assert found_width(trails) < 8.0
    assert found_width(wide) == pytest.approx(2.3548 * 11.5, rel=0.1)


def test_the_mode_ignores_a_long_tail() -> None:
    rng = np.random.default_rng(9)
    values = np.concatenate([rng.normal(3, 0.05, 200), rng.uniform(3, 12, 150)])
    assert half_sample_mode(values) == pytest.approx(3, abs=0.1)


def test_the_picture_shows_stars_white_on_black_sky() -> None:
    sky = draw(10, np.full(9, 3e5))
    picture = quicklook(QuicklookSettings(size=340), sky.image)["quicklook"]
    assert picture.dtype == np.uint8
    assert picture.shape == (NY, NX)
    assert picture[round(float(sky.y[0])), round(float(sky.x[0]))] > 200
    assert 10 < np.median(picture) < 110


def test_a_delivered_image_is_marked_not_changed() -> None:
    sky = draw(11, np.full(9, 1e4))
    pixels = sky.image.pixels.copy()
    pixels[4, 5] = np.nan
    found = take(NoSettings(), dataclasses.replace(sky.image, pixels=pixels))["science"]
    assert found.mask[4, 5] == Mask.NO_DATA
    assert np.isnan(pixels[4, 5])
    assert np.count_nonzero(found.mask) == 1
    with pytest.raises(DataFault):
        take(NoSettings(), Image(np.full((3, 3), np.nan, np.float32)))


def test_sky_positions_need_a_solution_and_say_so_without() -> None:
    sky = draw(12, np.full(9, 2e4))
    found = catalogue(sky.image)
    assert np.all(np.isnan(found["ra"]))
    assert found.header["WCSNOTE"] == "no solution was delivered"
    odd = dataclasses.replace(DETECTOR, wcs={"CTYPE1": "RA---HPX", "CTYPE2": "DEC--HPX"})
    back = background(BackgroundSettings(), sky.image)["background"]
    segments = detect(DetectSettings(), sky.image, back)["segments"]
    found = measure(MeasureSettings(), sky.image, back, segments, EXPOSURE, odd)["sources"]
    assert "HPX" in str(found.header["WCSNOTE"])
