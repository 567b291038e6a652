"""All plots of a report, in the order in which they are shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spica.core.records import Grain
from spica.services.plots import astrometry, light, shapes, stars, ties
from spica.services.plots.plot import Plot
from spica.services.report import columns
from spica.services.report.gather import MOST_IMAGES, Material, outlined

_MANY = "one picture of many exposures says little: the page of each exposure has it"


def plots_of(material: Material) -> dict[str, tuple[Plot, ...]]:
    """Plots by chapter; each is there, drawn or with the reason why not."""
    scope = material.scope
    numbers = sorted({number for each in scope.detectors.values() for number in each})
    ground = outlined(scope.camera, numbers)
    single = len(scope.exposures) == 1
    residuals = columns.residuals(material)
    zeros = columns.zero_points(material)
    found = columns.points(material)
    depths = columns.depths(material, found)
    widths = columns.shapes(material)
    stamps, places = columns.stamps(material) if single else (None, np.zeros((0, 2)))
    blue, red, why = material.colour
    reference, _ = material.reference
    magnitudes = {band: values for band, values in reference.items() if band != "source_id"}
    where = "at nine places of the detector" if scope.kind == Grain.DETECTOR or len(places) > len(numbers) else ""
    chapters = {
        "Positions": (
            astrometry.arrows(residuals, ground),
            astrometry.against_magnitude(residuals),
            astrometry.against_colour(residuals, f"{blue} - {red}", why),
            astrometry.against_place(residuals),
            astrometry.pulls(residuals),
        ),
        "Brightness": (
            light.by_time(zeros),
            light.by_airmass(zeros),
            ties.ties_map(columns.ties(material)),
            ties.illumination(columns.flats(material), ground),
            light.pulls(residuals),
            light.depth(found, depths),
            light.depth_by_time(depths),
        ),
        "Point spread function": (
            shapes.size_map(widths, ground),
            shapes.shape_map(widths, ground),
            shapes.model_map(stamps, places, ground, "" if single else _MANY, where),
            shapes.star_map(columns.psf_stars(material) if single else None, ground, "" if single else _MANY),
        ),
        "Stars and galaxies": (stars.plane(found), stars.locus(found, magnitudes)),
    }
    total = sum(1 for _ in scope.units)
    return chapters if total <= MOST_IMAGES else {name: _thinned(each, total) for name, each in chapters.items()}


_OF_SOURCES = ("depth", "depth-time", "psf-size", "psf-shape", "star-galaxy", "stellar-locus")


def _thinned(plots: tuple[Plot, ...], total: int) -> tuple[Plot, ...]:
    """The same plots, those that are drawn of a part of the detectors saying so."""
    said = f" Drawn of {MOST_IMAGES} of {total} detectors, evenly chosen."
    return tuple(replace(p, text=p.text + said) if p.name in _OF_SOURCES else p for p in plots)
