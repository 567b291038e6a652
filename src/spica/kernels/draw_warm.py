"""The drawing kernels' share of `spica.kernels.warm`: each called once with tiny arguments of the types in use."""

from collections.abc import Callable

import numpy as np

from spica.kernels import draw, draw_marks, draw_scene, noise
from spica.kernels.compiled import Float32
from spica.kernels.detrend import Box

_ONE = np.ones(1)
_EIGHT = np.zeros(8)
_BOX = Box(0, 8, 0, 8)


def _image() -> Float32:
    return np.ones((8, 8), dtype=np.float32)


def _sources() -> None:
    psf = draw.Psf(3.0 * _ONE, 0.0 * _ONE, 0.0 * _ONE, 3.0)
    mixture = draw.Mixture(_ONE, _ONE)
    place = 4.0 * _ONE
    draw.add_stars(_image(), place, place, _ONE, psf, 0.1)
    draw.add_galaxies(_image(), place, place, _ONE, _ONE, (0.0 * _ONE, 0.0 * _ONE), mixture, psf, mixture, 0.1)


def _marks() -> None:
    mask = np.zeros((8, 8), dtype=np.int32)
    draw_marks.add_track(_image(), (1.0, 1.0), (5.0, 5.0), 10.0, 0.5)
    draw_marks.bleed(_image(), _BOX, 0.5, mask, 1, 2)
    draw_marks.runs(mask)


def _scene() -> None:
    even = _image()
    draw_scene.expose_into(_image(), (1.0, 0.0, 0.0), even, even, 0.0, even, 1.0)
    draw_scene.vignette_into(_image(), (0.0, 0.0), (0.1, 0.0), (0.0, 0.1), 0.2)
    draw_scene.dust_into(_image(), 4.0, 4.0, 1.0, 2.0, 0.1)
    draw_scene.fringes_into(_image(), (0.0, 0.1, 0.1, 1.0, 0.1, 0.1))


def _noise() -> None:
    state = noise.seeded([1])
    noise.fill_normal_into(np.empty(8, dtype=np.float32), state, 0.0, 1.0)
    chain = noise.Chain(1.0, 1.0, 1e5, 1e-7)
    pedestal = noise.Pedestal(1000.0, _EIGHT, _EIGHT, _EIGHT, _EIGHT)
    raw = _image()
    noise.read_data_into(raw, _BOX, _image(), _BOX, (True, False), chain, pedestal, state)
    noise.collect_into(_image(), _image(), 2, 1e-7, 1e-7, state)
    noise.read_blind_into(raw, _BOX, 1000.0, _EIGHT, 1.0, state)
    noise.add_crosstalk_into(raw, _BOX, _image(), _BOX, 1000.0, 1e-4)
    noise.digitise_into(np.empty((8, 8), dtype=np.uint16), raw, 65535.0)


DRAWING: tuple[tuple[str, Callable[[], object]], ...] = (
    ("stars and galaxies", _sources),
    ("tracks and bleeding", _marks),
    ("scene", _scene),
    ("noise and read-out", _noise),
)
"""Name and call of each group of drawing kernels."""
