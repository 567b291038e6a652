"""Sphinx settings of spica's documentation."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import spica
from docs import tables
from spica.core.columns import PsfFlag
from spica.tasks import detect, measure, psf_measure

project = "spica"
author = "The spica developers"
project_copyright = "2026, The spica developers"
version = release = spica.__version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist", "substitution"]
myst_substitutions = {
    "columns": tables.columns(),
    "commands": tables.commands(),
    "detect_settings": tables.settings(detect.TASK),
    "faults": tables.faults(),
    "flags": tables.flags(),
    "keywords": tables.keywords(),
    "mask": tables.mask(),
    "measure_settings": tables.settings(measure.TASK),
    "psf_flags": tables.flags(PsfFlag),
    "psf_measure_settings": tables.settings(psf_measure.TASK),
    "registry": tables.registry(),
    "undrilled_faults": tables.undrilled_faults(),
}
myst_heading_anchors = 3
# Links to the outside are for readers; nothing is fetched while building.
suppress_warnings: list[str] = []
nitpicky = True
highlight_language = "none"

html_theme = "furo"
html_title = f"spica {version}"
html_show_sourcelink = False
html_static_path: list[str] = []
