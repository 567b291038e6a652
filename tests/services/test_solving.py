"""`spica wcs solve`: an image or a list of its sources placed without a header, and how it answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from spica.cli.main import app
from spica.core.faults import DataFault, Fault, SetupFault
from spica.files import heads
from spica.files.reference.indexes import files_of, open_index
from spica.kernels.blind import stars_about
from spica.kernels.wcs import sky_to_pixel, tangent_wcs
from spica.services import solving
from tests.support.groups import INDEXES

pytestmark = pytest.mark.astrometry

PLACE = (83.0, -5.0)
SIZE = (3000, 2000)
SCALE = 5.0


def drawn(folder: Path, name: str, first: float = 0.0) -> Path:
    """A list of stars of the sky as a camera would see them, in columns of some names; pixels begin with `first`."""
    turn = np.radians(30.0)
    cd = SCALE / 3600.0 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs = tangent_wcs(PLACE, ((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2), cd)
    stars = stars_about(open_index(files_of([INDEXES])[0]), *PLACE, 3.0)
    x, y = sky_to_pixel(wcs, stars.ra, stars.dec)
    there = (x > 0) & (y > 0) & (x < SIZE[0] - 1) & (y < SIZE[1] - 1)
    rng = np.random.default_rng(5)
    x, y = (each[there] + rng.normal(0.0, 0.2, int(there.sum())) for each in (x, y))
    flux = 1e5 * 0.98 ** np.arange(x.size)
    path = folder / name
    if path.suffix == ".csv":
        np.savetxt(path, np.column_stack([x, y, flux]), delimiter=",", header="x,y,flux", comments="")
    else:
        columns = (("X_IMAGE", x + first), ("Y_IMAGE", y + first), ("FLUX_AUTO", flux))
        fits.BinTableHDU.from_columns([fits.Column(n, "D", array=each) for n, each in columns]).writeto(path)
    return path


@pytest.mark.parametrize(("name", "first"), [("stars.csv", 0.0), ("stars.fits", 1.0)])
@pytest.mark.parametrize("scale", [None, SCALE])
def test_a_list_is_placed(tmp_path: Path, name: str, first: float, scale: float | None) -> None:
    one = solving.solve(drawn(tmp_path, name, first), [INDEXES], scale=scale, size=SIZE, to=tmp_path / "s.head")
    assert one.ra == pytest.approx(PLACE[0], abs=1e-3)
    assert one.dec == pytest.approx(PLACE[1], abs=1e-3)
    assert one.scale == pytest.approx(SCALE, rel=1e-3)
    assert one.rotation == pytest.approx(30.0, abs=0.1)
    assert not one.mirrored
    assert one.matches > 20
    assert one.rms < 0.5 * SCALE
    assert one.log_false < -10
    assert heads.read_heads(tmp_path / "s.head")[0]["CTYPE1"] == "RA---TAN"


def test_the_terminal_answers_people_and_machines(tmp_path: Path) -> None:
    path = drawn(tmp_path, "stars.fits", 1.0)
    order = ["wcs", "solve", str(path), "--indexes", str(INDEXES), "--size", *map(str, SIZE)]
    told = CliRunner().invoke(app, order)
    assert told.exit_code == 0, told.output
    assert "as on the sky" in told.output
    machine = CliRunner().invoke(app, [*order, "--json"])
    assert json.loads(machine.output)["dec"] == pytest.approx(PLACE[1], abs=1e-3)


@pytest.mark.slow
@pytest.mark.realdata
def test_an_image_is_placed(real_data: Path) -> None:
    one = solving.solve(real_data / "panoptes" / "unsolved.fits", [INDEXES])
    assert one.ra == pytest.approx(303.211, abs=3e-3)
    assert one.dec == pytest.approx(46.0195, abs=2e-3)
    assert one.rotation == pytest.approx(89.6, abs=0.1)


def test_what_cannot_be_is_refused_by_name(tmp_path: Path) -> None:
    path = drawn(tmp_path, "stars.csv")
    with pytest.raises(SetupFault) as none:
        solving.solve(path, [tmp_path])
    assert none.value.code == "index.none"
    with pytest.raises(SetupFault) as head:
        solving.solve(path, [INDEXES], to=tmp_path / "s.fits")
    assert head.value.code == "order.invalid"
    (tmp_path / "other.csv").write_text("x,flux\n1,2\n")
    with pytest.raises(DataFault, match="'y'") as lacking:
        solving.solve(tmp_path / "other.csv", [INDEXES])
    assert lacking.value.code == "refcat.lacking"
    (tmp_path / "few.csv").write_text("x,y,flux\n1,2,3\n")
    with pytest.raises(DataFault) as few:
        solving.solve(tmp_path / "few.csv", [INDEXES])
    assert few.value.code in {"pointing.no-wcs", "pointing.no-sources"}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ("missing", "file.missing"),
        ("empty", "file.empty"),
        ("rubbish", "file.not-fits"),
        ("cut", "file.truncated"),
        ("no image there", "order.invalid"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, spoil: str, code: str) -> None:
    path = tmp_path / "frame.fits"
    fits.writeto(path, np.ones((200, 200), np.float32))
    whole = path.read_bytes()
    match spoil:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "rubbish":
            path.write_bytes(b"no frame")
        case "cut":
            path.write_bytes(whole[:30_000])
    with pytest.raises(Fault, match=r"frame\.fits") as caught:
        solving.solve(path, [INDEXES], hdu=3 if spoil == "no image there" else None)
    assert caught.value.code == code
