"""Installed copies of spica and of the example package, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.groups import ROOT
from tests.support.installs import Site, build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel of spica, built from this checkout."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Site with spica installed from its wheel."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.install(wheel)
    return site
