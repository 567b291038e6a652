"""Pictures that a page shows: the focal plane and small pictures that the pipeline made, or such as are drawn now; the PSF's galleries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from spica.core.faults import DataFault
from spica.core.records import Grain, Unit
from spica.core.task import Form
from spica.services.report.gather import Material
from spica.services.thumbnails import SHOWN, mosaic, thumbnail

_SIZE, _WHOLE = 512, 1400
"""Longest side of what is drawn of a detector and of a whole exposure, as the tasks `quicklook` and `focal_plane` have it."""
_MOST = 4
"""Galleries of PSFs that are shown, the worst first."""


@dataclass(frozen=True)
class Picture:
    """A PNG with what it shows, or why it is `missing`; `wide` takes the whole width of the page."""

    title: str
    text: str
    png: bytes
    wide: bool = False
    missing: str = ""


def pictures_of(material: Material) -> dict[str, tuple[Picture, ...]]:
    """Pictures by the chapter that shows them; none of many exposures."""
    scope = material.scope
    if len(scope.exposures) != 1:
        return {}
    exposure = Unit(Grain.EXPOSURE, (scope.exposures[0].name,))
    if scope.kind == Grain.DETECTOR:
        [unit] = scope.units
        look = _picture(material, unit, "quicklook", "Quick look", "The detector as it was reduced, small.")
        if look.missing:
            look = _drawn(material, [unit], look)
    else:
        text = (
            "All detectors where they stand, framed in the colours of their verdicts: green A, blue B, yellow C, red D."
        )
        look = _picture(material, exposure, "focal_plane", "Focal plane", text, wide=True)
        if look.missing:
            plain = replace(look, text="All detectors where they stand, each less its own sky.")
            look = _drawn(material, material.scope.units, plain)
    found: dict[str, tuple[Picture, ...]] = {"Look": (look,)}
    galleries = tuple(_galleries(material))
    if galleries:
        found["Point spread function"] = galleries
    return found


def _drawn(material: Material, units: Iterable[Unit], look: Picture) -> Picture:
    """The same of image products, where the pipeline made no picture but images; or why not."""
    every = [material.products[unit].get(SHOWN) for unit in units]
    there = [each for each in every if each is not None and each.form is Form.IMAGE and each.path]
    if not there:
        return look
    try:
        if look.wide:
            made = mosaic(material.house, material.scope.exposures[0], there, _WHOLE)
        else:
            made = thumbnail(material.house.survey, there[0], size=_SIZE)
    except DataFault as fault:
        return replace(look, missing=f"{look.missing}; {fault.message}")
    return replace(look, png=made.png(), missing="")


def _galleries(material: Material) -> list[Picture]:
    """The model at nine places and what it leaves of the stars there, of the detectors with the worst χ²."""
    registry = material.house.registry
    judged = []
    for unit in material.scope.units:
        if "psf_picture" in material.products[unit]:
            chi2 = next((m.value for m in registry.metrics_of(unit) if m.name == "psf_chi2"), 0.0)
            judged.append((-abs(chi2 - 1.0), unit))
    shown = sorted(judged, key=lambda each: (each[0], str(each[1])))[:_MOST]
    text = "Left: the model at nine places, in a logarithmic scale; right: mean residuals of the stars there, black and white at 2 % of the peak."
    more = (
        f" The {_MOST} of {len(judged)} detectors whose χ² is farthest from 1 are shown." if len(judged) > _MOST else ""
    )
    return [
        _picture(material, unit, "psf_picture", f"PSF and residuals, detector {unit.values[1]}", text + more)
        for _, unit in shown
    ]


def _picture(material: Material, unit: Unit, name: str, title: str, text: str, *, wide: bool = False) -> Picture:
    """The product of a unit, or why it cannot be shown."""
    product = material.products.get(unit, {}).get(name)
    if product is None:
        return Picture(title, text, b"", wide, f"no step made {name!r} of {unit}")
    path = material.house.survey.root / product.path
    if not path.is_file():
        return Picture(title, text, b"", wide, f"{product.path} is not there any more; spica check names what is lost")
    return Picture(title, text, path.read_bytes(), wide)
