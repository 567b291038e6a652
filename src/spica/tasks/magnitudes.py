"""Magnitudes: a detector's sources on the AB scale, by the zero point that fits it best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import MAGNITUDE_COLUMNS, Catalogue
from spica.core.faults import DataFault
from spica.core.records import Exposure, Grain, Scalar, Unit
from spica.core.settings import Settings, setting
from spica.core.solution import Standing
from spica.core.task import Form, Give, Measured, Need, Products, Task
from spica.kernels import illumination

_PER_MAG = 2.5 / np.log(10.0)
Floats = npt.NDArray[np.float64]


class MagnitudesSettings(Settings):
    """Which zero point is taken."""

    prefer: Literal["joint", "own"] = setting(
        "joint", "the joint solution's zero point, where reference magnitudes tie it, or that of the exposure by itself"
    )


class _Zero(NamedTuple):
    """A zero point [mag at 1 electron per second], its error, and the solution that it is of: 'joint' or 'own'.

    `flat` are the terms of what a place on the detector of `size` adds to it.
    """

    value: float
    error: float
    scale: str
    of: str
    size: tuple[float, float] = (1.0, 1.0)
    flat: Sequence[float] = ()

    def at(self, x: Floats, y: Floats) -> Floats:
        """Zero points of places on the detector, (n,) [mag]."""
        if not np.any(self.flat):
            return np.full(x.size, self.value)
        return self.value + illumination.departure(x, y, self.size, np.asarray(self.flat))


def magnitudes(
    settings: MagnitudesSettings,
    unit: Unit,
    exposure: Exposure,
    sources: Catalogue,
    psf_sources: Catalogue | None,
    zero_points: Mapping[str, Any] | None,
    solution: Catalogue | None,
) -> Products:
    """Magnitudes with their errors; the zero point's own error, which all share, stands in the header.

    Returns
    -------
    magnitudes : a row for each of `sources`, in their order; NaN where no light was measured.
    light : value: `zero`, `error` [mag at 1 electron per second], `scale` (AB …), `of` (joint or own), `flat` and `size`: what a
        place on the detector adds (`spica.kernels.illumination.departure`), `exposure_time` [s].
    scale : metrics; `zero_point`, `zero_point_err` on the AB scale, with the scale's name where it is another.

    Raises
    ------
    DataFault
        ``zero-point.none``.
    """
    number = int(unit.keys["detector"])
    found = {each.of: each for each in (_joint(solution, exposure, number), _own(zero_points, number)) if each}
    if not found:
        message = f"{unit} has no zero point: neither by a joint solution nor by its own exposure"
        raise DataFault("zero-point.none", message, unit=str(unit), exposure=exposure.name, detector=number)
    zero = found.get(settings.prefer) or next(iter(found.values()))
    seconds = max(exposure.exposure_time, 1e-3)
    columns = {"source_id": np.asarray(sources["source_id"])}
    here = zero.at(*(np.asarray(sources[name], np.float64) for name in ("x", "y")))
    columns |= _measured("auto", sources, seconds, here)
    if psf_sources is not None:
        # `psf_measure` keeps the order of the sources.
        columns |= _measured("psf", psf_sources, seconds, here)
    else:
        columns |= {name: np.full(len(sources), np.nan) for name in ("mag_psf", "mag_psf_err")}
    declared = {name: values.astype(MAGNITUDE_COLUMNS[name].dtype) for name, values in columns.items()}
    header: dict[str, Scalar] = {
        "MAGZERO": round(zero.value, 5),
        "MAGZERR": round(zero.error, 5),
        "MAGSYS": zero.scale,
        "MAGFROM": zero.of,
    }
    name = "zero_point" if zero.scale == "AB" else f"zero_point_{zero.scale.lower()}"
    figures = {
        name: Measured(zero.value, "mag"),
        f"{name}_err": Measured(zero.error, "mag"),
        "zero_point_joint": Measured(float(zero.of == "joint")),
        "photometric": Measured(1.0),
    }
    if np.any(zero.flat):
        x, y = (part.ravel() for part in np.meshgrid(*(np.linspace(0.0, side - 1.0, 33) for side in zero.size)))
        figures["illumination_range"] = Measured(float(np.ptp(zero.at(x, y))), "mag")
    if len(found) == 2 and found["joint"].scale == found["own"].scale:
        figures["zero_point_apart"] = Measured(found["joint"].value - found["own"].value, "mag")
    light = {
        "zero": zero.value,
        "error": zero.error,
        "scale": zero.scale,
        "of": zero.of,
        "flat": [float(term) for term in zero.flat],
        "size": list(zero.size),
        "exposure_time": exposure.exposure_time,
    }
    return {"magnitudes": Catalogue(declared, header, MAGNITUDE_COLUMNS), "light": light, "scale": figures}


def _joint(solution: Catalogue | None, exposure: Exposure, number: int) -> _Zero | None:
    """The joint solution's, where reference magnitudes tie it."""
    if solution is None:
        return None
    rows = (solution["exposure_id"] == exposure.id) & (solution["detector"] == number)
    rows &= (solution["photometric"] == 1) & np.isin(solution["standing"], (Standing.SOLVED, Standing.SPARSE))
    if not np.any(rows):
        return None
    row = int(np.flatnonzero(rows)[0])
    zero = float(solution["zero_point"][row])
    of_place = illumination.error(solution["flat_err"][row])
    error = float(np.hypot(solution["zero_point_err"][row], of_place))
    if not np.isfinite(zero):
        return None
    size = float(solution["nx"][row]), float(solution["ny"][row])
    return _Zero(zero, error, str(solution.header.get("MAGSYS") or "unknown"), "joint", size, solution["flat"][row])


def _own(zero_points: Mapping[str, Any] | None, number: int) -> _Zero | None:
    """That of the exposure by itself, where it tells of the detector."""
    if zero_points is None:
        return None
    told = zero_points["detectors"].get(str(number))
    if told is None:
        return None
    size = float(told["nx"]), float(told["ny"])
    return _Zero(
        float(told["zero"]), float(told["error"]), str(zero_points["scale"]), "own", size, (0.0, *zero_points["flat"])
    )


def _measured(kind: str, table: Catalogue, seconds: float, zero: Floats) -> dict[str, Floats]:
    flux, error = (np.asarray(table[f"flux_{kind}{end}"], np.float64) for end in ("", "_err"))
    with np.errstate(invalid="ignore", divide="ignore"):
        lit = flux > 0.0
        mag = np.where(lit, zero - 2.5 * np.log10(flux / seconds), np.nan)
        return {f"mag_{kind}": mag, f"mag_{kind}_err": np.where(lit, _PER_MAG * error / flux, np.nan)}


TASK = Task(
    name="magnitudes",
    version=3,
    grain=Grain.DETECTOR,
    settings=MagnitudesSettings,
    needs=(
        Need("unit", source="unit"),
        Need("exposure", source="exposure"),
        Need("sources", columns=("source_id", "x", "y", "flux_auto", "flux_auto_err")),
        Need("psf_sources", columns=("source_id", "flux_psf", "flux_psf_err"), optional=True),
        Need("zero_points", grain=Grain.EXPOSURE, optional=True),
        Need("solution", grain=Grain.GROUP, optional=True),
    ),
    gives=(
        Give("magnitudes", Form.CATALOGUE, meaning="magnitudes of the sources, with the zero point in the header"),
        Give("light", Form.VALUE, meaning="the detector's zero point and what places on it add to it"),
        Give("scale", Form.METRICS, meaning="the zero point of the detector and where it comes from"),
    ),
    run=magnitudes,
)
