"""Cutouts of three cameras as one survey and a release of four fields: made by the pipeline, beside what is published of the frames.

Of each frame a zero point, the noise of its pixels and a PSFEx model are published; Gaia has the stars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.kernels.robust import robust_statistics
from spica.kernels.wcs import sky_to_pixel
from spica.kernels.wcs_cards import from_cards
from spica.services import ingest, initialise, run
from tests.support.published import FOLDERS, cutouts, fit, gaia, stars

FIELDS: Mapping[str, tuple[float, float, float]] = {
    "two-cameras": (177.3593, 59.4270, 0.016),
    "bright-star": (110.3123, 23.9195, 0.0085),
    "elliptical": (121.0250, 5.1134, 0.028),
    "edge-on": (9.1232, 3.3975, 0.0085),
}
"""Middle and width [degree] of each folder's field."""
SCALE = 0.262
NANOMAGGIES = 22.5
RELEASE = """
name = "{name}"
mode = "pre"
[tiles]
grid = "fields"
scale = {scale}
overlap = 0.0
{fields}
{rules}
"""
FIELD = """[[tiles.field]]
name = "{name}"
ra = {ra}
dec = {dec}
width = {width}
"""


@dataclass(frozen=True)
class Frame:
    """A frame as the Legacy Surveys publish it.

    Attributes
    ----------
    exposure : its name in a survey; `field`, `band` what it is stacked on.
    count : magnitude of the value 1 in its image.
    sigma : noise of a pixel [nanomaggies].
    """

    exposure: str
    field: str
    band: str
    count: float
    sigma: float


def frames(data: Path) -> Iterator[Frame]:
    """What is published of all frames."""
    for folder, field in zip(FOLDERS, FIELDS, strict=True):
        for row in Table.read(next((data / folder).glob("survey-ccds*")), hdu=1):
            name, camera = str(row["image_filename"]).strip().rpartition("/")[2], str(row["camera"]).strip()
            if camera == "decam":
                # Its image is of the whole exposure, those of the others are rates.
                exposure, whole = f"decam-{row['expnum']}", 2.5 * np.log10(float(row["exptime"]))
            else:
                told = fits.getheader(data / folder / name)["OBSID"]
                exposure, whole = f"{'mosaic3' if camera == 'mosaic' else camera}-{told}", 0.0
            yield Frame(
                exposure, field, str(row["filter"]).strip(), float(row["ccdzpt"]) + whole, float(row["sig1"])
            )  # fmt: skip


def describe(folder: Path, known: list[Frame]) -> list[str]:
    """Write zero points and releases into a survey: all frames, and each of the two of the bright star by itself; their names."""
    told = "\n".join(f'"{each.exposure}" = {each.count:.5f}' for each in known)
    with (folder / "survey.toml").open("a") as file:
        file.write(f'\n[tasks.trusted]\nunit = "count"\n[tasks.trusted.zero_points]\n{told}\n')
    pairs: dict[str, list[Frame]] = {}
    for each in known:
        if each.field == "bright-star":
            pairs.setdefault(each.band, []).append(each)
    made = {"all": ("", tuple(FIELDS))}
    for number, name in enumerate(("first", "second")):
        some = ", ".join(f"'{pair[number].exposure}'" for pair in pairs.values())
        made[name] = (f'[[rule]]\nname = "{name}"\nwhere = "exposure in ({some})"\n', ("bright-star",))
    for name, (rules, chosen) in made.items():
        table = {field: FIELDS[field] for field in chosen}
        fields = "".join(FIELD.format(name=key, ra=ra, dec=dec, width=width) for key, (ra, dec, width) in table.items())
        text = RELEASE.format(name=name, scale=SCALE, fields=fields, rules=rules)
        (folder / "releases" / f"{name}.toml").write_text(text)
    return list(made)


@dataclass(frozen=True)
class Field:
    """What a release made of a field: stacks and figures by band, and its objects."""

    stacks: Mapping[str, Image]
    numbers: Mapping[str, np.ndarray]
    objects: Catalogue


def field_of(folder: Path, name: str) -> Field:
    """Read a field as the release that was run last has it."""
    products = folder / "products"
    paths = sorted((products / "stack" / name).glob("*.fits"), key=lambda path: path.stat().st_mtime_ns)
    stacks = {path.name.removeprefix(f"{name}_").partition("_")[0]: path for path in paths}
    numbers = {}
    for band, path in stacks.items():
        with fits.open(path) as hdus:
            numbers[band] = np.asarray(next(hdu for hdu in hdus if hdu.name.upper() == "NUMBER").data)
    tables = sorted((products / "objects" / name).glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    return Field({band: read_image(path) for band, path in stacks.items()}, numbers, read_catalogue(tables[-1]))


def made(data: Path, folder: Path) -> dict[tuple[str, str], Field]:
    """A survey of all cutouts, its releases run one after another: fields by release and name."""
    initialise.initialise(folder)
    paths = tuple(str(path) for each in FOLDERS for path in sorted((data / each).glob("*_oo[iwd]_*ls9.*.fits")))
    ingest.ingest(ingest.Order(paths), folder)
    found = {}
    for release in describe(folder, list(frames(data))):
        result = run.run(run.Order("delivered-deep", executor="inprocess", release=release), folder)
        if result.failed or result.refused:
            raise RuntimeError(f"{release}: {result.failed} units failed, {result.refused} were refused")
        for name in FIELDS if release == "all" else ("bright-star",):
            found[release, name] = field_of(folder, name)
    return found


@dataclass(frozen=True)
class Light:
    """A star's light on a stack beside what is published: magnitudes.

    Attributes
    ----------
    psf, auto : of the object catalogue, with the error of `psf`.
    fitted, mag : by the published model and zero point of the frame; by Gaia and the relation to the band.
    east, north : of the object from Gaia's star at the time of the frame [arcsec].
    """

    field: str
    band: str
    camera: str
    g: float
    psf: float
    error: float
    auto: float
    fitted: float
    mag: float
    east: float
    north: float


def lights(data: Path, fields: Mapping[tuple[str, str], Field]) -> list[Light]:
    """Gaia's stars that are as wide as the published models, on the stacks of the release of all."""
    known, found = gaia(data), []
    for cutout, name in zip(cutouts(data), (each.field for each in frames(data)), strict=True):
        objects = fields["all", name].objects
        for star in stars(cutout, known):
            if not star.point:
                continue
            east = (objects["ra"] - star.ra) * np.cos(np.radians(star.dec)) * 3600.0
            north = (objects["dec"] - star.dec) * 3600.0
            at = int(np.argmin(np.hypot(east, north)))
            psf, error, auto = (
                float(objects[f"{key}_{cutout.band}"][at]) for key in ("mag_psf", "mag_psf_err", "mag_auto")
            )
            found.append(
                Light(
                    *(name, cutout.band, cutout.camera, star.g, psf, error, auto, star.fitted, star.mag),
                    *(float(east[at]), float(north[at])),
                )
            )
    return found


def faint(
    data: Path, fields: Mapping[tuple[str, str], Field], most: float = 0.2
) -> list[tuple[str, float, float, float]]:
    """Objects that the published models fit as points: band, PSF magnitude on the stack and its error, fitted less that."""
    found = []
    for cutout, name in zip(cutouts(data), (each.field for each in frames(data)), strict=True):
        if name != "two-cameras":
            continue
        objects, ny, nx = fields["all", name].objects, *cutout.rate.shape
        room = int(np.ceil(2.0 * cutout.fwhm))
        x, y = sky_to_pixel(from_cards(cutout.header), objects["ra"], objects["dec"])
        inside = (x > room) & (y > room) & (x < nx - 1 - room) & (y < ny - 1 - room)
        for row in np.flatnonzero(inside & (objects[f"mag_psf_err_{cutout.band}"] < most)):
            fitted = fit(cutout, float(x[row]), float(y[row]), room)
            if fitted is None or abs(fitted[4] - 1.0) > 0.15:
                continue
            mag = float(objects[f"mag_psf_{cutout.band}"][row])
            error = float(objects[f"mag_psf_err_{cutout.band}"][row])
            found.append((cutout.band, mag, error, mag - cutout.zero + 2.5 * float(np.log10(fitted[0]))))
    return found


def published_noise(some: list[Frame]) -> float:
    """Noise [nanomaggies] of a pixel of the stack of these frames, each by its weight, as it is published."""
    return float(np.sum([each.sigma**-2.0 for each in some]) ** -0.5)


def stated_noise(image: Image) -> float:
    """Noise [nanomaggies] of a pixel as large as the exposures', by the variance of a stack where it is least disturbed."""
    if image.variance is None:
        raise ValueError("a stack has a variance")
    good = np.isfinite(image.pixels) & np.isfinite(image.variance) & (image.variance > 0)
    sigma = float(np.sqrt(np.quantile(image.variance[good], 0.3)))
    ratio, large, zero = (float(image.header[key] or np.nan) for key in ("PIXRATIO", "NOISECOR", "MAGZERO"))
    return float(sigma * ratio * large * 10.0 ** (-0.4 * (zero - NANOMAGGIES)))


@dataclass(frozen=True)
class Gain:
    """Two exposures and their stack.

    Attributes
    ----------
    foretold : noise of the stack by the sum of both weights, in parts of the better one's.
    stated : the stack's own.
    scatter : of the difference of both, what is smooth taken off, in units of what their variances say.
    """

    band: str
    foretold: float
    stated: float
    scatter: float


def gains(fields: Mapping[tuple[str, str], Field]) -> list[Gain]:
    """Bands of the field that has two exposures of each, pixels that both reach."""
    from scipy.ndimage import median_filter

    found = []
    for band in fields["all", "bright-star"].stacks:
        both, one, two = (fields[release, "bright-star"].stacks[band] for release in ("all", "first", "second"))
        variances = [np.asarray(each.variance, float) for each in (both, one, two)]
        good = (fields["all", "bright-star"].numbers[band] == 2) & (both.mask == 0)
        for each in (one, two):
            good &= np.isfinite(each.pixels) & (each.mask == 0)
        better = np.minimum(variances[1][good], variances[2][good])
        told = 1.0 / (1.0 / variances[1][good] + 1.0 / variances[2][good])
        apart = np.where(good, one.pixels - two.pixels, 0.0)
        rough = (apart - median_filter(apart, 7))[good] / np.sqrt(variances[1][good] + variances[2][good])
        found.append(
            Gain(
                band,
                float(np.median(np.sqrt(told / better))),
                float(np.median(np.sqrt(variances[0][good] / better))),
                float(robust_statistics(rough).sigma),
            )
        )
    return found
