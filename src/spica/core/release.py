"""What a release is to be: on which sky, of which exposures, with which settings; read from ``releases/NAME.toml``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from spica.core.settings import Settings

Degrees = Annotated[float, Field(gt=0, le=60.0)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
"""Names become parts of paths and of units."""


class FieldTable(Settings):
    """One named field: ``[[tiles.field]]``."""

    name: str = Field(default="", description="left out: PREFIX_hhmmss+ddmmss of its middle", pattern=rf"{NAME}|^$")
    ra: Annotated[float, Field(description="right ascension of the middle [degree]")]
    dec: Annotated[float, Field(ge=-90.0, le=90.0, description="declination of the middle [degree]")]
    width: Degrees | None = Field(default=None, description="[degree]; left out: that of the tiles")
    height: Degrees | None = Field(default=None, description="[degree]; left out: its width")


class TilesTable(Settings):
    """On which sky: ``[tiles]``."""

    grid: Literal["rings", "healpix", "fields", "box", "exposure", "overlap"] = Field(
        default="rings",
        description=(
            "rings of declination, HEALPix cells, named fields, a box, a tile for each exposure, or one for each set of "
            "exposures that overlap"
        ),
    )
    size: Degrees = Field(default=0.5, description="width of a tile without its margins [degree]; of a ring's tract")
    patches: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1, description="tiles along each side of a ring's tract or of a box, all in its projection"
    )
    order: Annotated[int, Field(ge=0, le=12)] = Field(
        default=7, description="order of the HEALPix cells; 7: 0.46 degree"
    )
    overlap: Annotated[float, Field(ge=0)] = Field(default=60.0, description="margin beyond what a tile owns [arcsec]")
    scale: Annotated[float, Field(gt=0)] = Field(default=0.2, description="pixel [arcsec]")
    projection: Literal["TAN", "SIN", "STG", "ZEA", "ARC", "MER", "CAR"] = Field(
        default="TAN", description="FITS code of the projection"
    )
    prefix: Annotated[str, Field(pattern=NAME)] = Field(default="S", description="begins the names of nameless fields")
    ra: tuple[float, float] | None = Field(default=None, description="of a box: from, to [degree]; may cross 0")
    dec: tuple[float, float] | None = Field(default=None, description="of a box: from, to [degree]")
    field: tuple[FieldTable, ...] = Field(default=(), description="the named fields")
    moc: str = Field(
        default="",
        description="map of coverage: only tiles that touch it are made; a file beside the release's, or ASCII such as 5/4965",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.grid == "fields" and not self.field:
            raise ValueError("a grid of fields needs at least one [[tiles.field]]")
        if self.grid == "box":
            if self.ra is None or self.dec is None:
                raise ValueError("a box needs ra = [from, to] and dec = [from, to]")
            low, high = self.dec
            if not -90.0 <= low < high <= 90.0 or self.ra[0] % 360.0 == self.ra[1] % 360.0:
                raise ValueError("a box is empty or leaves the sky")
        elif self.ra is not None or self.dec is not None:
            raise ValueError("ra and dec are those of a grid that is a box")
        return self


class RuleTable(Settings):
    """One rule: ``[[rule]]``. What does not fulfil it is left out, by its name."""

    name: Annotated[str, Field(pattern=NAME, description="told with each exposure that it refuses")]
    where: str = Field(default="", description="selection that must hold: columns, metrics, grade (spica metric list)")
    moon: Annotated[float, Field(gt=0, le=180.0)] | None = Field(
        default=None, description="least distance of the Moon [degree]"
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if bool(self.where.strip()) == (self.moon is not None):
            raise ValueError("a rule says where = '…' or moon = degrees: one of them")
        return self


class BandTable(Settings):
    """A band of the release's own: ``[[band]]``. What fulfils it is stacked under its name in place of that of its filter."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="of the stacks, and in names of columns")
    ]
    where: Annotated[str, Field(min_length=1, description="selection, as that of a rule; the first band that holds")]


class ChooseTable(Settings):
    """How many of those that fulfil the rules, in each tile and band: ``[choose]``; the best come first."""

    by: str = Field(default="psf_size", description="metric that ranks exposures, the lowest first; -name: the highest")
    best: Annotated[int, Field(ge=1)] | None = Field(default=None, description="so many exposures at most")
    fraction: Annotated[float, Field(gt=0, le=1.0)] | None = Field(
        default=None, description="this part of them, at least one"
    )
    depth: float | None = Field(
        default=None, description="stop when the stack is as deep as this [mag, 5 sigma, point sources]"
    )


class Release(Settings):
    """A release as its file says it."""

    name: Annotated[str, Field(pattern=NAME)]
    title: str = ""
    mode: Literal["wide", "deep", "exposure", "pre", "pi"] = Field(
        default="wide",
        description="wide: all that deserve it; deep: the best alone; exposure: each by itself; pre: first look; pi: a programme's own",
    )
    bands: tuple[str, ...] = Field(default=(), description="which bands; none: all that there are")
    owners: tuple[str, ...] = Field(default=(), description="who is told when it is published: names or addresses")
    previous: str = Field(
        default="", description="published release before it: objects that are the same keep their identifiers"
    )
    programme: str = Field(default="", description="exposures of this programme only; 'pi' needs one")
    tiles: TilesTable = TilesTable()
    band: tuple[BandTable, ...] = Field(
        default=(),
        description="bands of its own: the filters of two cameras stay apart, or those of two names come together",
    )
    rule: tuple[RuleTable, ...] = ()
    choose: ChooseTable = ChooseTable()
    without: tuple[str, ...] = Field(
        default=(),
        description="steps on tiles that are left out, such as completeness, bright_stars; those that others need stay",
    )
    settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="task or step to its settings, for tasks that work on tiles"
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [rule.name for rule in self.rules()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules are called {twice[0]!r}")
        if self.mode == "pi" and not self.programme:
            raise ValueError("mode 'pi' needs the programme")
        if self.mode == "exposure" and self.tiles.grid != "exposure":
            raise ValueError("mode 'exposure' needs grid = 'exposure' in [tiles]")
        return self

    def rules(self) -> tuple[RuleTable, ...]:
        """The rules of the mode, those of the file, that of the programme."""
        own = {rule.name for rule in self.rule}
        given = [rule for rule in MODES[self.mode] if rule.name not in own]
        if self.programme:
            text = self.programme.replace("'", "''")
            given.append(RuleTable(name="programme", where=f"programme = '{text}'"))
        return (*given, *self.rule)


def _verdict(worst: int) -> RuleTable:
    """A person's grade wins; without one the automatic verdict decides (A 1 … D 4)."""
    letters = ", ".join(f"'{letter}'" for letter in "ABCD"[:worst])
    return RuleTable(name="verdict", where=f"grade in ({letters}) or (grade is null and verdict <= {worst})")


MODES: dict[str, tuple[RuleTable, ...]] = {
    "wide": (_verdict(3),),
    "deep": (_verdict(2),),
    "exposure": (),
    "pre": (),
    "pi": (_verdict(3),),
}
"""Rules that each mode brings; one of the same name in the file takes the place of it."""
