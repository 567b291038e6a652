"""Judging a reduction against the truth: each finding is a number with the range in which it is good.

Pulls are differences in units of their stated errors: where errors are honest their robust standard deviation is 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from spica.core.columns import Flag
from spica.core.mask import Mask
from spica.services.truth import Floats, Frame, Master

SIGMA_OF_MAD = 1.4826
BRIGHT = 50.0
"""Signal-to-noise of sources that positions and photometry are judged by."""
DETECTABLE = 10.0
"""Expected signal-to-noise above which a source should be found."""
EDGE = 10.0
"""Pixels from the edge within which sources are not judged."""
APART = 14.0
"""Pixels within which a neighbour spoils photometry (the largest aperture has 8)."""
APERTURE = 1
"""Column of the aperture that photometry is judged in: 5 pixels of radius with the shipped settings."""
FAINT = 0.01
"""Light of a neighbour that does not."""


@dataclass(frozen=True)
class Finding:
    """One number about one group of results, the range in which it is good, and whether it is."""

    group: str
    name: str
    value: float
    unit: str
    expected: str
    good: bool


def finding(group: str, name: str, value: float, unit: str, low: float = -math.inf, high: float = math.inf) -> Finding:
    """Make a finding; a value that is not a number is never good."""
    if math.isinf(low):
        expected = "" if math.isinf(high) else f"< {high:g}"
    else:
        expected = f"> {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
    return Finding(group, name, float(value), unit, expected, bool(low <= value <= high))


def spread(values: Floats) -> float:
    """Robust standard deviation (from the median absolute deviation); NaN of nothing."""
    if not values.size:
        return math.nan
    return SIGMA_OF_MAD * float(np.median(np.abs(values - np.median(values))))


@dataclass(frozen=True, eq=False)
class Matched:
    """Matched clean stars of all frames: parallel arrays.

    Attributes
    ----------
    mag, expected : true magnitude, and true electrons as they should be in the detrended image.
    exposure : number of the exposure, counted as they come.
    flux, error : in the second aperture [electron].
    dx, dy, x_err, y_err : place minus true place and its errors [pixel].
    snr : of the catalogue.
    """

    exposure: Floats
    mag: Floats
    expected: Floats
    flux: Floats
    error: Floats
    dx: Floats
    dy: Floats
    x_err: Floats
    y_err: Floats
    snr: Floats

    @property
    def bright(self) -> npt.NDArray[np.bool_]:
        """Those that are judged one by one."""
        return np.asarray(self.snr > BRIGHT)

    @property
    def raw_residual(self) -> Floats:
        """Magnitude measured minus true, the aperture's loss of light left in."""
        return np.asarray(-2.5 * np.log10(np.maximum(self.flux, 1e-3) / self.expected))

    @property
    def offset(self) -> Floats:
        """The aperture's loss of light: for each star the median of its exposure's bright stars [mag]."""
        raw, found = self.raw_residual, np.full(self.mag.size, np.nan)
        for number in np.unique(self.exposure):
            mine = self.exposure == number
            if (mine & self.bright).any():
                found[mine] = np.median(raw[mine & self.bright])
        return found

    @property
    def residual(self) -> Floats:
        """Magnitude measured minus true, the loss of light taken out."""
        return np.asarray(self.raw_residual - self.offset)


def matched(frames: Sequence[Frame]) -> Matched:
    """Stars that were found, unspoilt and without neighbours."""
    numbers = {
        name: float(number) for number, name in enumerate(dict.fromkeys(frame.unit.values[0] for frame in frames))
    }
    parts = (_stars(frame, numbers[frame.unit.values[0]]) for frame in frames)
    return Matched(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _stars(frame: Frame, number: float) -> tuple[Floats, ...]:
    spoilt = Flag.SATURATED | Flag.TRUNCATED | Flag.BAD_PIXELS | Flag.CENTROID_FAILED
    clean = (frame.sources["flags"][frame.rows].astype(np.int64) & spoilt) == 0
    clean &= frame.types[frame.true_rows] == "star"
    clean &= alone(frame)[frame.true_rows] & inside(frame)[frame.true_rows] & untouched(frame)[frame.true_rows]
    rows, true_rows = frame.rows[clean], frame.true_rows[clean]

    def made(name: str) -> Floats:
        values: Floats = frame.sources[name][rows].astype(np.float64)
        return values

    true_x, true_y, electrons, mag = (
        frame.places[name][true_rows].astype(np.float64) for name in ("x", "y", "electrons", "mag")
    )
    flux, error = made("flux_aper")[:, APERTURE], made("flux_aper_err")[:, APERTURE]
    places = (made("x") - true_x, made("y") - true_y, made("x_err"), made("y_err"))
    return (np.full(rows.size, number), mag, electrons * frame.response, flux, error, *places, made("snr"))


def alone(frame: Frame) -> npt.NDArray[np.bool_]:
    """True sources without a neighbour that spoils their photometry."""
    places = np.column_stack([frame.places["x"], frame.places["y"]]).astype(np.float64)
    light = frame.places["electrons"].astype(np.float64)
    pairs = cKDTree(places).query_pairs(APART, output_type="ndarray") if len(places) else np.zeros((0, 2), int)
    found = np.ones(len(places), dtype=bool)
    for one, other in ((pairs[:, 0], pairs[:, 1]), (pairs[:, 1], pairs[:, 0])):
        found[one[light[other] > FAINT * light[one]]] = False
    return found


def inside(frame: Frame) -> npt.NDArray[np.bool_]:
    """True sources that are not at an edge."""
    x, y = frame.places["x"].astype(np.float64), frame.places["y"].astype(np.float64)
    here = (x > EDGE) & (y > EDGE) & (x < frame.spec.nx - 1 - EDGE) & (y < frame.spec.ny - 1 - EDGE)
    return np.asarray(here)


def untouched(frame: Frame) -> npt.NDArray[np.bool_]:
    """True sources with no truly bad, saturated, hit or trailed pixel within 3 pixels."""
    ny, nx = frame.mask.shape
    x = np.clip(np.rint(frame.places["x"].astype(np.float64)).astype(int), 0, nx - 1)
    y = np.clip(np.rint(frame.places["y"].astype(np.float64)).astype(int), 0, ny - 1)
    hit = frame.mask != 0
    return np.array(
        [not hit[max(v - 3, 0) : v + 4, max(u - 3, 0) : u + 4].any() for u, v in zip(x, y, strict=True)], bool
    )


def expected_snr(frame: Frame) -> Floats:
    """Signal-to-noise with which an optimal filter would find each true source, if it were a star.

    From true light and the image's own variance; the noise is that of ``4 π σ²`` pixels, σ the width of the point
    spread function (King 1983, PASP 95, 163).
    """
    scale = frame.conditions["seeing"] / frame.pixel_scale
    pixels = 4.0 * math.pi * (scale / 2.3548) ** 2
    light = frame.places["electrons"].astype(np.float64) * frame.response
    variance = float(np.median(frame.image.variance)) if frame.image.variance is not None else math.nan
    gathered = float(frame.image.header.get("GAIN") or 1.0)
    return np.asarray(light / np.sqrt(light / gathered + pixels * variance))


def judge_sources(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Completeness, purity, positions, photometry, seeing."""
    wanted = found = detections = true_detections = 0
    for frame in frames:
        should = (expected_snr(frame) > DETECTABLE) & inside(frame) & untouched(frame) & (frame.types == "star")
        have = np.zeros(len(frame.places), dtype=bool)
        have[frame.true_rows] = True
        wanted += int(should.sum())
        found += int((should & have).sum())
        sure, true = _sure(frame)
        detections += sure
        true_detections += true
    yield finding("sources", "detections", sum(len(frame.sources) for frame in frames), "")
    yield finding("sources", "matched with true ones", sum(frame.rows.size for frame in frames), "", 1)
    yield finding("sources", "completeness of stars, S/N > 10", found / max(wanted, 1), "", 0.9)
    yield finding("sources", "purity, S/N > 7", true_detections / max(detections, 1), "", 0.95)
    stars = matched(frames)
    yield from _positions(stars)
    yield from _photometry(stars)
    ratios = [frame.seeing / frame.conditions["seeing"] for frame in frames]
    known = np.array([ratio for ratio in ratios if math.isfinite(ratio)])
    yield finding("seeing", "measured / true, median", np.median(known) if known.size else math.nan, "", 0.95, 1.08)


def _sure(frame: Frame) -> tuple[int, int]:
    """Detections beyond doubt that lie on no truly marked pixel (cosmic rays, trails, bleeding), and the true ones."""
    ny, nx = frame.mask.shape
    x = np.clip(np.rint(frame.sources["x"].astype(np.float64)).astype(int), 0, nx - 1)
    y = np.clip(np.rint(frame.sources["y"].astype(np.float64)).astype(int), 0, ny - 1)
    marked = np.array(
        [frame.mask[max(v - 3, 0) : v + 4, max(u - 3, 0) : u + 4].any() for u, v in zip(x, y, strict=True)], bool
    )
    sure = (frame.sources["snr"] > 7.0) & ~marked
    true = np.zeros(len(frame.sources), dtype=bool)
    true[frame.rows] = True
    return int(sure.sum()), int((sure & true).sum())


def _positions(stars: Matched) -> Iterator[Finding]:
    bright = stars.bright
    offsets = np.concatenate([stars.dx[bright], stars.dy[bright]])
    pulls = np.concatenate([stars.dx / stars.x_err, stars.dy / stars.y_err])
    yield finding("positions", "stars, S/N > 50", int(bright.sum()), "", 10)
    yield finding("positions", "offset, median", np.median(offsets) if offsets.size else math.nan, "pixel", -0.02, 0.02)
    yield finding("positions", "scatter, S/N > 50", spread(offsets), "pixel", 0.0, 0.05)
    yield finding("positions", "pull, all stars", spread(pulls), "", 0.8, 1.3)


def _photometry(stars: Matched) -> Iterator[Finding]:
    bright = stars.bright & np.isfinite(stars.offset)
    residual = stars.residual[bright]
    offset = float(np.median(stars.raw_residual[bright])) if residual.size else math.nan
    pulls = ((stars.flux - stars.expected * 10.0 ** (-0.4 * stars.offset)) / stars.error)[bright]
    yield finding("photometry", "light lost, S/N > 50, median", offset, "mag", -0.02, 0.1)
    yield finding("photometry", "scatter, S/N > 50", spread(residual), "mag", 0.0, 0.025)
    yield finding("photometry", "pull, S/N > 50", spread(pulls), "", 0.8, 1.8)


def judge_images(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Whether the variance is honest, and whether the mask has what it should."""
    pulls = np.concatenate([noise_pulls(frame) for frame in frames])
    yield finding("images", "noise / stated noise", spread(pulls), "", 0.95, 1.05)
    for name, bits in (("saturated", Mask.SATURATED), ("bad", Mask.BAD)):
        true = caught = flagged = false = 0
        for frame in frames:
            if frame.image.mask is None:
                continue
            should = frame.mask & int(bits) != 0
            have = frame.image.mask & int(bits) != 0
            spoilt = frame.mask & int(Mask.BAD | Mask.SATURATED | Mask.BLEED) != 0
            true += int(should.sum())
            caught += int((should & (frame.image.mask & int(Mask.unusable()) != 0)).sum())
            flagged += int(have.sum())
            false += int((have & ~spoilt).sum())
        if true:
            yield finding("images", f"{name} pixels found", caught / true, "", 0.5 if name == "bad" else 0.9)
        if flagged:
            yield finding("images", f"{name} pixels that are not", false / flagged, "", 0.0, 0.2)


def noise_pulls(frame: Frame) -> Floats:
    """Differences of neighbouring clean pixels over their stated error: free of background and of sources' light."""
    if frame.image.variance is None or frame.image.mask is None:
        return np.zeros(0)
    pixels = frame.image.pixels.astype(np.float64)
    variance = frame.image.variance.astype(np.float64)
    clean = (frame.image.mask & int(Mask.unusable() | Mask.DETECTED) == 0) & (frame.mask == 0)
    both = clean[:, 1:] & clean[:, :-1]
    pull = (pixels[:, 1:] - pixels[:, :-1]) / np.sqrt(np.maximum(variance[:, 1:] + variance[:, :-1], 1e-12))
    chosen: Floats = pull[both]
    return chosen


def judge_masters(masters: Sequence[Master]) -> Iterator[Finding]:
    """Masters against the truth: whether their noise is as stated, and how far they are off."""
    for kind in ("bias", "dark", "flat"):
        mine = [master for master in masters if master.kind == kind]
        if not mine:
            continue
        off = np.concatenate([(master.made - master.true)[master.good] for master in mine])
        stated = math.sqrt(float(np.mean(np.concatenate([master.noise[master.good] ** 2 for master in mine]))))
        unit = {"bias": "electron", "dark": "electron/s", "flat": ""}[kind]
        limit = {"bias": 1.0, "dark": 0.01, "flat": 0.003}[kind]
        yield finding("masters", f"{kind}: made - true, median", np.median(off), unit, -limit, limit)
        yield finding("masters", f"{kind}: made - true, scatter", spread(off), unit)
        yield finding("masters", f"{kind}: scatter / stated noise", spread(off) / stated, "", 0.9, 1.3)
