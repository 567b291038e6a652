"""Blends are divided, wings and noise are not, and what is divided is whole."""

import time

import numpy as np
import pytest
import sep

from spica.kernels.clean import clean
from spica.kernels.compiled import Float32, Float64, Numbers
from spica.kernels.deblend import LARGEST, deblend
from spica.kernels.detect import Segments, find_segments
from tests.kernels.sky import gaussian_star

SHAPE = (120, 140)


def find(image: Numbers, threshold: float = 3.0, min_area: int = 3, fwhm: float = 0.1) -> Segments:
    return find_segments(image, 0 * image, np.ones(image.shape), fwhm, threshold, min_area=min_area)


def moffat(shape: tuple[int, int], x: float, y: float, peak: float, scale: float = 2.5, beta: float = 3.0) -> Float64:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(peak * (1 + ((columns - x) ** 2 + (rows - y) ** 2) / scale**2) ** -beta)


def blend(separation: float, ratio: float = 1.0) -> Float64:
    left = gaussian_star(SHAPE, 60.0, 60.0, 20000.0, 4.0)
    return left + gaussian_star(SHAPE, 60.0 + separation, 61.0, 20000.0 * ratio, 4.0)


@pytest.mark.parametrize(("separation", "ratio", "parts"), [(6, 1.0, 2), (7, 0.2, 2), (2, 1.0, 1), (8, 0.002, 1)])
def test_two_stars_are_two_where_there_is_a_saddle(separation: float, ratio: float, parts: int) -> None:
    found = find(blend(separation, ratio))
    assert found.count == 1
    divided = deblend(found, rise=0.0)
    assert divided.count == parts
    assert divided.blended.all() == (parts > 1)


def test_nothing_is_lost_and_the_order_is_that_of_first_pixels() -> None:
    rng = np.random.default_rng(3)
    image = np.zeros(SHAPE)
    for x, y, flux in rng.uniform((10, 10, 500), (110, 110, 40000), (60, 3)):
        image += gaussian_star(SHAPE, x, y, flux, 4.0)
    found = find(image)
    divided = deblend(found)
    assert 5 < found.count < divided.count
    np.testing.assert_array_equal(np.sort(divided.pixels), np.sort(found.pixels))
    snr = dict(zip(found.pixels.tolist(), found.values.tolist(), strict=True))
    assert [snr[p] for p in divided.pixels.tolist()] == divided.values.tolist()
    assert np.all(np.diff(divided.pixels[divided.start[:-1]]) > 0)
    assert all(np.all(np.diff(part) > 0) for part in np.split(divided.pixels, divided.start[1:-1]))
    # Each part is connected to its own peak and divided sets have no single parts.
    whole, labels = found.labels(), divided.labels()
    for k in np.flatnonzero(divided.blended):
        assert len(np.unique(labels[whole == whole[labels == k + 1][0]])) > 1


def test_a_crowd_is_told_apart_like_its_pairs() -> None:
    """What joins a hundred stars to one set, a glow that all stand upon, changes nothing about any two of them."""
    rng = np.random.default_rng(8)
    places = [(x + rng.uniform(-2, 2), y + rng.uniform(-2, 2)) for x in range(12, 128, 11) for y in range(12, 108, 11)]
    image = np.zeros(SHAPE)
    for number, (x, y) in enumerate(places):
        # One of ten is a hundred times brighter than the faintest: all together make one of these look like nothing.
        image += gaussian_star(SHAPE, x, y, 2000.0 * (100.0 if number % 10 == 0 else rng.uniform(1, 5)), 3.0)
    glow = find(image + 5.0)
    assert glow.count == 1
    divided = deblend(glow)
    rows, columns = np.divmod(divided.pixels, SHAPE[1])
    peaks = [
        (columns[a:b][divided.values[a:b].argmax()], rows[a:b][divided.values[a:b].argmax()])
        for a, b in zip(divided.start[:-1], divided.start[1:], strict=True)
    ]
    near = [min(np.hypot(x - u, y - v) for u, v in peaks) < 1.5 for x, y in places]
    assert np.mean(near) > 0.9
    assert divided.count <= len(places)


def test_pixels_go_to_the_profile_that_is_brighter_there() -> None:
    image = blend(9.0)
    divided = deblend(find(image))
    labels = divided.labels()
    first, second = labels[60, 60], labels[61, 69]
    assert {first, second} == {1, 2}
    # Symmetric stars share the plane between them along its middle.
    rows, columns = np.nonzero(labels)
    nearer = (columns - 60.0) ** 2 + (rows - 60.0) ** 2 < (columns - 69.0) ** 2 + (rows - 61.0) ** 2
    assert np.mean((labels[rows, columns] == first) == nearer) > 0.97


def test_scaling_and_transposition_change_nothing() -> None:
    rng = np.random.default_rng(4)
    image = blend(8.0, 0.4) + rng.normal(0, 1, SHAPE)
    one = deblend(find(image))
    turned = deblend(find(image.T))
    assert one.count == turned.count
    assert np.mean((one.labels() > 0) == (turned.labels().T > 0)) == 1.0
    areas = sorted(np.diff(one.start).tolist())
    assert areas == pytest.approx(sorted(np.diff(turned.start).tolist()), abs=2)


def test_noise_on_a_bright_source_makes_no_sources() -> None:
    rng = np.random.default_rng(5)
    light = moffat((200, 200), 100.0, 100.0, 4000.0, 12.0, 2.0) + gaussian_star((200, 200), 120.0, 100.0, 9000.0, 4.0)
    variance = 1.0 + light
    image = light + rng.normal(0.0, np.sqrt(variance))
    found = find(image, 5.0, fwhm=3.0)
    known = deblend(found, (variance, np.ones_like(variance)), contrast=1e-6, rise=4.0)
    # The noise of the sky alone would make peaks of the source's own photons.
    assert deblend(found, contrast=1e-6, rise=4.0).count > known.count
    assert np.count_nonzero(known.labels()[95:105, 115:125]) > 0
    parts = set(known.labels()[100, [100, 120]].tolist())
    assert len(parts) == 2


def test_it_finds_what_sep_finds_on_a_real_frame(real_image: Float32) -> None:
    back = sep.Background(real_image)
    image = (real_image - back.back()) / np.float32(back.globalrms)
    for threshold in (1.5, 3.0):
        found = find(image, threshold, 5)
        # The same rule: no noise, 32 levels.
        ours = deblend(found, levels=32, contrast=0.005, rise=0.0, min_area=5)
        peer = sep.extract(image, threshold, minarea=5, filter_kernel=None, deblend_cont=0.005, clean=False)
        assert ours.count == pytest.approx(len(peer), rel=0.08)
        labels = ours.labels()
        owners = labels[peer["ypeak"], peer["xpeak"]]
        assert len(set(owners.tolist())) >= 0.93 * len(peer)


def test_a_whole_frame_of_light_is_bounded_in_time() -> None:
    rng = np.random.default_rng(6)
    image = 100.0 + 10.0 * rng.normal(0.0, 1.0, (700, 700)).astype(np.float32)
    found = find(image, 1.0)
    assert found.count == 1
    deblend(found)
    began = time.process_time()
    divided = deblend(found, contrast=0.0, rise=0.0)
    assert time.process_time() - began < 5.0
    assert 100 < divided.count < found.pixels.size // 3
    assert found.pixels.size < LARGEST


def test_wings_swallow_noise_and_leave_stars() -> None:
    star = moffat((160, 160), 80.0, 80.0, 20000.0)
    image = star.copy()
    # Just above the threshold only because of the wing that it lies on.
    image[92:94, 79:81] += 4.2
    image += gaussian_star(star.shape, 110.0, 80.0, 900.0, 3.0)
    found = deblend(find(image, 5.0), contrast=0.0, rise=0.0)
    kept = clean(found, 5.0, beta=2.0)
    labels = kept.labels()
    assert kept.count < found.count
    assert np.sort(kept.pixels).tolist() == np.sort(found.pixels).tolist()
    assert labels[80, 110] not in (0, labels[80, 80])
    assert labels[92, 79] == labels[80, 80]
    # Without a brighter neighbour everything stays.
    alone = find(gaussian_star((60, 60), 30.0, 30.0, 900.0, 3.0), 5.0)
    assert clean(alone, 5.0).count == 1
    none = find(np.zeros((9, 9)))
    assert (clean(none, 5.0).count, deblend(none).count) == (0, 0)
