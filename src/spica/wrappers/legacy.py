r"""Modules of older pipelines as tasks: a class with `run()` without arguments, everything in one directory, XML in and out.

A module is a Python file beside its declaration (`wrappers/NAME.toml` with ``module = "NAME.py:Class"`` in place of
``command``). It is started in a process of its own, in a directory that holds its inputs, as ``Class().run()``, and finds

``config.xml``   ``<config module="NAME"><parameter name="radius" unit="pixel">2.0</parameter>…</config>``
``inputs.xml``   ``<inputs><file need="science" path="science.fits" type="image"/>…</inputs>``

and leaves ``outputs.xml``: ``<outputs><file give="sharpened" path="out.fits"/>…</outputs>``. An exception means failure: its
type and words are the fault's.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spica.wrappers import configuration, results
from spica.wrappers.programs import call

CONFIG, INPUTS, OUTPUTS = "config.xml", "inputs.xml", "outputs.xml"
STARTER = """\
import importlib.util, sys
path, name = sys.argv[1], sys.argv[2]
spec = importlib.util.spec_from_file_location("legacy_module", path)
module = importlib.util.module_from_spec(spec)
sys.modules["legacy_module"] = module
spec.loader.exec_module(module)
getattr(module, name)().run()
"""


def write_orders(
    folder: Path, name: str, settings: Mapping[str, Any], units: Mapping[str, str], paths: Mapping[str, Path]
) -> None:
    """Write configuration and inputs of a module into its directory.

    Parameters
    ----------
    settings, units : values and units by name.
    paths : inputs by need, ``need.weight`` and ``need.mask`` among them.
    """
    config = ET.Element("config", module=name)
    for key, value in settings.items():
        unit = {"unit": units[key]} if units.get(key) else {}
        told = ET.SubElement(config, "parameter", {"name": key, **unit})
        told.text = configuration.word(value)
    inputs = ET.Element("inputs")
    for need, path in paths.items():
        ET.SubElement(inputs, "file", need=need, path=path.name, type=path.suffix[1:])
    for file, root in ((CONFIG, config), (INPUTS, inputs)):
        ET.indent(root)
        ET.ElementTree(root).write(folder / file, encoding="utf-8", xml_declaration=True)


def run_module(name: str, python: str, module: str, folder: Path, limit: float) -> Mapping[str, Path]:
    """Run a module (``path:Class``) in its directory; what it registered, by give.

    Raises
    ------
    DataFault
        ``program.failed`` with the last lines of the exception, ``program.timeout``, ``program.no-output`` where nothing
        is registered.
    """
    file, _, kind = module.rpartition(":")
    (folder / "start.py").write_text(STARTER, encoding="utf-8")
    call(name, [python, "start.py", file, kind], folder, limit)
    path = folder / OUTPUTS
    if not path.is_file():
        raise results.no_output(name, path)
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - written a moment ago by a module of the user's choice
    except ET.ParseError as error:
        raise results.no_output(name, path, f"is no XML: {error}") from error
    found = {}
    for registered in root.iter("file"):
        given, where = registered.get("give", ""), registered.get("path", "")
        inside = (folder / where).resolve()
        if not given or not where or not inside.is_relative_to(folder.resolve()):
            raise results.no_output(name, path, f"registers {where!r} for {given!r}")
        found[given] = inside
    return found
