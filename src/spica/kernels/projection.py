"""Projections of tiles: pixels of a flat image to the sky and back, without distortion, in plain numpy.

Every projection is seen from its reference point: the unit vector of a place has there the parts `east`, `north` and
`depth` (towards the point), and the projection makes of it plane coordinates ξ, η [degree] (Calabretta & Greisen 2002, A&A
395, 1077, section 5). That holds for the cylindrical ones too, with the default pole: north is up at the reference point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spica.kernels.wcs_cards import linear_part

Float64 = npt.NDArray[np.float64]
Vector = tuple[Float64, Float64, Float64]

ZENITHAL = ("TAN", "SIN", "STG", "ZEA", "ARC")
OTHERS = ("MER", "CAR", "CEA", "AIT")
CODES = ZENITHAL + OTHERS
"""Projections that are known."""


@dataclass(frozen=True, eq=False)
class Projection:
    """A projection of the sky onto pixels.

    Attributes
    ----------
    code : one of `CODES`.
    crval : (2,) right ascension and declination of the reference point [degree].
    crpix : (2,) its pixel x, y, 0-based.
    cd : (2, 2) [degree/pixel], rows: ξ (east), η (north); columns: x, y.
    """

    code: str
    crval: Float64
    crpix: Float64
    cd: Float64

    def pixel_to_sky(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Right ascension in [0, 360) and declination [degree] of pixels (0-based); NaN outside of the sky's image."""
        east, north, depth = self._vector(x, y)
        dec0 = np.radians(self.crval[1])
        high = north * np.cos(dec0) + depth * np.sin(dec0)
        out = depth * np.cos(dec0) - north * np.sin(dec0)
        ra = np.mod(self.crval[0] + np.degrees(np.arctan2(east, out)), 360.0)
        # A tiny negative angle becomes 360 itself by rounding.
        return np.where(ra == 360.0, 0.0, ra), np.degrees(np.arctan2(high, np.hypot(east, out)))

    def sky_to_pixel(self, ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Pixels (0-based) of sky positions [degree], in their common shape; NaN where a position has no image."""
        turn = np.radians(np.asarray(ra, np.float64) - self.crval[0])
        high, dec0 = np.radians(np.asarray(dec, np.float64)), np.radians(self.crval[1])
        half = np.sin(0.5 * turn)
        # sin(dec - dec0) + … keeps the digits that sin cos - cos sin would lose near the reference point.
        north = np.sin(high - dec0) + 2.0 * np.sin(dec0) * np.cos(high) * half * half
        depth = np.sin(dec0) * np.sin(high) + np.cos(dec0) * np.cos(high) * np.cos(turn)
        xi, eta = _flatten(self.code, (np.cos(high) * np.sin(turn), north, depth))
        back = np.linalg.inv(self.cd)
        return (
            self.crpix[0] + back[0, 0] * xi + back[0, 1] * eta,
            self.crpix[1] + back[1, 0] * xi + back[1, 1] * eta,
        )

    def pixel_area(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Float64:
        """Solid angle of pixels [degree²]; NaN outside of the sky's image."""
        east, north, depth = self._vector(x, y)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.code == "TAN":
                part = depth**3
            elif self.code == "SIN":
                part = 1.0 / depth
            elif self.code == "STG":
                part = (0.5 * (1.0 + depth)) ** 2
            elif self.code == "ARC":
                away = np.arctan2(np.hypot(east, north), depth)
                part = np.where(away > 0.0, np.sin(away) / np.where(away > 0.0, away, 1.0), 1.0 + 0.0 * away)
            elif self.code in {"MER", "CAR"}:
                part = np.sqrt(np.maximum(1.0 - north**2, 0.0)) ** (2 if self.code == "MER" else 1)
            else:
                part = 1.0 + 0.0 * depth
        return np.asarray(abs(np.linalg.det(self.cd)) * part)

    def cards(self) -> dict[str, str | int | float]:
        """Header cards that say the same."""
        first = self.code in ZENITHAL or self.crval[1] < 0.0
        return {
            "WCSAXES": 2,
            "CTYPE1": f"RA---{self.code}",
            "CTYPE2": f"DEC--{self.code}",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRVAL1": float(self.crval[0]),
            "CRVAL2": float(self.crval[1]),
            "CRPIX1": float(self.crpix[0]) + 1.0,
            "CRPIX2": float(self.crpix[1]) + 1.0,
            **{f"CD{i + 1}_{j + 1}": float(self.cd[i, j]) for i in (0, 1) for j in (0, 1)},
            "LONPOLE": 180.0 if first else 0.0,
            **({} if self.code in ZENITHAL else {"LATPOLE": 90.0}),
            "RADESYS": "ICRS",
        }

    def _vector(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Vector:
        u, v = np.asarray(x, np.float64) - self.crpix[0], np.asarray(y, np.float64) - self.crpix[1]
        return _raise(self.code, *(np.radians(row[0] * u + row[1] * v) for row in self.cd))


def projection(cards: Mapping[str, object]) -> Projection:
    """The projection of header cards.

    Raises
    ------
    ValueError
        For a projection that is not among `CODES`, distortion, another pole than the default, missing cards.
    """
    lonpole = cards.get("LONPOLE")
    told = {key: value for key, value in cards.items() if key != "LONPOLE"}
    code, order = str(cards.get("CTYPE1", ""))[5:8], {"D": (2, 1)}.get(str(cards.get("CTYPE1", ""))[:1], (1, 2))
    if code in OTHERS:
        told["LONPOLE"] = 180.0
    elif lonpole is not None:
        told["LONPOLE"] = lonpole
    code, crval, crpix, cd, _ = linear_part(told, CODES)
    bent = [key for key in cards if key in {"A_ORDER", "B_ORDER"} or key.startswith(f"PV{order[1]}_")]
    bent = [key for key in bent if cards[key] != 0 and not (code == "CEA" and cards[key] == 1.0)]
    if bent:
        raise ValueError(f"a {code} projection with {', '.join(bent)} is not a plain one")
    if code in OTHERS:
        usual = 0.0 if crval[1] >= 0.0 else 180.0
        if cards.get("LONPOLE", usual) != usual or cards.get("LATPOLE", 90.0) not in {90.0, 0.0, float(crval[1])}:
            raise ValueError(f"a {code} projection with another pole than LONPOLE {usual}, LATPOLE 90")
    if not np.isfinite([*crval, *crpix, *cd.ravel()]).all() or np.linalg.det(cd) == 0.0:
        raise ValueError(f"crval {crval}, crpix {crpix}, CD {cd.tolist()} make no projection")
    return Projection(code, crval, crpix, cd)


def _flatten(code: str, vector: Vector) -> tuple[Float64, Float64]:
    """Plane coordinates [degree] of a unit vector; NaN where it has no image."""
    east, north, depth = vector
    if code in OTHERS:
        lon, lat = np.arctan2(east, depth), np.arctan2(north, np.hypot(east, depth))
        if code == "MER":
            with np.errstate(divide="ignore"):
                height = np.arctanh(np.sin(lat))
            lat = np.where(np.isfinite(height), height, np.nan)
        elif code == "CEA":
            lat = np.sin(lat)
        elif code == "AIT":
            stretch = np.sqrt(2.0 / (1.0 + np.cos(lat) * np.cos(0.5 * lon)))
            lon, lat = 2.0 * stretch * np.cos(lat) * np.sin(0.5 * lon), stretch * np.sin(lat)
        return np.degrees(lon), np.degrees(lat)
    aside = np.hypot(east, north)
    with np.errstate(divide="ignore", invalid="ignore"):
        if code == "TAN":
            scale = np.where(depth > 0.0, 1.0 / depth, np.nan)
        elif code == "SIN":
            scale = np.where(depth >= 0.0, 1.0, np.nan)
        elif code == "STG":
            scale = np.where(depth > -1.0, 2.0 / (1.0 + depth), np.nan)
        elif code == "ZEA":
            scale = np.where(depth > -1.0, np.sqrt(2.0 / (1.0 + depth)), np.nan)
        else:
            scale = np.where(aside > 0.0, np.arctan2(aside, depth) / aside, np.where(depth > 0.0, 1.0, np.nan))
    return np.degrees(east * scale), np.degrees(north * scale)


def _raise(code: str, xi: Float64, eta: Float64) -> Vector:
    """Unit vector of plane coordinates [radian]; NaN outside of the sky's image."""
    with np.errstate(invalid="ignore"):
        if code in OTHERS:
            lon, lat = _lonlat(code, xi, eta)
            lost = ~((np.abs(lon) <= np.pi + 1e-12) & (np.abs(lat) <= np.pi / 2 + 1e-12))
            lat = np.where(lost, np.nan, lat)
            return np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)
        radius = np.hypot(xi, eta)
        if code == "TAN":
            depth = 1.0 / np.hypot(1.0, radius)
            return xi * depth, eta * depth, depth
        if code == "SIN":
            return xi + 0.0 * eta, eta + 0.0 * xi, np.sqrt(1.0 - radius**2)
        if code == "STG":
            depth = (4.0 - radius**2) / (4.0 + radius**2)
            scale = 0.5 * (1.0 + depth)
        elif code == "ZEA":
            depth = 1.0 - 0.5 * radius**2
            scale = np.sqrt(1.0 - 0.25 * radius**2)
        else:
            radius = np.where(radius <= np.pi, radius, np.nan)
            depth, scale = np.cos(radius), np.sinc(radius / np.pi)
    return xi * scale, eta * scale, depth


def _lonlat(code: str, xi: Float64, eta: Float64) -> tuple[Float64, Float64]:
    """Longitude and latitude [radian] about the reference point of plane coordinates [radian]."""
    if code == "MER":
        return xi, np.arctan(np.sinh(eta))
    if code == "CEA":
        return xi, np.arcsin(eta)
    if code == "AIT":
        inside = 1.0 - (xi / 4.0) ** 2 - (eta / 2.0) ** 2
        z = np.sqrt(np.where(inside >= 0.5, inside, np.nan))
        return 2.0 * np.arctan2(0.5 * xi * z, 2.0 * z**2 - 1.0), np.arcsin(eta * z)
    return xi, eta
