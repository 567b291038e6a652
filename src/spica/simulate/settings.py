"""What can be asked of the simulator; every number with its unit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spica.core.settings import Settings, setting

Drill = Literal[
    "missing-detector",
    "truncated",
    "bit-flip",
    "empty",
    "not-fits",
    "missing-keyword",
    "absurd-keyword",
    "unknown-filter",
    "wrong-camera",
    "duplicate",
]


class Effects(Settings):
    """Switches: what is drawn. All off gives the sources on a flat sky through an ideal detector."""

    noise: bool = setting(True, "shot noise and read noise")
    bias: bool = setting(True, "bias structure (columns, glow) and drift; off: a constant level")
    dark: bool = setting(True, "dark current")
    vignetting: bool = setting(True, "vignetting of the focal plane")
    response: bool = setting(True, "pixel-to-pixel response")
    dust: bool = setting(True, "shadows of dust")
    amp_steps: bool = setting(True, "steps of response between amplifiers and detectors")
    fringes: bool = setting(True, "fringes of the night sky in red bands")
    crosstalk: bool = setting(True, "crosstalk as the camera table says")
    nonlinearity: bool = setting(True, "non-linearity as the camera table says")
    brighter_fatter: bool = setting(False, "full pixels repel what follows: flats correlate, bright stars are wide")
    saturation: bool = setting(True, "full wells and bleeding along columns")
    defects: bool = setting(True, "hot and dead pixels and columns")
    cosmics: bool = setting(True, "cosmic rays")
    trails: bool = setting(True, "satellite trails")
    sky_gradient: bool = setting(True, "gradient of the sky over the field")
    moonlight: bool = setting(True, "moonlight that changes from night to night")
    variables: bool = setting(True, "variable stars")
    transients: bool = setting(True, "transients beside galaxies")
    movers: bool = setting(True, "moving objects")
    clouds: bool = setting(True, "clouds that change from exposure to exposure")
    pointing: bool = setting(True, "pointing error")
    rotation: bool = setting(True, "field rotation error and detector misplacements")
    distortion: bool = setting(True, "the camera's distortion, a little different from nominal")
    psf_variation: bool = setting(True, "width and ellipticity that vary over the field")

    @classmethod
    def none(cls) -> Effects:
        """All switches off."""
        return cls(**dict.fromkeys(cls.model_fields, False))


class SimulationSettings(Settings):
    """An order to the simulator. The same order gives the same bytes."""

    seed: int = setting(1, "everything random follows from this number", ge=0)
    first: int = setting(1, "number of the first exposure: orders for one survey must not share numbers", ge=1)
    nights: tuple[str, ...] = setting(("2026-11-20",), "local dates at sunset, YYYY-MM-DD")
    bands: tuple[str, ...] = setting((), "bands to observe; none: the camera's first two")
    exposures: int = setting(3, "dithered exposures of each field and band per night", ge=0)
    exposure_time: float = setting(60.0, "of science exposures", "s", gt=0)
    dither: float = setting(0.03, "largest dither step, as a fraction of the field's width", ge=0)
    rotations: tuple[float, ...] = setting((0.0,), "rotator angles, taken in turn by the exposures of a field", "deg")
    biases: int = setting(5, "bias frames per night", ge=0)
    darks: int = setting(3, "dark frames per night", ge=0)
    dark_time: float = setting(300.0, "exposure time of darks", "s", gt=0)
    flats: int = setting(5, "flat frames per band and night", ge=0)
    flat_kind: Literal["dome", "twilight"] = setting("dome", "kind of flats")
    flat_level: float = setting(20000.0, "mean level of flats", "electron", gt=0)
    ramp: tuple[float, ...] = setting((), "levels of two more flats each, by their exposure times", "electron")
    lamp_scatter: float = setting(0.01, "relative scatter of dome flats about their level", ge=0)
    fields: tuple[tuple[float, float], ...] = setting((), "ICRS centres; none: one that culminates at midnight", "deg")
    detectors: tuple[int, ...] = setting((), "detector ids to draw; none: all")
    detector_size: tuple[int, int] | None = setting(None, "smaller detectors (nx, ny) instead of the camera's", "pixel")
    density: float = setting(600.0, "sources per million pixels", ge=0)
    mag_bright: float = setting(16.0, "brightest source, in the first band", "mag")
    mag_faint: float = setting(23.5, "faintest source, in the first band", "mag")
    slope: float = setting(0.25, "of log10 counts per magnitude", ge=0, le=0.8)
    star_fraction: float = setting(0.4, "of sources", ge=0, le=1)
    variable_fraction: float = setting(0.02, "of stars", ge=0, le=1)
    transients_per_field: int = setting(3, "transients per field", ge=0)
    movers_per_field: int = setting(3, "moving objects per field", ge=0)
    seeing: float = setting(1.1, "median full width at half maximum at the zenith in the first band", "arcsec", gt=0)
    seeing_scatter: float = setting(0.12, "standard deviation of its logarithm", ge=0, le=1)
    psf_beta: float = setting(3.0, "exponent of the Moffat profile", ge=2.2, le=6)
    ellipticity: float = setting(0.03, "largest shear of the point spread function", ge=0, lt=0.3)
    pointing_error: float = setting(4.0, "standard deviation per coordinate", "arcsec", ge=0)
    cloudiness: float = setting(0.04, "mean extinction by clouds", "mag", ge=0)
    cosmic_rate: float = setting(0.08, "cosmic rays per square centimetre and second", "1/cm2/s", ge=0)
    trail_rate: float = setting(0.25, "satellite trails per exposure", ge=0)
    reference_limit: float = setting(21.0, "faintest star of the reference catalogue, first band", "mag")
    reference_error: float = setting(5.0, "error of reference positions of bright stars, per coordinate", "mas", ge=0)
    truth_images: bool = setting(True, "write true bias, dark and flat of each detector as FITS")
    effects: Effects = Field(default=Effects(), description="what is drawn")
    drills: tuple[Drill, ...] = setting((), "deliberately bad files, one science exposure each, from the last back")
