"""Pointings found without a header: asterisms against an index of a made-up sky, truth known; chance is refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from spica.kernels.blind import sight
from spica.kernels.finding import Judge
from spica.kernels.indexes import Float64, Index, Int64
from spica.kernels.tangent import tangent_deproject, tangent_project
from tests.kernels.sky import separation

SKY = 15000
"""Stars all over the sphere, of which those in patches make the sky."""
PATCH = 8.0
"""Radius of a patch [degree]."""
PLACES = (
    (0.1, 0.0),
    (211.0, 63.0),
    (75.0, 89.5),
    (301.0, -88.0),
    (120.0, 30.0),
    (90.0, -20.0),
    (200.0, -50.0),
    (300.0, 10.0),
)
"""Of the patches."""


@dataclass(eq=False)
class MadeIndex:
    """An index built here, star by star as the definition has it: `spica.kernels.indexes.Index`."""

    order: int
    sky: Float64
    smallest: float = 1.5
    largest: float = 2.7
    name: str = "made"

    def __post_init__(self) -> None:
        tree = cKDTree(self.sky)
        short, long = (2.0 * np.sin(0.5 * np.radians(size)) for size in (self.smallest, self.largest))
        codes, members = [], []
        for a, b in sorted(tree.query_pairs(long)):
            if np.linalg.norm(self.sky[a] - self.sky[b]) < short:
                continue
            middle = self.sky[a] + self.sky[b]
            middle /= np.linalg.norm(middle)
            near = np.array(tree.query_ball_point(middle, long))
            z = _plane(self.sky, middle)
            code = (1 + 1j) * np.conj((z - z[a]) / (z[b] - z[a]))
            inside = [k for k in near if k not in (a, b) and abs(code[k] - (0.5 + 0.5j)) < np.sqrt(0.5)]
            for group in combinations(inside, self.order - 2):
                ends, mine = (a, b), code[list(group)]
                if mine.real.mean() > 0.5:
                    ends, mine = (b, a), 1 + 1j - mine
                order = np.argsort(mine.real)
                codes.append(np.stack([mine.real, mine.imag], axis=1)[order].ravel())
                members.append([*ends, *np.array(group)[order]])
        self._members = np.array(members)
        self._codes = cKDTree(np.array(codes))
        self._tree = tree
        self.count = len(codes)

    @property
    def density(self) -> float:
        return float(SKY / (4.0 * np.pi * np.degrees(1.0) ** 2))

    def alike(self, codes: Float64, radius: Float64) -> tuple[Int64, Int64]:
        return _pairs(self._codes.query_ball_point(codes, radius, return_sorted=True))

    def members(self, asterisms: Int64) -> Int64:
        return np.asarray(self._members[asterisms])

    def directions(self, stars: Int64) -> Float64:
        return self.sky[stars]

    def near(self, directions: Float64, radius: Float64) -> tuple[Int64, Int64]:
        return _pairs(
            self._tree.query_ball_point(directions, 2.0 * np.sin(0.5 * np.radians(radius)), return_sorted=True)
        )

    def brightness(self, stars: Int64) -> Float64:
        return stars.astype(np.float64)


def _plane(sky: Float64, middle: Float64) -> np.ndarray:
    """ξ + iη about a direction."""
    east = np.cross([0.0, 0.0, 1.0], middle)
    east /= np.linalg.norm(east)
    return np.asarray((sky @ east + 1j * (sky @ np.cross(middle, east))) / (sky @ middle))


def _pairs(found: list[list[int]]) -> tuple[Int64, Int64]:
    one = np.repeat(np.arange(len(found)), [len(each) for each in found])
    return one, np.concatenate([np.array(each, np.int64) for each in found] or [np.zeros(0, np.int64)])


def _sky(seed: int) -> Float64:
    """Stars in the patches, unit vectors."""
    points = np.random.default_rng(seed).normal(size=(SKY, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    place = np.degrees(np.arctan2(points[:, 1], points[:, 0])), np.degrees(np.arcsin(points[:, 2]))
    return np.asarray(points[np.min([separation(*place, *each) for each in PLACES], axis=0) < PATCH])


@pytest.fixture(scope="module")
def skies() -> dict[int, MadeIndex]:
    return {order: MadeIndex(order, _sky(5)) for order in (3, 4)}


ERROR = 0.006
JUDGE = Judge(ERROR, 6.0, 5)


def field(
    sky: Float64, ra: float, dec: float, turn: complex, *, mirrored: bool, seed: int = 1
) -> tuple[np.ndarray, Float64, Float64]:
    """Stars within 5 degrees of a place, in a plane turned, scaled and mirrored; a fifth of them false, and errors.

    Returns places, and where on the sky they truly are (NaN: nowhere).
    """
    rng = np.random.default_rng(seed)
    place = np.degrees(np.arctan2(sky[:, 1], sky[:, 0])), np.degrees(np.arcsin(sky[:, 2]))
    near = separation(*place, ra, dec) < 5.0
    xi, eta = tangent_project(place[0][near], place[1][near], ra, dec)
    z = xi + 1j * eta + 0.5 * ERROR * (rng.normal(size=xi.size) + 1j * rng.normal(size=xi.size))
    number = z.size // 4
    false = 4.8 * np.sqrt(rng.random(number)) * np.exp(2j * np.pi * rng.random(number))
    order = rng.permutation(z.size + number)
    seen = np.concatenate([z, false])[order] / turn
    ra_true, dec_true = (np.concatenate([each[near], np.full(number, np.nan)])[order] for each in place)
    return np.asarray(np.conj(seen) if mirrored else seen), ra_true, dec_true


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize(
    ("ra", "dec", "angle", "scale", "mirrored"),
    [
        (0.1, 0.0, 0.0, 1.0, False),
        (211.0, 63.0, 200.0, 1.7, True),
        (75.0, 89.5, 77.0, 0.6, False),
        (301.0, -88.0, 300.0, 1.0, True),
    ],
)
def test_a_field_is_found_anywhere(
    skies: dict[int, MadeIndex], order: int, ra: float, dec: float, angle: float, scale: float, *, mirrored: bool
) -> None:
    turn = scale * np.exp(1j * np.radians(angle))
    stars, *true = field(skies[order].sky, ra, dec, turn, mirrored=mirrored)
    end = sight(stars, [skies[order]], (0.4, 2.5), JUDGE._replace(error=ERROR / scale))
    assert end.found is not None
    assert end.index == "made"
    made = end.found.alignment
    assert made.mirrored is mirrored
    assert made.scale == pytest.approx(scale, rel=2e-3)
    at = made.apply(stars)
    there = tangent_deproject(at.real, at.imag, made.ra, made.dec)
    assert float(np.nanmax(separation(*there, *true))) < 4.0 * ERROR


@pytest.mark.parametrize("order", [3, 4])
def test_another_sky_is_refused(skies: dict[int, MadeIndex], order: int) -> None:
    """Whatever is tried, chance is not taken for truth; how much was tried is told."""
    seen, hypotheses = 0, 0
    for seed in range(4):
        stars, *_ = field(_sky(70 + seed), *PLACES[4 + seed], 1.0, mirrored=False, seed=seed)
        end = sight(stars, [skies[order]], (0.8, 1.25), JUDGE)
        assert end.found is None
        seen += sum(one.asterisms for one in end.looked)
        hypotheses += end.hypotheses
        assert min(one.log_false for one in end.looked) > -JUDGE.confidence
    # Four stars are hardly ever alike by chance, three often are.
    assert seen > 0
    assert hypotheses > (100 if order == 3 else 0)


def test_any_scale_may_be_asked_for(skies: dict[int, MadeIndex]) -> None:
    """Hypotheses by which a field would be wider than half the sky are none."""
    stars, *_ = field(_sky(78), 90.0, -20.0, 1.0, mirrored=False)
    tiny = np.asarray(0.01 * stars, np.complex128)
    assert sight(tiny, [skies[3]], (1e-3, 1e4), JUDGE._replace(error=1e-5), most=3000).found is None
    stars, *_ = field(skies[3].sky, 120.0, 30.0, 1.0, mirrored=False)
    assert sight(stars, [skies[3]], (1e-3, 1e3), JUDGE).found is not None


def test_no_more_hypotheses_are_tested_than_allowed(skies: dict[int, MadeIndex]) -> None:
    stars, *_ = field(_sky(77), 90.0, -20.0, 1.0, mirrored=False)
    far = sight(stars, [skies[3]], (0.3, 3.0), JUDGE)
    near = sight(stars, [skies[3]], (0.3, 3.0), JUDGE, most=50)
    assert near.found is None
    assert near.hypotheses < far.hypotheses
    assert len(near.looked) < len(far.looked)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_too_few_stars_are_no_error(skies: dict[int, MadeIndex], number: int) -> None:
    places = np.arange(number, dtype=np.complex128) * (1.0 + 0.7j)
    assert sight(places, list(skies.values()), (0.5, 2.0), JUDGE).found is None


def test_a_scale_that_is_not_allowed_is_not_found(skies: dict[int, MadeIndex]) -> None:
    stars, *_ = field(skies[4].sky, 120.0, 30.0, 1.0, mirrored=False)
    assert sight(stars, [skies[4]], (0.9, 1.1), JUDGE).found is not None
    assert sight(stars, [skies[4]], (1.3, 2.0), JUDGE).found is None


def test_the_made_index_is_one(skies: dict[int, MadeIndex]) -> None:
    as_indexes: list[Index] = list(skies.values())
    assert all(index.count > 300 for index in as_indexes)
