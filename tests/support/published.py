"""Cutouts of DECam, Mosaic-3 and 90Prime frames beside what the Legacy Surveys published of them.

Published are a PSFEx model of each detector, its seeing and its zero point; the Gaia chunks beside them hold the stars. The zero
point `ccdzpt` is the magnitude of one unit of the image per second, fitted with that PSF model: for DECam a unit is an ADU of
the Community Pipeline's image, which is for the whole exposure; for Mosaic-3 and 90Prime an electron, and their images are per second
already (`scale_image` and `zeropoint` in legacyzpts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from scipy import ndimage, optimize

from spica.core.psf import polynomial_terms
from spica.kernels.wcs import sky_to_pixel
from spica.kernels.wcs_cards import from_cards

FOLDERS = ("legacy_mzlsbass2", "legacy_testcase6", "legacy_testcase8", "legacy_testcase9")
RELATIONS: Mapping[str, tuple[float, ...]] = {
    "decam g": (
        *(-0.1178631039, 0.3650113495, 0.5608615360, -0.2850687702, -1.0243473939, 1.4378375491, 0.0679401731),
        *(-1.1713172509, 0.9107811975, -0.3374324004, 0.0683946390, -0.0073089582, 0.0003230170),
    ),
    "decam r": (
        *(0.1139078673, -0.2868955307, 0.0013196434, 0.1029151074, 0.1196710702, -0.3729031390, 0.1859874242),
        *(0.1370162451, -0.1808580848, 0.0803219195, -0.0180218196, 0.0020584707, -0.0000953486),
    ),
    "decam z": (
        *(0.4811198057, -0.9990015041, 0.1403990019, 0.2150988888, -0.2917655866, 0.1326831887, -0.0259205004),
        0.0018548776,
    ),
    "bass g": (
        *(-0.1299895823, 0.3120393968, 0.5989482686, 0.3125882487, -1.9401592247, 1.1011670449, 2.0741304659),
        *(-3.3930306403, 2.1857291197, -0.7674676232, 0.1542300648, -0.0167007725, 0.0007573720),
    ),
    "bass r": (
        *(0.0901464643, -0.2463711147, 0.0094963025, -0.1187138789, 0.4131107392, -0.1832183301, -0.6015486252),
        *(0.9802538471, -0.6613809948, 0.2426395251, -0.0505867727, 0.0056462458, -0.0002625789),
    ),
    "bass z": (
        *(0.4862049092, -1.0278704657, 0.1220984456, 0.3000129189, -0.3770662617, 0.1696090596, -0.0331679127),
        0.0023867628,
    ),
}
"""Band minus Gaia's G as polynomials of BP - RP, -0.6 to 4.1 (R. Zhou 2020, in legacypipe's gaiacat.py; no scatter is stated there)."""


@dataclass(frozen=True)
class Cutout:
    """A cutout and what is published of its detector.

    Attributes
    ----------
    rate, weight : image per second of the exposure, and inverse variance of its pixels; 0 where the mask says something.
    psf : `(terms, n, n)` samples at the detector's pixels; `centre`, `scale` of its polynomial [pixel, 0-based].
    corner : the cutout's first pixel on the detector.
    fwhm : published [pixel]; `zero` published zero point, `zero_rms` of single stars about it, `zero_stars` their number.
    """

    name: str
    camera: str
    band: str
    exptime: float
    year: float
    header: Mapping[str, Any]
    rate: np.ndarray
    weight: np.ndarray
    psf: np.ndarray
    centre: tuple[float, float]
    scale: tuple[float, float]
    corner: tuple[float, float]
    fwhm: float
    zero: float
    zero_rms: float
    zero_stars: int

    def model(self, x: float, y: float) -> np.ndarray:
        """The published PSF at a pixel of the cutout, its sum 1."""
        u, v = ((at + self.corner[k] - self.centre[k]) / self.scale[k] for k, at in enumerate((x, y)))
        values = np.array([u**i * v**j for i, j in polynomial_terms(2)])
        made = np.tensordot(values, self.psf, 1)
        return np.asarray(made / made.sum())


def cutouts(data: Path) -> Iterator[Cutout]:
    """All of them, by name."""
    for folder in FOLDERS:
        ccds = Table.read(next((data / folder).glob("survey-ccds*")), hdu=1)
        for row in ccds:
            name = str(row["image_filename"]).strip().rpartition("/")[2].removesuffix(".fits")
            stem, _, chip = name.rpartition(".")
            models = [*(data / folder).glob(f"{stem}-{chip}-psfex.fits"), *(data / folder).glob(f"{stem}-psfex.fits")]
            table = next(made for made in (Table.read(path, hdu=1) for path in models) if "polzero1" in made.colnames)
            yield _cutout(data / folder, name, row, table[0])


def _cutout(folder: Path, name: str, row: Any, psf: Any) -> Cutout:
    (rate, header), (weight, _), (mask, _) = (
        _plane(folder / f"{name.replace('_ooi_', f'_{kind}_')}.fits") for kind in ("ooi", "oow", "ood")
    )
    camera = str(row["camera"]).strip()
    time = float(row["exptime"]) if camera == "decam" else 1.0
    good = (mask == 0) & np.isfinite(rate) & (weight > 0)
    return Cutout(
        name, camera, str(row["filter"]).strip(), float(row["exptime"]),
        2000.0 + (float(row["mjd_obs"]) - 51544.5) / 365.25, header,
        rate / time, np.where(good, weight * time**2, 0.0),
        np.asarray(psf["psf_mask"], float),
        (float(psf["polzero1"]) - 1.0, float(psf["polzero2"]) - 1.0), (float(psf["polscal1"]), float(psf["polscal2"])),
        (float(row["crpix1"]) - float(header["CRPIX1"]), float(row["crpix2"]) - float(header["CRPIX2"])),
        float(row["fwhm"]), float(row["ccdzpt"]), float(row["ccdphrms"]), int(row["ccdnphotom"]),
    )  # fmt: skip


def _plane(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Pixels and header of the first image in a file."""
    with fits.open(path) as hdus:
        hdu = next(hdu for hdu in hdus if hdu.data is not None)
        return np.asarray(hdu.data, float), dict(hdu.header)


def gaia(data: Path) -> Mapping[str, np.ndarray]:
    """Stars of all chunks that have a colour: places and proper motions of 2015.5, magnitudes."""
    tables = [Table.read(path, hdu=1) for folder in FOLDERS for path in sorted((data / folder).glob("chunk-*"))]
    names = ("ra", "dec", "pmra", "pmdec", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag")
    rows = {name: np.concatenate([np.asarray(table[name], float) for table in tables]) for name in names}
    colour = rows["phot_bp_mean_mag"] - rows["phot_rp_mean_mag"]
    kept = np.isfinite(colour) & (np.abs(colour - 1.75) < 2.35) & (rows["phot_g_mean_mag"] > 0)
    return {name: np.nan_to_num(values[kept]) for name, values in rows.items()}


@dataclass(frozen=True)
class Star:
    """A star fitted with the published PSF.

    Attributes
    ----------
    x, y : on the cutout [pixel]; `ra`, `dec` at the time of the exposure [degree]; `g` of Gaia; `colour` BP - RP.
    mag : in the band, by the relation; `fitted` by the published model and zero point.
    zero, error : the zero point that it tells, with the error of its flux alone [mag].
    peak : what of its peak the model leaves, rms over the pixels within one FWHM and in parts of the peak.
    noise : what noise alone leaves there.
    wide : its width over the model's: 1.0 for a star.
    """

    x: float
    y: float
    ra: float
    dec: float
    g: float
    colour: float
    mag: float
    fitted: float
    zero: float
    error: float
    peak: float
    noise: float
    wide: float

    @property
    def point(self) -> bool:
        """Whether it is as wide as the model, and bright enough for Gaia's colour to be good."""
        return bool(abs(self.wide - 1.0) < 0.1 and self.g < 20.0)


def stars(cutout: Cutout, known: Mapping[str, np.ndarray]) -> list[Star]:
    """Gaia's stars that lie wholly in a cutout, with no masked pixel nearer than a FWHM and a half."""
    years = cutout.year - 2015.5
    ra = known["ra"] + known["pmra"] * years / 3.6e6 / np.cos(np.radians(known["dec"]))
    dec = known["dec"] + known["pmdec"] * years / 3.6e6
    near = np.hypot((ra - cutout.header["CRVAL1"]) * np.cos(np.radians(dec)), dec - cutout.header["CRVAL2"]) < 3.0
    if not near.any():
        return []
    x, y = sky_to_pixel(from_cards(cutout.header), ra[near], dec[near])
    room = int(np.ceil(2.0 * cutout.fwhm))
    ny, nx = cutout.rate.shape
    inside = (x > room) & (y > room) & (x < nx - 1 - room) & (y < ny - 1 - room)
    found = []
    for at, row in zip(np.flatnonzero(inside), np.flatnonzero(near)[inside], strict=True):
        fitted = fit(cutout, float(x[at]), float(y[at]), room)
        if fitted is not None:
            rate, error, peak, noise, wide = fitted
            g, blue, red = (float(known[f"phot_{name}_mean_mag"][row]) for name in ("g", "bp", "rp"))
            colour = blue - red
            system = "decam" if cutout.camera == "decam" else "bass"
            mag = g + np.polynomial.polynomial.polyval(colour, RELATIONS[f"{system} {cutout.band}"])
            zero = float(mag + 2.5 * np.log10(rate))
            place = float(x[at]), float(y[at]), float(ra[row]), float(dec[row])
            light = float(mag), cutout.zero - 2.5 * float(np.log10(rate)), zero, 1.0857 * error / rate
            found.append(Star(*place, g, colour, *light, peak, noise, wide))
    return found


def fit(cutout: Cutout, x: float, y: float, room: int) -> tuple[float, float, float, float, float] | None:
    """A point of light fitted with the published PSF near a pixel: rate and its error, residual of the peak, its noise, relative width; None for what has no clean core or no flux."""
    i, j = round(x), round(y)
    box = np.s_[j - room : j + room + 1, i - room : i + room + 1]
    pixels, root = cutout.rate[box], np.sqrt(cutout.weight[box])
    model = cutout.model(x, y)
    half = model.shape[0] // 2
    row, column = np.mgrid[-room : room + 1, -room : room + 1]
    core = np.hypot(column, row) <= 1.5 * cutout.fwhm
    if np.any(root[core] == 0.0):
        return None
    root = root * (np.hypot(column, row) <= room)

    def placed(dx: float, dy: float, wide: float = 1.0) -> np.ndarray:
        at = (row - (y - j + dy)) / wide + half, (column - (x - i + dx)) / wide + half
        return np.asarray(ndimage.map_coordinates(model, at, order=5, mode="constant") / wide**2)

    def solved(where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        design = np.stack([placed(*where).ravel(), np.ones(pixels.size)], axis=1)
        terms = np.linalg.lstsq(design * root.ravel()[:, None], pixels.ravel() * root.ravel(), rcond=None)[0]
        return terms, (pixels.ravel() - design @ terms) * root.ravel()

    best = optimize.least_squares(lambda where: solved(where)[1], (0.0, 0.0))
    free = optimize.least_squares(lambda where: solved(where)[1], (*best.x, 1.0))
    terms, pulls = solved(best.x)
    if terms[0] <= 0.0:
        return None
    shape = placed(*best.x)
    error = 1.0 / np.sqrt(np.sum((root * (shape - np.mean(shape))) ** 2))
    top = terms[0] * shape.max()
    inner = np.hypot(column, row) <= cutout.fwhm
    left = np.sqrt(np.mean((pulls.reshape(root.shape)[inner] / root[inner]) ** 2)) / top
    noise = np.sqrt(np.mean(1.0 / root[inner] ** 2)) / top
    return float(terms[0]), float(error), float(left), float(noise), float(free.x[2])
