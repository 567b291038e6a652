"""What is here and what is missing: detectors, exposures, calibrations, and what cannot be reduced for want of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from spica.core.camera import Camera
from spica.core.faults import SetupFault
from spica.core.records import Exposure, ExposureState, FrameType, Grain, Unit
from spica.engine.candidates import Quality
from spica.engine.masters import Masters
from spica.engine.targets import Target
from spica.instruments import tables
from spica.registry.rows import DetectorRow
from spica.services import logs
from spica.services.surveys import Opened, camera_folders, opened

KINDS: dict[str, FrameType] = {"bias": FrameType.BIAS, "dark": FrameType.DARK, "flat": FrameType.FLAT}
"""Masters that science frames are reduced with, and the frames that they are made of."""
OPTIONAL = frozenset({"dark"})
FRAMES, NONE = "frames", "none"
WORDS = (*(quality.word for quality in Quality if quality is not Quality.NONE), FRAMES, NONE)
"""Whence a calibration comes, the best first."""
Group = tuple[str, str, str, str]
"""Night, camera, kind, band."""
FEW = 6
"""Detectors that are listed by name."""
FEWEST_FRAMES = 3
"""Frames from which a master can be made with the shipped settings."""


@dataclass(frozen=True)
class NightLine:
    """What came in of one kind in one night; `readouts` are more than `exposures` where these are cubes."""

    night: str
    camera: str
    frame_type: str
    band: str
    exposures: int
    detectors: int
    readouts: int


@dataclass(frozen=True)
class Coverage:
    """For how many of the detectors that observed in a night and band a calibration is there, and whence.

    `sources` counts detectors by how a plan made now would find their master: the words of
    `spica.engine.candidates.Quality` ('same-night', 'nearest', 'copied', 'imported' …), 'frames' where there is none but
    one can be made of the night's, or 'none'; of the exposures of a detector the one that is worst off counts.
    """

    night: str
    camera: str
    kind: str
    band: str
    detectors: int
    wanted: int
    sources: Mapping[str, int]


@dataclass(frozen=True)
class Missing:
    """Something that is not here, and why that is known or what follows."""

    what: str
    why: str


@dataclass(frozen=True)
class Inventory:
    """The whole inventory; `complete` says that nothing is missing."""

    nights: tuple[NightLine, ...]
    coverage: tuple[Coverage, ...]
    missing_detectors: tuple[Missing, ...]
    missing_exposures: tuple[Missing, ...]
    irreducible: tuple[Missing, ...]
    complete: bool


def take(folder: Path | None, where: str = "", log: Path | None = None) -> Inventory:
    """Take inventory of the exposures that a selection picks (all by default).

    Parameters
    ----------
    where : selection of exposures.
    log : observing log (CSV or Parquet) with a column ``exposure`` (or ``name``), or ``sequence`` (with ``night`` and
        ``camera`` where there are several).

    Raises
    ------
    SetupFault
        ``survey.*``, ``registry.*``, ``where.invalid``, ``camera.*``.
    DataFault
        ``file.*`` of a log that cannot be read.
    """
    with opened(folder) as house:
        rows = list(house.registry.detector_rows(where))
        exposures = list(house.registry.exposures(where))
        frames = rows if not where else list(house.registry.detector_rows("", tuple(KINDS.values())))
        masters = Masters(house.registry.masters(), house.registry.master_orders(), house.survey.settings.calibration)
        cameras = _cameras(house, {row.camera for row in rows})
    missing_detectors = tuple(_missing_detectors(rows, cameras))
    missing_exposures = tuple(_gaps(exposures))
    if log is not None:
        missing_exposures += tuple(_against_log(exposures, log))
    coverage, irreducible = _coverage(rows, frames, masters)
    return Inventory(
        nights=tuple(_nights(rows, {each.name: int(each.extra.get("slices") or 1) for each in exposures})),
        coverage=coverage,
        missing_detectors=missing_detectors,
        missing_exposures=missing_exposures,
        irreducible=irreducible,
        complete=not (missing_detectors or missing_exposures or irreducible),
    )


def _cameras(house: Opened, names: Iterable[str]) -> dict[str, Camera]:
    return {name: tables.load(name, camera_folders(house.survey)) for name in sorted(names)}


def _nights(rows: Iterable[DetectorRow], slices: Mapping[str, int]) -> Iterator[NightLine]:
    detectors: dict[tuple[str, str, str, str], int] = defaultdict(int)
    exposures: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        key = (row.night, row.camera, str(row.frame_type), row.band)
        detectors[key] += 1
        exposures[key].add(row.exposure)
    for key in sorted(detectors):
        readouts = sum(slices.get(name, 1) for name in exposures[key])
        yield NightLine(*key, len(exposures[key]), detectors[key], readouts)


def _missing_detectors(rows: Iterable[DetectorRow], cameras: Mapping[str, Camera]) -> Iterator[Missing]:
    """Detectors of the camera table that an exposure lacks; one that all exposures lack is said once."""
    present: dict[str, set[int]] = defaultdict(set)
    camera_of: dict[str, str] = {}
    for row in rows:
        present[row.exposure].add(row.detector)
        camera_of[row.exposure] = row.camera
    for name, camera in cameras.items():
        mine = [exposure for exposure, of in camera_of.items() if of == name]
        ever = set().union(*(present[exposure] for exposure in mine))
        listed = {detector.id: detector.name for detector in camera.detectors}
        if never := sorted(set(listed) - ever):
            yield Missing(f"{name}: detectors {_named(never, listed)}", f"absent from all {len(mine)} exposures")
        for exposure in sorted(mine):
            if absent := sorted(ever - present[exposure]):
                yield Missing(f"{exposure}: detectors {_named(absent, listed)}", "absent, though others have them")


def _named(ids: Iterable[int], names: Mapping[int, str]) -> str:
    """Detectors for people: a few by number and name, many as ranges of numbers."""
    chosen = list(ids)
    if len(chosen) <= FEW:
        return ", ".join(f"{number} ({names[number]})" if number in names else str(number) for number in chosen)
    ranges: list[list[int]] = []
    for number in chosen:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    told = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in ranges)
    return f"{told} ({len(chosen)} of {len(names)})"


def _gaps(exposures: Iterable[Exposure]) -> Iterator[Missing]:
    """Numbers that a night's sequence leaves out."""
    sequences: dict[tuple[str, str], set[int]] = defaultdict(set)
    for exposure in exposures:
        if exposure.sequence:
            sequences[exposure.camera, exposure.night].add(exposure.sequence)
    for (camera, night), present in sorted(sequences.items()):
        ordered = sorted(present)
        for before, after in pairwise(ordered):
            if after - before == 1:
                continue
            lost = str(before + 1) if after - before == 2 else f"{before + 1} to {after - 1}"
            yield Missing(f"{camera} {night}: number {lost}", f"the night has {before} and {after}")


def _against_log(exposures: Iterable[Exposure], log: Path) -> Iterator[Missing]:
    table = logs.read(log)
    known = list(exposures)
    for column in ("exposure", "name"):
        if column in table.columns:
            names = {exposure.name for exposure in known} | {e.name.removeprefix(f"{e.camera}-") for e in known}
            for number, row in enumerate(table.rows, start=1):
                if str(row[column]) not in names:
                    yield Missing(str(row[column]), f"row {number} of {log.name} has it")
            return
    if "sequence" not in table.columns:
        raise SetupFault(
            "order.invalid",
            f"{log} has no column exposure, name or sequence (it has {', '.join(table.columns)})",
            advice="name the column with the exposures so",
            path=str(log),
        )
    keys = [name for name in ("camera", "night", "sequence") if name in table.columns]
    present = {tuple(str(getattr(exposure, key)) for key in keys) for exposure in known}
    for number, row in enumerate(table.rows, start=1):
        if tuple(str(row[key]) for key in keys) not in present:
            what = " ".join(f"{key} {row[key]}" for key in keys)
            yield Missing(what, f"row {number} of {log.name} has it")


@dataclass(frozen=True)
class _Setting:
    """What a calibration has to agree in."""

    camera: str
    detector: int
    binning: tuple[int, int]
    readout_mode: str
    band: str


def _setting(row: DetectorRow, kind: str) -> _Setting:
    return _Setting(row.camera, row.detector, row.binning, row.readout_mode, row.band if kind == "flat" else "")


def _coverage(
    rows: Iterable[DetectorRow], frames: Iterable[DetectorRow], masters: Masters
) -> tuple[tuple[Coverage, ...], tuple[Missing, ...]]:
    """Calibrations of each night, and the science frames that lack one that they cannot do without."""
    available: dict[tuple[str, str, _Setting], int] = defaultdict(int)
    for row in frames:
        for kind, frame_type in KINDS.items():
            if row.frame_type is frame_type:
                available[kind, row.night, _setting(row, kind)] += 1
    seen: dict[Group, dict[int, int]] = defaultdict(dict)
    lacking: dict[tuple[Group, str], int] = defaultdict(int)
    for row in rows:
        if row.frame_type is not FrameType.OBJECT or row.state is not ExposureState.RAW:
            continue
        target = Target(Unit(Grain.DETECTOR, (row.exposure, str(row.detector))), (row,), row.night)
        for kind in KINDS:
            setting = _setting(row, kind)
            group = (row.night, row.camera, kind, setting.band)
            chosen = masters.choose(kind, target)
            if chosen is not None:
                source = WORDS.index(chosen.quality.word)
            elif available[kind, row.night, setting] >= FEWEST_FRAMES:
                source = WORDS.index(FRAMES)
            else:
                source = WORDS.index(NONE)
                if kind not in OPTIONAL:
                    lacking[group, masters.why_none(kind, target).code] += 1
            seen[group][row.detector] = max(source, seen[group].get(row.detector, 0))
    return (
        tuple(_cover(group, by_detector) for group, by_detector in sorted(seen.items())),
        tuple(_lacks(group, code, count) for (group, code), count in sorted(lacking.items())),
    )


def _cover(group: Group, by_detector: Mapping[int, int]) -> Coverage:
    counts = Counter(by_detector.values())
    sources = {WORDS[source]: counts[source] for source in sorted(counts)}
    return Coverage(*group, len(by_detector) - sources.get(NONE, 0), len(by_detector), sources)


def _lacks(group: Group, code: str, count: int) -> Missing:
    night, camera, kind, band = group
    in_band = f" in band {band}" if band else ""
    return Missing(
        f"{count} detector images of {camera}, {night}{in_band}",
        f"no master {kind} serves ({code}), and fewer than {FEWEST_FRAMES} {kind} frames{in_band} in the night",
    )
