"""The tables, one small file per subject; all of them hang on `metadata`."""

from spica.registry.schema.base import metadata
from spica.registry.schema.detectors import detectors, readouts
from spica.registry.schema.exposures import exposures
from spica.registry.schema.faults import faults, quarantine
from spica.registry.schema.files import copies, files, headers
from spica.registry.schema.footprints import footprints
from spica.registry.schema.jobs import chains, environments, inputs, jobs, leases
from spica.registry.schema.meta import meta
from spica.registry.schema.metrics import metric_names, metric_tags, metrics
from spica.registry.schema.notes import comments, events, grades
from spica.registry.schema.orders import calibration_orders
from spica.registry.schema.productions import productions
from spica.registry.schema.products import calibrations, products
from spica.registry.schema.units import units

__all__ = [
    "calibration_orders",
    "calibrations",
    "chains",
    "comments",
    "copies",
    "detectors",
    "environments",
    "events",
    "exposures",
    "faults",
    "files",
    "footprints",
    "grades",
    "headers",
    "inputs",
    "jobs",
    "leases",
    "meta",
    "metadata",
    "metric_names",
    "metric_tags",
    "metrics",
    "productions",
    "products",
    "quarantine",
    "readouts",
    "units",
]
