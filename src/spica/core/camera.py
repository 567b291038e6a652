"""A camera as data: detectors, amplifiers, filters, and how its headers are read.

These are the validated records; `spica.instruments` reads them from one TOML table per camera. Pixel sections are
0-based and half open, ``(x0, x1, y0, y1)``, FITS sections are converted at the door. Focal-plane places are
millimetres; angles degrees; gains electrons per ADU; read noise electrons; saturation ADU.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Section = tuple[int, int, int, int]
"""x0, x1, y0, y1: 0-based, half open."""


class Table(BaseModel):
    """A frozen, strict piece of a camera table: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AmplifierSpec(Table):
    """One amplifier: where its pixels are in the raw HDU and where they go in the assembled detector."""

    name: str
    data: Section = Field(description="pixels that saw the sky, in the raw HDU")
    overscan: Section | None = Field(default=None, description="serial (per-row) overscan in the raw HDU")
    prescan: Section | None = Field(default=None, description="prescan in the raw HDU")
    detector: Section = Field(description="where the data go in the assembled detector")
    flip_x: bool = Field(default=False, description="the raw data run against the detector's x")
    flip_y: bool = False
    gain: Annotated[float, Field(gt=0)] = 1.0
    read_noise: Annotated[float, Field(ge=0)] = 0.0
    saturation: Annotated[float, Field(gt=0)] = 65535.0
    linear_limit: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="raw ADU above which the response is not known to be linear"
    )
    linearity: tuple[float, ...] = Field(
        default=(), description="polynomial: true = x (1 + c0 x + c1 x² …), x in ADU above bias"
    )
    hdu: int = Field(default=0, description="which of the detector's HDUs (0 where it has one)")

    @model_validator(mode="after")
    def _sizes_agree(self) -> AmplifierSpec:
        (x0, x1, y0, y1), (u0, u1, v0, v1) = self.data, self.detector
        if (x1 - x0, y1 - y0) != (u1 - u0, v1 - v0) or x1 <= x0 or y1 <= y0:
            msg = f"amplifier {self.name}: data section {self.data} does not fill detector section {self.detector}"
            raise ValueError(msg)
        return self


class DetectorSpec(Table):
    """One detector of the focal plane."""

    id: Annotated[int, Field(ge=0, lt=256)]
    name: str
    raft: str = ""
    nx: Annotated[int, Field(gt=0)]
    ny: Annotated[int, Field(gt=0)]
    x_mm: float = Field(default=0.0, description="centre in the focal plane")
    y_mm: float = 0.0
    rotation: float = Field(default=0.0, description="of detector axes against focal-plane axes, degrees")
    flip: bool = Field(default=False, description="detector x runs against focal-plane x")
    hdus: tuple[str | int, ...] = Field(description="EXTNAME or index of the HDUs that hold it in a raw file")
    amplifiers: tuple[AmplifierSpec, ...]
    crosstalk: tuple[tuple[float, ...], ...] = Field(default=(), description="victim rows × source columns, fraction")

    @model_validator(mode="after")
    def _crosstalk_is_square(self) -> DetectorSpec:
        count = len(self.amplifiers)
        if self.crosstalk and [len(row) for row in self.crosstalk] != [count] * count:
            msg = f"detector {self.name}: crosstalk is no matrix of {count} victims by {count} sources"
            raise ValueError(msg)
        return self


class FilterSpec(Table):
    """One filter: the observatory's names and spica's band."""

    band: str
    names: tuple[str, ...] = Field(description="spellings in headers")
    system: str = Field(
        default="", description="photometric system of the band (sdss, johnson-cousins, 2mass …); '': by its spelling"
    )
    wavelength: float = Field(default=0.0, description="effective wavelength, nm")
    zero_point: float = Field(default=25.0, description="nominal AB magnitude of 1 electron per second at airmass 1")
    extinction: float = Field(default=0.1, description="magnitudes per airmass")
    sky: float = Field(default=21.0, description="dark sky, AB magnitudes per square arcsecond")


class HeaderRule(Table):
    """How one property of an exposure is read where no translator knows the camera."""

    keyword: tuple[str, ...] = Field(default=(), description="keywords to try, in order")
    unit: str = ""
    value: str | float | int | None = Field(default=None, description="constant, used where no keyword is given")
    default: str | float | int | None = Field(default=None, description="used and marked where the keyword is absent")
    values: dict[str, str] = Field(default_factory=dict, description="from header spelling to spica's word")
    pattern: str = Field(default="", description="regular expression; its first group is taken")
    minimum: float | None = None
    maximum: float | None = None
    factor: float = Field(default=1.0, description="a number's value is factor x header + offset, before its unit")
    offset: float = 0.0
    template: str = Field(default="", description="how the value is spelt in a header that spica writes: {value}")


class Site(Table):
    """Where the telescope stands (no download of site lists at run time)."""

    name: str
    longitude: float = Field(ge=-180, le=360, description="degrees east")
    latitude: float = Field(ge=-90, le=90)
    height: float = Field(default=0.0, description="metres")


class Distortion(Table):
    """Nominal radial distortion: r_sky = r (1 + k1 r² + k2 r⁴), r in degrees from the optical axis."""

    k1: float = 0.0
    k2: float = 0.0


class Delivered(Table):
    """How frames that were reduced elsewhere are delivered: which file or HDU is which plane, and in what units."""

    pattern: str = Field(default="", description="regular expression on file names; its first group is a key of roles")
    roles: dict[str, str] = Field(default_factory=dict, description="group to plane: science, weight, variance, mask")
    hdus: dict[str, str] = Field(default_factory=dict, description="plane to EXTNAME where one file holds several")
    mask_form: Literal["bits", "codes", "boolean"] = "boolean"
    mask_values: dict[str, str] = Field(default_factory=dict, description="bit number or code to mask name")
    gain: tuple[str, ...] = Field(default=(), description="keywords of electrons per unit of the delivered pixels")
    weight: Literal["all", "sky"] = Field(
        default="all",
        description="noise that weights and variances tell: all, or that of sky and read-out alone, to which the photons of sources are added",
    )
    per_second: bool = Field(default=False, description="pixels are rates: electrons are gain x exposure time")
    read_noise: tuple[str, ...] = ()
    saturation: tuple[str, ...] = ()


class Camera(Table):
    """A whole camera."""

    name: str
    title: str
    telescope: str
    site: Site
    pixel_scale: Annotated[float, Field(gt=0, description="arcsec per unbinned pixel at the centre")]
    pixel_size: Annotated[float, Field(gt=0, description="micrometres")]
    layout: Literal["mosaic", "detector", "amplifier"] = Field(description="what one raw file holds")
    suffix: str = Field(default=".fits.fz", description="of raw files as the camera writes them")
    file_pattern: str = Field(default="*", description="glob of raw file names")
    naming: str = Field(
        default="",
        description="the observatory's own name of an exposure, from {camera}, {date} (YYYYMMDD), {sequence} and {snap}; '' where "
        "header values such as the time make the name",
    )
    translator: str = Field(default="", description="astro-metadata-translator's name for it, '' if none")
    recognise: dict[str, str] = Field(default_factory=dict, description="header keyword to regular expression")
    masters: dict[str, str] = Field(
        default_factory=dict, description="header keyword to regular expression: any that agrees says 'a master'"
    )
    reduced: dict[str, str] = Field(
        default_factory=dict, description="header keyword to regular expression: any that agrees says 'reduced'"
    )
    cards: dict[str, str | float | int | bool] = Field(
        default_factory=dict, description="constant cards of every raw primary header, as the camera writes them"
    )
    night_offset: float = Field(default=0.0, description="hours added to UTC before the date is taken as the night")
    detectors: tuple[DetectorSpec, ...]
    filters: tuple[FilterSpec, ...]
    header: dict[str, HeaderRule] = Field(default_factory=dict, description="exposure property to rule")
    frame_types: dict[str, str] = Field(default_factory=dict, description="header spelling to frame type")
    sections_from_header: bool = Field(default=False, description="amplifier sections and gains from each header")
    amplifier_keywords: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="amplifier property (data, overscan, prescan, detector, gain, read_noise, saturation, linear_limit) to "
        "keywords; "
        "{amp} stands for the amplifier's name; a section may be spelt by four keywords, 'X1:X2,Y1:Y2'",
    )
    delivered: Delivered = Delivered()
    distortion: Distortion = Distortion()
    position_angle: float = Field(default=0.0, description="of focal-plane +y, degrees east of north, rotator at 0")
    parity: Literal[1, -1] = Field(default=-1, description="-1: east is left when north is up, as on the sky")
    snaps: Annotated[int, Field(ge=1)] = 1
    slices: Annotated[int, Field(ge=1)] = Field(
        default=1, description="read-outs of one pointing that a simulated raw file holds as a cube"
    )
    near_infrared: bool = False
    grading: dict[str, tuple[float, float, float]] = Field(
        default_factory=dict,
        description="metric to limits of the verdicts A, B, C (beyond: D); rising where less is better, else falling",
    )
    settings: dict[str, dict[str, object]] = Field(default_factory=dict, description="task to its defaults here")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Camera:
        ids = [d.id for d in self.detectors]
        if len(set(ids)) != len(ids):
            msg = f"camera {self.name}: detector ids are not unique"
            raise ValueError(msg)
        spellings = [name for f in self.filters for name in f.names]
        if len(set(spellings)) != len(spellings):
            msg = f"camera {self.name}: a filter spelling stands in two filters"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _limits_go_one_way(self) -> Camera:
        for metric, limits in self.grading.items():
            if limits != tuple(sorted(limits)) and limits != tuple(sorted(limits, reverse=True)):
                msg = f"camera {self.name}: limits {limits} of {metric} neither rise nor fall"
                raise ValueError(msg)
        return self

    def __hash__(self) -> int:
        """Tables of one name are rarely two: equality decides."""
        return hash(self.name)

    def detector(self, number: int) -> DetectorSpec:
        """The detector with this id; KeyError if there is none."""
        for spec in self.detectors:
            if spec.id == number:
                return spec
        raise KeyError(number)

    def band_of(self, filter_name: str) -> str:
        """Spica's band of the observatory's filter name; KeyError if the table does not know it."""
        for spec in self.filters:
            if filter_name in spec.names:
                return spec.band
        raise KeyError(filter_name)

    def band(self, name: str) -> FilterSpec:
        """The (first) filter of a band; KeyError if there is none."""
        for spec in self.filters:
            if spec.band == name:
                return spec
        raise KeyError(name)
