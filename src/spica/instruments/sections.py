"""The part of a camera table that a task needs, so that a change elsewhere in the table re-runs nothing."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from spica.core.camera import Camera
from spica.core.faults import SetupFault


def section(camera: Camera, detector: int, which: str, band: str = "") -> dict[str, Any]:
    """One section of a camera for one detector, as plain JSON-able data.

    Parameters
    ----------
    camera : the table.
    detector : id of the detector.
    which : 'amplifiers' (nx, ny, list of amplifiers), 'crosstalk' (matrix, amplifier names), 'geometry' (pixel scale
        and size, place, parity, distortion), 'focal plane' (pixel size, and the place of every detector), 'filter' (the filter of `band`, {} where band is ''), 'grading',
        'site' (longitude, latitude, height, wavelengths by band),
        'delivered' (how masks of frames reduced elsewhere are spelt).
    band : for 'filter'.

    Raises
    ------
    SetupFault
        ``camera.invalid`` where the table has no such section, detector or band.
    """
    return copy.deepcopy(_section(camera, detector, which, band))


@lru_cache(maxsize=8192)
def _section(camera: Camera, detector: int, which: str, band: str) -> dict[str, Any]:
    make = _SECTIONS.get(which)
    if make is None:
        near = difflib.get_close_matches(which, _SECTIONS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(_SECTIONS)}"
        raise SetupFault("camera.invalid", f"a camera has no section {which!r}{hint}", section=which)
    try:
        return make(camera, detector, band)
    except KeyError as error:
        raise SetupFault(
            "camera.invalid",
            f"camera {camera.name} has no {error.args[0]!r} for its section {which!r}",
            camera=camera.name,
            detector=detector,
            band=band,
        ) from error


def _amplifiers(camera: Camera, detector: int, _band: str) -> dict[str, Any]:
    spec = camera.detector(detector)
    return {"nx": spec.nx, "ny": spec.ny, "amplifiers": [a.model_dump(mode="json") for a in spec.amplifiers]}


def _crosstalk(camera: Camera, detector: int, _band: str) -> dict[str, Any]:
    spec = camera.detector(detector)
    return {"amplifiers": [a.name for a in spec.amplifiers], "matrix": [list(row) for row in spec.crosstalk]}


def _geometry(camera: Camera, detector: int, _band: str) -> dict[str, Any]:
    spec = camera.detector(detector)
    plain = spec.model_dump(mode="json", include={"id", "nx", "ny", "x_mm", "y_mm", "rotation", "flip"})
    return {
        **plain,
        "pixel_scale": camera.pixel_scale,
        "pixel_size": camera.pixel_size,
        "position_angle": camera.position_angle,
        "parity": camera.parity,
        "distortion": camera.distortion.model_dump(mode="json"),
    }


def _focal_plane(camera: Camera, _detector: int, _band: str) -> dict[str, Any]:
    kept = {"id", "name", "nx", "ny", "x_mm", "y_mm", "rotation", "flip"}
    plain = [spec.model_dump(mode="json", include=kept) for spec in camera.detectors]
    return {"pixel_size": camera.pixel_size, "detectors": plain}


def _filter(camera: Camera, _detector: int, band: str) -> dict[str, Any]:
    return camera.band(band).model_dump(mode="json") if band else {}


def _grading(camera: Camera, _detector: int, _band: str) -> dict[str, Any]:
    return {name: list(limits) for name, limits in camera.grading.items()}


def _site(camera: Camera, _detector: int, _band: str) -> dict[str, Any]:
    site = camera.site.model_dump(mode="json", include={"longitude", "latitude", "height"})
    return site | {"wavelengths": {each.band: each.wavelength for each in camera.filters}}


def _delivered(camera: Camera, _detector: int, _band: str) -> dict[str, Any]:
    return camera.delivered.model_dump(mode="json", include={"mask_form", "mask_values"})


_SECTIONS: dict[str, Callable[[Camera, int, str], dict[str, Any]]] = {
    "amplifiers": _amplifiers,
    "crosstalk": _crosstalk,
    "geometry": _geometry,
    "focal plane": _focal_plane,
    "filter": _filter,
    "grading": _grading,
    "site": _site,
    "delivered": _delivered,
}
