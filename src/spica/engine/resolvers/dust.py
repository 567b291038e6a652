"""Source 'dust': the reddening over a tile by the dust map that is installed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.spec import Given, Source
from spica.engine.targets import Target
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step

STEP = 60.0
"""Between nodes [arcsec]: the map's own pixels are of 2.4 arcmin."""


class Dust:
    """Source 'dust'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The map's checksum; nothing where none is installed."""
        checksum = ground.dust()
        return (Link(checksum, "SFD", "dust map"),) if checksum else ()

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """`step` [pixel] and `reddening`, E(B-V) [mag] at nodes so far apart from the middle of the first pixel on; `map`."""
        if not links or target.tile is None:
            return None
        # Maps are FITS files, and planning does without them.
        from spica.files.dust import installed
        from spica.kernels.projection import projection

        found = installed(stock.references)
        if found is None or found.checksum != links[0].key:
            return None
        where = projection(target.tile.cards)
        step = max(STEP / 3600.0 / float(np.sqrt(abs(np.linalg.det(where.cd)))), 1.0)
        y, x = np.mgrid[: int(target.tile.ny / step) + 2, : int(target.tile.nx / step) + 2] * step
        values = found.reddening(*where.pixel_to_sky(x.ravel(), y.ravel())).reshape(x.shape)
        return Given({"map": links[0].unit, "step": step, "reddening": values})
