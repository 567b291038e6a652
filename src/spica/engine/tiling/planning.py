"""The units of tiles in a plan: chosen when all that they are made of has ended, since the rules ask for its figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from spica.core.faults import SetupFault
from spica.core.records import ExposureState
from spica.core.release import Release
from spica.engine.plan import Order, PlannedJob, Standing
from spica.engine.targets import Target, tile_targets
from spica.files import frozen, releases
from spica.files.survey import Survey
from spica.pipelines.graph import TILED, Chain
from spica.registry.store import Registry

if TYPE_CHECKING:
    from spica.engine.tiling.choosing import Chosen

_STATES = {"raw": ExposureState.RAW, "delivered": ExposureState.REDUCED}


class Tiling:
    """The tiles of an order.

    Parameters
    ----------
    registry, survey, order : what there is, and what was asked for.
    linked : the pipeline's chains.
    """

    def __init__(self, registry: Registry, survey: Survey, order: Order, linked: Sequence[Chain]) -> None:
        self._registry = registry
        self._survey = survey
        self._order = order
        self._linked = linked

    @cached_property
    def release(self) -> Release | None:
        """The release that the tiles are of; None where the pipeline makes none; SetupFault ``release.frozen``."""
        if not any(chain.grain in TILED for chain in self._linked):
            if self._order.release:
                name = self._order.pipeline.name
                raise SetupFault(
                    "order.invalid", f"pipeline {name!r} makes no tiles: it is not run for a release", pipeline=name
                )
            return None
        release = releases.load(self._survey, self._order.release)
        frozen.refuse_frozen(self._survey, release.name)
        return release

    @cached_property
    def chosen(self) -> Chosen:
        """What is stacked on which tile."""
        # The mathematics of the sky takes half a second to load; few orders need it.
        from spica.engine.tiling.choosing import choose

        release = self.release
        if release is None:
            raise ValueError(self._order.pipeline.name)
        frames = {frame for chain in self._linked if chain.grain in TILED for frame in chain.frames}
        return choose(self._registry, release, frames, states_of(self._linked))

    def waits(self, chain: Chain, jobs: Sequence[PlannedJob]) -> bool:
        """Whether a chain's tiles cannot be chosen yet: something that they may be made of is still to run."""
        return chain.grain in TILED and any(
            job.standing is Standing.RUN and job.recipe.chain.grain not in TILED for job in jobs
        )

    def targets(self, chain: Chain, planned: Collection[tuple[str, int]]) -> list[Target]:
        """The chain's units.

        `planned` are the exposures and detectors of the order. An order for some of them says nothing about tiles that
        others are stacked on too: those are left to an order for all.

        Raises
        ------
        SetupFault
            ``tile.unknown``.
        """
        chosen = self.chosen
        chosen.refuse_strangers(self._order.tiles)
        tiles = {
            name: tile for name, tile in chosen.tiles.items() if not self._order.tiles or name in self._order.tiles
        }
        rows = {key: members for key, members in chosen.rows.items() if key[0] in tiles}
        found = tile_targets(chain.grain, tiles, rows)
        if not self._order.where.strip():
            return found
        return [each for each in found if all((row.exposure, row.detector) in planned for row in each.rows)]


def states_of(linked: Sequence[Chain]) -> set[ExposureState]:
    """In which form the exposures of a pipeline were delivered; none where it does not read them."""
    sources = {binding.need.source for chain in linked for binding in chain.outside}
    return {state for source, state in _STATES.items() if source in sources}
