"""Source 'master': the calibration that is associated with the unit when the plan is made, and frozen into the job."""

from __future__ import annotations

from collections.abc import Sequence

from spica.core.faults import DataFault
from spica.engine.candidates import Quality, misfit
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.resolvers.product import stored
from spica.engine.spec import Source
from spica.engine.targets import Target
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step

ORDERED = frozenset({Quality.FIXED, Quality.COPIED})
"""Qualities that do not follow from master and unit alone."""


class Master:
    """A registered master, or one that this plan makes."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:
        """The master that serves the unit."""
        chosen = ground.masters.choose(binding.product, target)
        if chosen is None:
            return () if step.optional(binding.need) else ground.masters.why_none(binding.product, target)
        master, quality = chosen
        wrong = misfit(master, target)
        if wrong is not None:
            return wrong
        if master.maker is not None and master.maker in ground.broken:
            return DataFault(
                "data.upstream",
                f"{target.unit} needs the {binding.product} of {master.unit}, which did not finish",
                upstream=str(master.unit),
                cause=ground.broken[master.maker].code,
            ).record()
        how = f"master, {quality.word}"
        if quality is not Quality.IMPORTED:
            how += f", {master.centre - target.mjd:+.2f} days"
        mark = f" {quality.word}" if quality in ORDERED else ""
        maker = -1 if master.maker is None else master.maker
        return (Link(master.key, str(master.unit), how, maker, int(quality), mark),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Where it lies."""
        return stored(stock, binding, links[0]) if links else None
