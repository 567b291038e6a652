"""The documentation builds without a warning or a network, and what it shows works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.groups import ROOT
from tests.support.pages import blocks
from tests.support.shell import run_blocks

# What a page loads by itself when it is opened.
_LOADED = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=\"(https?:|//)[^\"]*\"")


def test_documentation_builds_without_warnings(tmp_path: Path) -> None:
    # Any attempt to go to a network ends at a closed door.
    offline = "import socket\ndef closed(*a): raise OSError('the documentation asks for a network')\n"
    offline += "socket.socket.connect = closed\n"
    build = "import sys; from sphinx.cmd.build import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", offline + build, "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert (tmp_path / "index.html") in pages
    assert {str(page): _LOADED.findall(page.read_text()) for page in pages if _LOADED.search(page.read_text())} == {}
    reference = (tmp_path / "reference.html").read_text()
    assert all(word in reference for word in ("exposure.conflict", "half_light_radius", "CROSSTALK", "spica ingest"))


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"^([a-z0-9/-]+)$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE))
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").rglob("*.md")}
    assert pages - {"index"} <= listed


def test_tutorial_runs(tmp_path: Path) -> None:
    found = blocks(ROOT / "docs" / "tutorial.md", "bash")
    assert found
    run_blocks(found, tmp_path)


def test_a_page_that_lies_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\nplace=here\n```\n```bash\necho $place\n```\n<!-- expect: ^here$ -->\n")
    assert run_blocks(blocks(page, "bash"), tmp_path) == ["", "here\n"]
    page.write_text("```bash\necho one\n```\n<!-- expect: one -->\n<!-- expect: two -->\n")
    with pytest.raises(AssertionError, match="line 2 does not say 'two'"):
        run_blocks(blocks(page, "bash"), tmp_path)
    page.write_text("```bash\ntrue\n```\n\n```bash\nfalse\n```\n")
    with pytest.raises(AssertionError, match="line 6 ended with 1"):
        run_blocks(blocks(page, "bash"), tmp_path)
