"""From products to what plots are made of, for one exposure or many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from spica.core.camera import Camera, DetectorSpec
from spica.core.columns import Catalogue
from spica.core.faults import Fault
from spica.core.jobs import ProductRecord
from spica.core.records import Exposure, Grain, Unit
from spica.core.solution import Standing
from spica.files.catalogues import read_catalogue
from spica.files.hats.regions import Cone
from spica.files.reference.catalogue import open_reference
from spica.instruments.geometry import outlines, pixel_to_focal
from spica.services.plots.plot import Floats, Integers
from spica.services.plots.records import Outlines
from spica.services.plots.stars import by_wavelength
from spica.services.report.scope import Scope, products_of
from spica.services.surveys import Opened

MOST_IMAGES = 64
"""Detectors whose sources are read, at most: of more an even choice."""
_TAI = 37.0 / 3600.0
"""TAI minus UTC in hours: what reads the clock of a plot needs no more."""


@dataclass(frozen=True, eq=False)
class Solved:
    """One joint solution: its rows by (exposure's number, detector), its matches, and the reference that it was tied to."""

    unit: Unit
    solution: Catalogue
    matches: Catalogue
    reference: str

    @cached_property
    def rows(self) -> dict[tuple[int, int], int]:
        """Rows of the images that were solved."""
        good = np.isin(self.solution["standing"], (int(Standing.SOLVED), int(Standing.SPARSE)))
        keys = zip(self.solution["exposure_id"].tolist(), self.solution["detector"].tolist(), strict=True)
        return {key: row for row, key in enumerate(keys) if good[row]}


@dataclass(frozen=True, eq=False)
class Material:
    """A scope with its products; reads catalogues when they are asked for."""

    house: Opened
    scope: Scope
    products: Mapping[Unit, Mapping[str, ProductRecord]] = field(default_factory=dict)

    @classmethod
    def of(cls, house: Opened, scope: Scope) -> Material:
        """The latest products of all its units."""
        registry = house.registry
        units = [*(Unit(Grain.EXPOSURE, (each.name,)) for each in scope.exposures), *scope.units, *scope.groups]
        return cls(house, scope, {unit: products_of(registry, unit) for unit in units})

    def read(self, unit: Unit, name: str, columns: Sequence[str] = ()) -> Catalogue | None:
        """A catalogue of a unit, None where there is none on disk."""
        product = self.products.get(unit, {}).get(name)
        if product is None or not product.path:
            return None
        return read_catalogue(self.house.survey.root / product.path, columns)

    @cached_property
    def exposures(self) -> dict[str, Exposure]:
        """Those that the report is about, by name."""
        return {each.name: each for each in self.scope.exposures}

    @cached_property
    def images(self) -> tuple[Unit, ...]:
        """Detectors whose catalogues are read: all, or an even choice of them."""
        units = list(self.scope.units)
        if len(units) <= MOST_IMAGES:
            return tuple(units)
        return tuple(units[number] for number in np.linspace(0, len(units) - 1, MOST_IMAGES).astype(int))

    @cached_property
    def solved(self) -> tuple[Solved, ...]:
        """The joint solutions."""
        found = []
        for unit in self.scope.groups:
            solution, matches = self.read(unit, "solution"), self.read(unit, "matches")
            if solution is not None and matches is not None:
                found.append(Solved(unit, solution, matches, self._reference(unit)))
        return tuple(found)

    def _reference(self, unit: Unit) -> str:
        """Name of the catalogue that a solution was tied to."""
        job = self.house.registry.jobs_of(unit)[-1]
        return next((i.unit for i in self.house.registry.inputs_of(job.key) if i.how.startswith("reference ")), "")

    @cached_property
    def reference(self) -> tuple[dict[str, Floats], str]:
        """`source_id` and magnitudes by band of the reference stars around, and why there are none."""
        known = [each for each in self.solved if each.reference and len(each.matches)]
        if not known:
            return {}, "no joint solution tells which reference catalogue it was tied to"
        ra, dec = (np.concatenate([each.matches[name] for each in known]) for name in ("ra", "dec"))
        try:
            opened = open_reference(self.house.survey.references, known[0].reference)
            bands = [name for name in opened.info.columns if name.startswith("mag_") and not name.endswith("_err")]
            found = opened.find(_around(ra, dec), ("source_id", *bands))
        except Fault as fault:
            return {}, f"the reference catalogue cannot be read: {fault.message}"
        stars = {name.removeprefix("mag_"): np.asarray(found[name], np.float64) for name in bands}
        return {"source_id": found["source_id"], **stars}, ""

    @cached_property
    def colour(self) -> tuple[str, str, str]:
        """The bluest and the reddest band that half of the reference stars have, and why there are no two."""
        stars, why = self.reference
        bands = [name for name in stars if name != "source_id" and np.mean(np.isfinite(stars[name])) > 0.5]
        ordered = by_wavelength(bands)
        if len(ordered) < 2:
            return "", "", why or "the reference catalogue has no two bands whose difference is a colour"
        return ordered[0], ordered[-1], ""

    def hours(self, exposure: Exposure) -> float:
        """Since the noon (UTC) before the first exposure of all."""
        first = min(each.mjd for each in (*self.scope.exposures, *self.scope.beside))
        return 24.0 * (exposure.mjd - (math.floor(first - 0.5) + 0.5)) - _TAI

    def seats(self, exposure: Exposure) -> Iterator[tuple[Unit, DetectorSpec]]:
        """The detectors of an exposure that are read, with their place in the focal plane."""
        chosen = set(self.images)
        for number in self.scope.detectors[exposure.name]:
            unit = Unit(Grain.DETECTOR, (exposure.name, str(number)))
            if unit in chosen:
                yield unit, self.scope.camera.detector(number)


def _around(ra: Floats, dec: Floats) -> Cone:
    """A cone that holds all of these places [deg]."""
    x, y = np.radians(ra), np.radians(dec)
    middle = np.array([np.mean(np.cos(y) * np.cos(x)), np.mean(np.cos(y) * np.sin(x)), np.mean(np.sin(y))])
    middle /= np.sqrt(np.sum(middle**2))
    away = middle[0] * np.cos(y) * np.cos(x) + middle[1] * np.cos(y) * np.sin(x) + middle[2] * np.sin(y)
    radius = float(np.degrees(np.arccos(np.clip(np.min(away), -1.0, 1.0)))) + 0.01
    return Cone(
        float(np.degrees(np.arctan2(middle[1], middle[0]))) % 360.0, float(np.degrees(np.arcsin(middle[2]))), radius
    )


def outlined(camera: Camera, numbers: Sequence[int]) -> Outlines:
    """The detectors that have these numbers, where they stand."""
    chosen = [each for each in outlines(camera) if each.id in set(numbers)]
    return Outlines(
        np.array([each.id for each in chosen], np.int64),
        np.array([each.name for each in chosen]),
        np.array([each.corners for each in chosen], np.float64).reshape(-1, 4, 2),
    )


def focal(camera: Camera, spec: DetectorSpec, binning: tuple[int, int], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Pixels to the focal plane [mm]."""
    matrix, origin = pixel_to_focal(camera, spec, binning)
    placed = matrix @ np.stack([x, y]) + origin[:, None]
    return placed[0], placed[1]


def colours_of(material: Material, solved: Solved) -> dict[str, Floats | Integers]:
    """`match_id` of the sources with a reference star whose colour is known, and `colour`."""
    stars, _ = material.reference
    blue, red, why = material.colour
    if why:
        return {"match_id": np.zeros(0, np.int64), "colour": np.zeros(0)}
    ties = solved.matches["detector"] < 0
    match, source = solved.matches["match_id"][ties], solved.matches["source_id"][ties]
    order = np.argsort(stars["source_id"], kind="stable")
    place = np.minimum(np.searchsorted(stars["source_id"][order], source), order.size - 1)
    found = stars["source_id"][order][place] == source
    rows = order[place[found]]
    return {"match_id": match[found], "colour": stars[blue][rows] - stars[red][rows]}
