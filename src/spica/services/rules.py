"""Rules: new exposures bring about productions, those of a night together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spica.files.survey import RuleSettings, Survey
from spica.registry.rows import Newcomers
from spica.registry.store import Registry


def heed(survey: Survey, registry: Registry) -> list[int]:
    """Order what the survey's rules ask for of exposures that came in; answers the numbers of the new productions.

    A rule waits until no further exposure of its kind has come for `settle` seconds (the detectors of an exposure and the exposures
    of a sequence come one after the other), but not longer than `patience`.

    Raises
    ------
    SetupFault
        ``where.invalid`` for a rule's selection.
    """
    ordered = []
    queue = registry.queue
    for name, rule in sorted(survey.settings.rules.items()):
        before = queue.rule_seen(name)
        found, now = queue.newcomers(rule.where, before)
        if not found:
            continue
        last = max(each.last for each in found)
        if now - last < rule.settle and now - min(each.first for each in found) < rule.patience:
            continue
        numbers = queue.act(name, before, last, list(_orders(name, rule, found)))
        for number in numbers:
            count = sum(each.count for each in found)
            registry.event("rule.ordered", f"rule {name} ordered production {number}", details={"exposures": count})
        ordered += numbers
    return ordered


def _orders(name: str, rule: RuleSettings, found: list[Newcomers]) -> Iterator[dict[str, Any]]:
    for each in found:
        night = f"night='{each.night}'"
        yield {
            "name": f"{name} {each.night}",
            "pipeline": rule.pipeline,
            "selection": f"({rule.where}) and {night}" if rule.where else night,
            "settings": rule.settings,
            "priority": rule.priority,
            "person": "",
        }
