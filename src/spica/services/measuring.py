"""What the frames say of a camera's amplifiers, beside what its table says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spica.core.camera import AmplifierSpec, Camera, DetectorSpec
from spica.core.faults import SetupFault
from spica.core.task import Form
from spica.engine.planner import make_plan
from spica.files import atomic
from spica.services import run as running
from spica.services.cameras import load
from spica.services.orders import literal
from spica.services.pipelines import load as load_pipeline
from spica.services.progress import Watcher, unwatched
from spica.services.surveys import Opened, opened
from spica.services.units import quoted
from spica.simulate.cameras import detectors_toml

PIPELINE = "camera-measure"
VALUES = ("noise", "transfer", "dark", "crosstalk")

UNITS: Mapping[str, str] = {
    "gain": "electron/adu",
    "read_noise": "electron",
    "linearity": "1/adu",
    "saturation": "adu",
    "full_well": "electron",
    "dark_current": "electron/s",
    "crosstalk": "",
    "a00": "1/electron",
    "a10": "1/electron",
    "a01": "1/electron",
}
NEEDS: Mapping[str, str] = {
    "gain": "two flats of one level",
    "read_noise": "two bias frames, and two flats of one level for the gain",
    "linearity": "flats of a steady lamp with three exposure times or more that span a factor of two",
    "saturation": "two flats that are saturated",
    "full_well": "two flats that are saturated",
    "dark_current": "dark frames, and bias frames or a second dark time",
    "crosstalk": "object frames with bright stars, and more than one amplifier",
    "a00": "pairs of flats of three levels or more that span a factor of 1.5",
    "a10": "two flats of one level",
    "a01": "two flats of one level",
}
"""What each figure rests on, told where it is missing."""
SIGMAS = 3.0
TOLERANCE: Mapping[str, float] = {"gain": 0.02, "read_noise": 0.05}
"""Relative differences that do not matter, however well they are measured."""
BEND = 1e-3
"""Difference of the correction at saturation that does not matter."""
GHOST = 1e-5
"""Difference of crosstalk that does not matter: below one ADU for any source of 16 bits."""
IN_ADU = -1
"""Marks a read noise that is not in electrons yet, in the place of the power."""
MARGIN = 0.98
"""The table's saturation lies below the level at which pixels stand still, so that noise hides no full pixel."""


@dataclass(frozen=True)
class Order:
    """What is to be measured: a camera, in the frames of a selection; the rest as for any run."""

    camera: str
    where: str = ""
    settings: Mapping[str, str] | None = None
    workers: int | None = None
    executor: str = ""
    retry: bool = False


@dataclass(frozen=True)
class Figure:
    """One number about one amplifier.

    Attributes
    ----------
    quantity : of `UNITS`; the crosstalk of an amplifier is what it receives from `source`; `linearity` and its
        `power` (1 for c0, the coefficient of the signal).
    value, error : measured; the mean of all bands and blocks by their errors.
    table : the table's value, None where it has none.
    ratio, sigma : measured over table, and their difference in errors (no error tells where saturation begins).
    verdict : 'agrees', 'differs', or 'new' where the table says nothing.
    """

    detector: int
    amplifier: str
    quantity: str
    value: float
    error: float
    units: str
    table: float | None = None
    ratio: float | None = None
    sigma: float | None = None
    verdict: str = "new"
    source: str = ""
    power: int = 0


@dataclass(frozen=True)
class Missing:
    """A figure that no frame told for some amplifiers, and what it takes."""

    quantity: str
    amplifiers: int
    needs: str


@dataclass(frozen=True, eq=False)
class Curve:
    """The points that an amplifier's figures rest on, as `photon_transfer` gives them, from one unit."""

    unit: str
    detector: int
    amplifier: str
    gain: float
    curve: Mapping[str, Any]
    ramp: Mapping[str, Any] | None


@dataclass(frozen=True)
class Value:
    """What a calibration unit gave: `name` is of `VALUES`."""

    unit: str
    detector: int
    name: str
    value: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Measured:
    """The answer; `production` is the run that made what was not there yet."""

    camera: str
    production: running.Production
    figures: tuple[Figure, ...]
    missing: tuple[Missing, ...]
    values: tuple[Value, ...]
    agrees: bool
    fragment: str

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The photon-transfer curves of all amplifiers, one for each band and block."""
        return tuple(_curves(self.values))


def measure(order: Order, folder: Path | None, watcher: Watcher = unwatched) -> Measured:
    """Run what is not measured yet, and compare all that is with the camera's table.

    Raises
    ------
    SetupFault
        ``camera.unknown``; ``order.nothing`` where the survey has no frame of the camera; as `spica.services.run.run`.
    """
    chosen = f"camera = '{quoted(order.camera)}'"
    where = f"({order.where}) and {chosen}" if order.where.strip() else chosen
    todo = running.Order(
        PIPELINE, where, order.settings, order.workers, order.executor, f"measure {order.camera}", order.retry
    )
    with opened(folder) as house:
        camera = load(order.camera, house.survey)
    production = running.run(todo, folder, watcher)
    with opened(folder) as house:
        values = tuple(_values(todo, house))
    figures = compare(camera, values)
    return Measured(
        camera=camera.name,
        production=production,
        figures=figures,
        missing=tuple(_missing(camera, values, figures)),
        values=values,
        agrees=all(each.verdict != "differs" for each in figures),
        fragment=fragment(camera, figures),
    )


def write_fragment(measured: Measured, path: Path) -> None:
    """Write the detectors with what was measured, to be pasted into the table.

    Raises
    ------
    SetupFault
        ``order.invalid`` where the file exists already.
    """
    if path.exists():
        raise SetupFault("order.invalid", f"{path} exists already", advice="choose another file", path=str(path))
    atomic.write_bytes(path, measured.fragment.encode())


def _values(order: running.Order, house: Opened) -> Iterator[Value]:
    """All values that the order means and that are done, in the plan's order."""
    pipeline = load_pipeline(order.pipeline, house.survey)
    overrides = {name: literal(value) for name, value in (order.settings or {}).items()}
    plan = make_plan(house.registry, house.survey, pipeline, order.where, overrides)
    keys = [
        f"{job.key}/{output.product}"
        for job in plan.jobs
        for output in job.recipe.chain.outputs
        if output.product in VALUES and output.give.form is Form.VALUE
    ]
    there = house.registry.products(keys)
    for key in keys:
        if key in there:
            product = there[key]
            yield Value(str(product.unit), int(product.unit.keys["detector"]), product.name, product.value)


def compare(camera: Camera, values: Iterable[Value]) -> tuple[Figure, ...]:
    """What units say, the mean of all, beside what a camera's table says; in order of detector and amplifier."""
    return tuple(_figures(camera, values))


def _figures(camera: Camera, values: Iterable[Value]) -> Iterator[Figure]:
    told: dict[tuple[int, str, str, str, int], list[tuple[float, float]]] = {}
    for each in values:
        for key, pair in _told(each):
            told.setdefault((each.detector, *key), []).append(pair)
    place = {
        (spec.id, amplifier.name): (spec, number)
        for spec in camera.detectors
        for number, amplifier in enumerate(spec.amplifiers)
    }
    rank = {quantity: number for number, quantity in enumerate(UNITS)}
    order = {name: number for number, name in enumerate(place)}
    known = {key[:2] for key in told if key[2] == "gain"}
    keys = [key for key in told if key[:2] in place]
    for which in sorted(keys, key=lambda each: (order[each[:2]], rank[each[2]], each[3:])):
        amplifier, (quantity, source, power) = which[:2], which[2:]
        spec, number = place[amplifier]
        value, error = _mean(told[which])
        if quantity == "dark_current" or power == IN_ADU:
            if power == IN_ADU and amplifier in known:
                continue
            gain = _mean(told[*amplifier, "gain", "", 0])[0] if amplifier in known else spec.amplifiers[number].gain
            value, error = value * gain, error * gain
        yield _figure(spec, number, (quantity, source, power), (value, error))


def _told(each: Value) -> Iterator[tuple[tuple[str, str, str, int], tuple[float, float]]]:
    """(amplifier, quantity, source, power) and (value, error) of all that a unit tells."""
    if each.name == "crosstalk":
        yield from _ghosts(each.value)
        return
    for amplifier in each.value["amplifiers"]:
        name = amplifier["name"]
        if each.name == "noise":
            # Counts where no flat gives the gain.
            variance = max(amplifier["variance"] - amplifier["step"] ** 2 / 12.0, 0.0)
            noise = variance**0.5
            yield (name, "read_noise", "", IN_ADU), (noise, amplifier["variance_error"] / (2.0 * max(noise, 1e-9)))
        elif each.name == "dark":
            yield (name, "dark_current", "", 0), tuple(amplifier["rate"])
        else:
            for quantity in ("gain", "read_noise", "saturation", "full_well", "a00", "a10", "a01"):
                if amplifier[quantity] is not None:
                    yield (name, quantity, "", 0), tuple(amplifier[quantity])
            if amplifier["linearity"] is not None:
                for power, pair in enumerate(zip(*amplifier["linearity"], strict=True), 1):
                    yield (name, "linearity", "", power), pair


def _ghosts(value: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str, str, int], tuple[float, float]]]:
    names = value["names"]
    for victim, row, errors in zip(names, value["matrix"], value["errors"], strict=True):
        for source, number, error in zip(names, row, errors, strict=True):
            if source != victim and number is not None:
                yield (victim, "crosstalk", source, 0), (number, error)


def _mean(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Mean by errors; its error grows where the units differ by more than theirs."""
    values, errors = (np.array(each, dtype=np.float64) for each in zip(*pairs, strict=True))
    if len(pairs) == 1 or not np.all(errors > 0.0):
        return float(values.mean()), float(np.sqrt(np.square(errors).sum()) / len(pairs))
    weights = errors**-2.0
    mean = float(np.average(values, weights=weights))
    chi2 = float((weights * (values - mean) ** 2).sum()) / (len(pairs) - 1)
    return mean, float(np.sqrt(max(chi2, 1.0) / weights.sum()))


def _figure(spec: DetectorSpec, number: int, key: tuple[str, str, int], pair: tuple[float, float]) -> Figure:
    quantity, source, power = key
    amplifier, (value, error) = spec.amplifiers[number], pair
    power = max(power, 0)
    table = _table(spec, number, quantity, source, power)
    verdict = "new" if table is None else _verdict(amplifier, quantity, (value, error), table, power)
    return Figure(
        detector=spec.id,
        amplifier=amplifier.name,
        quantity=quantity,
        value=value,
        error=error,
        units=UNITS[quantity] if power < 2 else f"1/adu{power}",
        table=table,
        ratio=value / table if table else None,
        sigma=(value - table) / error if table is not None and error > 0.0 and quantity != "saturation" else None,
        verdict=verdict,
        source=source,
        power=power,
    )


def _table(spec: DetectorSpec, number: int, quantity: str, source: str, power: int) -> float | None:
    amplifier = spec.amplifiers[number]
    if quantity == "linearity":
        return amplifier.linearity[power - 1] if len(amplifier.linearity) >= power else 0.0
    if quantity == "crosstalk":
        names = [each.name for each in spec.amplifiers]
        return spec.crosstalk[number][names.index(source)] if spec.crosstalk else 0.0
    found = {"gain": amplifier.gain, "read_noise": amplifier.read_noise, "saturation": amplifier.saturation}
    return found.get(quantity)


def _verdict(amplifier: AmplifierSpec, quantity: str, pair: tuple[float, float], table: float, power: int) -> str:
    value, error = pair
    if quantity == "saturation":
        # The table's level is where a pixel counts as full: at the plateau or a little below, never above.
        return "agrees" if 0.8 * value <= table <= value + SIGMAS * error else "differs"
    near = abs(value - table) <= SIGMAS * error
    if quantity == "linearity":
        near |= abs(value - table) * amplifier.saturation**power <= BEND
    elif quantity == "crosstalk":
        near |= abs(value - table) <= GHOST
    else:
        near |= abs(value - table) <= TOLERANCE[quantity] * table
    return "agrees" if near else "differs"


def _missing(camera: Camera, values: Iterable[Value], figures: tuple[Figure, ...]) -> Iterator[Missing]:
    """Figures that amplifiers lack of those detectors that anything was measured of."""
    detectors = {each.detector for each in values}
    amplifiers = {(spec.id, amp.name) for spec in camera.detectors if spec.id in detectors for amp in spec.amplifiers}
    for quantity, needs in NEEDS.items():
        there = {(each.detector, each.amplifier) for each in figures if each.quantity == quantity}
        if lacking := len(amplifiers - there):
            yield Missing(quantity, lacking, needs)


def _curves(values: Iterable[Value]) -> Iterator[Curve]:
    for each in values:
        if each.name == "transfer":
            for amp in each.value["amplifiers"]:
                yield Curve(each.unit, each.detector, amp["name"], amp["gain"][0], amp["curve"], amp["ramp"])


def fragment(camera: Camera, figures: Iterable[Figure]) -> str:
    """The detectors that were measured as TOML: blocks that take the place of theirs in the camera's table."""
    found: dict[int, dict[tuple[str, str, str, int], Figure]] = {}
    for each in figures:
        found.setdefault(each.detector, {})[each.amplifier, each.quantity, each.source, each.power] = each
    changed = [_measured(camera.detector(number), told) for number, told in found.items()]
    head = f"# Measured by 'spica camera measure {camera.name}': in place of these detectors in the table.\n"
    return head + detectors_toml(changed)


def _measured(spec: DetectorSpec, told: Mapping[tuple[str, str, str, int], Figure]) -> DetectorSpec:
    amplifiers = []
    for amplifier in spec.amplifiers:
        new: dict[str, Any] = {}
        for quantity in ("gain", "read_noise", "saturation"):
            figure = told.get((amplifier.name, quantity, "", 0))
            if figure is not None:
                new[quantity] = _rounded(figure, MARGIN if quantity == "saturation" else 1.0)
        line = [told[key] for key in sorted(told) if key[:2] == (amplifier.name, "linearity")]
        if line:
            new["linearity"] = tuple(_rounded(each) for each in line)
        amplifiers.append(amplifier.model_copy(update=new))
    return spec.model_copy(update={"amplifiers": tuple(amplifiers), "crosstalk": _matrix(spec, told)})


def _matrix(spec: DetectorSpec, told: Mapping[tuple[str, str, str, int], Figure]) -> tuple[tuple[float, ...], ...]:
    names = [each.name for each in spec.amplifiers]
    if not any(key[1] == "crosstalk" for key in told):
        return spec.crosstalk
    old = spec.crosstalk or tuple((0.0,) * len(names) for _ in names)
    return tuple(
        tuple(
            _rounded(told[victim, "crosstalk", source, 0]) if (victim, "crosstalk", source, 0) in told else value
            for source, value in zip(names, row, strict=True)
        )
        for victim, row in zip(names, old, strict=True)
    )


def _rounded(figure: Figure, factor: float = 1.0) -> float:
    """To two digits of the error."""
    value = figure.value * factor
    if not figure.error > 0.0:
        return value
    return float(round(value, 1 - int(np.floor(np.log10(figure.error)))))
