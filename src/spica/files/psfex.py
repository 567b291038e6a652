"""PSFEx's ``.psf`` files: models of the point spread function as FITS binary tables PSF_DATA, pixels from 1.

A file has one table per detector; its header says in what the model varies (POLNAMEn, POLZEROn, POLSCALn, groups POLGRPn of
degrees POLDEGn), and how fine it is sampled (PSF_SAMP, detector pixels per sample); its one row holds the samples, PSF_MASK.
Surveys also keep many models in one table, the same facts in columns: those are read too. PSFEx's samples are light per
detector pixel, as ours are; between them it interpolates by Lanczos-4, we by a quintic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits as astropy_fits

from spica.core.faults import DataFault
from spica.core.psf import PsfModel, polynomial_terms
from spica.core.records import Scalar
from spica.files import atomic, bintable
from spica.files.bintable import TableColumn

_PLACES = {"X_IMAGE": 0, "XWIN_IMAGE": 0, "XPSF_IMAGE": 0, "Y_IMAGE": 1, "YWIN_IMAGE": 1, "YPSF_IMAGE": 1}
"""Contexts that are places on the detector, and along which axis."""


def read_psfex(path: Path) -> tuple[PsfModel, ...]:
    """The models of a file, in order.

    Raises
    ------
    DataFault
        ``file.missing``, ``file.not-fits``; ``data.bad-value`` where it holds no model, or one that varies with something else than the
        place on the detector.
    """
    if not path.is_file():
        raise DataFault("file.missing", f"{path} is not there", path=str(path))
    models: list[PsfModel] = []
    try:
        with astropy_fits.open(path, memmap=False) as hdus:
            for hdu in hdus[1:]:
                names = {name.lower(): name for name in getattr(hdu, "columns", astropy_fits.ColDefs([])).names}
                if "psf_mask" not in names:
                    continue
                for row in hdu.data:
                    facts = {key.lower(): value for key, value in hdu.header.items()}
                    facts |= {low: _plain(row[name]) for low, name in names.items() if low != "psf_mask"}
                    models.append(_model(facts, np.asarray(row[names["psf_mask"]], np.float32), path))
    except OSError as error:
        raise DataFault("file.not-fits", f"{path}: {error}", path=str(path)) from error
    if not models:
        raise DataFault("data.bad-value", f"{path} holds no model of a point spread function", path=str(path))
    return tuple(models)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _model(facts: Mapping[str, Any], mask: np.ndarray[Any, Any], path: Path) -> PsfModel:
    """One model from what the header or a row says of it."""
    wide, high = (int(facts.get(f"psfaxis{axis}", mask.shape[-axis])) for axis in (1, 2))
    contexts = sum(f"polname{number}" in facts for number in (1, 2, 3, 4))
    centre, scale, degrees = [0.0, 0.0], [1.0, 1.0], [0, 0]
    groups = []
    for number in range(1, contexts + 1):
        name = str(facts[f"polname{number}"]).strip()
        if name not in _PLACES:
            message = f"{path}: the model varies with {name}, which is no place on the detector"
            raise DataFault("data.bad-value", message, path=str(path), context=name)
        axis, group = _PLACES[name], int(facts[f"polgrp{number}"])
        centre[axis] = float(facts[f"polzero{number}"]) - 1.0
        scale[axis] = float(facts[f"polscal{number}"])
        degrees[axis] = int(facts[f"poldeg{group}"])
        groups.append((group, axis))
    terms = _powers(groups, degrees)
    cube = mask.reshape(-1, high, wide)
    if wide != high or wide % 2 == 0 or len(cube) != len(terms):
        message = f"{path}: {len(cube)} samples of {wide} x {high} do not make {len(terms)} terms"
        raise DataFault("data.bad-value", message, path=str(path))
    degree = max((i + j for i, j in terms), default=0)
    place = {pair: k for k, pair in enumerate(polynomial_terms(degree))}
    coefficients = np.zeros((len(place), high, wide), np.float32)
    for pair, term in zip(terms, cube, strict=True):
        coefficients[place[pair]] = term
    known = {name: facts[name] for name in ("ccdname", "expnum", "loaded") if name in facts}
    return PsfModel(
        coefficients=coefficients,
        degree=degree,
        centre=(centre[0], centre[1]),
        scale=(scale[0], scale[1]),
        sampling=float(facts["psf_samp"]),
        fwhm=float(facts.get("psf_fwhm", np.nan)),
        chi2=float(facts.get("chi2", np.nan)),
        stars=int(facts.get("accepted", 0)),
        facts={"made": "PSFEx", **known},
    )


def _powers(groups: Sequence[tuple[int, int]], degrees: Sequence[int]) -> list[tuple[int, int]]:
    """Powers of x and y of each term: contexts of one group share a total degree, groups multiply."""
    if len(groups) == 2 and groups[0][0] == groups[1][0]:
        pairs = polynomial_terms(degrees[groups[0][1]])
        return [pair if groups[0][1] == 0 else pair[::-1] for pair in pairs]
    terms = [(0, 0)]
    for _, axis in groups:
        terms = [
            (i + power, j) if axis == 0 else (i, j + power) for power in range(degrees[axis] + 1) for i, j in terms
        ]
    return terms


def write_psfex(path: Path, models: Sequence[PsfModel]) -> None:
    """Write models as PSFEx does, one table each.

    Raises
    ------
    DataFault
        ``data.bad-value`` for a model with terms beyond its polynomial: the format has no place for them.
    """
    tables = []
    for model in models:
        if model.others:
            message = f"a .psf file holds no terms like {', '.join(model.others)}"
            raise DataFault("data.bad-value", message, terms=len(model.others))
        n, terms = model.size, len(model.coefficients)
        cards: dict[str, Scalar] = {
            "LOADED": int(model.facts.get("loaded") or model.stars),
            "ACCEPTED": model.stars,
            "CHI2": model.chi2 if np.isfinite(model.chi2) else 0.0,
            "POLNAXIS": 2,
        }
        for number, name in ((1, "X_IMAGE"), (2, "Y_IMAGE")):
            cards |= {
                f"POLGRP{number}": 1,
                f"POLNAME{number}": name,
                f"POLZERO{number}": model.centre[number - 1] + 1.0,
                f"POLSCAL{number}": model.scale[number - 1],
            }
        cards |= {"POLNGRP": 1, "POLDEG1": model.degree, "PSF_FWHM": model.fwhm, "PSF_SAMP": model.sampling}
        cards |= {"PSFNAXIS": 3, "PSFAXIS1": n, "PSFAXIS2": n, "PSFAXIS3": terms}
        samples = TableColumn("PSF_MASK", np.asarray(model.coefficients[None], np.float32), "", "tabulated PSF data")
        tables.append(bintable.table("PSF_DATA", [samples], cards))
    with atomic.writing(path) as part:
        part.write_bytes(bintable.primary() + b"".join(tables))
