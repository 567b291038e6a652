"""Tables of photometric systems: the shipped ones are sound, a survey's stand in for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.faults import SetupFault
from spica.core.reference import ReferenceInfo
from spica.core.systems import magnitudes_in
from spica.files.reference import mapping, systems
from spica.instruments import tables

GAIA = ReferenceInfo(
    *("stars", "", "gaia", "0" * 40, 1, ("mag_G", "mag_BP", "mag_RP"), {"G": "Vega", "BP": "Vega", "RP": "Vega"}),
    *((2016.0, 2016.0), 0.0, 1.0, 8, (), ()),
)
# The Sun, absolute magnitudes: Willmer 2018, ApJS 236, 47 (AB); in Gaia's bands Casagrande and VandenBerg 2018, MNRAS 479, L102.
SUN_G = 4.67
SUN = {"BP": 0.33, "RP": -0.49}


def test_every_shipped_table_names_mappings_that_there_are() -> None:
    shipped = systems.known()
    known = {each.name for each in mapping.shipped()}
    for table in shipped.values():
        assert set(table.catalogues) <= known
        for relation in table.relations:
            assert relation.to in shipped
            assert relation.source
    assert {"gaia", "ps1", "sdss", "johnson-cousins", "tycho2", "2mass"} <= set(shipped)


@pytest.mark.parametrize(
    ("band", "sun_ab"), [("g", 5.11), ("r", 4.65), ("i", 4.53), ("V", 4.80), ("R", 4.64), ("I", 4.52)]
)
def test_the_sun_has_its_colours_by_gaia_s_relations(band: str, sun_ab: float) -> None:
    """Of a star of the Sun's Gaia colours: its other bands, AB, within 0.1 mag of what is published of the Sun."""
    found = systems.concerning(tables.load("sinistro"), GAIA, systems.known())
    sun = Catalogue({f"mag_{name}": np.array([15.0 + value]) for name, value in {"G": 0.0, **SUN}.items()})
    made = magnitudes_in(found, band, sun)
    assert made is not None
    assert made.scale == "AB"
    assert made.mag[0] - 15.0 == pytest.approx(sun_ab - SUN_G, abs=0.1)


def test_ps1_and_gaia_agree_on_johnson_cousins() -> None:
    """A star of middling colour, by two published ways: V, R, I within their scatters and a systematic 0.03 mag."""
    camera, known = tables.load("sinistro"), systems.known()
    gaia = systems.concerning(camera, GAIA, known)
    ps1 = replace(GAIA, mapping="ps1", bands=dict.fromkeys("griz", "AB"))
    other = systems.concerning(camera, ps1, known)
    colour = np.array([0.8])
    star = Catalogue({"mag_G": np.array([15.0]), "mag_BP": 15.0 + 0.4 * colour, "mag_RP": 15.0 - 0.45 * colour})
    made = {band: magnitudes_in(gaia, band, star) for band in "griVRI"}
    sdss = {band: each.mag[0] for band, each in made.items() if each is not None}
    # Tonry's relations backwards for g, r, i: their slopes are small.
    pan = {"g": sdss["g"] - 0.013 - 0.145 * 0.38, "r": sdss["r"], "i": sdss["i"] + 0.001}
    back = Catalogue({f"mag_{band}": np.array([value]) for band, value in pan.items()})
    for band in "VRI":
        found = magnitudes_in(other, band, back)
        assert found is not None
        assert found.mag[0] == pytest.approx(sdss[band], abs=0.06)


def test_only_what_concerns_camera_and_catalogue_is_handed_on() -> None:
    found = systems.concerning(tables.load("demo"), GAIA, systems.known())
    assert {(each.to, each.band) for each in found.relations} == {("sdss", "g"), ("sdss", "r"), ("sdss", "i")}
    unknown = systems.concerning(tables.load("demo"), replace(GAIA, mapping="ours"), systems.known())
    assert (unknown.catalogue, unknown.relations) == ("", ())


def test_a_table_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(
        'name = "ours"\ntitle = "Ours"\nscale = "AB"\ncatalogues = ["stars"]\n[[relations]]\nto = "sdss"\nband = "z"\nbase = "G"\n'
        'colour = ["BP", "RP"]\nterms = [0.1, -0.5]\nform = "band - base"\nvalid = [0.0, 3.0]\nscatter = 0.05\nscale = "AB"\nsource = "us"\n'
    )
    found = systems.concerning(tables.load("demo"), GAIA, systems.known((tmp_path,)))
    assert found.catalogue == "ours"
    assert [each.band for each in found.relations] == ["z"]


@pytest.mark.parametrize("text", ["name = 1", "name = 'x'\ntitle = 'x'\nscale = 'Vega'\nab = { V = 0.02 }", "name ="])
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(SetupFault) as raised:
        systems.known((tmp_path,))
    assert raised.value.code == "systems.invalid"
    assert "bad.toml" in raised.value.message
