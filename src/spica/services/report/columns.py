"""The columns that plots are drawn from, one function for each set of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spica.core.camera import Camera, FilterSpec
from spica.core.columns import Catalogue, Flag, PsfFlag
from spica.core.psf import PsfModel
from spica.core.records import Exposure, Grain, Unit
from spica.core.solution import Standing
from spica.instruments.geometry import pixel_to_focal
from spica.kernels.illumination import departure
from spica.kernels.psf_look import places_over, shapes_at
from spica.kernels.psf_model import psf_stamps
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_rows import from_columns
from spica.services.plots.plot import Floats
from spica.services.plots.records import Depths, Flats, Points, Residuals, Shapes, Stars, Ties, ZeroPoints
from spica.services.plots.ties import cells_over
from spica.services.report.gather import Material, Solved, colours_of, focal

_SPOILT = Flag.SATURATED | Flag.TRUNCATED | Flag.BAD_PIXELS | Flag.CENTROID_FAILED
_LOST = PsfFlag.INCOMPLETE | PsfFlag.CORE_LOST | PsfFlag.FAILED
_FAINT = 10.0
"""Signal-to-noise below which the noise of a fit is that of the sky."""
_CELLS = 16
"""Cells along the short side of a detector in which the illumination is drawn."""
_GRID = 5
"""Places along the short side of a detector at which shapes are told; as many for its length along the long side."""


def residuals(material: Material) -> Residuals | None:
    """Detections of the report's exposures in joint solutions."""
    names = {each.id: each for each in material.scope.exposures}
    parts = []
    for solved in material.solved:
        kept = np.isin(solved.matches["exposure_id"], np.array(list(names), np.int64)) & (
            solved.matches["detector"] >= 0
        )
        colours = colours_of(material, solved)
        expected = _expected(solved)
        for key in sorted({(e, d) for e, d in solved.rows if e in names}):
            exposure, number = names[key[0]], key[1]
            if number in material.scope.detectors[exposure.name]:
                mine = np.flatnonzero(
                    kept & (solved.matches["exposure_id"] == key[0]) & (solved.matches["detector"] == number)
                )
                parts.append(_of_image(material, solved, (exposure, number), mine, (colours, expected)))
    return Residuals.joined(parts)


def _expected(solved: Solved) -> Floats:
    """Error of each row's residual per coordinate [mas]: a member takes part in the mean of its source by its weight."""
    weight = np.where(solved.matches["used"] == 1, solved.matches["sigma"].astype(np.float64) ** -2.0, 0.0)
    group = solved.matches["match_id"]
    total = np.bincount(group, weight) if group.size else np.zeros(0)
    share = np.divide(weight, total[group], out=np.zeros(weight.size), where=total[group] > 0.0)
    return np.asarray(solved.matches["sigma"] * np.sqrt(np.maximum(1.0 - share, 0.0)))


def _of_image(
    material: Material,
    solved: Solved,
    image: tuple[Exposure, int],
    rows: npt.NDArray[np.int64],
    more: tuple[dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]], Floats],
) -> Residuals:
    """The detections of one detector of one exposure."""
    exposure, number = image
    matches, row = solved.matches, solved.rows[exposure.id, number]
    spec = material.scope.camera.detector(number)
    x, y, east, north = (matches[name][rows].astype(np.float64) for name in ("x", "y", "off_east", "off_north"))
    pixel, _ = pixel_to_focal(material.scope.camera, spec, exposure.binning)
    # From the sky to the focal plane through the pixels: a turn and a flip, lengths stay as they are.
    turn = pixel @ np.linalg.inv(solved.solution["cd"][row].reshape(2, 2))
    turn /= np.sqrt(abs(np.linalg.det(turn)))
    along = turn @ np.stack([east, north])
    colours, expected = more
    colour = np.full(rows.size, np.nan)
    order = np.argsort(colours["match_id"], kind="stable")
    if order.size:
        known, wanted = colours["match_id"][order], matches["match_id"][rows]
        place = np.minimum(np.searchsorted(known, wanted), order.size - 1)
        colour = np.where(known[place] == wanted, colours["colour"][order][place], np.nan)
    wide, high = float(solved.solution["nx"][row]), float(solved.solution["ny"][row])
    return Residuals(
        exposure=matches["exposure_id"][rows],
        detector=matches["detector"][rows].astype(np.int64),
        band=np.full(rows.size, exposure.band),
        x=x,
        y=y,
        part_x=(x + 0.5) / wide,
        part_y=(y + 0.5) / high,
        **dict(zip(("focal_x", "focal_y"), focal(material.scope.camera, spec, exposure.binning, x, y), strict=True)),
        east=east,
        north=north,
        along_x=along[0],
        along_y=along[1],
        expected=expected[rows],
        colour=colour,
        used=matches["used"][rows] == 1,
        mag_used=matches["mag_used"][rows] == 1,
        **{name: matches[name][rows].astype(np.float64) for name in ("sigma", "pull", "mag", "mag_off", "mag_pull")},
    )


def _filter(camera: Camera, band: str) -> FilterSpec | None:
    return next((each for each in camera.filters if each.band == band), None)


def zero_points(material: Material) -> ZeroPoints | None:
    """Of the report's exposures and of those beside, from their joint solutions."""
    chosen = {each.name for each in material.scope.exposures}
    lines = []
    for exposure in sorted((*material.scope.exposures, *material.scope.beside), key=lambda each: each.mjd):
        for solved in material.solved:
            rows = np.array([row for (number, _), row in solved.rows.items() if number == exposure.id], np.int64)
            rows = rows[np.isfinite(solved.solution["zero_point"][rows]) & (solved.solution["photometric"][rows] >= 0)]
            if rows.size:
                zero = solved.solution["zero_point"][rows]
                usual = _filter(material.scope.camera, exposure.band)
                lines.append(
                    (
                        exposure.name,
                        exposure.band,
                        material.hours(exposure),
                        np.nan if exposure.airmass is None else exposure.airmass,
                        float(np.median(zero)),
                        float(np.median(solved.solution["zero_point_err"][rows])),
                        float(np.ptp(zero)),
                        np.nan if usual is None else usual.zero_point,
                        np.nan if usual is None else usual.extinction,
                        bool(np.all(solved.solution["photometric"][rows] == 1)),
                        exposure.name in chosen,
                    )
                )
                break
    return ZeroPoints(*(np.array(column) for column in zip(*lines, strict=True))) if lines else None


def ties(material: Material) -> Ties | None:
    """Zero points of the report's detectors where they lie on the sky."""
    parts = []
    for exposure, _, solved, row in _solved_rows(material):
        table = solved.solution
        if table["photometric"][row] < 0:
            continue
        nx, ny = float(table["nx"][row]), float(table["ny"][row])
        x, y = np.array([0.0, nx, nx, 0.0]) - 0.5, np.array([0.0, 0.0, ny, ny]) - 0.5
        corners = np.stack(pixel_to_sky(from_columns(table.columns, row), x, y), axis=-1)
        told = np.array([table["zero_point_err"][row]], np.float64), table["photometric"][[row]] == 1
        # Islands are numbered in each solution by itself.
        island = 1000 * material.solved.index(solved) + int(table["island"][row])
        parts.append(
            Ties(np.array([exposure.name]), np.array([exposure.band]), corners[None], *told, np.array([island]))
        )
    return Ties.joined(parts)


def flats(material: Material) -> Flats | None:
    """What the flat fields got wrong, once for each band and detector of a solution that fitted it."""
    parts, seen = [], set()
    camera = material.scope.camera
    for exposure, number, solved, row in _solved_rows(material):
        table = solved.solution
        if (exposure.band, number) in seen or not np.any(table["flat"][row]):
            continue
        seen.add((exposure.band, number))
        size = float(table["nx"][row]), float(table["ny"][row])
        x, y, cells = cells_over(size, _CELLS)
        matrix, origin = pixel_to_focal(camera, camera.detector(number), exposure.binning)
        value = departure(x, y, size, table["flat"][row])
        parts.append(Flats(np.full(x.size, exposure.band), cells @ matrix.T + origin, value))
    return Flats.joined(parts)


def _solved_rows(material: Material) -> Iterator[tuple[Exposure, int, Solved, int]]:
    """The report's detectors with the first joint solution that has them, and their rows in it."""
    for exposure in material.scope.exposures:
        for number in material.scope.detectors[exposure.name]:
            for solved in material.solved:
                row = solved.rows.get((exposure.id, number))
                if row is not None:
                    yield exposure, number, solved, row
                    break


def _models(material: Material) -> Iterator[tuple[Exposure, Unit, PsfModel]]:
    for exposure in material.scope.exposures:
        for unit, _ in material.seats(exposure):
            product = material.read(unit, "psf")
            if product is not None:
                yield exposure, unit, PsfModel.from_catalogue(product)


def shapes(material: Material) -> Shapes | None:
    """Width and shape of the models at places over their detectors."""
    camera, parts = material.scope.camera, []
    for exposure, unit, model in _models(material):
        spec = camera.detector(int(unit.values[1]))
        nx, ny = (round(size / each) for size, each in zip((spec.nx, spec.ny), exposure.binning, strict=True))
        short = min(nx, ny)
        across, along = (max(round(_GRID * size / short), 1) for size in (nx, ny))
        x, y = places_over((ny, nx), across, along)
        found = shapes_at(model.coefficients, model.values(x, y), model.sampling, model.fwhm)
        matrix, origin = pixel_to_focal(camera, spec, exposure.binning)
        # The long axis goes the way that the pixels' own axes go.
        angle = 0.5 * np.arctan2(found.e2, found.e1)
        axis = matrix @ np.stack([np.cos(angle), np.sin(angle)])
        angle = np.arctan2(axis[1], axis[0])
        half = np.array([nx / across, ny / along]) / 2.0
        corners = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]) * half
        cells = (np.stack([x, y], axis=-1)[:, None, :] + corners) @ matrix.T + origin
        focal_x, focal_y = focal(camera, spec, exposure.binning, x, y)
        scale = camera.pixel_scale * float(np.sqrt(np.prod(exposure.binning)))
        e = found.ellipticity
        parts.append(
            Shapes(
                *(np.full(x.size, exposure.name), np.full(x.size, spec.id), focal_x, focal_y, cells),
                *(scale * found.fwhm, e * np.cos(2.0 * angle), e * np.sin(2.0 * angle)),
            )
        )
    return Shapes.joined(parts)


def stamps(material: Material) -> tuple[npt.NDArray[np.float32] | None, Floats]:
    """Models in the middle of each detector of an exposure, at nine places of a single detector; their places [mm]."""
    camera, drawn, places = material.scope.camera, [], []
    found = list(_models(material))
    count = 3 if len(found) == 1 else 1
    size = 2 * int(3.0 * max((model.fwhm for _, _, model in found), default=1.0)) + 1
    for exposure, unit, model in found:
        spec = camera.detector(int(unit.values[1]))
        shape = round(spec.ny / exposure.binning[1]), round(spec.nx / exposure.binning[0])
        x, y = places_over(shape, count, count)
        zero = np.zeros(x.size)
        drawn.append(psf_stamps(model.coefficients, model.values(x, y), model.sampling, zero, zero, size)[:, 0])
        places.append(np.stack(focal(camera, spec, exposure.binning, x, y), axis=-1))
    if not drawn:
        return None, np.zeros((0, 2))
    return np.concatenate(drawn), np.concatenate(places)


def psf_stars(material: Material) -> Stars | None:
    """Stars of the models."""
    parts = []
    for exposure in material.scope.exposures:
        for unit, spec in material.seats(exposure):
            rows = material.read(unit, "psf_stars")
            if rows is not None and len(rows):
                place = focal(material.scope.camera, spec, exposure.binning, rows["x"], rows["y"])
                light, chi2 = rows["flux"].astype(np.float64), rows["chi2"].astype(np.float64)
                parts.append(
                    Stars(np.full(len(rows), spec.id), *place, light, chi2, rows["used"] == 1, rows["held"] == 1)
                )
    return Stars.joined(parts)


def _zero_of(material: Material, exposure: Exposure, number: int, x: Floats, y: Floats) -> tuple[Floats | float, bool]:
    """Zero points at places on a detector [mag of 1 electron/s], whether they were measured; else the usual one; NaN."""
    for solved in material.solved:
        row, table = solved.rows.get((exposure.id, number)), solved.solution
        if row is not None and table["photometric"][row] == 1:
            size = float(table["nx"][row]), float(table["ny"][row])
            return float(table["zero_point"][row]) + departure(x, y, size, table["flat"][row]), True
    usual = _filter(material.scope.camera, exposure.band)
    if usual is None:
        return float("nan"), False
    return usual.zero_point - usual.extinction * ((exposure.airmass or 1.0) - 1.0), False


def _place_of(
    material: Material, exposure: Exposure, number: int, sources: Catalogue, x: Floats, y: Floats
) -> tuple[Floats, Floats]:
    """Sky positions by the joint solution, by the header where there is none."""
    for solved in material.solved:
        row = solved.rows.get((exposure.id, number))
        if row is not None and solved.solution["standing"][row] in {int(Standing.SOLVED), int(Standing.SPARSE)}:
            ra, dec = pixel_to_sky(from_columns(solved.solution.columns, row), x, y)
            return np.asarray(ra), np.asarray(dec)
    return sources["ra"].astype(np.float64), sources["dec"].astype(np.float64)


def points(material: Material) -> Points | None:
    """Sources with their PSF fits."""
    parts = []
    wanted = ("x_psf", "y_psf", "flux_psf", "flux_psf_err", "snr_psf", "spread_model", "spread_model_err", "p_star", "flags_psf")  # fmt: skip
    for exposure in material.scope.exposures:
        for unit, spec in material.seats(exposure):
            fits = material.read(unit, "psf_sources", wanted)
            sources = material.read(unit, "sources", ("ra", "dec", "x", "y", "flags"))
            if fits is None or sources is None or not len(fits):
                continue
            zero, calibrated = _zero_of(material, exposure, spec.id, sources["x"], sources["y"])
            flux = fits["flux_psf"] / max(exposure.exposure_time, 1e-3)
            mag = zero - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))
            clean = (fits["flags_psf"] & _LOST == 0) & (sources["flags"].astype(np.int64) & _SPOILT == 0)
            place = _place_of(material, exposure, spec.id, sources, fits["x_psf"], fits["y_psf"])
            columns = (
                fits[name].astype(np.float64) for name in ("snr_psf", "spread_model", "spread_model_err", "p_star")
            )
            count = len(fits)
            parts.append(
                Points(
                    *(np.full(count, exposure.name), np.full(count, spec.id), np.full(count, exposure.band)),
                    *(*place, mag, *columns, clean, np.full(count, calibrated)),
                )
            )
    return Points.joined(parts)


def depths(material: Material, found: Points | None) -> Depths | None:
    """Light of 5 σ of each exposure, by its faint sources: their light over their signal-to-noise is the noise.

    Of the exposures beside, what the task `judge` found in the same way.
    """
    if found is None:
        return None
    lines = []
    for exposure in material.scope.exposures:
        mine = found.select((found.exposure == exposure.name) & found.clean & np.isfinite(found.mag))
        faint = mine.select((mine.snr > 2.0) & (mine.snr < _FAINT))
        limit = faint.mag + 2.5 * np.log10(faint.snr / 5.0)
        own = [float(np.median(limit[faint.detector == number])) for number in np.unique(faint.detector)]
        if own:
            told = float(np.median(own)), float(np.ptp(own)), bool(np.all(mine.calibrated)), True
            lines.append((exposure.name, exposure.band, material.hours(exposure), *told))
    for exposure in material.scope.beside:
        known = material.house.registry.metrics_of(Unit(Grain.EXPOSURE, (exposure.name,)))
        metrics = {metric.name: metric.value for metric in known}
        if "point_depth" in metrics:
            here = metrics["point_depth"], 0.0, True, False
            lines.append((exposure.name, exposure.band, material.hours(exposure), *here))
    return Depths(*(np.array(column) for column in zip(*lines, strict=True))) if lines else None
