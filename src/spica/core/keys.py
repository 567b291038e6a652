"""Stable keys: canonical JSON, Merkle hashes and 64-bit identifiers.

The same facts give the same key on every machine and in every run, so that a job's key exists before anything runs.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

EXPOSURE_BITS = 36
DETECTOR_BITS = 8
SOURCE_BITS = 19
"""36 + 8 + 19 = 63 bits: an identifier is never negative as a signed 64-bit integer."""


def canonical(value: Any) -> bytes:
    """Canonical JSON of plain data: sorted keys, no spaces, floats by `repr`; NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True).encode()


def digest(value: Any) -> str:
    """40 hexadecimal digits (BLAKE2b, 160 bits) of the canonical JSON of `value`."""
    return hashlib.blake2b(canonical(value), digest_size=20).hexdigest()


def exposure_id(camera: str, name: str) -> int:
    """Stable 36-bit identifier of an exposure, from its camera and name; the registry refuses a clash."""
    raw = hashlib.blake2b(f"{camera}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(raw, "big") >> (64 - EXPOSURE_BITS)


def source_id(exposure: int, detector: int, index: int) -> int:
    """Stable 63-bit identifier of a source: exposure (36 bits), detector (8), index in the catalogue (19)."""
    if not (
        0 <= exposure < 1 << EXPOSURE_BITS and 0 <= detector < 1 << DETECTOR_BITS and 0 <= index < 1 << SOURCE_BITS
    ):
        msg = f"exposure {exposure}, detector {detector} or source {index} does not fit into a source identifier"
        raise ValueError(msg)
    return (exposure << (DETECTOR_BITS + SOURCE_BITS)) | (detector << SOURCE_BITS) | index
