"""A HiPS in Aladin Lite in a browser: its stars where they should be, nothing asked of any other host."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from spica.services.hips import ColourHipsOrder, HipsOrder, colour_hips, make_hips
from tests.support.flight import View, fly
from tests.support.groups import aladin_script
from tests.support.hips import image

pytestmark = [pytest.mark.slow, pytest.mark.chromium, pytest.mark.aladin, pytest.mark.timeout(600)]
STARS = ((359.95, -5.03), (0.06, -4.97), (0.02, -5.08))
"""No turn or mirror image of the three is like them; right ascension 0 lies between."""
EMPTY = ((359.95, -4.97), (0.06, -5.08))


def bright(view: View, place: tuple[float, float]) -> float:
    """The brightest shade within 4 pixels."""
    x, y = (round(value) for value in place)
    near = view.picture[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5]
    return float(near.max()) if near.size else -1.0


def shows_stars(view: View) -> bool:
    return all(bright(view, place) > 230 for place in view.places[: len(STARS)])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to be served: HiPS of three bands and in colour, and Aladin Lite."""
    folder = tmp_path_factory.mktemp("site")
    for k, band in enumerate("irg"):
        stars = [(*place, 4e4) for place in STARS]
        path = image(folder / f"{band}.fits", (0.0, -5.0), stars, size=400, noise=1.0, level=10.0, seed=k)
        make_hips([path], folder / "hips" / band, HipsOrder(f"Field, {band}", "2026-11-29"))
    colour_hips(
        [folder / "hips" / band for band in "irg"], folder / "hips" / "colour", ColourHipsOrder("Field", "2026-11-29")
    )
    script = aladin_script()
    assert script is not None
    shutil.copy(script, folder / "hips")
    return folder / "hips"


@pytest.mark.parametrize("name", ["colour", "r"])
def test_stars_are_seen_where_they_are_and_no_other_host_is_asked(site: Path, tmp_path: Path, name: str) -> None:
    seen = fly(site, f"/{name}/index.html", (*STARS, *EMPTY), shows_stars, tmp_path)
    assert seen.view is not None, (seen.console, seen.last and [bright(seen.last, place) for place in seen.last.places])
    assert [place for place in seen.view.places[len(STARS) :] if bright(seen.view, place) > 170] == []
    # North is up, east is left.
    (x0, y0), (x1, y1), (x2, y2) = seen.view.places[:3]
    assert x1 < x2 < x0
    assert y1 < y0 < y2
    suffix = ".png" if name == "colour" else ".fits"
    assert any(path.endswith(suffix) and "/Npix" in path for path in seen.served)
    assert seen.elsewhere == ()
    errors = [line for line in seen.console if "Uncaught" in line or "panicked" in line]
    assert errors == []
    assert np.ptp(seen.view.picture) > 200
