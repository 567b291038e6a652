"""The reference catalogue has the errors and the gaps that it says."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from spica.core.camera import Camera
from spica.simulate.reference import save_reference
from spica.simulate.settings import SimulationSettings
from spica.simulate.sky import sky

ORDER = SimulationSettings(density=20000.0, exposures=1)


def test_errors_are_what_they_say_and_gaps_are_there(demo: Camera, tmp_path: Path) -> None:
    heavens = sky(ORDER, demo)
    table = pq.read_table(save_reference(tmp_path / "reference.parquet", ORDER, heavens))
    assert table.schema.field("ra").metadata[b"unit"] == b"deg"
    columns = {name: table[name].to_numpy() for name in table.column_names}
    truth = heavens.select(columns["source"] - 1)
    north = (columns["dec"] - truth.dec) * 3.6e6 / columns["dec_err"]
    east = (columns["ra"] - truth.ra) * np.cos(np.radians(truth.dec)) * 3.6e6 / columns["ra_err"]
    for pull in (north, east, (columns["mag_g"] - truth.mags["g"]) / columns["mag_g_err"]):
        assert abs(np.mean(pull)) < 5 / np.sqrt(pull.size)
        assert abs(np.std(pull) - 1) < 0.05
    known = np.isfinite(columns["pm_ra"])
    assert 0.5 < known.mean() < 0.95
    pull = ((columns["pm_ra"] - truth.pm_ra) / columns["pm_err"])[known]
    assert abs(np.std(pull) - 1) < 0.05
    assert columns["mag_g"].max() < ORDER.reference_limit + 0.3
    # Some of the bright stars are missing, and none is known in the strip at the northern edge.
    bright = (heavens.kind == 0) & (heavens.mags["g"] < ORDER.reference_limit)
    assert 0.8 < np.isin(heavens.id[bright], columns["source"]).mean() < 0.96
    edge = np.max(heavens.dec) - 0.04 * np.ptp(heavens.dec)
    assert np.all(truth.dec <= edge)
