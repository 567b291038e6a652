"""Outlines on the sky: what lies in them, wherever they are."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.outline import Outline, apart, hull
from spica.core.records import Unit
from spica.files.hats.regions import Polygon
from spica.kernels.tangent import tangent_deproject

UNIT = Unit.parse("demo-1/2")
PLACES = ((10.0, 20.0), (0.02, -5.0), (359.99, 60.0), (123.0, 89.95), (77.0, -90.0))


def box(ra: float, dec: float, half: float = 0.1) -> Outline:
    """A square about a position."""
    u = half * np.array([-1.0, 1.0, 1.0, -1.0])
    v = half * np.array([-1.0, -1.0, 1.0, 1.0])
    return Outline.of(UNIT, dict(zip(("ra", "dec"), tangent_deproject(u, v, ra, dec), strict=True)))


@pytest.mark.parametrize("place", PLACES)
def test_what_is_inside_does_not_depend_on_the_place(place: tuple[float, float]) -> None:
    outline = box(*place)
    assert apart(*outline.middle, *place) < 1e-9
    assert outline.radius == pytest.approx(0.1 * np.sqrt(2.0), rel=1e-4)
    rng = np.random.default_rng(1)
    u, v = rng.uniform(-0.3, 0.3, (2, 300))
    ra, dec = tangent_deproject(u, v, *place)
    inside = [outline.contains(float(a), float(d)) for a, d in zip(ra, dec, strict=True)]
    assert np.array_equal(inside, np.maximum(np.abs(u), np.abs(v)) < 0.1)
    assert np.array_equal(inside, Polygon.of(outline.ra, outline.dec).contains(np.asarray(ra), np.asarray(dec)))
    assert not outline.contains((place[0] + 180.0) % 360.0, -place[1])


@pytest.mark.parametrize("place", PLACES)
def test_a_hull_holds_all_and_no_more(place: tuple[float, float]) -> None:
    centres = tangent_deproject(np.array([-0.25, 0.25, 0.25]), np.array([0.0, 0.0, 0.25]), *place)
    parts = [box(float(a), float(d)) for a, d in zip(*centres, strict=True)]
    whole = Outline(UNIT, *hull([(part.ra, part.dec) for part in parts]))
    assert 5 <= len(whole.ra) <= 9
    for part in parts:
        for a, d in zip(part.ra, part.dec, strict=True):
            middle = part.middle
            east, north = _from(middle, a, d)
            near = tangent_deproject(0.999 * east, 0.999 * north, *middle)
            assert whole.contains(*(float(value) for value in near))
    beyond = tangent_deproject(-0.3, 0.3, *place)
    assert not whole.contains(*(float(value) for value in beyond))


def _from(middle: tuple[float, float], ra: float, dec: float) -> tuple[float, float]:
    from spica.kernels.associate import unit_vectors
    from spica.kernels.focal_model import to_plane

    place = to_plane(unit_vectors([ra], [dec]), *middle)[0]
    return float(place.real), float(place.imag)


@pytest.mark.parametrize(
    "given",
    [{}, {"ra": [1, 2], "dec": [1, 2]}, {"ra": [1, 2, 3], "dec": [1, 2]}, {"ra": [1, 2, 3], "dec": [0, 95, 0]},
     {"ra": [1, 2, float("nan")], "dec": [0, 1, 0]}],
)  # fmt: skip
def test_what_is_no_outline_is_refused(given: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="outline"):
        Outline.of(UNIT, given)


def test_what_no_plane_holds_has_no_hull() -> None:
    with pytest.raises(ValueError, match="90 degrees or more"):
        hull([((0.0, 1.0, 0.5), (0.0, 0.0, 1.0)), ((10.0, 180.0, 11.0), (0.0, 0.0, 1.0))])
