"""Shared by the tests of cameras: tables, headers of a mosaic, headers of real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astro_metadata_translator.tests import read_test_file
from astropy.io import fits

from spica.core.camera import Camera
from spica.instruments import tables

Headers = list[dict[str, Any]]


@pytest.fixture(scope="session")
def cameras() -> dict[str, Camera]:
    return {name: tables.load(name) for name in tables.names()}


@pytest.fixture
def demo() -> Camera:
    return tables.load("demo")


@pytest.fixture
def demo_primary() -> dict[str, Any]:
    """Primary header of a science exposure of the demo camera, as it would be written."""
    return {
        "SIMPLE": True,
        "NAXIS": 0,
        "INSTRUME": "demo",
        "OBSID": "demo-20261120-00012",
        "SEQNUM": 12,
        "MJD-OBS": 61365.1,
        "DATE-OBS": "2026-11-21T02:24:00.000",
        "EXPTIME": 60.0,
        "DARKTIME": 61.0,
        "OBSTYPE": "object",
        "FILTER": "r.demo",
        "RA": "02:00:00",
        "DEC": "-30:00:00",
        "OBJECT": "field one",
        "AIRMASS": 1.05,
        "ROTANGLE": 0.0,
    }


@pytest.fixture
def demo_images() -> Headers:
    """Headers of the demo camera's four image extensions."""
    return [
        {"XTENSION": "IMAGE", "NAXIS": 2, "NAXIS1": 608, "NAXIS2": 512, "EXTNAME": f"D{number}"}
        for number in range(1, 5)
    ]


@pytest.fixture(scope="session")
def yaml_header(real_data: Path) -> Callable[[str], dict[str, Any]]:
    """Reads a header of the translation package's own tests."""

    def read(name: str) -> dict[str, Any]:
        return dict(read_test_file(str(real_data / "headers" / f"{name}.yaml")))

    return read


@pytest.fixture(scope="session")
def fits_headers(real_data: Path) -> Callable[[str], Headers]:
    """Reads the headers of a real file, one mapping per HDU."""

    def read(name: str) -> Headers:
        with fits.open(real_data / name) as hdus:
            hdus.verify("silentfix")
            return [dict(hdu.header) for hdu in hdus]

    return read
