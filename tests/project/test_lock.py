"""The lock file pins what pyproject.toml asks for, and the documentation says why each dependency is there."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.groups import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared() -> dict[str, Requirement]:
    """Every dependency of spica and of its extras, less spica itself."""
    lines = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(each.name): each for each in requirements if each.name != "spica"}


def locked() -> dict[str, str]:
    """Version of each package that the lock file gives to this Python."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in here}


@pytest.mark.parametrize("name", sorted(declared()))
def test_lock_satisfies_pyproject(name: str) -> None:
    assert declared()[name].specifier.contains(locked()[name])


def test_everything_is_pinned_exactly() -> None:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 50
    assert [line for line in lines if not re.match(r"^[a-z0-9._\[\],-]+==[^ ;*]+( ;.*)?$", line)] == []


def test_tests_run_with_the_locked_versions() -> None:
    pins = locked()
    names = [canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]]
    assert {name: importlib.metadata.version(name) for name in names} == {name: pins[name] for name in names}


@pytest.mark.parametrize("name", sorted(declared()))
def test_documentation_says_why(name: str) -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert f"`{name}`" in page
