"""Pictures that the pipeline made and that a page shows: the focal plane, the small pictures, the PSF's galleries."""

from __future__ import annotations

from dataclasses import dataclass

from spica.core.records import Grain, Unit
from spica.services.report.gather import Material

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
    else:
        text = (
            "All detectors where they stand, framed in the colours of their verdicts: green A, blue B, yellow C, red D."
        )
        look = _picture(material, exposure, "focal_plane", "Focal plane", text, wide=True)
    found: dict[str, tuple[Picture, ...]] = {"Look": (look,)}
    galleries = tuple(_galleries(material))
    if galleries:
        found["Point spread function"] = galleries
    return found


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
