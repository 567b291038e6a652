"""Smaller detectors: the same read-out with fewer pixels."""

import pytest

from spica.core.camera import Camera
from spica.instruments import tables
from spica.simulate.cameras import as_toml
from spica.simulate.crop import crop


def test_demo_sections_shrink_together(demo: Camera) -> None:
    small = crop(demo, (100, 80))
    a, b = small.detectors[0].amplifiers
    assert (a.prescan, a.data, a.overscan, a.detector) == (
        (0, 16, 0, 80),
        (16, 66, 0, 80),
        (66, 98, 0, 80),
        (0, 50, 0, 80),
    )
    assert (b.prescan, b.data, b.overscan) == ((98, 114, 0, 80), (114, 164, 0, 80), (164, 196, 0, 80))
    assert b.flip_x


@pytest.mark.parametrize("name", [name for name in tables.names() if name not in {"lco", "sdss"}])
def test_every_camera_shrinks_without_holes(name: str) -> None:
    small = crop(tables.load(name), (120, 96))
    for spec in small.detectors:
        covered = sum((a.detector[1] - a.detector[0]) * (a.detector[3] - a.detector[2]) for a in spec.amplifiers)
        assert covered == spec.nx * spec.ny == 120 * 96
        for amp in spec.amplifiers:
            for section in (amp.overscan, amp.prescan):
                assert section is None or (section[0] < section[1] and section[2] < section[3])


def test_full_size_is_the_camera_itself(demo: Camera) -> None:
    assert crop(demo, None) == demo
    assert crop(demo, (512, 512)) == demo
    assert crop(demo, (5000, 5000)) == demo


def test_gaps_stay_in_proportion(demo: Camera) -> None:
    small = crop(demo, (128, 128))
    assert small.detectors[0].x_mm == pytest.approx(demo.detectors[0].x_mm / 4)


def test_detectors_are_chosen(demo: Camera) -> None:
    assert [spec.id for spec in crop(demo, None, (3, 1)).detectors] == [1, 3]
    with pytest.raises(KeyError):
        crop(demo, None, (77,))


@pytest.mark.parametrize("name", tables.names())
def test_toml_gives_the_camera_back(name: str) -> None:
    camera = tables.load(name)
    assert tables.load_text(as_toml(camera), name) == camera
