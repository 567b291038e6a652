"""Settings of the task psf."""

from __future__ import annotations

from spica.core.settings import Settings, setting


class PsfSettings(Settings):
    """How the model is made."""

    degree: int = setting(2, "largest degree of the polynomial variation; less with few stars", ge=0, le=5)
    sampling: float = setting(0.0, "detector pixels per sample; 0 chooses by the width of stars", "pixel", ge=0, le=2)
    reach: float = setting(3.5, "radius of the model in units of the stars' full width", gt=1, le=10)
    largest_reach: int = setting(60, "no radius is larger than this", "pixel", ge=8, le=200)
    smooth: float = setting(0.28, "corrections to the profile are smooth over this part of the full width", gt=0, le=1)
    floor: float = setting(
        0.005, "error of the model and of the flat field, as a part of a pixel's light", ge=0, lt=0.2
    )
    outlying: float = setting(4.0, "stars of a chi2 this many standard deviations above the others' are left out", gt=1)
    clip: float = setting(6.0, "pixels with a pull above this are left out", gt=3)
    least_stars: int = setting(8, "fewer stars make no model", ge=3)
    held: float = setting(0.1, "part of the stars that only judge the model", ge=0, le=0.5)
    fallback: str = setting(
        "none",
        "with too few stars: 'none' fails, 'lent' takes what other units lend (a rung that borrows), 'profile' the Moffat profile of the few, or a round one of the seeing",
        pattern="^(none|lent|profile)$",
    )
    plane_degree: int = setting(
        2, "largest degree of the polynomial over the focal plane through models that are lent", ge=0, le=4
    )
