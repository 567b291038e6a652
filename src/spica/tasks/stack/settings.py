"""How exposures become a stack."""

from __future__ import annotations

from typing import Literal

from spica.core.settings import Settings, setting


class StackSettings(Settings):
    """How exposures become a stack."""

    method: Literal["mean", "median", "clipped", "min", "max"] = setting("mean", "estimate of each pixel, weighted")
    kernel: Literal["nearest", "bilinear", "lanczos2", "lanczos3", "lanczos4"] = setting("lanczos3", "interpolation")
    kappa: float = setting(4.0, "a value is clipped that is farther from the median", "sigma", gt=0)
    fraction: float = setting(0.3, "and by this fraction of the flux more: stars of another seeing stay", ge=0)
    background: Literal["mesh", "none"] = setting("mesh", "sky that is taken off each exposure: its mesh, or none")
    magzero: float = setting(30.0, "AB magnitude of one unit of the stack", "mag")
    scale_ratio: float = setting(4.0, "pixels of an exposure may be so much larger or smaller than the tile's", gt=1)
    lost: Literal["fail", "leave out"] = setting(
        "fail", "an exposure that cannot be used: the stack fails with its name, or goes on and its header says so"
    )
    memory: int = setting(192, "for the rows in hand; the result does not depend on it", "MiB", gt=0)
