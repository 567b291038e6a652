"""Source 'lent': products of other units, for one that a rung of the rescue ladder begins anew."""

from __future__ import annotations

from collections.abc import Sequence

from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.resolvers.product import stored
from spica.engine.spec import Gathered, Source
from spica.engine.targets import Target
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step


class Lent:
    """What the unit's lenders made in the same step."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """Links to the lenders' jobs, in key order."""
        loan = ground.loans.get(target.unit.values)
        lenders = loan.lenders if loan is not None else ()
        return tuple(Link(f"{key}/{binding.product}", unit, "lent", number) for key, unit, number in lenders)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Where the products lie, or their values; none where nobody lends."""
        if not links:
            return None
        return Gathered(tuple((link.unit, stored(stock, binding, link)) for link in links))
