"""Shipped column mappings, each on a row as its survey writes it: values, units, what stands for a missing value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spica.core.reference import REFERENCE_COLUMNS, ReferenceFlag
from spica.files.hats.regions import Cone
from spica.files.reference import mapping
from spica.files.reference.catalogue import ReferenceCatalogue
from spica.files.reference.converting import Reader
from tests.support.references import imported

PS1 = """objID,raMean,decMean,raMeanErr,decMeanErr,epochMean,gMeanPSFMag,gMeanPSFMagErr,rMeanPSFMag,rMeanPSFMagErr
123456789012345678,150.5,2.25,0.0125,0.025,56000.0,18.5,0.01,-999.0,-999.0
"""
SDSS = """objid,ra,dec,raErr,decErr,type,clean,mjd,psfMag_u,psfMagErr_u,psfMag_r,psfMagErr_r
1237648720693755918,150.5,2.25,0.0125,0.025,3,0,51600.0,20.5,0.1,18.5,0.01
"""
TWO_MASS = """ra,dec,err_maj,err_min,j_m,j_msigcom,h_m,h_msigcom,k_m,k_msigcom,jdate,pts_key,gal_contam
150.5,2.25,0.08,0.06,14.5,0.03,14.0,null,13.5,0.05,2451545.0,1234567,0
"""
TYCHO = """TYC1,TYC2,TYC3,RAmdeg,DEmdeg,pmRA,pmDE,e_RAmdeg,e_DEmdeg,e_pmRA,e_pmDE,BTmag,VTmag,e_BTmag,e_VTmag
4669,12,1,150.5,2.25,-5.5,3.5,20,25,1.5,1.25,11.5,10.5,0.06,0.05
"""
VIZIER = """RA_ICRS,DE_ICRS,Source,e_RA_ICRS,e_DE_ICRS,Plx,e_Plx,pmRA,pmDE,e_pmRA,e_pmDE,RADEcor,Dup,RUWE,Gmag,e_Gmag
150.5,2.25,3836089730215709312,0.25,0.125,1.5,0.0625,-5.5,3.5,0.5,0.25,0.5,1,2.0,18.5,0.0025
"""
CASES: dict[str, tuple[str, float | None, dict[str, float], int]] = {
    "ps1": (
        PS1,
        None,
        {"source_id": 123456789012345678, "ra_err": 12.5, "dec_err": 25, "mag_r": np.nan, "mag_g": 18.5},
        0,
    ),
    "sdss": (
        SDSS,
        None,
        {"source_id": 1237648720693755918, "ra_err": 12.5, "epoch": 2000.1519507, "mag_u": 20.5},
        ReferenceFlag.EXTENDED | ReferenceFlag.POOR_PHOTOMETRY,
    ),
    "2mass": (
        TWO_MASS,
        None,
        {"source_id": 1234567, "epoch": 2000.0, "ra_err": 80, "mag_Ks": 13.5, "mag_H_err": np.nan},
        0,
    ),
    "tycho2": (TYCHO, None, {"source_id": 4669000121, "epoch": 2000.0, "pmra": -5.5, "dec_err": 25, "mag_VT": 10.5}, 0),
    "gaia-vizier": (
        VIZIER,
        2016.0,
        {"source_id": 3836089730215709312, "epoch": 2016.0, "parallax": 1.5, "ra_dec_corr": 0.5, "mag_G_err": 0.0025},
        ReferenceFlag.DUPLICATED | ReferenceFlag.POOR_POSITION,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_row_as_the_survey_writes_it(name: str, tmp_path: Path) -> None:
    text, epoch, expected, flags = CASES[name]
    path = tmp_path / "rows.csv"
    path.write_text(text)
    info = imported(tmp_path, "one", path, epoch=epoch).info
    assert (info.mapping, info.rows) == (name, 1)
    row = ReferenceCatalogue(tmp_path / "one").find(Cone(150.5, 2.25, 0.001))
    for column, value in expected.items():
        assert np.allclose(float(row[column][0]), value, rtol=1e-7, equal_nan=True), column
        assert column != "source_id" or int(row[column][0]) == value
    assert int(row["flags"][0]) == flags


@pytest.mark.parametrize("each", mapping.shipped(), ids=lambda each: each.name)
def test_a_mapping_is_recognised_by_all_of_its_own_columns(each: mapping.ColumnMapping) -> None:
    """And by nothing less; no other mapping takes its files."""
    own = [name for value in each.columns.values() for name in value.source]
    own += [spec.mag or spec.flux for band, spec in each.bands.items() if band != "*"]
    names = tuple(dict.fromkeys([*each.recognise, *own]))
    assert mapping.choose(Path("table"), names, mapping.shipped()) == each
    reader = Reader(each, names, 2000.0)
    assert {"source_id", "ra", "dec", "epoch", "flags"} <= set(reader.columns)
    assert set(each.columns) <= set(reader.columns) <= set(REFERENCE_COLUMNS) | {f"mag_{band}" for band in each.bands}
