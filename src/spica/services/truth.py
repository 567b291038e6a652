"""What was made beside what was drawn: products of a simulated survey with the truth behind each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from spica.core.camera import Camera, DetectorSpec
from spica.core.columns import Catalogue
from spica.core.images import Image
from spica.core.mask import Mask
from spica.core.records import FrameType, Grain, Unit
from spica.files.catalogues import read_catalogue
from spica.files.images import read_image
from spica.instruments import tables
from spica.registry.rows import MasterRow
from spica.services.surveys import Opened, camera_folders

Floats = npt.NDArray[np.float64]

MATCH = 2.0
"""Pixels within which a detection is taken for a true source."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The tables that the simulator wrote: `exposures`, `positions`, `pixels`, `sources`, by column."""

    folder: Path
    exposures: Catalogue
    positions: Catalogue
    pixels: Catalogue
    sources: Catalogue

    @classmethod
    def read(cls, folder: Path) -> Truth:
        """Read the truth folder of a simulation."""
        names = ("exposures", "positions", "pixels", "sources")
        return cls(folder, *(read_catalogue(folder / f"{name}.parquet") for name in names))

    def of_exposure(self, name: str) -> dict[str, Any]:
        """One exposure's conditions."""
        row = int(np.flatnonzero(self.exposures["exposure"] == name)[0])
        return {column: values[row] for column, values in self.exposures.columns.items()}

    def of_detector(self, exposure: str, detector: int) -> Catalogue:
        """Places and light of the sources of one detector of an exposure."""
        here = (self.positions["exposure"] == exposure) & (self.positions["detector"] == detector)
        return self.positions.select(here)

    def mask(self, exposure: str, spec: DetectorSpec) -> npt.NDArray[np.int32]:
        """True mask bits of one detector of an exposure, defects included; ``(ny, nx)``."""
        plane = np.zeros((spec.ny, spec.nx), dtype=np.int32)
        here = np.isin(self.pixels["exposure"], ["", exposure]) & (self.pixels["detector"] == spec.id)
        runs = self.pixels.select(here)
        for y, x0, x1, bits in zip(*(runs[name].tolist() for name in ("y", "x0", "x1", "bits")), strict=True):
            plane[y, x0:x1] |= bits
        return plane

    def plane(self, name: str, spec: DetectorSpec) -> Floats:
        """A true plane ('bias' [ADU], 'dark' [electron/s], 'flat_<band>') of a detector, ``(ny, nx)``."""
        return read_image(self.folder / f"{name}_{spec.name}.fits").pixels.astype(np.float64)

    def response(self, band: str, camera: Camera) -> float:
        """What true electrons are multiplied by in a detrended image: the median over detectors of the true flat's.

        Flats are normalised to the median of the focal plane: detectors keep their sensitivity in them.
        """
        return float(np.median([np.median(self.plane(f"flat_{band}", spec)) for spec in camera.detectors]))


@dataclass(frozen=True, eq=False)
class Frame:
    """One reduced detector of an exposure and its truth.

    Attributes
    ----------
    response : what the simulator's electrons are multiplied by in a detrended image, `Truth.response`.
    sources : the catalogue that was made.
    places : the true sources on this detector.
    rows, true_rows : parallel: rows of `sources` and of `places` that are one source.
    seeing : as measured [arcsec].
    """

    unit: Unit
    spec: DetectorSpec
    band: str
    pixel_scale: float
    conditions: dict[str, Any]
    response: float
    image: Image
    sources: Catalogue
    places: Catalogue
    types: npt.NDArray[np.generic]
    mask: npt.NDArray[np.int32]
    rows: npt.NDArray[np.intp]
    true_rows: npt.NDArray[np.intp]
    seeing: float


@dataclass(frozen=True, eq=False)
class Master:
    """A master and its truth, in the master's unit; `noise` is the square root of its variance."""

    kind: str
    band: str
    detector: int
    made: Floats
    true: Floats
    noise: Floats
    good: npt.NDArray[np.bool_]


def frames(house: Opened, truth: Truth) -> Iterator[Frame]:
    """Every reduced detector of an object exposure, in key order."""
    responses: dict[tuple[str, str], float] = {}
    for row in house.registry.detector_rows("", (FrameType.OBJECT,)):
        unit = Unit(Grain.DETECTOR, (row.exposure, str(row.detector)))
        made = {product.name: house.survey.root / product.path for product in house.registry.products_of(unit)}
        if "science" not in made or "sources" not in made:
            continue
        camera = _camera(house, row.camera)
        if (row.camera, row.band) not in responses:
            responses[row.camera, row.band] = truth.response(row.band, camera)
        spec = camera.detector(row.detector)
        sources = read_catalogue(made["sources"])
        places = truth.of_detector(row.exposure, row.detector)
        rows, true_rows = match(sources, places)
        metrics = {metric.name: metric.value for metric in house.registry.metrics_of(unit)}
        yield Frame(
            unit=unit,
            spec=spec,
            band=row.band,
            pixel_scale=camera.pixel_scale,
            conditions=truth.of_exposure(row.exposure),
            response=responses[row.camera, row.band],
            image=read_image(made["science"]),
            sources=sources,
            places=places,
            types=_types(truth, places),
            mask=truth.mask(row.exposure, spec),
            rows=rows,
            true_rows=true_rows,
            seeing=metrics.get("seeing", float("nan")),
        )


def _types(truth: Truth, places: Catalogue) -> npt.NDArray[np.generic]:
    order = np.argsort(truth.sources["id"])
    return truth.sources["type"][order][np.searchsorted(truth.sources["id"][order], places["id"])]


def match(sources: Catalogue, places: Catalogue) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows of detections and of true sources that are one: the brightest true source chooses first, the nearest wins."""
    if not len(sources) or not len(places):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    tree = cKDTree(np.column_stack([sources["x"], sources["y"]]))
    near = tree.query_ball_point(np.column_stack([places["x"], places["y"]]), MATCH)
    taken: dict[int, int] = {}
    for true_row in np.argsort(-places["electrons"].astype(np.float64), kind="stable"):
        free = [row for row in near[true_row] if row not in taken]
        if free:
            dx = sources["x"][free].astype(np.float64) - float(places["x"][true_row])
            dy = sources["y"][free].astype(np.float64) - float(places["y"][true_row])
            taken[free[int(np.argmin(dx * dx + dy * dy))]] = int(true_row)
    return np.array(list(taken), dtype=np.intp), np.array(list(taken.values()), dtype=np.intp)


def masters(house: Opened, truth: Truth) -> Iterator[Master]:
    """Every master bias, dark and flat with its truth."""
    for row in house.registry.masters():
        if row.name in {"bias", "dark", "flat"}:
            yield _master(house, truth, row)


def _master(house: Opened, truth: Truth, row: MasterRow) -> Master:
    camera = _camera(house, row.camera)
    spec = camera.detector(row.detector)
    image = read_image(house.survey.root / row.path)
    true = truth.plane(f"flat_{row.band}" if row.name == "flat" else row.name, spec)
    if row.name == "bias":
        true = true * _gains(spec)
    if row.name == "flat":
        true = true / truth.response(row.band, camera)
    made = image.pixels.astype(np.float64)
    noise = np.sqrt(image.variance.astype(np.float64)) if image.variance is not None else np.full(made.shape, np.nan)
    good = truth.mask("", spec) & int(Mask.BAD) == 0
    if image.mask is not None:
        good &= image.mask == 0
    return Master(row.name, row.band, row.detector, made, true, noise, good & np.isfinite(made))


def _gains(spec: DetectorSpec) -> Floats:
    """Gain of each pixel, electrons per ADU, ``(ny, nx)``."""
    plane = np.ones((spec.ny, spec.nx))
    for amplifier in spec.amplifiers:
        x0, x1, y0, y1 = amplifier.detector
        plane[y0:y1, x0:x1] = amplifier.gain
    return plane


def _camera(house: Opened, name: str) -> Camera:
    return tables.load(name, camera_folders(house.survey))
