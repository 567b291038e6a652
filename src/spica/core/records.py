"""Frozen records that travel between rooms: exposures, their detectors, files, units of work.

Sky positions are ICRS degrees, times are MJD TAI, lengths of time seconds. A record never opens a file or a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from enum import StrEnum

from spica.core.camera import AmplifierSpec

Scalar = str | int | float | bool | None


class FrameType(StrEnum):
    """What an exposure is of."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    """Dome or twilight flat; `Exposure.flat_kind` tells which."""
    OBJECT = "object"
    FOCUS = "focus"
    TEST = "test"


class ExposureState(StrEnum):
    """In which form an exposure was delivered."""

    RAW = "raw"
    REDUCED = "reduced"
    """Already detrended elsewhere: the calibration steps do not apply."""


class Grain(StrEnum):
    """The grain of a unit of work: which keys name it."""

    DETECTOR = "detector"
    """exposure, detector"""
    EXPOSURE = "exposure"
    """exposure"""
    CALIBRATION = "calibration"
    """camera, detector, band ('' where none), calibration block (a night, or a longer span)"""
    GROUP = "group"
    """group (a joint solution)"""
    TILE_BAND = "tile-band"
    """tile, band"""
    TILE = "tile"
    """tile"""


GRAIN_KEYS: dict[Grain, tuple[str, ...]] = {
    Grain.DETECTOR: ("exposure", "detector"),
    Grain.EXPOSURE: ("exposure",),
    Grain.CALIBRATION: ("camera", "detector", "band", "block"),
    Grain.GROUP: ("group",),
    Grain.TILE_BAND: ("tile", "band"),
    Grain.TILE: ("tile",),
}


@dataclass(frozen=True, order=True, slots=True)
class Unit:
    """A unit of work: a grain and the values of its keys, in the order of `GRAIN_KEYS`; never a path.

    Its text form, `grain:value/value`, is what people type after `spica why` (the grain may be left out there for
    detectors and exposures): ``detector:demo-20261120-00012/3``, ``calibration:demo/3/r/2026-11-20``.
    """

    grain: Grain
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(GRAIN_KEYS[self.grain]):
            msg = f"a {self.grain} unit has the keys {GRAIN_KEYS[self.grain]}, not {self.values}"
            raise ValueError(msg)

    @property
    def keys(self) -> dict[str, str]:
        """The unit's keys by name."""
        return dict(zip(GRAIN_KEYS[self.grain], self.values, strict=True))

    def __str__(self) -> str:
        return f"{self.grain}:{'/'.join(self.values)}"

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Read the text form; raises ValueError when it cannot be one."""
        grain, colon, rest = text.partition(":")
        if not colon:
            rest = text
            grain = Grain.DETECTOR if "/" in text else Grain.EXPOSURE
        return cls(Grain(grain), tuple(rest.split("/")))


@dataclass(frozen=True)
class Exposure:
    """One opening of the shutter (or one read-out of a calibration).

    Attributes
    ----------
    id : stable 36-bit number, `spica.core.keys.exposure_id(camera, name)`.
    name : unique in the survey, ``<camera>-<the observatory's own number or date and sequence>``.
    night : local date at sunset, ``YYYY-MM-DD``; the calibration block by default.
    mjd : start of the exposure, MJD TAI.
    exposure_time, dark_time : seconds; of one read-out where the file holds a cube of them.
    band : spica's band (``u g r i z y J H Ks`` …), '' where there is none (bias, dark).
    filter : the observatory's name of the filter.
    ra, dec : boresight, ICRS degrees, None for calibrations.
    rotation : position angle of the focal plane's +y axis, degrees east of north, None where unknown.
    binning : (x, y).
    readout_mode : masters only serve exposures of the same mode.
    defaulted : names of the attributes whose value was not in the header.
    extra : further header values by name, as plain scalars; `slices`, the read-outs in a cube, where there are several.
    """

    id: int
    name: str
    camera: str
    frame_type: FrameType
    night: str
    mjd: float
    exposure_time: float
    state: ExposureState = ExposureState.RAW
    sequence: int = 0
    dark_time: float = 0.0
    band: str = ""
    filter: str = ""
    flat_kind: str = ""
    ra: float | None = None
    dec: float | None = None
    rotation: float | None = None
    airmass: float | None = None
    object: str = ""
    field: str = ""
    programme: str = ""
    run: str = ""
    observer: str = ""
    binning: tuple[int, int] = (1, 1)
    readout_mode: str = ""
    defaulted: tuple[str, ...] = ()
    extra: Mapping[str, Scalar] = default(default_factory=dict)


@dataclass(frozen=True)
class Detector:
    """One detector of one exposure: where its pixels lie and how they were read.

    Attributes
    ----------
    exposure : name of the exposure.
    detector : number in the camera table.
    file : id of the file that holds it (`FileRecord.checksum`); one-file-per-amplifier cameras list several in
        `amplifier_files` (parallel to `amplifiers`).
    hdus : HDU index of each amplifier's pixels, parallel to `amplifiers`.
    amplifiers : the amplifiers as read out in this exposure (sections of binned or windowed read-outs differ from the
        camera table's).
    nx, ny : size of the assembled science image, pixels.
    wcs : header cards (name to value) of the delivered sky solution, empty where there is none.
    planes : for reduced exposures, plane name ('science', 'variance', 'weight', 'mask') to (file checksum, HDU).
    """

    exposure: str
    detector: int
    file: str
    hdus: tuple[int, ...]
    amplifiers: tuple[AmplifierSpec, ...]
    nx: int
    ny: int
    amplifier_files: tuple[str, ...] = ()
    wcs: Mapping[str, Scalar] = default(default_factory=dict)
    planes: Mapping[str, tuple[str, int]] = default(default_factory=dict)

    @property
    def unit(self) -> Unit:
        """The unit of work at detector grain."""
        return Unit(Grain.DETECTOR, (self.exposure, str(self.detector)))

    @property
    def layered(self) -> bool:
        """Whether its amplifiers are the images of one cube: they lie in one HDU, on the same pixels."""
        if len(self.amplifiers) < 2 or len({*self.hdus}) > 1 or len({*self.amplifier_files}) > 1:
            return False
        (x0, x1, y0, y1), (u0, u1, v0, v1) = self.amplifiers[0].data, self.amplifiers[1].data
        return x0 < u1 and u0 < x1 and y0 < v1 and v0 < y1


@dataclass(frozen=True)
class FileRecord:
    """A file as delivered or made: its bytes' checksum is its name; copies of it lie on storage areas.

    `path` is relative to the storage area's root for copied and linked files, absolute for files left in place.
    `origin` is where it was delivered, `mtime` (Unix seconds) its time of modification there when it was read.
    """

    checksum: str
    size: int
    path: str
    area: str = "local"
    origin: str = ""
    conformance: tuple[str, ...] = ()
    mtime: float = 0.0


@dataclass(frozen=True)
class IngestRecord:
    """All that one delivered file says: recorded in one transaction."""

    file: FileRecord
    exposure: Exposure
    detectors: tuple[Detector, ...]
    headers: tuple[str, ...] = ()
    """Each HDU's header as text, primary first (kept so that a record can be read anew without the file)."""


@dataclass(frozen=True)
class Metric:
    """A named number about a unit (any name, value, unit; new ones need no migration)."""

    unit: Unit
    name: str
    value: float
    units: str = ""
    source: str = ""
