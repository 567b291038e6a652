"""The resolvers by source. A new source (a neighbour, say) is one more module and one line."""

from __future__ import annotations

from collections.abc import Mapping

from spica.engine.resolvers import plain
from spica.engine.resolvers.base import Resolver
from spica.engine.resolvers.dust import Dust
from spica.engine.resolvers.indexes import Indexes
from spica.engine.resolvers.lent import Lent
from spica.engine.resolvers.master import Master
from spica.engine.resolvers.previous import Previous
from spica.engine.resolvers.product import Product
from spica.engine.resolvers.reference import FirstSolutions, Reference
from spica.engine.resolvers.systems import PhotometricSystems
from spica.engine.resolvers.tiles import Inputs, TileItself

RESOLVERS: Mapping[str, Resolver] = {
    "product": Product(),
    "master": Master(),
    "lent": Lent(),
    "raw": plain.RawPixels(),
    "delivered": plain.DeliveredImage(),
    "exposure": plain.ExposureRecord(),
    "exposures": plain.ExposureRecords(),
    "detector": plain.DetectorRecord(),
    "camera": plain.CameraSection(),
    "unit": plain.UnitItself(),
    "members": plain.Members(),
    "reference": Reference(),
    "wcs": FirstSolutions(),
    "systems": PhotometricSystems(),
    "indexes": Indexes(),
    "tile": TileItself(),
    "inputs": Inputs(),
    "previous": Previous(),
    "dust": Dust(),
}
