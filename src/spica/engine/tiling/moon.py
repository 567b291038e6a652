"""Where the Moon is: by the theory of Meeus (1998) as ERFA has it, good to some arcseconds."""

from __future__ import annotations

import erfa
import numpy as np

from spica.core.tiles import vectors

_MJD = 2400000.5


def moon_apart(ra: float, dec: float, mjd: float) -> float:
    """Distance [degree] of a place (ICRS) from the Moon as seen from the Earth's middle at an instant (MJD TAI).

    From the ground the Moon stands up to a degree elsewhere (parallax): what this decides is the brightness of the sky.
    """
    at = erfa.moon98(_MJD, mjd + 32.184 / 86400.0)["p"]
    toward = np.asarray(at, np.float64) / np.linalg.norm(at)
    place = vectors(ra, dec)
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(place, toward)), place @ toward)))
