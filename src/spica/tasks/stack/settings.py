"""How exposures become a stack."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from spica.core.settings import Settings, setting
from spica.tasks.stack.keywords import understood

Factor = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StackSettings(Settings):
    """How exposures become a stack."""

    method: Literal["mean", "median", "clipped", "min", "max"] = setting("mean", "estimate of each pixel, weighted")
    kernel: Literal["nearest", "bilinear", "lanczos2", "lanczos3", "lanczos4"] = setting("lanczos3", "interpolation")
    kappa: float = setting(4.0, "a value is clipped that is farther from the median", "sigma", gt=0)
    fraction: float = setting(0.3, "and by this fraction of the flux more: stars of another seeing stay", ge=0)
    background: Literal["mesh", "matched", "none"] = setting(
        "mesh",
        "sky that is taken off each exposure: its mesh; one level, matched where exposures overlap, so that wide light stays; none",
    )
    match_order: int = setting(
        0, "matched skies may differ by a constant (0), a slope (1), a curved plane (2)", ge=0, le=2
    )
    magzero: float = setting(30.0, "AB magnitude of one unit of the stack", "mag")
    flux: Literal["photometry", "keyword", "table"] = setting(
        "photometry",
        "factor that brings an exposure onto the scale: of its zero point, of a header card, of flux_table",
    )
    flux_keyword: str = setting(
        "FLXSCALE",
        "header card whose value multiplies the pixels",
        min_length=1,
        max_length=60,
        pattern=r"^[\x20-\x7e]+$",
    )
    flux_table: dict[str, Factor] = setting(
        {}, "EXPOSURE or EXPOSURE/DETECTOR to the factor that multiplies its pixels; the detector's goes first"
    )
    propagate: tuple[str, ...] = setting(
        (), "cards of the inputs that the stack has too: KEY where all agree, KEY:RULE, NEW=KEY:RULE"
    )
    scale_ratio: float = setting(4.0, "pixels of an exposure may be so much larger or smaller than the tile's", gt=1)
    lost: Literal["fail", "leave out"] = setting(
        "fail", "an exposure that cannot be used: the stack fails with its name, or goes on and its header says so"
    )
    memory: int = setting(192, "for the rows in hand; the result does not depend on it", "MiB", gt=0)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        understood(self.propagate)
        if (self.flux == "table") != bool(self.flux_table):
            raise ValueError("flux = 'table' and flux_table come together")
        return self
