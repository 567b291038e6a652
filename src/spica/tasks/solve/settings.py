"""What can be set of a joint solution."""

from __future__ import annotations

from spica.core.settings import Settings, setting


class SolveSettings(Settings):
    """Which sources take part, what is fitted, and what is taken for wrong."""

    degree: int = setting(3, "degree of a detector's polynomial", ge=1, le=7)
    field_degree: int = setting(1, "degree of an exposure's terms: 1 is shift, rotation, scale and shear", ge=1, le=3)
    distortion_prior: tuple[float, ...] = setting(
        (6e4,), "how far a detector's terms may be from the first solution's, by degree; the last for all higher", "mas"
    )
    search: float = setting(20.0, "how far the header may be wrong", "arcsec", gt=0, le=120)
    radius: float = setting(1.0, "detections nearer than this are of one source", "arcsec", gt=0, le=10)
    density: float = setting(0.0, "sources per square degree that are used at most; 0: all", "1/deg2", ge=0)
    least_snr: float = setting(5.0, "signal-to-noise of detections that are used for positions", ge=0)
    least_photometric_snr: float = setting(20.0, "the same for zero points", ge=0)
    reference_error: float = setting(50.0, "taken for a position of the reference without an error", "mas", gt=0)
    reference_magnitude: str = setting("", "column of the reference's magnitudes; '': that of the exposures' band")
    reference_magnitude_error: float = setting(0.02, "taken for a magnitude without an error", "mag", gt=0)
    colour: tuple[str, str] | None = setting(None, "two columns whose difference is the colour of the colour term")
    motions: bool = setting(default=True, meaning="bring detections to the reference's time by their star's motion")
    refraction: bool = setting(
        default=False, meaning="take off what refraction does beyond a linear map; with `colour` set also by colour"
    )
    residual_field: bool = setting(
        default=False,
        meaning="fit what the air did to each exposure by a Gaussian process, where stars left out bear it out",
    )
    clip: float = setting(4.5, "members of a source farther off do not count", "sigma", ge=3)
    fit_floor: bool = setting(default=True, meaning="enlarge errors that are smaller than the scatter")
    least_matches: int = setting(12, "sources that an exposure has to share with others or the reference", ge=4)
    least_reference: int = setting(12, "reference stars of all exposures that hang together", ge=4)
    largest_scatter: float = setting(8.0, "scale of an exposure's pulls beyond which it is refused", ge=2)
    flat_degree: int = setting(0, "degree of the photometric polynomial over a detector", ge=0, le=4)
    nightly: bool = setting(default=False, meaning="fit a zero point and an extinction for each night")
    grey: float = setting(0.002, "scatter of photometric exposures about their night", "mag", gt=0)
