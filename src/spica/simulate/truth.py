"""What was drawn, as tables: sources, exposures, detectors, places, pixels, amplifiers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spica.core.camera import Camera
from spica.core.mask import Mask
from spica.core.records import Scalar
from spica.kernels.compiled import Float32
from spica.kernels.draw_marks import runs
from spica.simulate import optics
from spica.simulate.calibration import Cell, bias_image
from spica.simulate.expose import Drawn
from spica.simulate.headers import recorded
from spica.simulate.schedule import Shot
from spica.simulate.sky import KINDS, Sky
from spica.simulate.tables import write_table
from spica.simulate.writing import Hdu, write

_UNITS = {
    "ra": "deg", "dec": "deg", "pm_ra": "mas/yr", "pm_dec": "mas/yr", "size": "arcsec", "amplitude": "mag",
    "period": "day", "start": "d", "rate_ra": "arcsec/h", "rate_dec": "arcsec/h", "epoch": "d", "mjd": "d",
    "exposure_time": "s", "seeing": "arcsec", "zero_point": "mag", "clouds": "mag", "rotation": "deg", "x": "pixel",
    "y": "pixel", "electrons": "electron", "mag": "mag", "gain": "electron/adu", "read_noise": "electron",
    "bias": "adu", "saturation": "adu", "dark_rate": "electron/s", "sky": "electron/pixel",
}  # fmt: skip

_ROWS = {
    "exposures": "one row per exposure: conditions and what the telescope was told; of cubes, sky and time of one slice",
    "detectors": "one row per detector of an exposure: true sky solution as FITS cards (JSON), bias levels",
    "amplifiers": "one row per amplifier",
}
_BLOCKS = {
    "positions": (
        "places of sources at mid-exposure, 0-based pixels of the assembled detector; light before its response",
        ("id", "x", "y", "electrons", "mag"),
    ),
    "pixels": (
        "runs of true mask bits of the assembled detector, columns x0 to x1 (half open); defects have no exposure",
        ("y", "x0", "x1", "bits"),
    ),
}


@dataclass
class Ledger:
    """Collects the truth while exposures are drawn; `save` writes it."""

    names: dict[int, str] = field(default_factory=dict)
    """Sequence number of each exposure to its name in the survey."""
    exposures: list[dict[str, Scalar]] = field(default_factory=list)
    detectors: list[dict[str, Scalar]] = field(default_factory=list)
    positions: list[dict[str, Any]] = field(default_factory=list)
    pixels: list[dict[str, Any]] = field(default_factory=list)
    amplifiers: list[dict[str, Scalar]] = field(default_factory=list)

    def name(self, camera: Camera, shot: Shot) -> str:
        """The name under which the survey will know the exposure."""
        if shot.sequence not in self.names:
            self.names[shot.sequence] = recorded(camera, shot).name
        return self.names[shot.sequence]

    def add_exposure(self, camera: Camera, shot: Shot, files: list[str]) -> None:
        """Note a shot and the names of the files that hold it."""
        conditions = shot.conditions
        pointing = conditions.true_pointing if shot.ra is not None else (None, None, None)
        self.exposures.append(
            {
                "exposure": self.name(camera, shot),
                "sequence": shot.sequence,
                "night": shot.night,
                "frame_type": str(shot.frame_type),
                "flat_kind": shot.flat_kind,
                "band": shot.band,
                "field": shot.field,
                "mjd": shot.mjd_tai,
                "exposure_time": shot.exposure_time,
                "slices": camera.slices,
                "ra": shot.ra,
                "dec": shot.dec,
                "rotation": shot.rotation if shot.ra is not None else None,
                "true_ra": pointing[0],
                "true_dec": pointing[1],
                "true_rotation": pointing[2],
                "airmass": shot.airmass,
                "seeing": conditions.seeing if shot.ra is not None else None,
                "psf_g1": conditions.g1,
                "psf_g2": conditions.g2,
                "zero_point": conditions.zero_point if shot.ra is not None else None,
                "clouds": conditions.clouds,
                "sky": conditions.sky * (shot.exposure_time if shot.ra is not None else 1.0),
                "sky_gradient_x": conditions.gradient[0],
                "sky_gradient_y": conditions.gradient[1],
                "moon": conditions.moon,
                "drill": shot.drill,
                "files": " ".join(files),
            }
        )

    def add_detector(self, camera: Camera, shot: Shot, detector: int, drawn: Drawn, sky: Sky) -> None:
        """Note one detector of a shot: solution, places of sources, marked pixels, bias levels."""
        name = self.name(camera, shot)
        wcs = json.dumps(optics.cards(drawn.plate)) if drawn.plate is not None else ""
        self.detectors.append(
            {
                "exposure": name,
                "detector": detector,
                "wcs": wcs,
                "cosmics": drawn.cosmics,
                "trails": drawn.trails,
                "bias": json.dumps([round(level, 4) for level in drawn.levels]),
            }
        )
        if drawn.placed is not None:
            placed = drawn.placed
            many = {"exposure": name, "detector": detector}
            self.positions.append(
                many
                | {"id": sky.id[placed.rows], "x": placed.x, "y": placed.y, "electrons": placed.flux, "mag": placed.mag}
            )
        self._add_runs(name, detector, drawn.runs)

    def add_cell(self, truth: Cell) -> None:
        """Note a detector: its amplifiers and its defects (under an empty exposure name)."""
        for amplifier in truth.amplifiers:
            spec = amplifier.spec
            self.amplifiers.append(
                {
                    "detector": truth.spec.id,
                    "amplifier": spec.name,
                    "bias": amplifier.pedestal.level,
                    "gain": spec.gain,
                    "read_noise": spec.read_noise,
                    "saturation": spec.saturation,
                    "full_well": amplifier.chain.full_well,
                    "dark_rate": float(np.median(truth.dark[::4, ::4])),
                    "linearity": json.dumps([amplifier.chain.c0, amplifier.chain.c1, amplifier.chain.c2]),
                }
            )
        self._add_runs("", truth.spec.id, runs(truth.defects.astype(np.int32) * int(Mask.BAD)))

    def _add_runs(self, exposure: str, detector: int, found: Any) -> None:
        columns = {"y": found[:, 0], "x0": found[:, 1], "x1": found[:, 2], "bits": found[:, 3]}
        self.pixels.append({"exposure": exposure, "detector": detector} | columns)

    def save(self, folder: Path) -> dict[str, Path]:
        """Write the tables; returns name to path."""
        written: dict[str, Path] = {}
        for name, note in _ROWS.items():
            rows = getattr(self, name)
            columns = {key: [row[key] for row in rows] for key in rows[0]} if rows else {}
            written[name] = folder / f"{name}.parquet"
            write_table(written[name], columns, _UNITS, note)
        for name, (note, names) in _BLOCKS.items():
            written[name] = folder / f"{name}.parquet"
            write_table(written[name], _joined(getattr(self, name), names), _UNITS, note)
        return written


def _joined(blocks: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, Any]:
    """Blocks of columns, each of one exposure and detector, as long columns."""
    if not blocks:
        return {"exposure": [], "detector": [], **{name: [] for name in names}}
    lengths = [len(block[names[0]]) for block in blocks]
    texts = [block["exposure"] for block, n in zip(blocks, lengths, strict=True) for _ in range(n)]
    detectors = np.repeat(np.array([block["detector"] for block in blocks], dtype=np.int16), lengths)
    joined = {name: np.concatenate([block[name] for block in blocks]) for name in names}
    return {"exposure": texts, "detector": detectors, **joined}


def save_sky(folder: Path, sky: Sky, epoch: float) -> Path:
    """Write the sources."""
    columns: dict[str, Any] = {
        "id": sky.id,
        "type": [KINDS[kind] for kind in sky.kind],
        "ra": sky.ra,
        "dec": sky.dec,
        "epoch": np.full(len(sky), epoch),
        "pm_ra": sky.pm_ra,
        "pm_dec": sky.pm_dec,
        **{f"mag_{band}": values for band, values in sky.mags.items()},
        "sersic": sky.sersic,
        "size": sky.size,
        "g1": sky.g1,
        "g2": sky.g2,
        "variable": (sky.amplitude > 0.0) | (sky.kind == KINDS.index("transient")),
        "amplitude": sky.amplitude,
        "period": sky.period,
        "phase": sky.phase,
        "start": sky.start,
        "rate_ra": sky.rate_ra,
        "rate_dec": sky.rate_dec,
    }
    path = folder / "sources.parquet"
    units = _UNITS | {f"mag_{band}": "mag" for band in sky.mags}
    write_table(
        path,
        columns,
        units,
        "every source that was drawn; positions at `epoch` (MJD), shear on the sky "
        "(angles from east towards north), size is the half-light radius",
    )
    return path


def save_planes(folder: Path, truth: Cell, flats: dict[str, Float32]) -> list[Path]:
    """Write the true bias above the overscan [ADU], dark [electron/s] and flats of a detector as FITS."""
    shape = (truth.spec.ny, truth.spec.nx)
    planes: dict[str, tuple[Float32, str]] = {
        "bias": (bias_image(truth), "adu"),
        "dark": (np.array(np.broadcast_to(truth.dark, shape)), "electron/s"),
        **{f"flat_{band}": (np.array(np.broadcast_to(flat, shape)), "") for band, flat in flats.items()},
    }
    written = []
    for name, (plane, unit) in planes.items():
        path = folder / f"{name}_{truth.spec.name}.fits"
        cards: dict[str, Scalar] = {"OBJECT": f"true {name}", "DETECTOR": truth.spec.id, "BUNIT": unit or None}
        write(path, [Hdu(cards, plane)])
        written.append(path)
    return written
