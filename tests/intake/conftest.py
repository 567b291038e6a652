"""Small raw exposures as the demo camera writes them, by astropy: independent of our own writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as astropy_fits

from spica.core.camera import Camera
from spica.core.keys import exposure_id
from spica.core.records import Exposure, FrameType
from spica.instruments import tables
from spica.instruments.cards import detector_cards, hdu_cards, primary_cards

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def demo() -> Camera:
    """The demo camera."""
    return tables.load("demo")


def exposure(number: int = 12, frame_type: FrameType = FrameType.OBJECT) -> Exposure:
    """A demo exposure of the night 2026-11-20."""
    name = f"demo-20261120-{number:05d}"
    on_sky = frame_type is FrameType.OBJECT
    return Exposure(
        id=exposure_id("demo", name),
        name=name,
        camera="demo",
        frame_type=frame_type,
        night="2026-11-20",
        mjd=61365.1 + number / 2000,
        exposure_time=30.0 if on_sky else 0.0,
        sequence=number,
        dark_time=30.0 if on_sky else 0.0,
        band="r" if on_sky else "",
        filter="r.demo" if on_sky else "",
        ra=70.0 if on_sky else None,
        dec=-30.0 if on_sky else None,
        rotation=0.0,
        airmass=1.2 if on_sky else None,
        object="field 1",
        field="field 1",
        programme="P1",
        readout_mode="normal",
    )


@pytest.fixture
def write(demo: Camera, tmp_path: Path) -> Write:
    """``write(path, number, frame_type, skip=(), **cards)``: a raw mosaic; `cards` change the primary header."""

    def written(
        path: str | Path,
        number: int = 12,
        frame_type: FrameType = FrameType.OBJECT,
        skip: tuple[str, ...] = (),
        **cards: str | float | None,
    ) -> Path:
        rng = np.random.default_rng(number)
        primary = astropy_fits.PrimaryHDU()
        for key, value in {**primary_cards(exposure(number, frame_type), demo), **cards}.items():
            if value is not None:
                primary.header[key.replace("_", "-")] = value
        hdus = [primary]
        for spec in demo.detectors:
            if spec.name in skip:
                continue
            pixels = rng.normal(1000, 10, (spec.ny, 608)).astype(np.uint16)
            hdu = astropy_fits.CompImageHDU(pixels, name=spec.name, compression_type="RICE_1", tile_shape=(1, 608))
            for key, value in {**hdu_cards(demo, spec.amplifiers), **detector_cards(demo, spec)}.items():
                hdu.header[key] = value
            hdus.append(hdu)
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        astropy_fits.HDUList(hdus).writeto(target, checksum=True, overwrite=True)
        return target

    return written
