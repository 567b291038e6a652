"""Change fragments can be gathered by room."""

from __future__ import annotations

from tests.support.groups import ROOT


def test_fragments_are_named_by_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "spica").glob("*/__init__.py")} | {"project"}
    fragments = [path for path in (ROOT / "changes").iterdir() if path.name != "README.md"]
    assert fragments
    for path in fragments:
        name, _, rest = path.name.partition(".")
        assert name
        assert rest.removesuffix(".md") in rooms, path.name
        assert path.read_text().strip(), path.name
