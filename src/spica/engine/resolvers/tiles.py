"""Sources 'tile' and 'inputs': the image that a stack is made on, and what the records say of what goes into it."""

from __future__ import annotations

from collections.abc import Sequence

from spica.core.keys import digest
from spica.core.records import Grain, Unit
from spica.core.tiles import Tile
from spica.engine.resolvers.base import Found, Ground, Link, Stock
from spica.engine.spec import Given, Source
from spica.engine.targets import Target
from spica.pipelines.graph import Binding
from spica.pipelines.model import Step


class TileItself:
    """Source 'tile'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digest of its projection, size and owner."""
        tile = _tile(target)
        return (Link(digest(tile.plain()), tile.name, "tile"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """The tile."""
        return Given(_tile(target))


class Inputs:
    """Source 'inputs'."""

    def resolve(self, ground: Ground, step: Step, binding: Binding, target: Target) -> Found:  # noqa: ARG002
        """The digests of the facts of all its exposures."""
        digests = dict.fromkeys(row.exposure_digest for row in target.rows)
        return (Link(digest(list(digests)), str(target.unit), "records"),)

    def load(self, stock: Stock, binding: Binding, links: Sequence[Link], target: Target) -> Source:  # noqa: ARG002
        """Facts of each detector by its unit's text, in key order."""
        return Given(
            {
                str(Unit(Grain.DETECTOR, (row.exposure, str(row.detector)))): {
                    "exposure": row.exposure,
                    "exposure_id": row.exposure_id,
                    "detector": row.detector,
                    "camera": row.camera,
                    "band": row.band,
                    "filter": row.filter,
                    "night": row.night,
                    "mjd": row.mjd,
                    "exposure_time": row.exposure_time,
                }
                for row in target.rows
            }
        )


def _tile(target: Target) -> Tile:
    if target.tile is None:
        raise ValueError(target.unit)
    return target.tile
