"""Run the benchmarks: `python -m benchmarks.run [GROUP ...]`, or `make bench [GROUP=spine]`.

A benchmark is a module `benchmarks/<group>/<name>.py` with a function `figures()` that yields figures. Each module
runs in a process of its own, so that none warms caches or fills memory for another.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(__file__).resolve().parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def group_name(folder: str) -> str:
    """Name of a group, from its folder: `single_frames` holds the group single-frames."""
    return folder.replace("_", "-")


def discover(folder: Path = FOLDER) -> dict[str, list[str]]:
    """Groups and the names of their modules, both sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("[!_]*/[!_]*.py")):
        found.setdefault(group_name(path.parent.name), []).append(f"{folder.name}.{path.parent.name}.{path.stem}")
    return found


def run_here(module: str, out: Path) -> None:
    """Run one module in this process and write its figures."""
    # As workers have it. It counts only before NumPy is loaded, which the module does.
    os.environ.update(ONE_THREAD)
    group = group_name(module.split(".")[-2])
    figures: Iterable[Figure] = importlib.import_module(module).figures()
    rows = []
    for each in figures:
        rows.append(replace(each, group=group).plain())
        out.write_text(json.dumps(rows))


def run_apart(module: str) -> tuple[list[dict[str, Any]], bool]:
    """Run one module in a process of its own: its figures, and whether it came to its end."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "figures.json")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.run", "--module", module, "--out", str(out)],
            cwd=ROOT,
            check=False,
        )
        rows = json.loads(out.read_text()) if out.exists() else []
    return rows, done.returncode == 0


def merge(path: Path, groups: Iterable[str], rows: list[dict[str, Any]]) -> None:
    """Write the figures: those of the groups that were run are replaced as a whole, the others stay."""
    replaced = set(groups)
    kept = json.loads(path.read_text()) if path.exists() else []
    merged = [row for row in kept if row["group"] not in replaced] + rows
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(sorted(merged, key=lambda row: row["group"]), indent=1) + "\n")
    scratch.replace(path)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """The figures for people."""
    shown = Table("group", "figure", "value", "unit", "peer", "its value", "ratio", "goal", "met")
    for row in rows:
        verdict = {True: "[green]yes[/]", False: "[bold red]NO[/]", None: ""}[row["met"]]
        shown.add_row(
            *(row["group"], row["figure"], _number(row["value"]), row["unit"], row["peer"] or ""),
            *(_number(row["peer_value"]), _number(row["ratio"]), row["goal"] or "", verdict),
        )
    return shown


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0, 1 when a benchmark broke (or, with --strict, missed its goal), 2 for an unknown group."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("groups", nargs="*", help="groups to run; all without any")
    parser.add_argument("--strict", action="store_true", help="a missed goal is a failure")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", help="where the figures go")
    parser.add_argument("--module", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    order = parser.parse_args(arguments)
    if order.module:
        run_here(order.module, order.out)
        return 0
    known = discover()
    if strangers := [group for group in order.groups if group not in known]:
        parser.error(f"no such group: {', '.join(strangers)}; there are {', '.join(known)}")
    # A file or a log has no width of its own: the table stays whole there.
    console = Console() if sys.stdout.isatty() else Console(width=180)
    rows: list[dict[str, Any]] = []
    broken: list[str] = []
    groups = order.groups or list(known)
    for module in (module for group in groups for module in known[group]):
        console.print(f"[dim]{module} ...[/]")
        made, complete = run_apart(module)
        rows.extend(made)
        if not complete:
            broken.append(module)
    merge(order.json, groups, rows)
    console.print(table(rows))
    console.print(f"written: {order.json}")
    missed = [row["figure"] for row in rows if row["met"] is False]
    if missed:
        console.print(f"[bold red]goals missed:[/] {'; '.join(missed)}")
    if broken:
        console.print(f"[bold red]benchmarks that broke:[/] {', '.join(broken)}")
    return 1 if broken or (order.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
