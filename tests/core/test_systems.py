"""Photometric systems: from a catalogue's bands to a camera's, with errors and in words."""

from __future__ import annotations

import numpy as np
import pytest

from spica.core.columns import Catalogue
from spica.core.systems import Colour, Relation, Systems, magnitudes_in

RED = Relation(
    to="sdss",
    band="r",
    base="G",
    colour=("BP", "RP"),
    terms=(-0.1, 0.2, 0.05),
    form="base - band",
    valid=(0.0, 2.0),
    scatter=0.04,
    scale="AB",
    source="here",
)
GAIA = Systems(
    catalogue="gaia",
    scale="Vega",
    scales={"G": "Vega", "BP": "Vega", "RP": "Vega"},
    relations=(RED, RED.model_copy(update={"to": "johnson-cousins", "band": "V", "scale": "Vega"})),
    ab={"gaia": {"G": 0.11, "BP": 0.02, "RP": 0.36}, "johnson-cousins": {"V": 0.02}},
    colours=(Colour(bands=("BP", "RP"), pivot=1.0),),
)


def stars(**mags: list[float]) -> Catalogue:
    return Catalogue({f"mag_{name}": np.array(values) for name, values in mags.items()})


def gaia() -> Catalogue:
    return stars(G=[15.0, 16.0, 17.0], BP=[15.4, 16.9, 19.0], RP=[14.6, 15.1, 15.0], G_err=[0.01, 0.02, 0.03])


def test_a_published_relation_is_taken_within_its_range() -> None:
    found = magnitudes_in(GAIA, "r", gaia())
    assert found is not None
    colour = np.array([0.8, 1.8])
    np.testing.assert_allclose(found.mag[:2], [15.0, 16.0] - (-0.1 + 0.2 * colour + 0.05 * colour**2))
    assert np.isnan(found.mag[2])
    assert (found.scale, found.scatter, found.colour_of, found.pivot) == ("AB", 0.04, ("BP", "RP"), 1.0)
    np.testing.assert_allclose(found.colour[:2], colour - 1.0)
    assert "r of sdss from G and BP - RP of gaia (here; 0 to 2, scatter 0.04)" in found.statement


def test_errors_follow_the_relation() -> None:
    rng = np.random.default_rng(1)
    errors = {"G": 0.01, "BP": 0.03, "RP": 0.02}
    clean = {"G": 15.0, "BP": 15.5, "RP": 14.5}
    drawn = {name: (clean[name] + errors[name] * rng.normal(size=4000)).tolist() for name in clean}
    told = {f"{name}_err": [error] * 4000 for name, error in errors.items()}
    found = magnitudes_in(GAIA, "r", stars(**drawn, **told))
    assert found is not None
    assert np.std(found.mag) == pytest.approx(np.median(found.error), rel=0.05)


def test_vega_becomes_ab_where_the_offset_is_known() -> None:
    visual = magnitudes_in(GAIA, "V", gaia())
    red = magnitudes_in(GAIA, "r", gaia())
    assert visual is not None and red is not None  # noqa: PT018
    assert visual.scale == "AB"
    np.testing.assert_allclose(visual.mag[:2], red.mag[:2] + 0.02)
    wide = magnitudes_in(GAIA, "G", gaia())
    assert wide is not None
    np.testing.assert_allclose(wide.mag, [15.11, 16.11, 17.11])
    assert "+0.11 from Vega to AB" in wide.statement


def test_a_catalogue_on_ab_is_brought_to_the_scale_of_the_relation() -> None:
    given = gaia()
    moved = {name: values + GAIA.ab["gaia"].get(name[4:], 0.0) for name, values in given.columns.items()}
    on_ab = Systems(**{**vars(GAIA), "scales": {"G": "AB", "BP": "AB", "RP": "AB"}})
    one, two = magnitudes_in(GAIA, "r", given), magnitudes_in(on_ab, "r", Catalogue(moved))
    assert one is not None and two is not None  # noqa: PT018
    np.testing.assert_allclose(one.mag, two.mag)


def test_the_band_itself_comes_before_relations_and_a_named_column_before_all() -> None:
    given = Catalogue({**gaia().columns, "mag_r": np.array([14.0, 15.0, 16.0])})
    own = Systems(**{**vars(GAIA), "catalogue": "sdss", "scales": {"r": "AB"}})
    found = magnitudes_in(own, "r", given)
    named = magnitudes_in(GAIA, "r", given, column="mag_RP", colour=("mag_G", "mag_RP"))
    assert found is not None and named is not None  # noqa: PT018
    np.testing.assert_allclose(found.mag, [14.0, 15.0, 16.0])
    np.testing.assert_allclose(named.mag, given["mag_RP"] + 0.36)
    assert named.colour_of == ("G", "RP")


def test_unknown_bands_tell_nothing_and_unknown_scales_say_so() -> None:
    assert magnitudes_in(GAIA, "z", gaia()) is None
    assert magnitudes_in(GAIA, "r", stars(G=[np.nan], BP=[np.nan], RP=[np.nan])) is None
    plain = magnitudes_in(Systems(), "r", stars(r=[15.0]))
    assert plain is not None
    assert (plain.scale, plain.colour_of) == ("unknown", ("", ""))
