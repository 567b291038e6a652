"""The survey folder and its settings file ``survey.toml``.

Light on purpose: no FITS, no numerics, so that every command starts quickly.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from spica.core.faults import SetupFault
from spica.core.records import FileRecord, Unit
from spica.core.settings import Settings
from spica.files import atomic

FILE_NAME = "survey.toml"
FOLDERS = (
    "raw", "products", "scratch", "quarantine", "cameras", "pipelines", "wrappers", "releases", "references", "systems",
    "published", "thumbnails",
)  # fmt: skip
LOCAL = "local"
"""The storage area that is the survey folder itself."""


class IngestSettings(Settings):
    """How delivered files come in."""

    mode: Literal["copy", "link", "place"] = Field(
        default="copy", description="copy files into the survey, link them (hard link), or leave them in place"
    )
    area: str = Field(default=LOCAL, description="storage area that copies go to")


class DaskSettings(Settings):
    """Which Dask cluster works, and which of its workers are near the data."""

    address: str = Field(default="", description="of a running scheduler (tcp://host:8786); empty: a cluster here")
    near: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="storage area to the workers (host names, addresses or names) that its files lie near to",
    )


class EngineSettings(Settings):
    """How work is carried out."""

    executor: Literal["inprocess", "local", "dask"] = Field(default="local", description="who runs the units")
    workers: Annotated[int, Field(ge=0, description="worker processes; 0: one per core")] = 0
    timeout: Annotated[float, Field(gt=0, description="seconds a unit may take")] = 3600.0
    memory: Annotated[float, Field(ge=0, description="GiB a unit may use; 0: no limit")] = 0.0
    attempts: Annotated[int, Field(ge=1, description="attempts at a unit whose worker died or ran out of time")] = 2
    reserve: Annotated[
        float, Field(ge=0, description="GiB of the disk that no production of the queue may plan to fill")
    ] = 1.0
    productions: Annotated[int, Field(ge=1, le=64, description="productions that a coordinator works on at once")] = 4
    dask: DaskSettings = DaskSettings()


class CalibrationSettings(Settings):
    """Which masters serve an exposure."""

    flats: tuple[str, ...] = Field(
        default=("twilight", "dome"),
        description="kinds of flat, the preferred first: decides between equally good ones",
    )
    outside: bool = Field(
        default=False, description="take a master outside of its validity where there is nothing better (flagged)"
    )


class CatalogueSettings(Settings):
    """Which reference catalogue serves what; where the survey has one only, it serves all."""

    astrometry: str = Field(default="", description="name of the catalogue that positions are tied to")
    photometry: str = Field(default="", description="name of the catalogue that magnitudes are tied to")
    indexes: str | tuple[str, ...] = Field(
        default="", description="index files of astrometry.net, or folders of them, by which lost pointings are found"
    )


class RuleSettings(Settings):
    """Which production follows when exposures come in."""

    pipeline: Annotated[str, Field(min_length=1, description="name of the pipeline")]
    where: str = Field(default="", description="selection: which new exposures it is for")
    settings: dict[str, Any] = Field(default_factory=dict, description="task.field to value")
    priority: Annotated[float, Field(description="of the productions: the larger goes first")] = 0.0
    settle: Annotated[
        float, Field(ge=0, description="seconds without a further exposure of its kind until it is ordered")
    ] = 30.0
    patience: Annotated[float, Field(ge=0, description="seconds after which it is ordered though more come in")] = 300.0


class SurveySettings(Settings):
    """All of ``survey.toml``; unknown names are refused."""

    name: Annotated[str, Field(min_length=1, description="the survey's name")]
    registry: str = Field(
        default="sqlite:///registry.sqlite",
        description="address of the registry; a relative SQLite path is relative to the survey folder",
    )
    cameras: tuple[str, ...] = Field(default=(), description="cameras that headers are recognised among; empty: all")
    camera: str = Field(default="", description="camera taken for files that name none")
    areas: dict[str, str] = Field(default_factory=dict, description="storage areas: name to folder or address")
    references: str = Field(
        default="references", description="folder of reference catalogues, which several surveys may share"
    )
    ingest: IngestSettings = IngestSettings()
    engine: EngineSettings = EngineSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    catalogues: CatalogueSettings = CatalogueSettings()
    rules: dict[str, RuleSettings] = Field(
        default_factory=dict, description="productions that new exposures bring about: name to rule"
    )
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict, description="task or step label to its settings")


@dataclass(frozen=True)
class Survey:
    """A survey folder.

    Attributes
    ----------
    root : the folder that holds ``survey.toml``, absolute.
    settings : its contents.
    """

    root: Path
    settings: SurveySettings

    @classmethod
    def create(cls, root: Path | str, database: str | None = None, name: str | None = None) -> Survey:
        """Make a survey folder with its settings file.

        Parameters
        ----------
        root : folder, made where missing; other files in it are left alone.
        database : address of the registry (``postgresql://…``); SQLite in the folder by default.
        name : the survey's name; the folder's by default.

        Raises
        ------
        SetupFault
            ``survey.exists`` where the folder holds a survey.
        """
        folder = Path(root).expanduser().absolute()
        if (folder / FILE_NAME).exists():
            raise SetupFault("survey.exists", f"{folder} holds a survey already", path=str(folder))
        if folder.exists() and not folder.is_dir():
            raise SetupFault("survey.exists", f"{folder} is a file", path=str(folder))
        given = {"name": name or folder.name} | ({"registry": database} if database else {})
        settings = _validated(given, folder / FILE_NAME)
        atomic.write_bytes(folder / FILE_NAME, _template(settings).encode())
        with atomic.disk_faults(folder):
            for part in FOLDERS:
                (folder / part).mkdir(exist_ok=True)
        return cls(folder, settings)

    @classmethod
    def open(cls, root: Path | str = ".") -> Survey:
        """The survey that holds `root`: looks there and in the folders above it.

        Raises
        ------
        SetupFault
            ``survey.missing``; ``survey.invalid`` with the line or the setting at fault and the nearest name.
        """
        start = Path(root).expanduser().absolute()
        for folder in (start, *start.parents):
            if (folder / FILE_NAME).is_file():
                return cls(folder, read_settings(folder / FILE_NAME))
        raise SetupFault("survey.missing", f"neither {start} nor a folder above it holds {FILE_NAME}", path=str(start))

    @property
    def registry_url(self) -> str:
        """Address of the registry, with an absolute path for SQLite."""
        prefix = "sqlite:///"
        url = self.settings.registry
        if not url.startswith(prefix):
            return url
        return prefix + str(self.root / url.removeprefix(prefix))

    def folder(self, name: str) -> Path:
        """One of the survey's folders (see `FOLDERS`)."""
        if name not in FOLDERS:
            raise KeyError(name)
        return self.root / name

    @property
    def references(self) -> Path:
        """The folder of reference catalogues."""
        return self.root / Path(self.settings.references).expanduser()

    @property
    def areas(self) -> dict[str, str]:
        """Storage areas: name to absolute folder or fsspec address; 'local' is the survey folder itself."""
        named = {
            name: url if "://" in url else str(self.root / Path(url).expanduser())
            for name, url in self.settings.areas.items()
        }
        return {LOCAL: str(self.root)} | named

    def path_of(self, record: FileRecord | str) -> Path:
        """Where a file lies that a record (or a product's relative path) names, on a local area.

        Raises
        ------
        SetupFault
            ``survey.invalid`` where the record's area is not in the settings or is not a local folder.
        """
        if isinstance(record, str):
            return self.root / record
        root = self.areas.get(record.area)
        if root is None or "://" in root:
            what = "not in the survey's settings" if root is None else "not a local folder"
            raise SetupFault("survey.invalid", f"storage area {record.area!r} is {what}", area=record.area)
        return Path(root) / record.path

    def product_path(self, kind: str, block: str, unit: Unit, name: str, key: str, suffix: str) -> str:
        """Path of a product relative to the survey folder; the job key's first ten digits keep settings apart.

        Parameters
        ----------
        kind : folder below ``products`` ('science', 'masters' …); 'scratch' goes to the scratch folder.
        block : night or calibration block, '' where there is none.
        unit : the unit it is of.
        name : product's name.
        key : job key.
        suffix : with the dot.
        """
        stem = "_".join(part.replace("/", "-") or "none" for part in unit.values)
        top = "scratch" if kind == "scratch" else f"products/{kind}"
        return "/".join(part for part in (top, block, f"{stem}_{name}.{key[:10]}{suffix}") if part)


def read_settings(path: Path) -> SurveySettings:
    """Read and validate a settings file; SetupFault ``survey.invalid`` (or ``survey.missing``)."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SetupFault("survey.missing", f"{path} is not there", path=str(path)) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupFault("survey.invalid", f"{path}: {error}", path=str(path)) from error
    return _validated(given, path)


def _validated(given: Mapping[str, Any], path: Path) -> SurveySettings:
    try:
        return SurveySettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        near = _nearest(first["loc"]) if first["type"] == "extra_forbidden" else ""
        what = "no such setting" if first["type"] == "extra_forbidden" else f"{first['msg']}, got {first['input']!r}"
        hint = f"; did you mean {near!r}?" if near else ""
        raise SetupFault(
            "survey.invalid", f"{path}: {name}: {what}{hint}", path=str(path), setting=name, nearest=near
        ) from error


def _nearest(location: tuple[str | int, ...]) -> str:
    """The known name nearest to an unknown one, in the table that holds it."""
    tables: dict[tuple[str | int, ...], type[Settings]] = {
        (): SurveySettings,
        ("ingest",): IngestSettings,
        ("engine",): EngineSettings,
        ("engine", "dask"): DaskSettings,
    }
    table = tables.get(location[:-1])
    near = difflib.get_close_matches(str(location[-1]), list(table.model_fields), n=1) if table else []
    return near[0] if near else ""


def _template(settings: SurveySettings) -> str:
    """A settings file to start from: what is set, and what may be."""
    engine = EngineSettings()
    return f"""\
# Settings of this survey. Everything has a default; unknown names are refused.
name = {json.dumps(settings.name)}
# A team shares "postgresql://user@host/database"; a relative SQLite path lies in this folder.
registry = {json.dumps(settings.registry)}
# cameras = ["decam"]   # headers are recognised among these only; left out: among all known cameras
# camera = "decam"      # taken for files that name none
# references = "/archive/references"   # reference catalogues that surveys share; left out: in this folder

[ingest]
mode = "copy"           # copy | link (hard link) | place (leave files where they are)

# [catalogues]           # reference catalogues by purpose, where there are several
# astrometry = "gaia"
# photometry = "ps1"
# indexes = "/usr/share/astrometry"   # index files of astrometry.net, for pointings that no header tells

[engine]
executor = "{engine.executor}"      # inprocess | local (worker processes) | dask
workers = {engine.workers}             # 0: one per core
timeout = {engine.timeout:.0f}          # seconds a unit may take
memory = {engine.memory:.0f}              # GiB a unit may use; 0: no limit
attempts = {engine.attempts}            # at a unit whose worker died or ran out of time

# [engine.dask]
# address = "tcp://head:8786"   # of a running scheduler whose workers see this folder; left out: a cluster here
# near = {{ archive = ["node1", "node2"] }}   # workers near a storage area: units run where most of their data lie

# [areas]                # further storage areas: folders or addresses (ssh://, s3://)
# archive = "/archive/survey"

# [rules.tonight]        # new exposures bring about productions of the queue, a night each ('spica up' orders them)
# pipeline = "night"
# where = "band='r'"
# priority = 10.0

# [tasks.detect]         # settings of a task or of a pipeline's step
# threshold = 3.0
"""
