"""A whole simulated survey on disk: raw files, truth, reference catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from spica.core.camera import AmplifierSpec, Camera, DetectorSpec
from spica.core.faults import SetupFault
from spica.files.atomic import write_bytes
from spica.simulate import drills, headers, names
from spica.simulate.calibration import Cell, cell, flat, fringes
from spica.simulate.cameras import as_toml
from spica.simulate.crop import crop
from spica.simulate.expose import Drawn, Optics, expose
from spica.simulate.reference import save_reference
from spica.simulate.schedule import Shot, bands, schedule
from spica.simulate.settings import SimulationSettings
from spica.simulate.sky import EPOCH, Finder, Sky, sky
from spica.simulate.truth import Ledger, save_planes, save_sky
from spica.simulate.writing import Hdu, write

Progress = Callable[[int, int, str], None]

_MEMORY = 1 << 30
"""Bytes of detectors' truth that are kept between exposures; the rest is made again."""


@dataclass(frozen=True)
class SimulatedSurvey:
    """What was written.

    Attributes
    ----------
    folder : the order's folder.
    camera : the camera as drawn (detectors left out or made smaller); also in ``camera.toml`` in the folder.
    raw : the raw files, in order of time.
    truth : name of a table to its path.
    reference : the reference catalogue.
    exposures, pixels : how many exposures and raw pixels.
    """

    folder: Path
    camera: Camera
    raw: tuple[Path, ...]
    truth: Mapping[str, Path]
    reference: Path
    exposures: int
    pixels: int


@dataclass(frozen=True)
class Studio:
    """All that exposures are drawn from."""

    settings: SimulationSettings
    camera: Camera
    sky: Sky
    finder: Finder
    cell: Callable[[int], Cell]
    optics: Callable[[int, str, str], Optics]

    def draw(self, shot: Shot, spec: DetectorSpec) -> Drawn:
        """One detector of one shot."""
        optics = self.optics(spec.id, shot.band, str(shot.frame_type)) if shot.band else Optics()
        return expose(self.settings, self.camera, self.cell(spec.id), optics, (self.sky, self.finder), shot)


def studio(settings: SimulationSettings, camera: Camera) -> Studio:
    """Sky and detectors of an order; detectors are made when they are first needed."""
    pixels = max(spec.nx * spec.ny for spec in camera.detectors)
    kept = max(2, _MEMORY // (pixels * 17))

    @lru_cache(maxsize=kept)
    def make_cell(detector: int) -> Cell:
        return cell(settings, camera, camera.detector(detector))

    @lru_cache(maxsize=kept)
    def make_optics(detector: int, band: str, _frame_type: str) -> Optics:
        truth = make_cell(detector)
        return Optics(flat(settings, camera, truth, band), *fringes(settings, camera, truth.spec, band))

    heavens = sky(settings, camera)
    return Studio(settings, camera, heavens, Finder.of(heavens), make_cell, make_optics)


def simulate(
    settings: SimulationSettings, camera: Camera, folder: Path, progress: Progress | None = None
) -> SimulatedSurvey:
    """Draw a survey: raw frames as the camera writes them, the truth behind them, a reference catalogue.

    Parameters
    ----------
    settings : the order; the same order gives the same bytes.
    camera : the camera's table.
    folder : gets ``raw/<night>/``, ``truth/``, ``reference.parquet`` and ``camera.toml`` (the camera as drawn).
    progress : called with (done, total, name of the exposure) after each exposure.

    Returns
    -------
    SimulatedSurvey
        Paths and numbers of what was written.

    Raises
    ------
    SetupFault
        ``order.invalid`` where the order names detectors, bands or drills that cannot be.
    ResourceFault
        ``disk.full``, ``disk.read-only``.
    """
    camera, shots = _checked(settings, camera)
    made = studio(settings, camera)
    ledger, raw, pixels = Ledger(), [], 0
    for done, shot in enumerate(shots, 1):
        files, count = write_shot(made, shot, folder / "raw" / shot.night, ledger)
        raw += files
        pixels += count
        if progress is not None:
            progress(done, len(shots), ledger.names[shot.sequence])
    truth = folder / "truth"
    for spec in camera.detectors:
        ledger.add_cell(made.cell(spec.id))
        if settings.truth_images:
            planes = {band: made.optics(spec.id, band, "").response for band in bands(settings, camera)}
            save_planes(truth, made.cell(spec.id), planes)
    written = ledger.save(truth) | {"sources": save_sky(truth, made.sky, EPOCH)}
    reference = save_reference(folder / "reference.parquet", settings, made.sky)
    write_bytes(folder / "camera.toml", as_toml(camera).encode(), durable=False)
    write_bytes(folder / "order.json", settings.model_dump_json(indent=1).encode(), durable=False)
    return SimulatedSurvey(folder, camera, tuple(raw), written, reference, len(shots), pixels)


def _checked(settings: SimulationSettings, camera: Camera) -> tuple[Camera, list[Shot]]:
    try:
        small = crop(camera, settings.detector_size, settings.detectors)
        return small, schedule(settings, small)
    except KeyError as error:
        raise SetupFault(
            "order.invalid", f"camera {camera.name} has no detector or band {error.args[0]!r}", camera=camera.name
        ) from error
    except ValueError as error:
        raise SetupFault("order.invalid", f"the simulation cannot be drawn: {error}", camera=camera.name) from error


def write_shot(made: Studio, shot: Shot, folder: Path, ledger: Ledger) -> tuple[list[Path], int]:
    """Draw and write one shot in the camera's layout; returns the files and the number of raw pixels."""
    camera = made.camera
    specs = camera.detectors[:-1] if shot.drill == "missing-detector" else camera.detectors
    again = (False, True) if shot.drill == "duplicate" else (False,)
    files: list[Path] = []
    count = 0
    for repeated in again:
        # A second file of the same exposure holds other numbers: a conflict, not a copy.
        drawn_shot = Shot(**{**shot.__dict__, "exposure_time": shot.exposure_time * 0.5}) if repeated else shot
        place = folder / "again" if repeated else folder
        note = None if repeated else ledger
        if camera.layout == "mosaic":
            path = place / names.file_name(camera, shot)
            sizes: list[int] = []
            write(path, _mosaic(made, shot, drawn_shot, specs, (note, sizes)))
            files.append(path)
            count += sum(sizes)
            continue
        for spec in specs:
            drawn = made.draw(drawn_shot, spec)
            if note is not None:
                note.add_detector(camera, shot, spec.id, drawn, made.sky)
            files += _single(made, shot, spec, drawn, place)
            count += sum(image.size for image in drawn.hdus)
    for path in files:
        drills.spoil(path, shot.drill)
    ledger.add_exposure(camera, shot, [path.name for path in files])
    return files, count


def _mosaic(
    made: Studio,
    shot: Shot,
    drawn_shot: Shot,
    specs: tuple[DetectorSpec, ...],
    notes: tuple[Ledger | None, list[int]],
) -> Iterator[Hdu]:
    """The HDUs of a file that holds the mosaic, drawn one detector at a time."""
    camera = made.camera
    cards = headers.primary_cards(camera, shot)
    yield Hdu(drills.spoiled_cards(cards, camera, shot.drill))
    ledger, sizes = notes
    for spec in specs:
        drawn = made.draw(drawn_shot, spec)
        if ledger is not None:
            ledger.add_detector(camera, shot, spec.id, drawn, made.sky)
        for number, (image, key) in enumerate(zip(drawn.hdus, spec.hdus, strict=True)):
            sizes.append(image.size)
            yield Hdu(headers.image_cards(camera, shot, spec, number, key), image)


def _single(made: Studio, shot: Shot, spec: DetectorSpec, drawn: Drawn, folder: Path) -> list[Path]:
    """Write the file of one detector, or one file for each of its amplifiers."""
    camera = made.camera
    if camera.layout == "detector":
        return [_one_file(made, shot, spec, None, drawn, folder)]
    return [_one_file(made, shot, spec, amp, drawn, folder) for amp in spec.amplifiers]


def _one_file(
    made: Studio, shot: Shot, spec: DetectorSpec, amp: AmplifierSpec | None, drawn: Drawn, folder: Path
) -> Path:
    camera = made.camera
    word = amp.name if amp is not None else ""
    path = folder / names.file_name(camera, shot, spec, word)
    cards = headers.primary_cards(camera, shot, spec, word)
    cards = drills.spoiled_cards(cards, camera, shot.drill)
    numbers = range(len(drawn.hdus)) if amp is None else [amp.hdu]
    image_cards = partial(headers.image_cards, camera, shot, spec)
    inside = path.name.endswith(".fz") or (len(drawn.hdus) > 1 and amp is None)
    if inside or isinstance(spec.hdus[0], str):
        hdus = [Hdu(cards), *(Hdu(image_cards(n, spec.hdus[n]), drawn.hdus[n]) for n in numbers)]
    else:
        number = numbers[0]
        hdus = [Hdu(cards | image_cards(number, ""), drawn.hdus[number])]
    write(path, hdus)
    return path
