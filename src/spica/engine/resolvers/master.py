"""Source 'master': the calibration that is associated with the unit when the plan is made, and frozen into the job."""

from __future__ import annotations

from collections.abc import Sequence

from spica.core.faults import DataFault
from spica.engine.masters import misfit
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.resolvers.product import stored
from spica.engine.spec import Source
from spica.engine.targets import Target
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step


class Master:
    """A registered master, or one that this plan makes."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:
        """The master that serves the unit."""
        chosen = ground.masters.choose(binding.product, target)
        if chosen is None:
            return () if step.optional(binding.need) else ground.masters.why_none(binding.product, target)
        wrong = misfit(chosen, target)
        if wrong is not None:
            return wrong
        if chosen.maker is not None and chosen.maker in ground.broken:
            return DataFault(
                "data.upstream",
                f"{target.unit} needs the {binding.product} of {chosen.unit}, which did not finish",
                upstream=str(chosen.unit),
                cause=ground.broken[chosen.maker].code,
            ).record()
        off = chosen.centre - target.mjd
        how = f"master, {off:+.2f} days"
        return (Link(chosen.key, str(chosen.unit), how, -1 if chosen.maker is None else chosen.maker),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Where it lies."""
        return stored(stock, binding, links[0]) if links else None
