"""What a task is: needs, gives, grain, a settings class and a pure function. One declaration per module.

    TASK = Task(name="background", version=1, grain=Grain.DETECTOR, settings=BackgroundSettings,
                needs=(Need("science"),), gives=(Give("background", Form.IMAGE, keep=Keep.NEVER),), run=subtract)

The function is called ``run(settings, **needs)`` and returns a mapping from the names of its gives to products. Its
parameter names are the names of its needs; this is checked when the declaration is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from spica.core.faults import SetupFault
from spica.core.records import Grain
from spica.core.settings import Settings


class Form(StrEnum):
    """In which form a product travels in memory and lies on disk."""

    IMAGE = "image"
    """`spica.core.images.Image` (or `Banded` where streamed); multi-extension FITS."""
    CATALOGUE = "catalogue"
    """`spica.core.columns.Catalogue`; Parquet."""
    METRICS = "metrics"
    """Mapping of name to `Measured`; rows of the registry, no file."""
    VALUE = "value"
    """A small JSON-able mapping (levels, coefficients); kept in the registry beside the product."""
    OUTLINE = "outline"
    """Mapping of ``ra`` and ``dec`` to the vertices of the unit on the sky [degree]; a row of the registry, no file."""
    PICTURE = "picture"
    """``(ny, nx)`` or ``(ny, nx, 3)`` uint8; PNG."""
    MEMORY = "memory"
    """Any object, alive only between the steps of one chain; a consumer in another job is refused by the check."""


class Keep(StrEnum):
    """What becomes of a product after its last consumer in the plan."""

    ALWAYS = "always"
    SCRATCH = "scratch"
    """Written losslessly for consumers of another grain, deleted after the last of them."""
    NEVER = "never"
    """Lives in memory between the steps of a chain."""


@dataclass(frozen=True)
class Measured:
    """A metric's value and unit."""

    value: float
    units: str = ""


@dataclass(frozen=True)
class Need:
    """One input of a task.

    Attributes
    ----------
    name : the parameter's name; for products also the product's name (before a step renames it).
    source : the resolver: 'product' (made earlier in the pipeline or already in the registry), 'raw' (RawDetector),
        'delivered' (Image of an exposure reduced elsewhere), 'master' (by association), 'exposure' (the Exposure
        record), 'exposures' (tuple of the records of all exposures of the unit), 'detector' (the Detector record), 'camera' (the section of the camera named in `section`), 'unit'
        (the Unit itself), 'members' (numbers of the detectors that the unit has, made or not), 'reference' (Catalogue
        of the reference stars around the unit, at its time; see `spica.core.reference`), 'systems' (`spica.core.systems.Systems`
        of the camera and that catalogue), 'lent' (a tuple of `Member`s: the product of that name which the same step gave
        for other units; from whom, a rung of the rescue ladder says), 'indexes' (a
        tuple of `spica.kernels.indexes.Index`: the index files that the survey names), 'tile' (`spica.core.tiles.Tile` of units
        of tiles), 'inputs' (facts of each detector that goes into a tile, by its unit's text), 'dust' (reddening over a tile; see `spica.engine.resolvers.dust`), 'previous' (identifiers and places of the
        objects that the release before published about a tile).
    section : for 'camera': 'amplifiers', 'grading', 'geometry', 'focal plane', 'filter', 'crosstalk', 'site'; a change elsewhere in the table
        does not re-run the task. For 'reference' and 'systems': what the stars are for, 'astrometry' or 'photometry'.
    margin : for 'reference': name of the task's setting that says how far [degree] the stars reach over the edge of the
        unit's detectors.
    placed : for 'reference': name of another need of the step, the value of which (or of its members) tells as `cone`
        (right ascension, declination, radius [degree]) where the unit truly is: stars of there come too, where the
        header puts it elsewhere.
    nowhere : for 'reference': a unit that does not tell where it is gets no stars; otherwise it is refused.
    opposite : for 'reference': name of the task's setting that, where true, asks for the stars at the opposite declination
        too (a header may have the wrong sign).
    grain : grain of the product where it differs from the task's (fan-in: the parameter receives a tuple of `Member`s
        in key order).
    columns, where : which columns and rows of a catalogue are read (row filter as in ``snr > 20``). Of reference stars
        ``mag_*`` stands for all magnitudes; a declared column that the catalogue lacks is NaN.
    planes : which planes of an image are read from disk ('science', 'variance', 'mask'; all where empty): decoding costs
        time. One that is not read is None, pixels are NaN.
    quorum : for fan-in: 'all', or the least number (int) or fraction (float) of members that must be there.
    optional : the parameter is None where nothing satisfies the need.
    stream : the parameter receives `Rows` instead of an Image, a `Table` instead of a Catalogue, of a reference catalogue
        `Places` that are asked for stars anywhere on the sky.
    among : 'visit' for a product of detector grain: the parameter receives a tuple of `Member`s, one for each snap of
        the unit's visit, in order of time; the unit is the first snap, also for all steps that use what is given.
        'dither': one for each exposure of the same detector, band and time that lies next to it, without itself. Such
        a step begins a new job.
    late : the parameter is None unless a rung of the rescue ladder that borrows has begun the job; until then the need
        costs nothing and decides nothing. For 'lent', and for what is needed beside it.
    """

    name: str
    source: str = "product"
    section: str = ""
    margin: str = ""
    opposite: str = ""
    placed: str = ""
    nowhere: bool = False
    grain: Grain | None = None
    columns: tuple[str, ...] = ()
    where: str = ""
    planes: tuple[str, ...] = ()
    quorum: str | int | float = "all"
    optional: bool = False
    stream: bool = False
    among: str = ""
    late: bool = False


@dataclass(frozen=True)
class Give:
    """One product of a task.

    Attributes
    ----------
    name : product's name (before a step renames it).
    form : how it travels and lies on disk.
    keep : what becomes of it after its last consumer; a pipeline step may override it.
    master : the product is a calibration that later exposures are associated with.
    stream : an image given as `Banded`, a catalogue as `Parts`.
    meaning : one line for people.
    """

    name: str
    form: Form
    keep: Keep = Keep.ALWAYS
    master: bool = False
    stream: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Member:
    """One input of a fan-in: which unit it is of, and the product."""

    unit: str
    value: Any


Products = Mapping[str, Any]


class External(Protocol):
    """A program outside of spica that a task runs: another version of it is other work."""

    @property
    def name(self) -> str:
        """What people call it."""

    def version(self) -> str:
        """Its version as installed here; SetupFault ``program.missing`` or ``program.version``."""


@dataclass(frozen=True)
class Task:
    """A declared task.

    Attributes
    ----------
    name : the deed ('detrend').
    version : integer; raise it whenever the output of the same input may change.
    grain : grain of the units it works on.
    settings : its settings class.
    needs, gives : inputs and outputs.
    run : ``run(settings, **needs) -> Products``; pure.
    external : the program that it runs; see `spica.wrappers`.
    """

    name: str
    version: int
    grain: Grain
    settings: type[Settings]
    needs: tuple[Need, ...]
    gives: tuple[Give, ...]
    run: Callable[..., Products]
    external: External | None = None

    def __post_init__(self) -> None:
        parameters = list(inspect.signature(self.run).parameters)
        expected = ["settings", *(need.name for need in self.needs)]
        if sorted(parameters) != sorted(expected):
            raise SetupFault(
                "task.invalid",
                f"task {self.name!r}: its function takes {parameters}, its needs say {expected}",
                task=self.name,
            )

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]
