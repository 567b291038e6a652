"""Altitude and airmass against astropy's full treatment."""

from __future__ import annotations

import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord

from spica.core.camera import Site
from spica.instruments.offline import Time
from spica.instruments.sky import airmass, altitude, sidereal_time

SITES = [
    Site(name="south", longitude=-70.8, latitude=-30.2, height=2200.0),
    Site(name="north", longitude=204.5, latitude=19.8, height=4200.0),
]


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
@pytest.mark.parametrize("mjd", [51544.7, 57000.123, 60500.9])
@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (83.6, 22.0), (201.0, -43.0), (310.0, 60.0)])
def test_altitude_agrees_with_astropy(site: Site, mjd: float, ra: float, dec: float) -> None:
    place = EarthLocation.from_geodetic(site.longitude * u.deg, site.latitude * u.deg, site.height * u.m)
    frame = AltAz(obstime=Time(mjd, format="mjd", scale="utc"), location=place)
    expected = SkyCoord(ra * u.deg, dec * u.deg).transform_to(frame).alt.deg
    assert altitude(site, mjd, ra, dec) == pytest.approx(expected, abs=0.02)


def test_sidereal_time_agrees_with_astropy() -> None:
    time = Time(60500.25, format="mjd", scale="utc")
    assert sidereal_time(60500.25) == pytest.approx(time.sidereal_time("mean", "greenwich").deg, abs=0.01)


def test_a_star_at_the_zenith() -> None:
    site, mjd = SITES[0], 60500.3
    overhead = (sidereal_time(mjd) + site.longitude) % 360
    assert altitude(site, mjd, overhead, site.latitude) > 89.5
    assert airmass(90.0) == 1.0


def test_airmass_is_the_secant_high_up_and_finite_at_the_horizon() -> None:
    assert airmass(30.0) == pytest.approx(1.995, abs=0.003)
    assert airmass(0.0) == pytest.approx(38.0, abs=1.0)
    values = [airmass(float(height)) for height in range(91)]
    assert values == sorted(values, reverse=True)
