"""Cross-identification: who belongs together, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest

from spica.kernels.associate import friends, unit_vectors


def sky(
    seed: int = 1, sources: int = 400, images: int = 6, centre: tuple[float, float] = (10.0, 20.0)
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sources some 20 arc seconds apart, seen in most images with an error of 0.05 arc seconds."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(sources))
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) * 20.0
    grid = grid + rng.uniform(-5, 5, grid.shape)
    source, image = np.repeat(np.arange(len(grid)), images), np.tile(np.arange(images), len(grid))
    seen = rng.uniform(size=source.size) < 0.8
    source, image = source[seen], image[seen]
    place = (grid[source] + 0.05 * rng.normal(size=(source.size, 2))) / 3600.0
    dec = centre[1] + place[:, 1]
    return (centre[0] + place[:, 0] / np.cos(np.radians(dec))) % 360.0, dec, image, source


def same_partition(one: np.ndarray, two: np.ndarray) -> bool:
    pairs = np.unique(np.stack([one, two]), axis=1)
    return bool(np.unique(pairs[0]).size == pairs.shape[1] == np.unique(pairs[1]).size)


@pytest.mark.parametrize("centre", [(10.0, 20.0), (359.98, -45.0), (0.0, 88.5)])
def test_each_source_is_a_group(centre: tuple[float, float]) -> None:
    ra, dec, image, source = sky(centre=centre)
    groups = friends(ra, dec, image, 1.0)
    assert same_partition(groups.group, source)
    assert groups.count == np.unique(source).size
    assert not groups.blended.any()
    assert (np.diff(np.unique(groups.group)) == 1).all()


def test_the_order_of_detections_does_not_matter() -> None:
    ra, dec, image, _ = sky()
    order = np.random.default_rng(2).permutation(ra.size)
    one, two = friends(ra, dec, image, 1.0), friends(ra[order], dec[order], image[order], 1.0)
    assert same_partition(one.group[order], two.group)


def test_two_detections_of_one_image_are_never_of_one_source() -> None:
    """Pairs of stars 0.7 arc seconds apart, within the linking length, come apart where each is seen by itself."""
    ra, dec, image, source = sky(images=5)
    both = np.r_[ra, ra], np.r_[dec, dec + 0.7 / 3600.0], np.r_[image, image]
    groups = friends(*both, 1.0)
    kept = groups.group >= 0
    pair = groups.group[kept] * 100 + both[2][kept]
    assert np.unique(pair).size == pair.size
    assert same_partition(groups.group, np.r_[source, source + 10_000])


def test_what_cannot_be_told_apart_is_left_over() -> None:
    ra, dec = np.full(3, 50.0), np.array([10.0, 10.0 + 1e-6 / 3600, 10.0])
    groups = friends(ra, dec, np.array([0, 0, 1]), 1.0)
    assert groups.blended.sum() == 1
    assert groups.blended[:2].any()
    assert groups.count == 1


def test_nothing_gives_nothing() -> None:
    nothing = np.empty(0)
    groups = friends(nothing, nothing, np.empty(0, np.int64), 1.0)
    assert groups.count == 0


def test_unit_vectors_have_unit_length() -> None:
    vectors = unit_vectors([0.0, 123.0, 359.0], [-90.0, 12.0, 89.9])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
