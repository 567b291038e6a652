"""Merge: the catalogues of an exposure's detectors as one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spica.core.columns import Catalogue, Column
from spica.core.records import Grain, Scalar, Unit
from spica.core.settings import NoSettings
from spica.core.streams import Parts
from spica.core.task import Form, Give, Member, Need, Products, Task

DETECTOR = Column("detector", "i4", "", "meta.id;instr.det", "number of the detector")


def merge(settings: NoSettings, sources: tuple[Member, ...]) -> Products:
    """Append catalogue to catalogue in key order, a column `detector` before the others; one is in memory at a time.

    Parameters
    ----------
    sources : one `spica.core.streams.Table` for each detector.

    Returns
    -------
    exposure_sources : Parts. Its header holds the facts that are the same in all detectors, their number and names.
    """
    del settings
    headers = [dict(member.value.header) for member in sources]
    common: dict[str, Scalar] = {
        key: value for key, value in headers[0].items() if all(header.get(key) == value for header in headers[1:])
    }
    numbers = [detector_of(member) for member in sources]
    common |= {"NDETECT": len(numbers), "DETLIST": " ".join(map(str, numbers))}
    common.pop(DETECTOR.name.upper(), None)
    return {"exposure_sources": Parts(_parts(sources), common)}


def detector_of(member: Member) -> int:
    """Number of the detector that a member is of."""
    return int(Unit.parse(member.unit).keys["detector"])


def _parts(sources: tuple[Member, ...]) -> Iterator[Catalogue]:
    for member in sources:
        part: Catalogue = member.value.read()
        number = np.full(len(part), detector_of(member), np.int32)
        yield Catalogue({DETECTOR.name: number, **part.columns}, extra={**part.extra, DETECTOR.name: DETECTOR})


TASK = Task(
    name="merge",
    version=1,
    grain=Grain.EXPOSURE,
    settings=NoSettings,
    needs=(Need("sources", grain=Grain.DETECTOR, stream=True, quorum=1),),
    gives=(
        Give("exposure_sources", Form.CATALOGUE, stream=True, meaning="the sources of all detectors of an exposure"),
    ),
    run=merge,
)
