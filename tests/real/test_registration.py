"""A real series without any sky solution: each frame of the crowded field is laid over the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.images import Image
from spica.core.keys import exposure_id
from spica.core.records import Detector, Exposure, FrameType
from spica.files.catalogues import read_catalogue
from spica.kernels.pointing import Complex
from spica.kernels.registration import Registered, registered
from spica.services import ingest, initialise, run
from spica.tasks.background import BackgroundSettings, background
from spica.tasks.detect import DetectSettings, detect
from spica.tasks.measure import MeasureSettings, measure

GAIN, READ_NOISE = 1.9, 5.0


def star_list(path: Path) -> Complex:
    """Places of the stars, brightest first."""
    with fits.open(path, memmap=False) as hdus:
        pixels = np.asarray(hdus[0].data, np.float32) * np.float32(GAIN)
    image = Image(pixels, pixels + np.float32(READ_NOISE**2), np.zeros(pixels.shape, np.int32), {"BUNIT": "electron"})
    exposure = Exposure(exposure_id("saao", "1"), "1", "saao", FrameType.OBJECT, "2013-06-27", 56470.0, 300.0)
    detector = Detector("1", 1, "c" * 40, (1,), (), *image.shape)
    sky = background(BackgroundSettings(box=32), image)["background"]
    segments = detect(DetectSettings(threshold=8.0), image, sky)["segments"]
    sources = measure(MeasureSettings(), image, sky, segments, exposure, detector)["sources"]
    order = np.argsort(-np.asarray(sources["flux_iso"]), kind="stable")
    return np.asarray((np.asarray(sources["x"], np.float64) + 1j * np.asarray(sources["y"], np.float64))[order][:600])


def laid(paths: list[Path]) -> list[Registered | None]:
    first = star_list(paths[0])
    return [registered(star_list(path), first, error=0.5) for path in paths[1:]]


def judged(found: list[Registered | None]) -> None:
    for one in found:
        assert one is not None
        assert one.rung == "shifted"
        assert not one.mirrored
        assert abs(one.turn - 1.0) < 2e-3
        assert abs(one.apply(np.array([256.0 + 256.0j]))[0] - (256.0 + 256.0j)) < 128.0
        assert one.one.size > 100
        # Isophotal centres of blended stars, in seeing of 3 to 4 pixels.
        assert one.rms < 0.4

    shifts = [abs(one.apply(np.array([256.0 + 256.0j]))[0] - (256.0 + 256.0j)) for one in found if one]
    assert max(shifts) > 5.0, "the telescope was moved between the frames"


def test_frames_without_a_sky_are_laid_over_each_other(real_data: Path) -> None:
    paths = sorted((real_data / "timeseries_saao_KB13475").glob("*.fits"))
    judged(laid([paths[0], paths[9], paths[-1]]))


@pytest.mark.slow
def test_the_whole_series(real_data: Path) -> None:
    judged(laid(sorted((real_data / "timeseries_saao_KB13475").glob("*.fits"))))


@pytest.mark.slow
def test_the_pipeline_series_from_frames_to_light_curves(real_data: Path, tmp_path: Path) -> None:
    paths = sorted((real_data / "timeseries_saao_KB13475").glob("*.fits"))[:5]
    initialise.initialise(tmp_path)
    ingest.ingest(ingest.Order(tuple(map(str, paths))), tmp_path)
    made = run.run(run.Order("series", executor="inprocess"), tmp_path)
    assert (made.failed, made.refused) == (0, 0)
    [path] = (tmp_path / "products" / "registration").rglob("*.parquet")
    frames = read_catalogue(path)
    assert len(frames) == 5, "of two nights, in one field and band"
    assert np.all(frames["matches"] > 200)
    assert frames["rms"].max() < 0.2
    [path] = (tmp_path / "products" / "light_curves").rglob("*.parquet")
    curves = read_catalogue(path)
    assert curves.header["PSFFLUX"] is True
    clean = curves["good"] == 1
    stars, number = np.unique(curves["star"][clean], return_counts=True)
    magnitudes = [-2.5 * np.log10(curves["flux"][clean & (curves["star"] == star)]) for star in stars[number == 5]]
    assert len(magnitudes) > 300
    bright = sorted(magnitudes, key=np.median)[:40]
    assert np.median([np.std(each) for each in bright]) < 0.015
