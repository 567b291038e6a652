"""Sky solutions as columns of a table, one in a row."""

from collections.abc import Mapping, Sequence

import numpy as np

from spica.kernels.compiled import Float64, Numbers
from spica.kernels.wcs import PV_TERMS, TangentWcs, tangent_wcs


def to_columns(solutions: Sequence[TangentWcs]) -> dict[str, Float64]:
    """Columns `crval` (n, 2), `crpix` (n, 2), `cd` (n, 4), `pv` (n, 80).

    Raises
    ------
    ValueError
        For a solution with a SIP polynomial: rows hold TPV alone.
    """
    count = len(solutions)
    pv = np.zeros((count, 2, PV_TERMS))
    pv[:, :, 1] = 1.0
    for number, wcs in enumerate(solutions):
        if wcs.sip_a.size:
            raise ValueError("a SIP polynomial in a row of TPV coefficients")
        if wcs.pv.size:
            pv[number] = wcs.pv
    return {
        "crval": np.array([wcs.crval for wcs in solutions]).reshape(count, 2),
        "crpix": np.array([wcs.crpix for wcs in solutions]).reshape(count, 2),
        "cd": np.array([wcs.cd for wcs in solutions]).reshape(count, 4),
        "pv": pv.reshape(count, 2 * PV_TERMS),
    }


def from_columns(columns: Mapping[str, Numbers], row: int) -> TangentWcs:
    """The solution in a row; ``pv`` may be missing."""
    pv = columns["pv"][row].reshape(2, PV_TERMS) if "pv" in columns else None
    return tangent_wcs(columns["crval"][row], columns["crpix"][row], columns["cd"][row].reshape(2, 2), pv=pv)
