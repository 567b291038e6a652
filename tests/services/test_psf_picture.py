"""Pictures of a point spread function are drawn whole."""

from pathlib import Path

import numpy as np
from PIL import Image as Picture

from spica.core.psf import PsfModel
from spica.services.psf_picture import draw
from spica.tasks.psf import PsfSettings, psf
from spica.tasks.stars import StarsSettings, stars
from tests.support.starfield import field, sloping


def test_maps_of_a_model_and_its_stars(tmp_path: Path) -> None:
    size = (420, 400)
    drawn = field(sloping(size), 70, size)
    chosen = stars(StarsSettings(), drawn.sources)["stars"]
    made = psf(PsfSettings(), drawn.image, drawn.background, drawn.sources, chosen)
    draw("a field", PsfModel.from_catalogue(made["psf"]), made["psf_stars"], size[::-1], tmp_path / "one.png")
    pixels = np.asarray(Picture.open(tmp_path / "one.png").convert("RGB"))
    assert pixels.shape[0] > 600
    # The models, the map and the stars are there: not a white sheet.
    assert np.mean(np.any(pixels < 250, axis=2)) > 0.15
