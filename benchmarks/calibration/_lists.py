"""Drawn lists of detections as files: Parquet for spica, FITS_LDAC for SCAMP; and solutions against the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spica.core.columns import Catalogue
from spica.core.records import Scalar
from spica.core.reference import declaration
from spica.files import bintable, cards
from spica.files.bintable import TableColumn
from spica.files.catalogues import read_catalogue, write_catalogue
from spica.kernels.wcs import TangentWcs, pixel_to_sky
from spica.kernels.wcs_cards import from_cards
from spica.kernels.wcs_rows import from_columns
from tests.support.joint_field import Detections, Field, true_positions

MAG_ERROR = 0.015
"""Of the reference's magnitudes, as they are drawn."""


def header(wcs: TangentWcs, nx: int, ny: int) -> dict[str, Scalar]:
    """Cards of an image with a sky solution without distortion."""
    plain: dict[str, Scalar] = {"NAXIS": 2, "NAXIS1": nx, "NAXIS2": ny, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    plain |= {"CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS", "EQUINOX": 2000.0}
    for axis in (0, 1):
        plain |= {f"CRVAL{axis + 1}": float(wcs.crval[axis]), f"CRPIX{axis + 1}": float(wcs.crpix[axis]) + 1.0}
        plain |= {f"CD{axis + 1}_{k + 1}": float(wcs.cd[axis, k]) for k in (0, 1)}
    return plain


def write_lists(field: Field, folder: Path) -> None:
    """Catalogues, reference and records for `benchmarks.calibration._solve_folder`."""
    plan, records = field.plan, []
    for number, (solutions, lists) in enumerate(zip(field.header, field.detections, strict=True)):
        name = f"e{number:05d}"
        wcs = [header(each, plan.nx, plan.ny) for each in solutions]
        records.append(
            {
                "name": name,
                "mjd": 60000.0 + number / 1000,
                "night": "1",
                "airmass": 1.0,
                "nx": plan.nx,
                "ny": plan.ny,
                "detectors": wcs,
            }
        )
        for chip, seen in enumerate(lists):
            write_catalogue(folder / f"{name}-{chip}.parquet", _sources(seen), {})
    Path(folder, "exposures.json").write_text(json.dumps(records))
    error = np.full(field.ref_ra.size, plan.error, np.float32)
    columns: dict[str, npt.NDArray[Any]] = {
        "source_id": field.reference,
        "ra": field.ref_ra,
        "dec": field.ref_dec,
        "ra_err": error,
        "dec_err": error,
        "mag_r": field.ref_mag.astype(np.float32),
        "mag_r_err": np.full(error.size, MAG_ERROR, np.float32),
    }
    extra = {name: declaration(name) for name in columns}
    write_catalogue(folder / "reference.parquet", Catalogue(columns, extra=extra), {})


def _sources(seen: Detections) -> Catalogue:
    error = seen.err.astype(np.float32)
    return Catalogue(
        {
            "source_id": np.arange(seen.x.size),
            "x": seen.x,
            "y": seen.y,
            "x_err": error,
            "y_err": error,
            "flux_auto": seen.flux,
            "flux_auto_err": seen.flux_err.astype(np.float32),
            "flags": np.zeros(seen.x.size, np.int32),
        }
    )


def write_ldac(field: Field, folder: Path) -> list[Path]:
    """The same lists and reference for SCAMP: a file for each exposure, ``ref.cat``."""
    made = []
    for number, (solutions, lists) in enumerate(zip(field.header, field.detections, strict=True)):
        parts = [bintable.primary()]
        for wcs, seen in zip(solutions, lists, strict=True):
            facts: dict[str, Scalar] = {"FILTER": "r", "QRUNID": "1", "EXPTIME": 1.0, "AIRMASS": 1.0, "GAIN": 1.0}
            facts |= {"SATURATE": 1e9, "MJD-OBS": 60000.0 + number / 1000}
            parts.append(_image_header(header(wcs, field.plan.nx, field.plan.ny) | facts))
            parts.append(bintable.table("LDAC_OBJECTS", _objects(seen)))
        made.append(folder / f"e{number:05d}.cat")
        made[-1].write_bytes(b"".join(parts))
    count = field.ref_ra.size
    error = np.full(count, field.plan.error / 3.6e6, np.float32)
    columns = [
        TableColumn("X_WORLD", field.ref_ra, "deg"),
        TableColumn("Y_WORLD", field.ref_dec, "deg"),
        TableColumn("ERRA_WORLD", error, "deg"),
        TableColumn("ERRB_WORLD", error, "deg"),
        TableColumn("ERRTHETA_WORLD", np.zeros(count, np.float32), "deg"),
        TableColumn("MAG", field.ref_mag.astype(np.float32), "mag"),
        TableColumn("MAGERR", np.full(count, MAG_ERROR, np.float32), "mag"),
        TableColumn("OBSDATE", np.full(count, 2023.0), "yr"),
    ]
    text = bintable.primary() + _image_header({"NAXIS": 0}) + bintable.table("LDAC_OBJECTS", columns)
    Path(folder, "ref.cat").write_bytes(text)
    return made


def _image_header(facts: dict[str, Scalar]) -> bytes:
    words: dict[str, Scalar] = {"SIMPLE": True, "BITPIX": -32}
    text = "".join(cards.card(key, value) for key, value in (words | facts).items()) + "END".ljust(cards.CARD)
    lines = np.array([[text[at : at + cards.CARD] for at in range(0, len(text), cards.CARD)]], f"S{cards.CARD}")
    return bintable.table("LDAC_IMHEAD", [TableColumn("Field Header Card", lines)])


def _objects(seen: Detections) -> list[TableColumn]:
    single = np.float32
    count = seen.x.size
    return [
        TableColumn("XWIN_IMAGE", seen.x + 1.0, "pixel"),
        TableColumn("YWIN_IMAGE", seen.y + 1.0, "pixel"),
        TableColumn("ERRAWIN_IMAGE", seen.err.astype(single), "pixel"),
        TableColumn("ERRBWIN_IMAGE", seen.err.astype(single), "pixel"),
        TableColumn("ERRTHETAWIN_IMAGE", np.zeros(count, single), "deg"),
        TableColumn("FLUX_AUTO", seen.flux.astype(single), "count"),
        TableColumn("FLUXERR_AUTO", seen.flux_err.astype(single), "count"),
        TableColumn("FLUX_RADIUS", np.full(count, 1.9, single), "pixel"),
        TableColumn("ELONGATION", np.full(count, 1.02, single)),
        TableColumn("FLAGS", np.zeros(count, np.int16)),
    ]


def scamp_command(catalogues: Sequence[Path]) -> list[str | Path]:
    """SCAMP with its default settings, but for the reference, one thread, and nothing drawn."""
    words = "-c /dev/null -ASTREF_CATALOG FILE -ASTREFCAT_NAME ref.cat -CHECKPLOT_DEV NULL -NTHREADS 1 -WRITE_XML N"
    return ["scamp", *catalogues, *words.split(), "-VERBOSE_TYPE", "QUIET"]


class Errors(NamedTuple):
    """Of sky solutions against the truth, rms per coordinate [mas]: in all, between exposures; of zero points [mag]."""

    sky: float
    between: float
    zero: float


def errors(field: Field, solutions: Sequence[Sequence[TangentWcs]], zero: npt.NDArray[np.float64]) -> Errors:
    """Compare solutions by exposure and detector, and zero points up to a constant, with the truth."""
    away = []
    for truths, found in zip(field.truth, solutions, strict=True):
        for true, wcs in zip(truths, found, strict=True):
            x, y, ra, dec = true_positions(true, field.plan)
            there = pixel_to_sky(wcs, x, y)
            east = ((there[0] - ra + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec))
            away.append(3.6e6 * (east + 1j * (there[1] - dec)))
    offset = np.array(away).reshape(len(solutions), len(solutions[0]), -1)
    between = offset - offset.mean(axis=0)
    rms = [float(np.sqrt(0.5 * np.mean(np.abs(each) ** 2))) for each in (offset, between)]
    return Errors(rms[0], rms[1], float(np.std(zero - field.zero)))


def our_errors(field: Field, folder: Path) -> Errors:
    """Of ``solution.parquet``."""
    table = read_catalogue(folder / "solution.parquet")
    chips = field.plan.detectors
    rows = [[from_columns(table.columns, k * chips + chip) for chip in range(chips)] for k in range(len(field.truth))]
    return errors(field, rows, table["zero_point"].reshape(-1, chips).mean(axis=1))


def scamp_errors(field: Field, folder: Path) -> Errors:
    """Of SCAMP's ``.head`` files."""
    rows, zero = [], []
    for number in range(len(field.truth)):
        text = Path(folder, f"e{number:05d}.head").read_text(encoding="latin-1")
        parts = [
            cards.parse(
                "".join(line.ljust(cards.CARD) for line in part.splitlines() if line[:7] not in {"HISTORY", "COMMENT"})
            )
            for part in text.split("\nEND")[: field.plan.detectors]
        ]
        rows.append([from_cards(part) for part in parts])
        zero.append(-2.5 * np.log10(float(str(parts[0]["FLXSCALE"]))))
    # A flux times its scale is one on the common scale: its logarithm is the zero point, less a constant.
    return errors(field, rows, np.array(zero))
