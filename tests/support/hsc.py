"""A Hyper Suprime-Cam visit: star lists of 51 detectors with guessed headers, and Gaia at the time of the exposure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from spica.core.columns import Catalogue
from spica.core.records import Exposure, FrameType
from spica.core.task import Member
from spica.files.hats.regions import Cone
from spica.files.reference.catalogue import open_reference
from spica.instruments.solutions import wcs_cards
from spica.kernels.associate import unit_vectors
from spica.kernels.focal_model import Mosaic, Terms, directions, frames, to_plane
from spica.kernels.joint import Identified, Images, Lists, Matching, identify, lay
from spica.kernels.joint_astrometry import Fit, Known, Options, Seen, adjust
from spica.kernels.wcs_cards import from_cards
from spica.tasks.pointing import TASK
from tests.support.references import imported

FOLDER = "hsc_visit1180_catalogues"
MJD = 56744.2909
EXPOSURE = Exposure(0, "hsc-1180", "hsc", FrameType.OBJECT, "2014-03-27", MJD, 270.0, band="z")
SIZE = (2048, 4176)
SCALE = 168.0
"""Milliarcseconds per pixel."""
_RADIAN = 206_264_806.2
"""Milliarcseconds."""


@dataclass(frozen=True)
class Visit:
    """What a focal plane is solved from; `numbers` of the detectors in the order of `images`."""

    numbers: list[int]
    headers: dict[int, dict[str, Any]]
    images: Images
    lists: Lists
    gaia: Catalogue

    @property
    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors to the reference stars, and their errors at the time of the exposure [mas]."""
        error = np.sqrt(0.5 * (self.gaia["ra_err"].astype(float) ** 2 + self.gaia["dec_err"].astype(float) ** 2))
        return unit_vectors(self.gaia["ra"], self.gaia["dec"]), np.where(np.isfinite(error), error, 50.0)

    def pointed(self) -> Images:
        """The images with the sky solutions that the task `pointing` finds for them."""
        sources = tuple(
            Member(
                f"detector:hsc-1180/{number}",
                Catalogue({name: getattr(self.lists, name)[mine] for name in "xy"} | {"flux": np.ones(mine.sum())}),
            )
            for place, number in enumerate(self.numbers)
            for mine in (self.lists.image == place,)
        )
        made = TASK.run(TASK.settings(), sources=sources, headers=self.headers, exposure=EXPOSURE, reference=self.gaia)[
            "pointing"
        ]
        cards = [made["detectors"][str(number)]["cards"] for number in self.numbers]
        return replace(self.images, wcs=[from_cards(each) for each in cards])


def visit(data: Path, home: Path) -> Visit:
    """All lists and headers (which say 'degree' where the standard says 'deg'); the reference is imported into `home`."""
    imported(home, "gaia", data / FOLDER / "gaia_refCat.parquet")
    gaia = open_reference(home, "gaia").find(Cone(150.2, 2.2, 1.5), mjd=MJD)
    numbers, headers, parts = [], {}, []
    for place, path in enumerate(sorted((data / FOLDER).glob("1180_*.fits"))):
        numbers.append(int(path.stem.partition("_")[2]))
        with fits.open(path) as file:
            headers[numbers[-1]] = {
                **wcs_cards([dict(file[0].header)], 0), "NAXIS1": SIZE[0], "NAXIS2": SIZE[1]
            }  # fmt: skip
            table = file[1].data
            x, y, across, along = (table[name].astype(float) for name in ("x", "y", "xErr", "yErr"))
        error = np.sqrt(0.5 * (across**2 + along**2))
        good = np.isfinite(x) & np.isfinite(error)
        parts.append((np.full(good.sum(), place), x[good], y[good], error[good]))
    image, x, y, error = (np.concatenate(column) for column in zip(*parts, strict=True))
    count = len(numbers)
    images = Images(
        *(np.zeros(count, int), np.arange(count), np.tile(np.array(SIZE, float), (count, 1)), np.zeros(count, int)),
        [from_cards(headers[number]) for number in numbers],
    )
    return Visit(numbers, headers, images, Lists(image, x, y, error, 1.0 / error), gaia)


@dataclass(frozen=True)
class Solution:
    """A solved focal plane."""

    mosaic: Mosaic
    found: Identified
    fit: Fit
    options: Options

    @property
    def used(self) -> np.ndarray:
        """Which detections count, and have a reference star that does."""
        star = np.full(int(self.found.seen.group.max()) + 1, 0.0)
        star[self.found.known.group] = self.fit.state.known
        return np.asarray((self.fit.state.seen > 0.0) & (star[self.found.seen.group] > 0.0))

    def left_out(self, parts: int = 5) -> np.ndarray:
        """Detection minus reference star [mas], east + i north, of stars that the solution did not know of."""
        kept = np.zeros(int(self.found.seen.group.max()) + 1, bool)
        kept[self.found.seen.group[self.used]] = True
        out = []
        for part in range(parts):
            mine = kept & (np.cumsum(kept) % parts == part)
            seen, known = _groups(self.found, kept & ~mine)
            terms = adjust(self.mosaic, self.fit.terms, seen, known, self.options).terms
            out.append(away(self.mosaic, terms, *_groups(self.found, mine)))
        return np.concatenate(out)


def solved(given: Visit, images: Images, how: Matching, options: Options) -> Solution:
    """The joint solution from these images' sky solutions."""
    mosaic, start, _ = lay(images, given.lists, given.known[0], how)
    found = identify(mosaic, start, given.lists, np.full(len(given.numbers), SCALE), given.known, how)
    return Solution(mosaic, found, adjust(mosaic, start, found.seen, found.known, options), options)


def _groups(found: Identified, kept: np.ndarray) -> tuple[Seen, Known]:
    """The members of some groups, which are numbered anew."""
    number = np.cumsum(kept, dtype=np.int32) - 1
    seen, known = found.seen, found.known
    mine, tied = kept[seen.group], kept[known.group]
    return (
        Seen(number[seen.group[mine]], seen.image[mine], seen.x[mine], seen.y[mine], seen.sigma[mine]),
        Known(number[known.group[tied]], known.direction[tied], known.sigma[tied]),
    )


def away(mosaic: Mosaic, terms: Terms, seen: Seen, known: Known) -> np.ndarray:
    """Detection minus reference star [mas], east + i north, of groups of one detection and one star."""
    there = directions(mosaic, terms, seen.image, seen.x, seen.y) - known.direction
    east, north = frames(known.direction)
    return np.asarray(_RADIAN * (np.sum(there * east, axis=1) + 1j * np.sum(there * north, axis=1)))


@dataclass(frozen=True)
class Common:
    """Stars on a focal plane that bends as one polynomial, its detectors flat: an independent solution by plain least squares.

    Attributes
    ----------
    place : (n,) complex, of the stars about the field's middle [degree].
    residual : (n,) complex [mas], detection minus star.
    weight : (n,) inverse variances.
    hat : (n, n) what part of each weighted measurement goes into each fitted one.
    parameters : of the model, per coordinate.
    image, star : detector and row of the reference of each.
    """

    place: np.ndarray
    residual: np.ndarray
    weight: np.ndarray
    hat: np.ndarray
    parameters: int
    image: np.ndarray
    star: np.ndarray

    @property
    def pull(self) -> float:
        """Root of χ² per degree of freedom: what the noise is, in units of what the weights say."""
        return float(
            np.sqrt(np.sum(self.weight * np.abs(self.residual) ** 2) / 2 / (self.weight.size - self.parameters))
        )

    @property
    def foretold(self) -> np.ndarray:
        """The residuals that stars have when they are left out of the solution, each by itself."""
        return np.asarray(self.residual / (1.0 - np.diag(self.hat)))

    def correlation(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of pairs at these distances [arcmin]: correlation of their noise, its standard error, and number.

        A fit leaves independent noise with a correlation of minus the hat matrix; it is put right.
        """
        noise = np.sqrt(self.weight) * self.residual / self.pull
        first, second = np.triu_indices(noise.size, 1)
        product = 0.5 * (noise[first] * noise[second].conj()).real + self.hat[first, second]
        bins = np.digitize(60.0 * np.abs(self.place[first] - self.place[second]), edges) - 1
        inside = [product[bins == number] for number in range(edges.size - 1)]
        return (
            np.array([each.mean() for each in inside]),
            np.array([each.std() / np.sqrt(each.size) for each in inside]),
            np.array([each.size for each in inside]),
        )


def common(found: Identified, centre: tuple[float, float], degree: int = 7, floor: float = 8.0) -> Common:
    """Pixels, by a linear map of each detector, are a polynomial of the stars' places, the same for all detectors.

    That is linear in all that is fitted. Stars farther off than four standard deviations are left out.
    """
    star = np.full(int(found.seen.group.max()) + 1, -1)
    star[found.known.group] = np.arange(found.known.group.size)
    tied = star[found.seen.group] >= 0
    seen, mine = found.seen, star[found.seen.group[tied]]
    image = seen.image[tied]
    sigma = np.hypot(seen.sigma[tied], found.known.sigma[mine])
    place = to_plane(found.known.direction[mine], *centre)
    design = _design(image, seen.x[tied], seen.y[tied], place, degree)
    weight = 1.0 / (sigma**2 + floor**2)
    kept = np.ones(place.size, bool)
    for _ in range(8):
        root = np.sqrt(weight * kept)
        terms = np.linalg.lstsq(design * root[:, None], place * root, rcond=1e-13)[0]
        off = -3.6e6 * (place - design @ terms)
        spread = max(1.0, 1.4826 * float(np.median(np.sqrt(weight[kept]) * np.abs(off[kept].real))))
        kept = np.sqrt(0.5 * weight) * np.abs(off) < 4.0 * spread
    basis = np.linalg.qr(design[kept] * np.sqrt(weight[kept])[:, None])[0]
    return Common(
        *(place[kept], off[kept], weight[kept], np.real(basis @ basis.conj().T), design.shape[1]),
        *(image[kept], found.stars[mine][kept]),
    )


def _design(image: np.ndarray, x: np.ndarray, y: np.ndarray, place: np.ndarray, degree: int) -> np.ndarray:
    count = int(image.max()) + 1
    linear = np.zeros((place.size, 3 * count), complex)
    for number, column in enumerate(
        (np.ones(place.size), 2.0 * x / (SIZE[0] - 1) - 1.0, 2.0 * y / (SIZE[1] - 1) - 1.0)
    ):
        linear[np.arange(place.size), 3 * image + number] = column
    scaled = place / np.max(np.abs(place))
    bent = [scaled**a * scaled.conj() ** (total - a) for total in range(2, degree + 1) for a in range(total + 1)]
    return np.hstack([linear, -np.stack(bent, axis=1)])
