"""Scratch products live until their last consumer is done and recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from spica.core.faults import Outcome
from spica.core.jobs import JobReport, ProductRecord
from spica.engine.plan import Plan, Standing
from spica.files.survey import Survey
from spica.registry.store import Registry


class Scratch:
    """Keeps account of a plan's scratch products and deletes them in time."""

    def __init__(self, plan: Plan, registry: Registry, survey: Survey) -> None:
        self._registry = registry
        self._survey = survey
        self._there = {key: record for key, record in plan.products.items() if record.scratch}
        self._consumers: Counter[str] = Counter(
            link.key
            for _, job in plan.standing(Standing.RUN)
            for links in job.inputs
            for link in links
            if link.maker >= 0
        )

    def recorded(self, reports: Iterable[JobReport]) -> None:
        """Reports are in the registry: take note of new scratch, delete what their jobs were the last to need."""
        spent: list[ProductRecord] = []
        for report in reports:
            if report.outcome is not Outcome.DONE:
                continue
            self._there.update({record.key: record for record in report.products if record.scratch})
            for each in report.inputs:
                if each.key in self._consumers:
                    self._consumers[each.key] -= 1
                    if self._consumers[each.key] <= 0 and each.key in self._there:
                        spent.append(self._there.pop(each.key))
        self._delete(spent)

    def purge(self) -> None:
        """The production is at its end: nobody here needs any scratch product of it any more."""
        self._delete(list(self._there.values()))
        self._there.clear()

    def _delete(self, records: list[ProductRecord]) -> None:
        for record in records:
            self._survey.path_of(record.path).unlink(missing_ok=True)
        if records:
            self._registry.forget_products([record.key for record in records])
