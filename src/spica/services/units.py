"""Units of work as people name them."""

from __future__ import annotations

from spica.core.faults import SetupFault
from spica.core.records import Grain, Unit
from spica.registry.store import Registry


def quoted(text: str) -> str:
    """A text as it stands between quotes in a selection."""
    return text.replace("'", "''")


def parse_unit(text: str) -> Unit:
    """The unit that a text names, whether there is one or not.

    Raises
    ------
    SetupFault
        ``order.unknown-unit`` where the text cannot name one.
    """
    try:
        return Unit.parse(text)
    except ValueError as error:
        advice = "write EXPOSURE, EXPOSURE/DETECTOR or grain:key/key…, such as calibration:demo/3/r/2026-11-20"
        raise SetupFault("order.unknown-unit", f"{text!r} names no unit: {error}", advice=advice, unit=text) from error


def known_unit(registry: Registry, text: str) -> Unit:
    """The unit that a text names, if anything is known of it; an observatory's own name of an exposure will do.

    Raises
    ------
    SetupFault
        ``order.unknown-unit``, with names that are like it.
    """
    unit = parse_unit(text)
    name = unit.keys.get("exposure")
    if name is None:
        if registry.jobs_of(unit) or registry.faults(unit):
            return unit
        raise SetupFault("order.unknown-unit", f"nothing is recorded of {unit}", unit=str(unit))
    found = registry.exposures(f"exposure = '{quoted(name)}'") or registry.exposures(
        f"exposure like '%-{quoted(name)}'"
    )
    if len(found) != 1:
        near = [exposure.name for exposure in registry.exposures(f"exposure like '%{quoted(name[-4:])}%'", limit=3)]
        hint = f"; there is {', '.join(near)}" if near else ""
        raise SetupFault("order.unknown-unit", f"there is no exposure {name!r}{hint}", unit=str(unit))
    known = Unit(unit.grain, (found[0].name, *unit.values[1:]))
    if unit.grain is Grain.DETECTOR and not registry.detectors([detector_of(known)]):
        message = f"exposure {known.values[0]} has no detector {known.values[1]}"
        raise SetupFault("order.unknown-unit", message, unit=str(unit))
    return known


def detector_of(unit: Unit) -> tuple[str, int]:
    """Exposure and detector of a unit of detector grain."""
    name, detector = unit.values
    if not detector.isdigit():
        raise SetupFault("order.unknown-unit", f"a detector is a number, not {detector!r}", unit=str(unit))
    return name, int(detector)
