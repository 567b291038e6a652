"""The history of a stack: all that went into it, down to raw files, as a file that needs no registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from spica.core.faults import Outcome, SetupFault
from spica.core.jobs import JobReport, maker_of
from spica.core.keys import digest
from spica.core.records import Grain, Unit
from spica.core.release import Release
from spica.core.tiles import Tile
from spica.core.verdict import grade_of
from spica.engine.plan import Left
from spica.engine.tiling.grids import Footprints, Place
from spica.registry.store import Registry
from spica.services.publishing.parts import Part, band_of


class Historian:
    """Writes histories of the stacks of one release; what stacks share is asked for once.

    Parameters
    ----------
    registry : what happened.
    release : what was asked for.
    left : what its rules left out.
    """

    def __init__(self, registry: Registry, release: Release, left: Sequence[Left]) -> None:
        self._registry = registry
        self._release = release
        self._left = left
        units = {each: Unit(Grain.DETECTOR, (each.exposure, str(each.detector))) for each in left}
        outlines = registry.outlines(units.values())
        self._lying = [each for each in left if units[each] in outlines]
        self._footprints = Footprints(
            [Place(each.exposure, outlines[units[each]].ra, outlines[units[each]].dec) for each in self._lying]
        )
        self._jobs: dict[str, JobReport | None] = {}

    def history(self, unit: Unit, parts: Sequence[Part]) -> dict[str, Any]:
        """All of a unit: release and rules, exposures taken and left out, figures, notes, and the jobs down to the raw files.

        `left_out` are detectors, each with the rule that refuses it, `refused` how many exposures and detectors each rule does.
        `jobs` are by key, each with its unit, the name of its steps in `chains`, its inputs (need, key, unit, how) and the versions
        of what it ran with.
        """
        rows = {(row.exposure, row.detector): row for part in parts for row in part.rows}
        reports = self._upstream(part.job for part in parts)
        left = self._left_out(unit, next((part.tile for part in parts if part.tile is not None), None))
        chains: dict[str, list[dict[str, Any]]] = {}
        return {
            "unit": str(unit),
            "release": self._release.model_dump(mode="json", exclude_defaults=True),
            "rules": [rule.model_dump(exclude_defaults=True) for rule in self._release.rules()],
            "exposures": self._exposures(rows),
            "left_out": [asdict(each) for each in left],
            "refused": _counted(left),
            "figures": {
                name: {"value": figure.value, "unit": figure.units, "step": step}
                for part in parts
                for name, (figure, step) in part.figures.items()
            },
            "notes": self._notes(unit),
            "jobs": {key: _job(report, chains) for key, report in reports.items()},
            "chains": chains,
        }

    def _exposures(self, rows: Mapping[tuple[str, int], Any]) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for (name, detector), row in rows.items():
            if name not in found:
                unit = Unit(Grain.EXPOSURE, (name,))
                found[name] = {
                    "exposure": name,
                    "camera": row.camera,
                    "night": row.night,
                    "mjd": row.mjd,
                    "exposure_time": row.exposure_time,
                    "band": row.band,
                    "detectors": [],
                    "notes": self._notes(unit),
                }
            verdict = {
                metric.name: metric.value
                for metric in self._registry.metrics_of(Unit(Grain.DETECTOR, (name, str(detector))))
            }.get("verdict")
            found[name]["detectors"].append(
                {"detector": detector, "verdict": "" if verdict is None else grade_of(verdict)}
            )
        return list(found.values())

    def _left_out(self, unit: Unit, tile: Tile | None) -> list[Left]:
        """What rules left out of this tile, and what they left out of all in its band that lies on it, or nobody knows where."""
        band = band_of(unit)
        away = set(self._lying)
        if tile is not None:
            away -= {self._lying[number] for number in self._footprints.on(tile)}
        mine = (each for each in self._left if each.tile in {"", unit.keys["tile"]} and band in {"", each.band})
        return [each for each in mine if each.tile or each not in away]

    def _notes(self, unit: Unit) -> list[dict[str, str]]:
        return [{"kind": note.kind, "text": note.text, "who": note.who} for note in self._registry.notes_of(unit)]

    def _upstream(self, keys: Iterable[str]) -> dict[str, JobReport]:
        """Jobs and all that they were made of, nearest first."""
        found: dict[str, JobReport] = {}
        queue = list(keys)
        while queue:
            key = queue.pop(0)
            report = self._job(key)
            if key in found or report is None:
                continue
            found[key] = report
            queue += filter(None, (maker_of(each.key) for each in report.inputs))
        return found

    def _job(self, key: str) -> JobReport | None:
        """A job; None for what no job made (a master from outside)."""
        if key not in self._jobs:
            try:
                report = self._registry.job(key)
            except SetupFault:
                report = None
            self._jobs[key] = report if report is not None and report.outcome is Outcome.DONE else None
        return self._jobs[key]


def _job(report: JobReport, chains: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    steps = [
        {"step": each.label, "task": each.task, "version": each.version, "settings": dict(each.settings)}
        for each in report.steps
    ]
    name = digest(steps)[:10]
    chains[name] = steps
    return {
        "unit": str(report.unit),
        "chain": name,
        "inputs": [[each.need, each.key, each.unit, each.how] for each in report.inputs],
        "rungs": list(report.rungs),
        "versions": dict(report.versions),
    }


def _counted(left: Sequence[Left]) -> dict[str, dict[str, int]]:
    """Exposures and detectors by rule, the rule of most first."""
    return {
        rule: {"exposures": len({each.exposure for each in left if each.rule == rule}), "detectors": count}
        for rule, count in Counter(each.rule for each in left).most_common()
    }


def told(history: Mapping[str, Any], files: Sequence[str]) -> str:
    """A history in words, for people: what the stack is, of what, what was left out and why, by which steps."""
    asked = history["release"]
    lines = [f"{history['unit']} of release {asked['name']}", "=" * 60, "", *_taken(history), "", "Left out:"]
    lines += [
        f"  rule {rule}: {count['exposures']} exposures, {count['detectors']} detectors"
        for rule, count in history["refused"].items()
    ]
    lines += [
        f"  {each['exposure']}/{each['detector']}: rule {each['rule']} ({each['why']})" for each in history["left_out"]
    ] or ["  nothing"]
    lines += ["", "Figures:"]
    lines += [
        f"  {name:<32} {each['value']:.6g} {each['unit']}".rstrip() for name, each in sorted(history["figures"].items())
    ]
    lines += ["", "Notes:"]
    lines += [f"  {each['kind']} {each['text']} ({each['who']})" for each in history["notes"]] or ["  none"]
    lines += ["", "Steps, the last first:"]
    for name, steps in history["chains"].items():
        count = sum(job["chain"] == name for job in history["jobs"].values())
        lines.append(f"  {', '.join(step['task'] + ' ' + str(step['version']) for step in steps)} ({count} jobs)")
    lines += ["", "Files:", *(f"  {name}" for name in files), ""]
    return "\n".join(lines)


def _taken(history: Mapping[str, Any]) -> list[str]:
    exposures = history["exposures"]
    total = sum(each["exposure_time"] for each in exposures)
    lines = [f"{len(exposures)} exposures, {total:g} s in all:"]
    for each in exposures:
        graded = ", ".join(
            f"{one['detector']}{' ' + one['verdict'] if one['verdict'] else ''}" for one in each["detectors"]
        )
        lines.append(
            f"  {each['exposure']} {each['camera']} {each['band']} {each['night']} {each['exposure_time']:g} s: {graded}"
        )
    return lines
