"""The wheel holds everything, and runs where no checkout is."""

from __future__ import annotations

import zipfile
from pathlib import Path

import spica
from tests.support.groups import ROOT
from tests.support.installs import Site


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    source = ROOT / "src"
    # Compiled code and numba's caches are made anew where the wheel is installed.
    expected = {
        str(path.relative_to(source))
        for path in (source / "spica").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if not name.partition("/")[0].endswith(".dist-info")}
    assert "spica/py.typed" in inside
    assert inside == expected


def test_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    folder = f"spica-{spica.__version__}.dist-info"
    metadata = archive.read(f"{folder}/METADATA").decode()
    assert f"Version: {spica.__version__}" in metadata
    assert "License-Expression: BSD-3-Clause" in metadata
    assert archive.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_installed_package_is_not_the_checkout(site: Site, tmp_path: Path) -> None:
    place = site.python("import spica; print(spica.__file__)", tmp_path).strip()
    assert Path(place).is_relative_to(site.folder)


def test_every_module_imports_outside_the_checkout(site: Site, tmp_path: Path) -> None:
    # Alembic's `env` module runs within alembic only.
    code = (
        "import importlib, pkgutil, spica\n"
        "names = [m.name for m in pkgutil.walk_packages(spica.__path__, 'spica.') if not m.name.endswith('.env')]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(len(names))\n"
    )
    assert int(site.python(code, tmp_path)) >= 14


def test_installed_commands_answer(site: Site, tmp_path: Path) -> None:
    assert "Usage" in site.spica("--help", cwd=tmp_path)
    assert "demo" in site.spica("camera", "list", cwd=tmp_path)
    assert "reduce" in site.spica("pipeline", "list", cwd=tmp_path)
    site.spica("init", "survey", cwd=tmp_path)
    site.spica("status", cwd=tmp_path / "survey")
