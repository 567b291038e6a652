"""Small surveys shared by the tests of this room; a test that writes into one takes a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.survey import Small, reduced, simulated


@pytest.fixture(scope="session")
def empty_once(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A survey without frames, and frames beside it; read-only."""
    return simulated(tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="session")
def reduced_once(empty_once: Small, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A survey whose night has run; read-only."""
    return reduced(empty_once, tmp_path_factory.mktemp("reduced"))


@pytest.fixture
def empty(empty_once: Small, tmp_path: Path) -> Small:
    """A survey without frames, to be written into."""
    return empty_once.copy(tmp_path)


@pytest.fixture
def done(reduced_once: Small, tmp_path: Path) -> Small:
    """A survey whose night has run, to be written into."""
    return reduced_once.copy(tmp_path)
