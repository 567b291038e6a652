"""Two releases side by side: every figure of every stack, magnitudes star by star, and which differences mean something."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.records import Grain, Unit
from spica.files import atomic, frozen, releases
from spica.files.catalogues import read_catalogue
from spica.kernels.identity import same_places
from spica.services.progress import Step, Watcher, unwatched
from spica.services.publishing.parts import PIPELINE, State, band_of, by_unit, parts_of, planned, state_of
from spica.services.surveys import Opened, opened

Rows = npt.NDArray[np.int64]
OBJECTS, MAGNITUDE = "objects", "mag_psf"
KEY = (
    *("stack_inputs", "stack_time", "deep_fwhm", "deep_depth", "completeness_star_80", "stack_coverage", "stack_noise"),
    *("deep_sources", "noise_large"),
)
"""Figures that people look at first."""
RADIUS = 1.0
"""Objects of two releases that are each other's nearest within it are one [arcsec]."""
BRIGHT = 10.0
"""Signal to noise of objects whose magnitudes are compared."""
_MAD = 1.4826
_EFFICIENCY = math.sqrt(0.5 * math.pi)
"""The median's error beside the mean's, of normal values."""


@dataclass(frozen=True)
class Side:
    """What one release says of a unit: state, figures (value, unit), its files by product."""

    state: str
    figures: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """A figure of a unit in both releases; NaN where one has it not.

    `sigma` is the difference over its error, where the figure tells one (``NAME_err``); NaN otherwise.
    """

    unit: str
    band: str
    figure: str
    units: str
    first: float
    second: float
    difference: float
    sigma: float


@dataclass(frozen=True)
class Trend:
    """A figure over all units that both releases have: mean difference, scatter, and the mean over its error (NaN below 3 units)."""

    band: str
    figure: str
    units: str
    count: int
    mean: float
    scatter: float
    sigma: float


@dataclass(frozen=True)
class StarByStar:
    """Magnitudes of the objects that both catalogues of a tile have, second less first.

    `common` of `first` and `second` objects are in both; of these `compared` are bright enough. `offset` is the median [mag],
    `error` its error, `scatter` robust [mag], `chi` the robust width of differences over their stated errors: 1 where two
    catalogues of other exposures tell honest errors, less where they share exposures.
    """

    tile: str
    band: str
    first: int
    second: int
    common: int
    compared: int
    offset: float
    error: float
    sigma: float
    scatter: float
    chi: float
    apart: float


@dataclass(frozen=True)
class Comparison:
    """Two releases; `only` are units of one of them, with its name."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    trends: tuple[Trend, ...]
    stars: tuple[StarByStar, ...]
    only: dict[str, str]


def compare(
    first: str,
    second: str,
    folder: Path | None,
    pipeline: str = PIPELINE,
    watcher: Watcher = unwatched,
) -> Comparison:
    """Compare two releases, open or published.

    Raises
    ------
    SetupFault
        ``release.*``.
    DataFault
        ``file.*`` where a catalogue cannot be read.
    """
    with opened(folder) as house:
        sides = [sides_of(house, name, pipeline) for name in (first, second)]
    both = [name for name in sides[0] if name in sides[1]]
    differences = [each for name in both for each in differences_of(name, sides[0][name], sides[1][name])]
    stars: list[StarByStar] = []
    for number, name in enumerate(both):
        watcher(Step("comparing catalogues", number, len(both), name))
        stars += _stars(name, sides[0][name], sides[1][name])
    only = {name: first for name in sides[0] if name not in sides[1]}
    only |= {name: second for name in sides[1] if name not in sides[0]}
    return Comparison(first, second, tuple(differences), tuple(trends_of(differences)), tuple(stars), only)


def sides_of(house: Opened, release: str, pipeline: str) -> dict[str, Side]:
    """What a release says of its units: from its manifest where it was published, else from the registry."""
    given = releases.load(house.survey, release)
    if frozen.is_frozen(house.survey, given.name):
        folder = frozen.folder_of(house.survey, given.name)
        return {
            each.unit: Side(
                State.COMPLETED.value,
                {name: (value, units) for name, (value, units, _) in each.figures.items()},
                {file.product: folder / file.path for file in each.files if file.product},
            )
            for each in frozen.read(house.survey, given.name).units
        }
    parts = by_unit(parts_of(house.registry, planned(house, given.name, pipeline)))
    return {
        str(unit): Side(
            state_of(each)[0].value,
            {name: (figure.value, figure.units) for part in each for name, (figure, _) in part.figures.items()},
            {made.name: house.survey.path_of(made.path) for part in each for made in part.products},
        )
        for unit, each in parts.items()
    }


def differences_of(unit: str, first: Side, second: Side) -> list[Difference]:
    """Every figure that either release has of a unit, by name; errors are told beside what they are of."""
    names = sorted({*first.figures, *second.figures})
    nothing = (math.nan, "")
    found = []
    for name in names:
        if name.endswith("_err") and name.removesuffix("_err") in names:
            continue
        (one, units), (two, other) = first.figures.get(name, nothing), second.figures.get(name, nothing)
        error = math.hypot(*(side.figures.get(f"{name}_err", nothing)[0] for side in (first, second)))
        sigma = (two - one) / error if error > 0 else math.nan
        found.append(Difference(unit, band_of(Unit.parse(unit)), name, units or other, one, two, two - one, sigma))
    return found


def trends_of(differences: Iterable[Difference]) -> list[Trend]:
    """Each figure over all units of a band: whether one release has more of it."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for each in differences:
        if math.isfinite(each.difference):
            groups.setdefault((each.band, each.figure, each.units), []).append(each.difference)
    found = []
    for (band, name, units), values in sorted(groups.items()):
        scatter = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
        error = scatter / math.sqrt(len(values))
        sigma = float(np.mean(values)) / error if len(values) > 2 and error > 0 else math.nan
        found.append(Trend(band, name, units, len(values), float(np.mean(values)), scatter, sigma))
    return found


def _stars(name: str, first: Side, second: Side) -> list[StarByStar]:
    unit = Unit.parse(name)
    if unit.grain is not Grain.TILE or not all(OBJECTS in side.files for side in (first, second)):
        return []
    tables = [read_catalogue(side.files[OBJECTS]) for side in (first, second)]
    bands = [set(str(table.header.get("BANDS") or "").split()) for table in tables]
    return [star_by_star(unit.keys["tile"], band, *tables) for band in sorted(bands[0] & bands[1])]


def star_by_star(tile: str, band: str, first: Catalogue, second: Catalogue) -> StarByStar:
    """Compare the magnitudes of two catalogues of a tile in a band."""
    one, two = matched(first, second)
    names = f"{MAGNITUDE}_{band}", f"{MAGNITUDE}_err_{band}"
    (mag1, err1), (mag2, err2) = (
        (np.asarray(table[names[0]], np.float64)[rows], np.asarray(table[names[1]], np.float64)[rows])
        for table, rows in ((first, one), (second, two))
    )
    # An error in magnitudes is that of the light times 2.5 / ln 10.
    least = 2.5 / math.log(10.0) / BRIGHT
    good = np.isfinite(mag1) & np.isfinite(mag2) & (err1 > 0) & (err1 < least) & (err2 > 0) & (err2 < least)
    delta, stated = (mag2 - mag1)[good], np.hypot(err1, err2)[good]
    apart = _apart(first, one, second, two)
    head = tile, band, len(first), len(second), one.size, int(delta.size)
    if delta.size < 3:
        return StarByStar(*head, math.nan, math.nan, math.nan, math.nan, math.nan, apart)
    offset = float(np.median(delta))
    scatter = _MAD * float(np.median(np.abs(delta - offset)))
    error = _EFFICIENCY * scatter / math.sqrt(delta.size)
    chi = _MAD * float(np.median(np.abs(delta - offset) / stated))
    return StarByStar(*head, offset, error, offset / error if error > 0 else math.nan, scatter, chi, apart)


def matched(first: Catalogue, second: Catalogue) -> tuple[Rows, Rows]:
    """Rows of two catalogues (parallel) that are each other's nearest within `RADIUS`."""
    one, two = (
        (np.asarray(table["ra"], np.float64), np.asarray(table["dec"], np.float64)) for table in (first, second)
    )
    return same_places(one, two, RADIUS)


def _apart(first: Catalogue, one: Rows, second: Catalogue, two: Rows) -> float:
    """Median distance of the objects in common [mas]."""
    if not one.size:
        return math.nan
    dec = np.asarray(first["dec"], np.float64)[one]
    east = (
        np.asarray(second["ra"], np.float64)[two] - np.asarray(first["ra"], np.float64)[one] + 180.0
    ) % 360.0 - 180.0
    north = np.asarray(second["dec"], np.float64)[two] - dec
    return float(3.6e6 * np.median(np.hypot(east * np.cos(np.radians(dec)), north)))


def write_csv(path: Path, found: Comparison) -> None:
    """Write all differences as a table; what is not there is empty.

    Raises
    ------
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("unit", "band", "figure", "units", found.first, found.second, "difference", "sigma"))
    for each in found.differences:
        values = (each.first, each.second, each.difference, each.sigma)
        told = ("" if math.isnan(value) else repr(value) for value in values)
        table.writerow((each.unit, each.band, each.figure, each.units, *told))
    atomic.write_bytes(path, text.getvalue().encode())


def first_look(found: Comparison) -> list[Difference]:
    """What differs: by its significance, then what people look at first."""
    changed = [each for each in found.differences if each.difference and math.isfinite(each.difference)]
    place = {name: number for number, name in enumerate(KEY)}
    return sorted(
        changed,
        key=lambda each: (
            -abs(each.sigma) if math.isfinite(each.sigma) else 0.0,
            place.get(each.figure, len(place)),
            each.figure,
            each.unit,
        ),
    )
