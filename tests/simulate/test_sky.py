"""The sky and the night: counts, motions, light curves, times."""

import numpy as np
import pytest

from spica.core.camera import Camera
from spica.core.records import FrameType
from spica.instruments import tables
from spica.instruments.times import night_of
from spica.simulate.schedule import fields, schedule
from spica.simulate.settings import Effects, SimulationSettings
from spica.simulate.sky import EPOCH, KINDS, Finder, Sky, magnitude, place, sky

RICH = SimulationSettings(density=20000.0, variable_fraction=0.2, exposures=1)


@pytest.fixture(scope="module")
def heavens() -> Sky:
    return sky(RICH, tables.load("demo"))


def test_counts_follow_the_law(heavens: Sky) -> None:
    mag = heavens.mags["g"][heavens.kind < KINDS.index("transient")]
    bright, faint = (np.sum((mag > m) & (mag < m + 1)) for m in (20.0, 22.0))
    assert np.log10(faint / bright) == pytest.approx(2 * RICH.slope, abs=0.05)
    assert mag.min() >= RICH.mag_bright
    assert mag.max() <= RICH.mag_faint
    stars = np.mean(heavens.kind == KINDS.index("star"))
    assert stars == pytest.approx(RICH.star_fraction, abs=0.02)


def test_density_is_the_one_ordered(heavens: Sky, demo: Camera) -> None:
    area = np.ptp(heavens.dec) * np.ptp(heavens.ra) * np.cos(np.radians(np.mean(heavens.dec)))
    assert len(heavens) / (area * (3600 / demo.pixel_scale) ** 2 / 1e6) == pytest.approx(RICH.density, rel=0.03)


def test_stars_move_by_their_proper_motion(heavens: Sky) -> None:
    star = int(np.argmax(np.abs(heavens.pm_ra)))
    ra, dec = place(heavens, EPOCH + 10 * 365.25)
    east = (ra[star] - heavens.ra[star]) * np.cos(np.radians(heavens.dec[star])) * 3.6e6
    assert east == pytest.approx(10 * heavens.pm_ra[star], rel=1e-6)
    assert (dec[star] - heavens.dec[star]) * 3.6e6 == pytest.approx(10 * heavens.pm_dec[star], rel=1e-6)


def test_movers_move_by_their_rate(heavens: Sky) -> None:
    movers = np.flatnonzero(heavens.kind == KINDS.index("mover"))
    assert movers.size == RICH.movers_per_field
    start = heavens.start[movers[0]]
    (_, before), (_, after) = place(heavens, start), place(heavens, start + 2 / 24)
    np.testing.assert_allclose((after - before)[movers] * 3600, 2 * heavens.rate_dec[movers], rtol=1e-6)
    assert np.all(np.hypot(heavens.rate_ra, heavens.rate_dec)[movers] >= 10)


def test_only_variables_and_transients_change(heavens: Sky) -> None:
    times = 61365.0 + np.linspace(0, 3, 40)
    curves = np.array([magnitude(heavens, "r", mjd) for mjd in times])
    constant = (heavens.amplitude == 0) & (heavens.kind != KINDS.index("transient"))
    assert np.all(np.ptp(curves[:, constant], axis=0) == 0)
    variable = heavens.amplitude > 0
    swing = np.ptp(curves[:, variable], axis=0)
    assert np.all(swing <= 2 * heavens.amplitude[variable] + 1e-9)
    quick = heavens.period[variable] < 1
    assert np.median((swing / heavens.amplitude[variable])[quick]) > 1.5


def test_transients_rise_and_decline(heavens: Sky) -> None:
    transient = np.flatnonzero(heavens.kind == KINDS.index("transient"))[0]
    peak = heavens.start[transient]
    mags = [magnitude(heavens, "r", peak + days)[transient] for days in (-3.5, -1.0, 0.0, 10.0, 30.0)]
    assert np.isinf(mags[0])
    assert mags[2] == heavens.mags["r"][transient] < mags[1]
    assert mags[2] < mags[3] < mags[4]


def test_finder_finds_what_is_near(heavens: Sky) -> None:
    ra, dec = float(np.median(heavens.ra)), float(np.median(heavens.dec))
    found = Finder.of(heavens).near(heavens, ra, dec, 0.01)
    away = np.hypot((heavens.ra - ra) * np.cos(np.radians(dec)), heavens.dec - dec)
    assert np.all(np.isin(np.flatnonzero(away < 0.01), found))
    assert found.size < 0.2 * len(heavens)
    assert np.all(np.diff(found) > 0)


def test_effects_switch_their_sources_off(demo: Camera) -> None:
    quiet = sky(RICH.model_copy(update={"effects": Effects.none(), "density": 500.0}), demo)
    assert set(quiet.kind.tolist()) == {0, 1}
    assert not quiet.amplitude.any()


@pytest.mark.parametrize("name", ["demo", "hsc", "huntsman", "imsim", "sinistro"])
def test_nights_are_the_cameras(name: str) -> None:
    camera = tables.load(name)
    order = SimulationSettings(nights=("2026-11-20", "2027-06-01"), exposures=2, rotations=(0.0, 90.0))
    shots = schedule(order, camera)
    assert {shot.night for shot in shots} == set(order.nights)
    assert all(night_of(camera, shot.mjd_tai) == shot.night for shot in shots)
    assert [shot.sequence for shot in shots] == list(range(1, len(shots) + 1))
    ends = [shot.mjd_utc + shot.exposure_time / 86400 for shot in shots]
    assert all(shot.mjd_utc >= end for shot, end in zip(shots[1:], ends, strict=False))
    first = [shot for shot in shots if shot.frame_type is FrameType.OBJECT and shot.night == order.nights[0]]
    assert all(shot.airmass is not None and shot.airmass < 2 for shot in first)
    assert len({shot.rotation for shot in first}) == 2


def test_zero_point_holds_airmass_and_clouds(demo: Camera) -> None:
    shots = [shot for shot in schedule(SimulationSettings(), demo) if shot.frame_type is FrameType.OBJECT]
    for shot in shots:
        spec, sky_ = demo.band(shot.band), shot.conditions
        assert shot.airmass is not None
        assert sky_.zero_point == pytest.approx(
            spec.zero_point - spec.extinction * (shot.airmass - 1) - sky_.clouds, abs=1e-9
        )
    still = SimulationSettings(effects=Effects.none())
    calm = [shot for shot in schedule(still, demo) if shot.frame_type is FrameType.OBJECT]
    assert all(shot.conditions.true_pointing == (shot.ra, shot.dec, shot.rotation) for shot in calm)
    assert all(shot.conditions.clouds == 0 for shot in calm)
    # Switching effects off leaves the other draws as they were.
    assert [shot.conditions.seeing for shot in calm] == [shot.conditions.seeing for shot in shots]


def test_fields_ordered_are_taken(demo: Camera) -> None:
    order = SimulationSettings(fields=((60.0, -30.0), (70.0, -20.0)), exposures=3, dither=0.1)
    assert fields(order, demo) == order.fields
    science = [shot for shot in schedule(order, demo) if shot.frame_type is FrameType.OBJECT]
    assert {shot.field for shot in science} == {"F001", "F002"}
    assert len({(shot.ra, shot.dec) for shot in science}) == 6
