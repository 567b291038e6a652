"""Smaller detectors of the same camera: the same amplifiers, overscans and layout with fewer pixels."""

from __future__ import annotations

from collections.abc import Iterable

from spica.core.camera import AmplifierSpec, Camera, DetectorSpec, Section

Interval = tuple[int, int]
Cuts = list[tuple[Interval, Interval]]


def crop(camera: Camera, size: tuple[int, int] | None, detectors: Iterable[int] = ()) -> Camera:
    """The camera with some of its detectors only, each shrunk to `size` (nx, ny) pixels.

    Amplifiers keep their places relative to each other; overscans and prescans keep their widths; the detectors' places
    in the focal plane shrink along, so that gaps stay in proportion.
    """
    wanted = set(detectors) or {spec.id for spec in camera.detectors}
    kept = [spec for spec in camera.detectors if spec.id in wanted]
    if missing := wanted - {spec.id for spec in kept}:
        raise KeyError(min(missing))
    shrunk = [_shrink(spec, size) if size is not None else spec for spec in kept]
    return Camera.model_validate({**dict(camera), "detectors": [dict(spec) for spec in shrunk]})


def _shrink(spec: DetectorSpec, size: tuple[int, int]) -> DetectorSpec:
    nx, ny = min(size[0], spec.nx), min(size[1], spec.ny)
    fx, fy = nx / spec.nx, ny / spec.ny
    amplifiers = []
    for amp in spec.amplifiers:
        shared = [a for a in spec.amplifiers if a.hdu == amp.hdu]
        cut_x = _cuts(((a.data[0], a.data[1]), _scaled(a.detector[0], a.detector[1], fx)) for a in shared)
        cut_y = _cuts(((a.data[2], a.data[3]), _scaled(a.detector[2], a.detector[3], fy)) for a in shared)
        x0, x1 = _scaled(amp.detector[0], amp.detector[1], fx)
        y0, y1 = _scaled(amp.detector[2], amp.detector[3], fy)
        changed = {
            "data": _moved(amp.data, cut_x, cut_y),
            "overscan": _moved(amp.overscan, cut_x, cut_y) if amp.overscan else None,
            "prescan": _moved(amp.prescan, cut_x, cut_y) if amp.prescan else None,
            "detector": (x0, x1, y0, y1),
        }
        amplifiers.append(AmplifierSpec.model_validate({**dict(amp), **changed}))
    place = {"x_mm": spec.x_mm * fx, "y_mm": spec.y_mm * fy, "nx": nx, "ny": ny}
    if round(spec.rotation / 90.0) % 2:
        place |= {"x_mm": spec.x_mm * fy, "y_mm": spec.y_mm * fx}
    plain = [dict(amp) for amp in amplifiers]
    return DetectorSpec.model_validate({**dict(spec), **place, "amplifiers": plain})


def _scaled(low: int, high: int, factor: float) -> Interval:
    return round(low * factor), round(high * factor)


def _cuts(pairs: Iterable[tuple[Interval, Interval]]) -> Cuts:
    """Distinct raw data intervals with the intervals that their pixels have now in the detector."""
    return sorted(dict(pairs).items())


def _moved(section: Section, cut_x: Cuts, cut_y: Cuts) -> Section:
    x0, x1, y0, y1 = section
    return (_place(x0, cut_x), _place(x1, cut_x), _place(y0, cut_y), _place(y1, cut_y))


def _place(edge: int, cuts: Cuts) -> int:
    """Where an edge of a raw section comes to lie when the data intervals shrink."""
    place = edge
    for (low, high), (new_low, new_high) in cuts:
        removed = (high - low) - (new_high - new_low)
        if edge >= high:
            place -= removed
        elif edge > low:
            place -= min(edge - low, removed)
    return place
