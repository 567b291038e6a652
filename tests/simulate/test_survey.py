"""A whole small survey: what is on disk agrees with the truth beside it."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.mask import Mask
from spica.files.checksums import of_file
from spica.instruments.tables import load_file
from spica.simulate.settings import SimulationSettings
from spica.simulate.survey import SimulatedSurvey, simulate
from tests.simulate.conftest import BARE, SMALL, assembled


def rows(survey: SimulatedSurvey, name: str) -> dict[str, np.ndarray[Any, Any]]:
    table = pq.read_table(survey.truth[name])
    return {column: np.asarray(table[column].to_numpy(zero_copy_only=False)) for column in table.column_names}


def file_of(survey: SimulatedSurvey, exposure: str) -> Path:
    exposures = rows(survey, "exposures")
    name = exposures["files"][list(exposures["exposure"]).index(exposure)]
    return next(path for path in survey.raw if path.name == name)


def test_files_are_there_and_every_exposure_is_in_the_truth(small: SimulatedSurvey) -> None:
    exposures = rows(small, "exposures")
    assert small.exposures == 2 + 1 + 2 * 2 + 2 * 2 == len(exposures["exposure"]) == len(small.raw)
    assert len(set(exposures["exposure"])) == small.exposures
    assert list(exposures["files"]) == [path.name for path in small.raw]
    assert set(exposures["night"]) == {"2026-11-20"}
    assert small.reference.exists()
    pixels = 0
    for path in small.raw:
        with fits.open(path) as hdus:
            pixels += sum(hdu.shape[0] * hdu.shape[1] for hdu in hdus[1:])
    assert pixels == small.pixels


def test_the_camera_as_drawn_reads_its_frames(small: SimulatedSurvey) -> None:
    assert load_file(small.folder / "camera.toml") == small.camera
    assert {spec.nx for spec in small.camera.detectors} == {160}
    assert SimulationSettings.model_validate_json((small.folder / "order.json").read_text()) == SMALL


def test_same_order_same_bytes_other_seed_other_bytes(small: SimulatedSurvey, demo: Camera, tmp_path: Path) -> None:
    again = simulate(SMALL, demo, tmp_path / "again")
    ours = {path.relative_to(small.folder): of_file(path) for path in small.folder.rglob("*") if path.is_file()}
    theirs = {path.relative_to(again.folder): of_file(path) for path in again.folder.rglob("*") if path.is_file()}
    assert ours == theirs
    other = simulate(SMALL.model_copy(update={"seed": 2}), demo, tmp_path / "other")
    assert all(of_file(a) != of_file(b) for a, b in zip(small.raw, other.raw, strict=True))


def test_sources_lie_where_the_truth_says(bare: SimulatedSurvey) -> None:
    positions, sources, exposures = (rows(bare, name) for name in ("positions", "sources", "exposures"))
    checked = 0
    for exposure, sky in zip(exposures["exposure"], exposures["sky"], strict=True):
        for spec in bare.camera.detectors:
            mine = (positions["exposure"] == exposure) & (positions["detector"] == spec.id)
            if not np.any(mine):
                continue
            image = assembled(file_of(bare, exposure), spec)
            level = np.median(image)
            assert level == pytest.approx(sky, rel=0.02)
            x, y, light = (positions[name][mine] for name in ("x", "y", "electrons"))
            stars = sources["type"][positions["id"][mine] - 1] == "star"
            for k in np.flatnonzero(stars & (light > 1e4)):
                checked += _is_there(image - level, (x, y, light), k)
    assert checked >= 3


def _is_there(image: np.ndarray[Any, Any], placed: tuple[np.ndarray[Any, Any], ...], k: Any) -> int:
    """Light and centre of one star in a window; 0 where it is not alone or too near to the edge."""
    (x, y, light), (ny, nx) = placed, image.shape
    beside = light[np.hypot(x - x[k], y - y[k]) < 22].sum() - light[k]
    if beside > 0.01 * light[k] or not (14 < x[k] < nx - 15 and 14 < y[k] < ny - 15):
        return 0
    jj, ii = np.indices(image.shape)
    window = np.hypot(ii - x[k], jj - y[k]) < 12
    flux = image[window]
    assert np.sum(flux) == pytest.approx(light[k], rel=0.03)
    assert np.sum(flux * ii[window]) / np.sum(flux) == pytest.approx(x[k], abs=0.1)
    assert np.sum(flux * jj[window]) / np.sum(flux) == pytest.approx(y[k], abs=0.1)
    return 1


def test_true_sky_solution_is_understood_by_astropy(small: SimulatedSurvey) -> None:
    positions, sources, detectors = (rows(small, name) for name in ("positions", "sources", "detectors"))
    checked = 0
    for exposure, detector, cards in zip(detectors["exposure"], detectors["detector"], detectors["wcs"], strict=True):
        if not cards:
            continue
        mine = (positions["exposure"] == exposure) & (positions["detector"] == detector)
        rows_ = positions["id"][mine] - 1
        quiet = (sources["type"][rows_] != "mover") & (sources["pm_ra"][rows_] == 0)
        x, y = WCS(fits.Header(json.loads(cards))).all_world2pix(
            sources["ra"][rows_][quiet], sources["dec"][rows_][quiet], 0
        )
        np.testing.assert_allclose(x, positions["x"][mine][quiet], atol=1e-3)
        np.testing.assert_allclose(y, positions["y"][mine][quiet], atol=1e-3)
        checked += quiet.sum()
    assert checked > 30


def test_light_follows_zero_point_and_magnitude(small: SimulatedSurvey) -> None:
    positions, exposures = rows(small, "positions"), rows(small, "exposures")
    order = {name: k for k, name in enumerate(exposures["exposure"])}
    at = np.array([order[name] for name in positions["exposure"]])
    zero, time = exposures["zero_point"][at], exposures["exposure_time"][at]
    np.testing.assert_allclose(positions["electrons"], time * 10 ** (-0.4 * (positions["mag"] - zero)))


def test_bare_calibrations_are_even(bare: SimulatedSurvey) -> None:
    exposures = rows(bare, "exposures")
    for name, kind, level in zip(exposures["exposure"], exposures["frame_type"], exposures["sky"], strict=True):
        if kind == "object":
            continue
        for spec in bare.camera.detectors:
            image = assembled(file_of(bare, name), spec)
            # One ADU: whole numbers of another gain.
            assert np.ptp(image) < 2.0
            assert image[0, 0] == pytest.approx(level, abs=2.0)


def test_truth_images_are_what_calibrations_show(small: SimulatedSurvey) -> None:
    exposures = rows(small, "exposures")
    spec = small.camera.detectors[1]
    flats = exposures["exposure"][(exposures["frame_type"] == "flat") & (exposures["band"] == "r")]
    image = np.mean([assembled(file_of(small, name), spec) for name in flats], axis=0)
    with fits.open(small.folder / "truth" / f"flat_r_{spec.name}.fits", memmap=False) as hdus:
        truth = np.asarray(hdus[0].data, dtype=float)
    level = exposures["sky"][exposures["exposure"] == flats[0]][0]
    ratio = image / (truth * level)
    good = truth > 0.5
    assert np.median(ratio[good]) == pytest.approx(1.0, abs=0.01)
    noise = np.sqrt(1 / (level * len(flats)))
    assert 1.4826 * np.median(np.abs(ratio[good] - np.median(ratio[good]))) == pytest.approx(noise, rel=0.15)


def test_noise_of_biases_is_the_tables(small: SimulatedSurvey) -> None:
    exposures = rows(small, "exposures")
    first, second = (file_of(small, name) for name in exposures["exposure"][exposures["frame_type"] == "bias"])
    for spec in small.camera.detectors:
        difference = assembled(first, spec) - assembled(second, spec)
        for amp in spec.amplifiers:
            x0, x1, y0, y1 = amp.detector
            values = difference[y0:y1, x0:x1]
            quiet = values[np.abs(values - np.median(values)) < 6 * amp.read_noise]
            # The drift of rows and the digitisation add a little.
            assert np.std(quiet) / np.sqrt(2) == pytest.approx(amp.read_noise, rel=0.05)


def test_cosmic_rays_and_defects_are_marked(small: SimulatedSurvey) -> None:
    pixels, exposures = rows(small, "pixels"), rows(small, "exposures")
    dark = exposures["exposure"][exposures["frame_type"] == "dark"][0]
    spec = small.camera.detectors[0]
    image = assembled(file_of(small, dark), spec)
    mask = np.zeros(image.shape, dtype=int)
    mine = (pixels["detector"] == spec.id) & np.isin(pixels["exposure"], ["", dark])
    for y, x0, x1, bits in zip(*(pixels[name][mine] for name in ("y", "x0", "x1", "bits")), strict=True):
        mask[y, x0:x1] |= bits
    assert np.any(mask & Mask.COSMIC)
    assert np.any(mask & Mask.BAD)
    assert np.median(image[mask & Mask.COSMIC > 0]) > 30
    # Nothing that is not marked stands out.
    rest = image[(mask & (Mask.COSMIC | Mask.BAD | Mask.BLEED)) == 0]
    assert rest.max() < 100


@pytest.mark.parametrize(
    ("change", "word"),
    [({"detectors": (99,)}, "99"), ({"bands": ("Q",)}, "Q"), ({"drills": ("empty",) * 50}, "drills")],
)
def test_impossible_orders_are_refused(demo: Camera, tmp_path: Path, change: dict[str, Any], word: str) -> None:
    with pytest.raises(SetupFault, match=word) as caught:
        simulate(BARE.model_copy(update=change), demo, tmp_path)
    assert caught.value.code == "order.invalid"
    assert not list(tmp_path.iterdir())


def test_progress_counts_every_exposure(demo: Camera, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    order = BARE.model_copy(update={"detectors": (1,), "truth_images": False, "exposures": 1})
    survey = simulate(order, demo, tmp_path, lambda *step: seen.append(step))
    assert [step[0] for step in seen] == list(range(1, survey.exposures + 1))
    assert seen[-1][2].startswith("demo-20261120-")
    assert tomllib.loads((tmp_path / "camera.toml").read_text())["name"] == "demo"
