"""A camera lens's frame of two degrees whose header has no sky solution is placed by index files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from spica.core.columns import Catalogue
from spica.core.faults import DataFault, SetupFault
from spica.core.images import Image
from spica.core.records import Exposure, FrameType
from spica.core.task import Member
from spica.files.reference.indexes import files_of, open_index
from spica.kernels.blind import Sighted, sight, stars_about
from spica.kernels.finding import Judge
from spica.kernels.indexes import Index
from spica.kernels.wcs import pixel_to_sky, tangent_wcs
from spica.kernels.wcs_cards import from_cards, to_cards
from spica.tasks.pointing import TASK, PointingSettings
from tests.kernels.sky import separation
from tests.support.groups import INDEXES
from tests.support.real import sources_of

pytestmark = [pytest.mark.realdata, pytest.mark.astrometry]

CENTRES = {"unsolved.fits": (303.2110, 46.0195), "solved.fits.fz": (303.2064, 46.0174)}
"""By astrometry.net [degree]: of the first frame by solve-field 0.93 with quadratic terms, of the second as its header has it."""
NOTHING = Catalogue({"ra": np.zeros(0), "dec": np.zeros(0)})
PIXEL = 10.3
"""As the camera's table has it [arcsec]; the truth is 10.31."""


def listed(path: Path) -> Catalogue:
    """Sources of the raw frame: its Bayer mosaic as it is, level and noise by its own sky."""
    with fits.open(path) as hdus:
        plane = next(hdu for hdu in hdus if hdu.data is not None and hdu.data.ndim == 2)
        pixels = np.asarray(plane.data, np.float32)
    noise = 1.4826 * np.median(np.abs(pixels - np.median(pixels)))
    image = Image(pixels, np.full_like(pixels, noise**2), np.zeros(pixels.shape, np.int32))
    return sources_of(image)


def placed(sources: Catalogue, factor: float) -> Sighted:
    """Blind, with a scale that may be wrong by a factor."""
    order = np.argsort(-sources["flux_iso"], kind="stable")
    z = np.asarray(sources["x"] - 349.5 + 1j * (sources["y"] - 349.5), np.complex128)[order] * PIXEL / 3600.0
    indexes = [open_index(path) for path in files_of([INDEXES])]
    return sight(z, indexes, (1.0 / factor, factor), Judge(1.5 * PIXEL / 3600.0, 6.0, 5))


@pytest.mark.parametrize(
    ("name", "factor"), [("unsolved.fits", 2.0), ("unsolved.fits", 1000.0), ("solved.fits.fz", 2.0)]
)
def test_a_lens_is_placed_on_tycho_2(real_data: Path, name: str, factor: float) -> None:
    end = placed(listed(real_data / "panoptes" / name), factor)
    assert end.found is not None
    assert end.found.log_false < -15.0
    made = end.found.alignment
    assert 3600.0 * float(separation(made.ra, made.dec, *CENTRES[name])) < 0.7 * PIXEL
    assert made.scale * PIXEL == pytest.approx(10.31, abs=0.03)
    assert made.mirrored
    assert made.angle == pytest.approx(90.4, abs=0.3)
    assert end.found.stars.size >= 30
    assert 3600.0 * end.found.rms < 0.25 * PIXEL


EXPOSURE = Exposure(0, "panoptes", "panoptes", FrameType.OBJECT, "2016-09-09", 57640.3, 120.4, band="rggb")
ELSEWHERE = to_cards(tangent_wcs((10.0, -30.0), (350.0, 350.0), np.diag([-PIXEL, PIXEL]) / 3600.0))
SIZE = {"NAXIS1": 700, "NAXIS2": 700}


@dataclass(frozen=True)
class Catalogued:
    """A reference catalogue with stars everywhere: `spica.core.streams.Places`."""

    index: Index

    def around(self, ra: float, dec: float, radius: float) -> Catalogue:
        """Those of an index, and three times as many that are none of the frame's."""
        there = stars_about(self.index, ra, dec, radius)
        number = 3 * there.ra.size
        rng = np.random.default_rng(3)
        noise = radius * rng.uniform(-1.0, 1.0, (2, number))
        ra_all = np.concatenate([there.ra, ra + noise[0] / np.cos(np.radians(dec))])
        return Catalogue(
            {"ra": ra_all, "dec": np.concatenate([there.dec, dec + noise[1]]), "mag_V": np.arange(float(ra_all.size))}
        )


@pytest.mark.parametrize("headers", [{**ELSEWHERE, **SIZE}, SIZE], ids=["elsewhere", "no solution"])
@pytest.mark.parametrize("catalogue", [False, True], ids=["index alone", "catalogue"])
def test_the_task_places_it_whatever_the_header_says(
    real_data: Path, headers: dict[str, Any], *, catalogue: bool
) -> None:
    sources = (Member("detector:panoptes/1", listed(real_data / "panoptes" / "unsolved.fits")),)
    indexes = tuple(open_index(path) for path in files_of([INDEXES]))
    given = {"sources": sources, "headers": {1: headers}, "exposure": EXPOSURE, "reference": NOTHING}
    everywhere = Catalogued(indexes[0]) if catalogue else None
    made = TASK.run(PointingSettings(blind=True), **given, indexes=indexes, everywhere=everywhere)
    told = made["pointing"]
    assert told["rung"] == "blind"
    assert told["reference"]["by"] == ("reference" if catalogue else "index")
    assert told["rms"] < 0.25 * PIXEL
    ra, dec = pixel_to_sky(from_cards(told["detectors"]["1"]["cards"]), 349.5, 349.5)
    assert 3600.0 * float(separation(ra, dec, *CENTRES["unsolved.fits"])) < 0.7 * PIXEL
    assert float(separation(told["cone"][0], told["cone"][1], ra, dec)) < 0.01
    assert told["cone"][2] == pytest.approx(1.415, abs=0.01)
    assert made["pointing_quality"]["pointing_rung"].value > 20


@pytest.mark.slow
def test_another_sky_is_refused_with_what_was_tried(real_data: Path) -> None:
    """The same stars in other places: nowhere on the sky is such a field."""
    sources = listed(real_data / "panoptes" / "unsolved.fits")
    rng = np.random.default_rng(8)
    mixed = Catalogue(
        {**sources.columns, "x": rng.uniform(0, 699, len(sources)), "y": rng.uniform(0, 699, len(sources))}
    )
    indexes = tuple(open_index(path) for path in files_of([INDEXES]))
    given = {"headers": {1: {**ELSEWHERE, **SIZE}}, "exposure": EXPOSURE, "reference": NOTHING, "everywhere": None}
    with pytest.raises(DataFault) as fault:
        TASK.run(
            PointingSettings(blind=True, blind_most=20_000),
            sources=(Member("detector:panoptes/1", mixed),),
            indexes=indexes,
            **given,
        )
    assert fault.value.code == "pointing.no-match"
    assert int(str(fault.value.evidence["hypotheses"])) > 10_000
    assert float(str(fault.value.evidence["log_false"])) > -6.0
    with pytest.raises(SetupFault) as none:
        TASK.run(PointingSettings(blind=True), sources=(Member("detector:panoptes/1", mixed),), indexes=None, **given)
    assert none.value.code == "index.none"
