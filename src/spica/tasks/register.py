"""Register: frames that have no sky solution, laid onto one of them; and the light of its stars through the series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import COLUMNS, Catalogue, Column, Flag, PsfFlag
from spica.core.faults import DataFault
from spica.core.records import Exposure, Grain, Scalar, Unit
from spica.core.settings import Settings, setting
from spica.core.task import Form, Give, Measured, Member, Need, Products, Task
from spica.kernels.pairs import pairs_within
from spica.kernels.registration import Registered, registered
from spica.kernels.robust import MAD_TO_SIGMA

Values = npt.NDArray[Any]
Complex = npt.NDArray[np.complex128]

_LEAST = 5
"""Stars that have to agree."""
_TRIED = 3
"""So many frames are tried as the reference, until most of the others can be laid on one."""
_SPOILT = Flag.SATURATED | Flag.TRUNCATED | Flag.CENTROID_FAILED | Flag.BAD_PIXELS
_LOST = PsfFlag.INCOMPLETE | PsfFlag.CORE_LOST | PsfFlag.FAILED


class RegisterSettings(Settings):
    """How frames are laid onto each other."""

    least_snr: float = setting(10.0, "of the stars that tell how frames lie", gt=0)
    most_stars: int = setting(600, "so many of the brightest of each frame are looked at", ge=10)
    error: float = setting(0.5, "of a place", "pixel", gt=0)
    shift: float = setting(0.25, "largest shift that is looked for, as a part of the frame", gt=0, le=1)
    scale: float = setting(1.05, "largest factor between the scales of two frames, either way", ge=1, le=2)
    confidence: float = setting(6.0, "-log10 of the greatest false-alarm probability", gt=0)
    radius: float = setting(1.5, "a star and its like in another frame are no farther apart", "pixel", gt=0)


class _Frame(NamedTuple):
    """A detector of an exposure: what it sees, places [pixel] and light [electron] of one sort for all frames."""

    exposure: Exposure
    detector: int
    place: Complex
    star: Values
    flux: Values
    error: Values
    good: Values

    @property
    def name(self) -> str:
        return f"{self.exposure.name}/{self.detector}"


class _Laid(NamedTuple):
    """A frame on the reference: how it lies there (None: it is the reference), and how much fainter it is [mag], with the scatter."""

    frame: _Frame
    how: Registered | None
    pairs: tuple[Values, Values]
    fainter: float
    scatter: float


def register(
    settings: RegisterSettings,
    exposures: tuple[Exposure, ...],
    sources: tuple[Member, ...],
    psf_sources: tuple[Member, ...] | None = None,
    headers: Mapping[str, Mapping[str, Any]] | None = None,
) -> Products:
    """Lay the exposures of a group, detector by detector, onto the one that has the most stars, the first of several.

    Where most of the others cannot be laid on it (it may be of another field) the next ones are tried, and that is taken
    on which most could be.

    Shift, turn, scale and parity are found by the votes and odds of `spica.kernels.registration`. Places and fluxes are
    those of PSF fits where there are any for all frames, else centroids and `flux_auto`.

    Returns
    -------
    registration : Catalogue, a row for each frame that was laid on its reference, and that itself.
    light_curves : Catalogue, a row for each star of the reference in each frame that sees it, on the reference's scale of light.
    unregistered : value: ``exposure/detector`` to `code` and what is wrong with it; `references`.
    anchors : value: of each detector's reference `exposure`, `exposure_time` [s] and `cards`: its sky solution as delivered, or as
        the camera's table has it about the header's pointing; none where `headers` tells none.
    registering : metrics: frames that were registered and refused, residuals, matches.

    Raises
    ------
    DataFault
        ``register.no-stars`` where no frame has enough stars to be laid upon; ``register.alone`` where nothing could be.
    """
    frames = _frames(settings, exposures, sources, psf_sources)
    laid: list[_Laid] = []
    refused: dict[str, Any] = {}
    references: dict[str, str] = {}
    for detector in sorted({frame.detector for frame in frames}):
        here = [frame for frame in frames if frame.detector == detector]
        able = [frame for frame in here if np.count_nonzero(frame.good) >= _LEAST]
        refused |= {frame.name: _few(frame) for frame in here if np.count_nonzero(frame.good) < _LEAST}
        if able:
            first, done = _best(settings, able)
            references[str(detector)] = first.exposure.name
            laid += [one for one in done if one is not None]
            refused |= {
                frame.name: _no_match(frame, first) for frame, one in zip(able, done, strict=True) if one is None
            }
    if not references:
        message = f"none of {len(frames)} frames has the {_LEAST} stars that it takes"
        raise DataFault("register.no-stars", message, frames=len(frames), needed=_LEAST)
    if len(frames) > 1 and len(laid) == len(references):
        message = f"none of {len(frames)} frames could be laid on another"
        raise DataFault("register.alone", message, frames=len(frames), references=len(references))
    header: dict[str, Scalar] = {"PSFFLUX": psf_sources is not None}
    return {
        "registration": _table(laid, header),
        "light_curves": _light_curves(laid, header),
        "unregistered": {"frames": refused, "references": references},
        "anchors": _anchors(laid, headers or {}),
        "registering": _figures(laid, len(refused)),
    }


def _frames(
    settings: RegisterSettings,
    exposures: Sequence[Exposure],
    sources: Sequence[Member],
    fits: Sequence[Member] | None,
) -> list[_Frame]:
    record = {exposure.name: exposure for exposure in exposures}
    fitted = {member.unit: member.value for member in fits or ()}
    found = []
    for member in sources:
        keys = Unit.parse(member.unit).keys
        table, fit = member.value, fitted.get(member.unit)
        if fits is not None and fit is None:
            continue  # it has no PSF fits: told as failed there
        good = table["flags"].astype(np.int64) & _SPOILT == 0
        if fit is None:
            x, y, flux, error = (table[name].astype(float) for name in ("x", "y", "flux_auto", "flux_auto_err"))
        else:
            x, y, flux, error = (fit[name].astype(float) for name in ("x_psf", "y_psf", "flux_psf", "flux_psf_err"))
            good = good & (fit["flags_psf"].astype(np.int64) & _LOST == 0)
        known = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux) & (error > 0)
        good = good & known & (flux > settings.least_snr * np.where(known, error, np.inf))
        place = np.where(known, x + 1j * y, np.nan)
        star = table["source_id"].astype(np.int64)
        found.append(_Frame(record[keys["exposure"]], int(keys["detector"]), place, star, flux, error, good))
    return found


def _best(settings: RegisterSettings, able: Sequence[_Frame]) -> tuple[_Frame, list[_Laid | None]]:
    """A reference, and how each frame lies on it."""
    order = sorted(range(len(able)), key=lambda row: (-np.count_nonzero(able[row].good), row))
    tried: list[tuple[_Frame, list[_Laid | None]]] = []
    for row in order[:_TRIED]:
        tried.append((able[row], [_lay(settings, frame, able[row]) for frame in able]))
        if 2 * sum(one is not None for one in tried[-1][1]) > len(able):
            break
    return max(tried, key=lambda each: sum(one is not None for one in each[1]))


def _few(frame: _Frame) -> dict[str, Any]:
    return {"code": "register.no-stars", "stars": int(np.count_nonzero(frame.good)), "needed": _LEAST}


def _no_match(frame: _Frame, first: _Frame) -> dict[str, Any]:
    stars = [int(np.count_nonzero(each.good)) for each in (frame, first)]
    return {"code": "register.no-match", "stars": stars[0], "reference": first.exposure.name, "there": stars[1]}


def _brightest(frame: _Frame, most: int) -> Complex:
    rows = np.flatnonzero(frame.good)
    return np.asarray(frame.place[rows[np.argsort(-frame.flux[rows], kind="stable")][:most]])


def _lay(settings: RegisterSettings, frame: _Frame, first: _Frame) -> _Laid | None:
    """A frame on the reference, None where no way of lying there is beyond chance."""
    how = None
    if frame is not first:
        how = registered(
            *(_brightest(each, settings.most_stars) for each in (frame, first)),
            error=settings.error,
            shift=settings.shift,
            scale=settings.scale,
            confidence=settings.confidence,
        )
        if how is None:
            return None
    there = frame.place if how is None else how.apply(frame.place)
    mine, theirs = _mutual(there, first.place, settings.radius)
    both = frame.good[mine] & first.good[theirs]
    fainter = -2.5 * np.log10(frame.flux[mine[both]] / first.flux[theirs[both]])
    middle = float(np.median(fainter)) if fainter.size else float("nan")
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(fainter - middle))) if fainter.size else float("nan")
    return _Laid(frame, how, (mine, theirs), middle, scatter)


def _mutual(one: Complex, other: Complex, radius: float) -> tuple[Values, Values]:
    """Rows of both that are nearest to each other."""
    mine, theirs = pairs_within((one.real, one.imag), (other.real, other.imag), radius)
    away = np.abs(one[mine] - other[theirs])
    order = np.argsort(away, kind="stable")
    nearest = np.zeros(mine.size, np.bool_)
    _, of_mine = np.unique(mine[order], return_index=True)
    _, of_theirs = np.unique(theirs[order], return_index=True)
    nearest[order[np.intersect1d(of_mine, of_theirs)]] = True
    return mine[nearest], theirs[nearest]


def _table(laid: Sequence[_Laid], header: Mapping[str, Scalar]) -> Catalogue:
    still = np.ones(len(laid), complex)
    turn, offset = still.copy(), 0.0 * still
    for row, one in enumerate(laid):
        if one.how is not None:
            turn[row], offset[row] = one.how.turn, one.how.offset
    columns = {
        "exposure_id": [one.frame.exposure.id for one in laid],
        "detector": [one.frame.detector for one in laid],
        "mjd": [one.frame.exposure.mjd for one in laid],
        "is_reference": [one.how is None for one in laid],
        "turn_x": turn.real,
        "turn_y": turn.imag,
        "offset_x": offset.real,
        "offset_y": offset.imag,
        "mirrored": [one.how is not None and one.how.mirrored for one in laid],
        "angle": np.degrees(np.angle(turn)),
        "scale": np.abs(turn),
        "rms": [0.0 if one.how is None else one.how.rms for one in laid],
        "matches": [one.pairs[0].size if one.how is None else one.how.one.size for one in laid],
        "odds": [float("nan") if one.how is None else -one.how.log_false for one in laid],
        "fainter": [one.fainter for one in laid],
        "fainter_scatter": [one.scatter for one in laid],
    }
    return Catalogue(
        {name: np.asarray(columns[name]).astype(each.dtype) for name, each in _ROWS.items()}, header, _ROWS
    )


def _light_curves(laid: Sequence[_Laid], header: Mapping[str, Scalar]) -> Catalogue:
    """Stars of the reference in all frames, in order of detector, star and time."""
    first = {one.frame.detector: one.frame for one in laid if one.how is None}
    parts: list[dict[str, Values]] = []
    for one in laid:
        frame, (mine, theirs) = one.frame, one.pairs
        place = frame.place[mine] if one.how is None else one.how.apply(frame.place[mine])
        to_reference = 10.0 ** (0.4 * one.fainter)
        parts.append(
            {
                "star": first[frame.detector].star[theirs],
                "detector": np.full(mine.size, frame.detector),
                "exposure_id": np.full(mine.size, frame.exposure.id),
                "mjd": np.full(mine.size, frame.exposure.mjd),
                "source_id": frame.star[mine],
                "x": place.real,
                "y": place.imag,
                "flux": frame.flux[mine] * to_reference,
                "flux_err": frame.error[mine] * to_reference,
                "good": frame.good[mine],
            }
        )
    whole = {name: np.concatenate([part[name] for part in parts]) for name in _CURVES}
    order = np.lexsort((whole["mjd"], whole["star"], whole["detector"]))
    return Catalogue({name: whole[name][order].astype(each.dtype) for name, each in _CURVES.items()}, header, _CURVES)


def _anchors(laid: Sequence[_Laid], headers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Where the references lie on the sky, by detector."""
    return {
        str(one.frame.detector): {
            "exposure": one.frame.exposure.name,
            "exposure_time": one.frame.exposure.exposure_time,
            "cards": dict(headers.get(one.frame.name, {})),
        }
        for one in laid
        if one.how is None
    }


def _figures(laid: Sequence[_Laid], refused: int) -> dict[str, Measured]:
    figures = {"registered": Measured(float(len(laid))), "register_refused": Measured(float(refused))}
    there = [one for one in laid if one.how is not None]
    if there:
        figures |= {
            "register_rms": Measured(float(np.median([one.how.rms for one in there if one.how])), "pixel"),
            "register_matches": Measured(float(min(one.how.one.size for one in there if one.how))),
            "register_scatter": Measured(float(np.nanmedian([one.scatter for one in there])), "mag"),
        }
    return figures


_SHARED = (
    Column("exposure_id", "i8", "", "meta.id;obs", "number of the exposure"),
    Column("detector", "i4", "", "meta.id;instr.det", "number of the detector"),
    Column("mjd", "f8", "d", "time.epoch", "middle of the exposure, MJD TAI"),
)
_ROWS = {
    column.name: column
    for column in (
        *_SHARED,
        Column("is_reference", "i4", "", "meta.code", "1 for the frame that the others of the detector are laid on"),
        Column("turn_x", "f8", "", "instr.det", "z on the reference is turn z + offset, z = x + i y of the frame: real part"),
        Column("turn_y", "f8", "", "instr.det", "imaginary part of turn"),
        Column("offset_x", "f8", "pixel", "pos.cartesian.x;instr.det", "real part of offset"),
        Column("offset_y", "f8", "pixel", "pos.cartesian.y;instr.det", "imaginary part of offset"),
        Column("mirrored", "i4", "", "meta.code", "1 where z is to be mirrored first: x - i y"),
        Column("angle", "f8", "deg", "pos.posAng;instr.det", "of turn, from x to y"),
        Column("scale", "f8", "", "instr.scale;arith.ratio", "modulus of turn"),
        Column("rms", "f8", "pixel", "stat.stdev;pos.cartesian", "residual per coordinate"),
        Column("matches", "i4", "", "meta.number", "stars that agree"),
        Column("odds", "f8", "", "stat.likelihood", "-log10 of the probability that as many agree by chance"),
        Column("fainter", "f8", "mag", "phot.mag;arith.diff", "median of the stars' magnitudes less those in the reference"),
        Column("fainter_scatter", "f8", "mag", "stat.stdev;phot.mag", "their scatter"),
    )
}  # fmt: skip
_CURVES = {
    column.name: column
    for column in (
        Column("star", "i8", "", "meta.id;meta.main", "source_id of the star in the reference"),
        *_SHARED,
        COLUMNS["source_id"],
        Column("x", "f8", "pixel", "pos.cartesian.x;instr.det", "place on the reference, 0-based"),
        Column("y", "f8", "pixel", "pos.cartesian.y;instr.det", "place on the reference, 0-based"),
        Column("flux", "f8", "electron", "phot.flux", "light on the scale of the reference"),
        Column("flux_err", "f8", "electron", "stat.error;phot.flux", "its error, without that of the scale"),
        Column(
            "good", "i4", "", "meta.code.qual", "1 where the star is clean and bright enough to tell how frames lie"
        ),
    )
}

TASK = Task(
    name="register",
    version=2,
    grain=Grain.GROUP,
    settings=RegisterSettings,
    needs=(
        Need("exposures", source="exposures"),
        Need(
            "sources",
            grain=Grain.DETECTOR,
            columns=("source_id", "x", "y", "flux_auto", "flux_auto_err", "flags"),
            quorum=1,
        ),
        Need(
            "psf_sources",
            grain=Grain.DETECTOR,
            columns=("x_psf", "y_psf", "flux_psf", "flux_psf_err", "flags_psf"),
            quorum=1,
            optional=True,
        ),
        Need("headers", source="wcs"),
    ),
    gives=(
        Give("registration", Form.CATALOGUE, meaning="how each frame lies on the one that they are laid on"),
        Give("light_curves", Form.CATALOGUE, meaning="light of each star through the series"),
        Give("unregistered", Form.VALUE, meaning="frames that could not be laid on their reference, and why"),
        Give(
            "anchors",
            Form.VALUE,
            meaning="where on the sky the frames are that the others are laid on, as far as is told",
        ),
        Give("registering", Form.METRICS, meaning="frames registered and refused, residuals, matches"),
    ),
    run=register,
)
