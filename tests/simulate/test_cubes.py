"""Cubes as a camera of several read-outs writes them: on disk, in the truth, and as they are taken in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from spica.core.camera import Camera
from spica.core.faults import DataFault
from spica.core.mask import Mask
from spica.files.frames import read_raw
from spica.instruments import tables
from spica.intake.examine import examine
from spica.simulate.settings import SimulationSettings
from spica.simulate.survey import SimulatedSurvey, simulate

SLICES = 3
ORDER = SimulationSettings(
    detector_size=(96, 80), detectors=(1, 2), bands=("J",), exposures=1, biases=1, darks=1, flats=1, exposure_time=20.0,
    cosmic_rate=20.0, truth_images=False,
)  # fmt: skip


def camera(slices: int) -> Camera:
    return tables.load("wircam").model_copy(update={"slices": slices})


@pytest.fixture(scope="module")
def cubes(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSurvey:
    return simulate(ORDER, camera(SLICES), tmp_path_factory.mktemp("cubes"))


def pixels_of(path: Path) -> list[npt.NDArray[np.float64]]:
    with fits.open(path) as hdus:
        return [np.asarray(hdu.data, float) for hdu in hdus[1:]]


def test_each_array_is_a_cube_whose_first_slice_is_the_single_read_out(cubes: SimulatedSurvey, tmp_path: Path) -> None:
    single = simulate(ORDER, camera(1), tmp_path)
    for many, one in zip(cubes.raw, single.raw, strict=True):
        assert many.name == one.name
        for cube, image in zip(pixels_of(many), pixels_of(one), strict=True):
            assert cube.shape == (SLICES, 80, 96)
            assert image.shape == (80, 96)
            # What is drawn of sources goes as far as it is seen in the mean: a little farther.
            assert np.abs(cube[0] - image).max() <= (3.0 if "o." in many.name else 0.0)
    with fits.open(cubes.raw[-1]) as hdus:
        assert hdus[0].header["NEXP"] == SLICES
        assert hdus[0].header["EXPTIME"] == 20.0


def test_slices_have_the_same_sky_and_noise_of_their_own(cubes: SimulatedSurvey) -> None:
    cube = pixels_of(cubes.raw[-1])[0]
    gain, level = 3.8, float(np.median(cube))
    differences = np.array([cube[0] - cube[1], cube[1] - cube[2]])
    expected = np.sqrt(2.0 * ((level - 1000.0) / gain + (30.0 / gain) ** 2))
    widths = 1.4826 * np.median(np.abs(differences - np.median(differences, axis=(1, 2), keepdims=True)), axis=(1, 2))
    assert widths == pytest.approx(expected, rel=0.05)
    # Each slice holds its noise once: successive differences share one of two.
    shared = np.clip(differences - np.median(differences, axis=(1, 2), keepdims=True), -4 * expected, 4 * expected)
    assert np.corrcoef(*shared.reshape(2, -1))[0, 1] == pytest.approx(-0.5, abs=0.05)


def test_the_truth_tells_the_slices_and_the_cosmic_rays_of_all(cubes: SimulatedSurvey, tmp_path: Path) -> None:
    single = simulate(ORDER, camera(1), tmp_path)
    counts = []
    for survey, slices in ((single, 1), (cubes, SLICES)):
        exposures = pq.read_table(survey.truth["exposures"]).to_pydict()
        assert set(exposures["slices"]) == {slices}
        counts.append(sum(pq.read_table(survey.truth["detectors"])["cosmics"].to_pylist()))
    assert counts[1] == pytest.approx(SLICES * counts[0], abs=5.0 * np.sqrt(SLICES * counts[0]))
    runs = pq.read_table(cubes.truth["pixels"])
    assert np.any(np.asarray(runs["bits"].to_numpy()) & int(Mask.COSMIC))


def test_the_record_tells_the_slices(cubes: SimulatedSurvey) -> None:
    for path in cubes.raw:
        record = examine(path, [cubes.camera])
        assert record.exposure.extra["slices"] == SLICES
        raw = read_raw(record.detectors[1], {record.file.checksum: path}, record.exposure)
        assert raw.slices == SLICES
        assert np.array_equal(raw.pixels[0], pixels_of(path)[1].mean(axis=0).astype(np.float32))


def test_a_record_of_single_images_tells_none(tmp_path: Path) -> None:
    survey = simulate(ORDER, camera(1), tmp_path)
    assert "slices" not in examine(survey.raw[0], [survey.camera]).exposure.extra


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def unequal(path: Path) -> None:
    with fits.open(path) as hdus:
        first, second = (
            fits.CompImageHDU(hdu.data[:depth], hdu.header, compression_type="RICE_1")
            for hdu, depth in zip(hdus[1:], (2, 3), strict=True)
        )
        fits.HDUList([fits.PrimaryHDU(header=hdus[0].header), first, second]).writeto(
            path, overwrite=True, checksum=True
        )


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (cut_short, "file.truncated", r"HDU 2 HAWAII-2RG-#52"),
        (unequal, "header.bad-geometry", r"HDU 1 HAWAII-2RG-#77 2, HDU 2 HAWAII-2RG-#52 3"),
    ],
)
def test_cubes_that_are_cut_short_or_unequal_are_refused_by_name(
    cubes: SimulatedSurvey, tmp_path: Path, spoil: Callable[[Path], None], code: str, says: str
) -> None:
    path = tmp_path / cubes.raw[-1].name
    path.write_bytes(cubes.raw[-1].read_bytes())
    spoil(path)
    with pytest.raises(DataFault, match=says) as caught:
        examine(path, [cubes.camera])
    assert caught.value.code == code
    assert path.name in caught.value.message
