"""Records of core to rows of tables and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, select

from spica.core.camera import AmplifierSpec
from spica.core.faults import DataFault, FaultKind, FaultRecord, InternalFault
from spica.core.jobs import ProductRecord
from spica.core.records import Detector, Exposure, ExposureState, FrameType, Unit
from spica.core.task import Form
from spica.registry.schema import products, units
from spica.registry.text import packed, stamp

_EXPOSURE_FIELDS = tuple(f.name for f in fields(Exposure) if f.name != "binning")


def exposure_facts(exposure: Exposure) -> dict[str, Any]:
    """The columns of an exposure, less those that the registry adds.

    Raises
    ------
    DataFault
        ``header.absurd`` for numbers that are not finite and for a name that no unit can carry.
    """
    facts = {name: getattr(exposure, name) for name in _EXPOSURE_FIELDS}
    facts["frame_type"] = exposure.frame_type.value
    facts["state"] = exposure.state.value
    facts["bin_x"], facts["bin_y"] = exposure.binning
    facts["defaulted"] = list(exposure.defaulted)
    facts["extra"] = dict(exposure.extra)
    absurd = [
        name
        for name, value in [*facts.items(), *facts["extra"].items()]
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if absurd:
        raise DataFault(
            "header.absurd", f"exposure {exposure.name}: not finite: {', '.join(absurd)}", keywords=", ".join(absurd)
        )
    if not exposure.name or "/" in exposure.name:
        raise DataFault("header.absurd", f"an exposure cannot be named {exposure.name!r}", keywords="name")
    return facts


def exposure(row: Row[Any]) -> Exposure:
    """An exposure from a row with the table's columns."""
    kept = row._mapping  # noqa: SLF001 — SQLAlchemy's public name for it
    facts = {name: kept[name] for name in _EXPOSURE_FIELDS}
    facts["frame_type"] = FrameType(kept["frame_type"])
    facts["state"] = ExposureState(kept["state"])
    facts["defaulted"] = tuple(kept["defaulted"])
    return Exposure(**facts, binning=(kept["bin_x"], kept["bin_y"]))


def amplifiers_packed(amplifiers: tuple[AmplifierSpec, ...]) -> list[dict[str, Any]]:
    """A read-out as plain data."""
    return [spec.model_dump(mode="json") for spec in amplifiers]


@lru_cache(maxsize=1024)
def amplifiers(text: str) -> tuple[AmplifierSpec, ...]:
    """A read-out from its JSON text: validated once, shared by all exposures read out alike."""
    import json

    return tuple(AmplifierSpec.model_validate(spec) for spec in json.loads(text))


def detector_facts(detector: Detector, readout: str) -> dict[str, Any]:
    """The columns of a detector, less numbers; `readout` is the stamp of its amplifiers."""
    facts: dict[str, Any] = {
        "detector": detector.detector,
        "file": detector.file,
        "nx": detector.nx,
        "ny": detector.ny,
        "hdus": list(detector.hdus),
        "amplifier_files": list(detector.amplifier_files),
        "wcs": dict(detector.wcs),
        "planes": {name: list(place) for name, place in detector.planes.items()},
    }
    facts["digest"] = stamp([facts, readout])
    gains = [amplifier.gain for amplifier in detector.amplifiers]
    facts["gain"] = sum(gains) / len(gains) if gains else 0.0
    return facts


def detector(row: Row[Any], exposure_name: str) -> Detector:
    """A detector from a row with the table's columns and the read-out's `amplifiers`."""
    return Detector(
        exposure=exposure_name,
        detector=row.detector,
        file=row.file,
        hdus=tuple(row.hdus),
        amplifiers=amplifiers(packed(row.amplifiers)),
        nx=row.nx,
        ny=row.ny,
        amplifier_files=tuple(row.amplifier_files),
        wcs=row.wcs,
        planes={name: (checksum, hdu) for name, (checksum, hdu) in row.planes.items()},
    )


PRODUCT_COLUMNS = (
    *(
        products.c.key,
        products.c.name,
        products.c.form,
        units.c.name.label("unit_name"),
        products.c.job,
        products.c.path,
    ),
    *(products.c.checksum, products.c.size, products.c.scratch, products.c.master, products.c.facts, products.c.value),
)
_FORMS = {each.value: each for each in Form}


def products_query() -> Select[Any]:
    """Everything that `product` reads."""
    return select(*PRODUCT_COLUMNS).join_from(products, units, units.c.id == products.c.unit)


@lru_cache(maxsize=4096)
def unit(text: str) -> Unit:
    """A unit from its text; the products of one unit share it."""
    return Unit.parse(text)


def product(row: Sequence[Any]) -> ProductRecord:
    """A product from a row of `products_query`."""
    key, name, form, unit_name, *rest = row
    return ProductRecord(key, name, _FORMS[form], unit(unit_name), *rest)


def calibration_columns(master: ProductRecord) -> dict[str, Any]:
    """What a master serves, from its facts; InternalFault where its maker left one out."""
    facts = master.facts
    try:
        (ny, nx), (bin_x, bin_y) = facts["shape"], facts["binning"]
        return {
            "product": master.key,
            "name": master.name,
            "camera": facts["camera"],
            "detector": int(facts["detector"]),
            "band": facts.get("band", ""),
            "ny": ny,
            "nx": nx,
            "bin_x": bin_x,
            "bin_y": bin_y,
            "readout_mode": facts.get("readout_mode", ""),
            "valid_from": float(facts["valid_from"]),
            "valid_to": float(facts["valid_to"]),
            "block": facts.get("block", master.unit.keys.get("block", "")),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InternalFault(
            "internal.bad-return", f"master {master.key} lacks a fact or has a bad one: {error!r}", product=master.key
        ) from error


def fault_columns(fault: FaultRecord) -> dict[str, Any]:
    """The columns of a fault."""
    return {
        "code": fault.code,
        "kind": fault.kind.value,
        "message": fault.message,
        "evidence": dict(fault.evidence),
        "advice": fault.advice,
    }


def fault(row: Row[Any]) -> FaultRecord:
    """A fault from a row with its columns."""
    return FaultRecord(row.code, FaultKind(row.kind), row.message, row.evidence, row.advice)
