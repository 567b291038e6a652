"""Detection: sources of a tile from all its bands at once, or from one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spica.core.columns import SOURCE_COLUMNS, Catalogue
from spica.core.faults import DataFault
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import Grain, Scalar, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.dual import Cut, chi, filtered, flat_sky, segments_of
from spica.kernels.measure import Photometry, measure_sources
from spica.kernels.moments import shapes
from spica.kernels.placed import placed

Values = npt.NDArray[Any]

BAD = int(Mask.unusable() & ~(Mask.SATURATED | Mask.BLEED))
NAMES = ("x", "y", "ra", "dec", "a", "b", "theta", "auto_radius", "area", "snr_peak")


class DetectionSettings(Settings):
    """By what the sources of a tile are found."""

    bands: tuple[str, ...] = setting((), "bands that sources are found in; all where empty, one: in that image alone")
    threshold: float = setting(5.0, "as unlikely for sky as so many sigma of a Gaussian", "sigma", gt=0)
    minimum_area: int = setting(3, "fewest connected pixels", "pixel", ge=1)
    deblend_contrast: float = setting(0.005, "least part of the light where two peaks meet", ge=0, le=1)
    box: int = setting(64, "side of a cell of the background", "pixel", ge=16)


def detection(settings: DetectionSettings, stack: tuple[Member, ...], noise: tuple[Member, ...]) -> Products:
    """Chi squared of the bands' matched-filtered stacks (Szalay, Connolly & Szokoly 1999, AJ 117, 68), and its sources.

    Returns
    -------
    detection : Image in units of sigma.
    detection_labels : Image of whole numbers: that of the source, from 1, to which each pixel belongs, 0 for none.
    detected : Catalogue: place, shape and size of each source, the same for all bands; in the header `FWHMBAND`, the width of the broadest
        point spread function.
    detection_figures : metrics.

    Raises
    ------
    DataFault
        ``data.no-pixels`` where none of the bands has any, ``data.bad-value`` for a stack without variance.
    """
    facts = {Unit.parse(member.unit).keys["band"]: member.value for member in noise}
    images = {Unit.parse(member.unit).keys["band"]: member.value for member in stack}
    chosen = [name for name in images if name in facts and (not settings.bands or name in settings.bands)]
    signals, seen, bits = [], [], []
    for name in chosen:
        told = _signal(settings, images[name], facts[name])
        if told is not None:
            signals.append(told[0])
            seen.append(told[1])
            bits.append(np.zeros(told[0].shape, np.int32) if images[name].mask is None else images[name].mask)
    if not signals:
        raise DataFault("data.no-pixels", f"none of {len(images)} bands has pixels to detect in", bands=len(images))
    made = chi(signals, seen)
    mask = np.bitwise_or.reduce(bits) & ~BAD | np.where(np.any(np.stack(seen), axis=0), 0, int(Mask.NO_DATA))
    header = dict(images[chosen[0]].header)
    mask = mask.astype(np.int32)
    cut = Cut(settings.threshold, settings.minimum_area, settings.deblend_contrast)
    found = segments_of(made, mask, BAD, cut)
    broad = max(float(each["fwhm"]) for each in facts.values())
    kept = measure_sources(
        made, np.zeros_like(made), np.ones_like(made), found, found.labels(), Photometry(fwhm=broad, floor=broad), mask, bad_bits=BAD
    )  # fmt: skip
    cards: dict[str, Scalar] = {
        "FWHMBAND": round(broad, 4),
        "CHIBANDS": " ".join(chosen),
        "THRESHOL": settings.threshold,
    }
    cards |= {"MINAREA": settings.minimum_area, "CONTRAST": settings.deblend_contrast}
    columns = _columns(kept.reals, found.values, found.start, header) | {"area": kept.wholes["area"]}
    declared = {name: SOURCE_COLUMNS[name] for name in NAMES}
    table = Catalogue({name: columns[name].astype(each.dtype) for name, each in declared.items()}, cards, declared)
    sky = {name: value for name, value in header.items() if name.startswith(("CTYPE", "CRVAL", "CRPIX", "CD", "CUNIT"))}
    figures = {"detected": Measured(float(found.count)), "detection_bands": Measured(float(len(signals)))}
    return {
        "detection": Image(made, None, mask, sky | cards),
        "detection_labels": Image(found.labels().astype(np.float32), header=sky),
        "detected": table,
        "detection_figures": figures,
    }


def _signal(
    settings: DetectionSettings, image: Image, noise: Mapping[str, Any]
) -> tuple[Values, npt.NDArray[np.bool_]] | None:
    """A band in units of the noise of a point source, and where it has data."""
    if image.variance is None:
        raise DataFault("data.bad-value", "a stack is measured with its variance", need="stack")
    told = flat_sky(image.pixels, image.mask, int(Mask.unusable()), settings.box)
    if told is None:
        return None
    level, rms = told
    good = np.isfinite(image.pixels) & (image.variance > 0)
    if image.mask is not None:
        good &= image.mask & BAD == 0
    stated = float(np.asarray(noise["covariance"])[tuple(n // 2 for n in np.shape(noise["covariance"]))])
    signal = filtered(image.pixels - level, rms**2, good, float(noise["fwhm"]))
    return signal * np.float32(np.sqrt(stated) / float(noise["point"])), good


def _columns(
    reals: Mapping[str, Values], values: Values, start: Values, header: Mapping[str, Scalar]
) -> dict[str, Values]:
    form = shapes(dict(reals))
    x, y = reals["x_iso"], reals["y_iso"]
    try:
        ra, dec = placed(header).pixel_to_sky(x, y)
    except ValueError as reason:
        raise DataFault("data.bad-value", f"the stack has no sky solution: {reason}", need="stack") from reason
    peak = np.maximum.reduceat(values, start[:-1]) if x.size else np.zeros(0)
    return {
        "x": x, "y": y, "ra": ra, "dec": dec, "a": form.a, "b": form.b, "theta": np.degrees(form.theta),
        "auto_radius": reals["kron_size"], "snr_peak": peak,
    }  # fmt: skip


TASK = Task(
    name="detection",
    version=3,
    grain=Grain.TILE,
    settings=DetectionSettings,
    needs=(
        Need("stack", grain=Grain.TILE_BAND, quorum=1),
        Need("noise", grain=Grain.TILE_BAND, quorum=1),
    ),
    gives=(
        Give("detection", Form.IMAGE, meaning="chi squared of a tile's bands, in sigma"),
        Give("detection_labels", Form.IMAGE, meaning="to which of a tile's sources each pixel belongs"),
        Give("detected", Form.CATALOGUE, meaning="places and shapes of a tile's sources, for all bands"),
        Give("detection_figures", Form.METRICS, meaning="how many sources a tile has, and by how many bands"),
    ),
    run=detection,
)
