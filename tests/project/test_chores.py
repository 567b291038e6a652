"""Every chore that people are told of exists, and the newcomer's commands ask for nothing that is not there."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.support.groups import ROOT

CHORES = ["demo", "test", "system", "lint", "types", "bench", "docs", "check-all", "lock", "wheel"]


@pytest.mark.parametrize("chore", CHORES)
def test_chore_is_listed(chore: str) -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^{chore} ", listed, re.MULTILINE)


def test_readme_names_only_chores_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("script", [".ci/run", ".ci/system"])
def test_scripts_parse(script: str) -> None:
    subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_links_of_the_readme_lead_somewhere() -> None:
    for page in ("README.md", "ARCHITECTURE.md"):
        links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
        assert links
        assert [link for link in links if not (ROOT / link).exists()] == []
