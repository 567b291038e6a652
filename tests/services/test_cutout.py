"""Cut-outs: the pixels of the product, where they lie, over all exposures that cover the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from spica.core.faults import DataFault, SetupFault
from spica.core.mask import Mask
from spica.files.catalogues import read_catalogue
from spica.files.images import open_rows, read_image
from spica.services.cutout import Place, cutout, window
from tests.support.survey import SCIENCE, Small

UNIT = f"{SCIENCE[0]}/1"


def product(small: Small, name: str, ending: str) -> Path:
    (path,) = (small.folder / "products" / name).rglob(f"{SCIENCE[0]}_1_*{ending}")
    return path


def test_a_pixel_is_cut_with_all_planes_and_its_solution(reduced_once: Small, tmp_path: Path) -> None:
    whole = read_image(product(reduced_once, "science", ".fits"))
    done = cutout(tmp_path, reduced_once.folder, Place(unit=UNIT, pixel=(60, 50)), size=20, picture=True)
    (cut,) = done.cuts
    assert cut.inside == 1
    part = read_image(Path(cut.paths[0]))
    where = np.s_[40:60, 50:70]
    assert np.array_equal(part.pixels, whole.pixels[where], equal_nan=True)
    for mine, theirs in ((part.variance, whole.variance), (part.mask, whole.mask)):
        assert mine is not None
        assert theirs is not None
        assert np.array_equal(mine, theirs[where])
    assert (part.header["CUTX"], part.header["CUTY"]) == (50, 40)
    before, after = (WCS(fits.Header(dict(each.header))) for each in (whole, part))
    assert np.allclose(before.all_pix2world(60, 50, 0), after.all_pix2world(10, 10, 0), atol=1e-10)
    assert np.allclose(before.all_pix2world(60, 50, 0), np.array([done.ra, done.dec], float), atol=1e-7)
    assert Path(cut.paths[1]).read_bytes()[:4] == b"\x89PNG"


def test_a_position_is_cut_from_every_exposure_that_covers_it(reduced_once: Small, tmp_path: Path) -> None:
    sources = read_catalogue(product(reduced_once, "sources", ".parquet"))
    row = int(np.argmax(np.where(np.hypot(sources["x"] - 64, sources["y"] - 64) < 40, sources["snr"], 0)))
    ra, dec = float(sources["ra"][row]), float(sources["dec"][row])
    done = cutout(tmp_path, reduced_once.folder, Place(ra, dec), size=16)
    mine = {cut.unit: cut for cut in done.cuts}[f"detector:{UNIT}"]
    assert (mine.x, mine.y) == pytest.approx((sources["x"][row], sources["y"][row]), abs=1e-3)
    for cut in done.cuts:
        with fits.open(cut.paths[0]) as file:
            x, y = WCS(file["SCIENCE"].header).all_world2pix(ra, dec, 0)
            assert (x + file["SCIENCE"].header["CUTX"], y + file["SCIENCE"].header["CUTY"]) == pytest.approx(
                (cut.x, cut.y), abs=1e-3
            )
    by_source = cutout(tmp_path, reduced_once.folder, Place(source=int(sources["source_id"][row])), size=16)
    assert [cut.unit for cut in by_source.cuts] == [cut.unit for cut in done.cuts]
    alone = cutout(tmp_path, reduced_once.folder, Place(ra, dec), where=f"exposure = '{SCIENCE[0]}'", size=16)
    assert [cut.unit for cut in alone.cuts] == [f"detector:{UNIT}"]


def test_what_lies_beyond_the_detector_is_no_data(reduced_once: Small, tmp_path: Path) -> None:
    (cut,) = cutout(tmp_path, reduced_once.folder, Place(unit=UNIT, pixel=(0, 64)), size=20).cuts
    part = read_image(Path(cut.paths[0]))
    assert cut.inside == 0.5
    assert np.isnan(part.pixels[:, :10]).all()
    assert part.mask is not None
    assert (part.mask[:, :10] == int(Mask.NO_DATA)).all()
    with pytest.raises(DataFault, match="outside"):
        window(open_rows(product(reduced_once, "science", ".fits")), 500, 0, 8)


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (Place(400.0, 0.0), "not on the sky"),
        (Place(10.0, -91.0), "not on the sky"),
        (Place(10.0, 80.0), "covers RA 10.000000, Dec [+]80"),
        (Place(), "name one place"),
        (Place(1.0, 2.0, source=3), "name one place"),
        (Place(unit=UNIT), "name one place"),
        (Place(source=12345), "holds the source 12345"),
        (Place(unit=UNIT, pixel=(500, 3)), "is not on detector"),
        (Place(unit=SCIENCE[0], pixel=(5, 3)), "is no detector"),
    ],
)
def test_places_that_cannot_be_are_told(reduced_once: Small, tmp_path: Path, place: Place, what: str) -> None:
    with pytest.raises(SetupFault, match=what):
        cutout(tmp_path, reduced_once.folder, place)
    assert list(tmp_path.iterdir()) == []


def test_sizes_are_bounded(reduced_once: Small, tmp_path: Path) -> None:
    with pytest.raises(SetupFault, match="1 to 4096 pixels"):
        cutout(tmp_path, reduced_once.folder, Place(unit=UNIT, pixel=(5, 3)), size=5000)
