"""What a fault code says."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class FaultKind(StrEnum):
    """Who is to act: the data's owner, the operator, time, or a developer."""

    DATA = "data"
    SETUP = "setup"
    RESOURCE = "resource"
    INTERNAL = "internal"


class FaultCode(NamedTuple):
    """One declared code."""

    kind: FaultKind
    meaning: str
    advice: str
