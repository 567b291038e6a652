"""Cameras: which there are, what one is, drafting a table and checking it against real files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spica.core.camera import Camera
from spica.core.faults import Fault, SetupFault
from spica.files import atomic
from spica.files.survey import Survey
from spica.instruments import tables
from spica.services.surveys import camera_folders, locate_if_any, pipeline_folders

if TYPE_CHECKING:
    from spica.instruments.review import Finding


@dataclass(frozen=True)
class CameraLine:
    """One camera in a list; `source` is 'shipped', 'survey', or the file of an outside package."""

    name: str
    title: str
    telescope: str
    detectors: int
    amplifiers: int
    megapixels: float
    bands: tuple[str, ...]
    layout: str
    source: str


@dataclass(frozen=True)
class Shown:
    """A whole camera as plain data, the facts worth a line, and its picture if one was asked for."""

    camera: dict[str, Any]
    facts: dict[str, str]
    picture: Path | None


def load(name: str, survey: Survey | None) -> Camera:
    """A camera by its name, or by the path of its table."""
    folders = camera_folders(survey)
    if name.endswith(".toml"):
        return tables.load_file(Path(name), folders)
    return tables.load(name, folders)


def listing(folder: Path | None) -> tuple[CameraLine, ...]:
    """All cameras by name."""
    survey = locate_if_any(folder)
    folders = camera_folders(survey)
    return tuple(
        _line(tables.load(name, folders), tables.path_of(name, folders), survey) for name in tables.names(folders)
    )


def _line(camera: Camera, path: Path, survey: Survey | None) -> CameraLine:
    shipped = Path(tables.__file__).parent
    source = "shipped" if path.parent == shipped else str(path)
    if survey and path.parent == survey.folder("cameras"):
        source = "survey"
    return CameraLine(
        name=camera.name,
        title=camera.title,
        telescope=camera.telescope,
        detectors=len(camera.detectors),
        amplifiers=sum(len(detector.amplifiers) for detector in camera.detectors),
        megapixels=sum(detector.nx * detector.ny for detector in camera.detectors) / 1e6,
        bands=tuple(dict.fromkeys(spec.band for spec in camera.filters)),
        layout=camera.layout,
        source=source,
    )


def show(name: str, folder: Path | None, picture: Path | None = None) -> Shown:
    """One camera, and its focal plane drawn into a PNG file where `picture` names one.

    Raises
    ------
    SetupFault
        ``camera.unknown`` with the nearest name, ``camera.invalid``.
    """
    from spica.instruments.geometry import field_radius

    camera = load(name, locate_if_any(folder))
    if picture is not None:
        from spica.services import figures

        figures.focal_plane(camera, picture)
    site = camera.site
    facts = {
        "telescope": camera.telescope,
        "site": f"{site.name} ({site.longitude:+.4f}, {site.latitude:+.4f}, {site.height:.0f} m)",
        "pixels": f"{camera.pixel_scale} arcsec, {camera.pixel_size} µm",
        "field": f"{2 * field_radius(camera):.3g} degrees across the corners",
        "one file per": camera.layout,
        "files": camera.file_pattern,
        "headers by": camera.translator or "this table alone",
        "snaps": str(camera.snaps) if camera.snaps > 1 else "",
        "slices": str(camera.slices) if camera.slices > 1 else "",
        "near infrared": "yes" if camera.near_infrared else "",
    }
    return Shown(camera.model_dump(mode="json"), facts, picture)


@dataclass(frozen=True)
class Drafted:
    """A drafted camera table."""

    name: str
    files: int
    text: str
    path: Path | None


def draft(files: Sequence[Path], name: str = "", out: Path | None = None) -> Drafted:
    """Draft a camera table from sample files; written to `out` where it is given.

    Raises
    ------
    DataFault
        ``file.*`` of a sample that cannot be read.
    SetupFault
        ``order.invalid`` where `out` exists already.
    """
    from spica.files.verify import inspect_file
    from spica.intake import draft as drafting

    samples = [(path.name, inspect_file(path, sums=False).headers) for path in files]
    text = drafting.draft(samples, name)
    named = next((line.partition("=")[2].strip(' "') for line in text.splitlines() if line.startswith("name =")), name)
    if out is not None:
        if out.exists():
            raise SetupFault("order.invalid", f"{out} exists already", advice="choose another file", path=str(out))
        atomic.write_bytes(out, text.encode())
    return Drafted(named, len(files), text, out)


@dataclass(frozen=True)
class CheckedFile:
    """What a camera table makes of one file: a summary of the exposure, or what is wrong; and each property read."""

    path: str
    summary: str
    problems: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Checked:
    """A camera table checked against files."""

    name: str
    files: tuple[CheckedFile, ...]
    good: bool


def check(name: str, files: Sequence[Path], folder: Path | None) -> Checked:
    """Read every file with this camera alone, as ingest would, and say what is wrong.

    Raises
    ------
    SetupFault
        ``camera.unknown``, ``camera.invalid``; ``settings.unknown`` for what no task or step of a pipeline knows.
    """
    from spica.pipelines.owners import refuse_strangers

    survey = locate_if_any(folder)
    camera = load(name, survey)
    refuse_strangers(camera.settings, f"camera {name}: [settings.{{}}]", pipeline_folders(survey))
    found = tuple(_check_file(camera, path) for path in files)
    return Checked(camera.name, found, all(not entry.problems for entry in found))


def _check_file(camera: Camera, path: Path) -> CheckedFile:
    from spica.files.verify import inspect_file
    from spica.instruments.review import review
    from spica.intake.examine import examine
    from spica.intake.find import Candidate

    absolute = path.expanduser().absolute()
    findings: tuple[Finding, ...] = ()
    try:
        findings = review(camera, inspect_file(absolute, sums=False).headers, path.name)
        record = examine(Candidate(absolute, str(path)), [camera], camera)
    except Fault as fault:
        return CheckedFile(str(path), "", (f"{fault.code}: {fault.message}",), findings)
    exposure = record.exposure
    slices = exposure.extra.get("slices")
    time = f"{slices} × {exposure.exposure_time:g} s" if slices else f"{exposure.exposure_time:g} s"
    summary = (
        f"{exposure.frame_type} {exposure.name} {exposure.night} {exposure.band or '-'} {time}, "
        f"{len(record.detectors)} detectors"
    )
    missing = [f"defaulted: {name}" for name in exposure.defaulted]
    return CheckedFile(str(path), summary + (f" ({', '.join(missing)})" if missing else ""), (), findings)
