"""Headers are refreshed in place: values of the registry, no pixel moved, nothing lost by a kill, twice is once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from spica.core.faults import DataFault, ResourceFault, SetupFault
from spica.core.images import Image
from spica.core.keywords import REFRESHED
from spica.core.records import Metric, Unit
from spica.files import atomic, refresh
from spica.files import fits as fits_file
from spica.files.checksums import of_file
from spica.files.images import write_image
from spica.files.survey import Survey
from spica.registry.store import Registry
from spica.services import check
from spica.services.headers import refreshed, values_of
from tests.support.survey import SCIENCE, Small

UNIT = Unit.parse(f"{SCIENCE[0]}/1")
METRICS = (("seeing", 0.8125, "arcsec"), ("depth_mag", 23.25, "mag"), ("zero_point", 26.5, "mag"))


@pytest.fixture
def known(done: Small) -> Small:
    """A reduced survey that knows a seeing, a depth and a zero point of one detector, and another of the exposure."""
    with registry_of(done) as registry:
        registry.add_metrics([Metric(UNIT, name, value, units) for name, value, units in METRICS])
        registry.add_metrics([Metric(Unit.parse(SCIENCE[0]), "zero_point_err", 0.01, "mag")])
        registry.grade(UNIT, "B", "thin cloud")
    return done


def registry_of(small: Small) -> Registry:
    return Registry.open(Survey.open(small.folder).registry_url)


def science(small: Small) -> Path:
    (path,) = (small.folder / "products" / "science").rglob(f"{SCIENCE[0]}_1_*.fits")
    return path


def test_values_come_into_the_header_and_nothing_else_changes(known: Small) -> None:
    before, size = science(known).read_bytes(), science(known).stat().st_size
    done = refreshed(known.folder, unit=str(UNIT), release="DR1")
    assert (done.products, len(done.changed), done.problems) == (1, 1, ())
    after = science(known).read_bytes()
    assert len(after) == size
    with fits.open(science(known), checksum=True) as file:  # a wrong sum is a warning, warnings are errors
        header = file[0].header
        told = {name: header[name] for name in REFRESHED if name in header}
        assert header.comments["SEEING"] == "[arcsec] FWHM of stars"
    assert told == {
        "SEEING": 0.8125, "DEPTH": 23.25, "MAGZERO": 26.5, "MAGZERR": 0.01, "GRADE": "B", "RELEASE": "DR1",
    }  # fmt: skip
    start = after.index(b"XTENSION")
    assert before[start:] == after[start:]
    kept = [before[at : at + 80] for at in range(0, 400, 80)]
    assert [after[at : at + 80] for at in range(0, 400, 80)] == kept
    assert check.check(known.folder, deep=True).differences == ()


def test_twice_is_once(known: Small) -> None:
    assert len(refreshed(known.folder).changed) >= 1
    bytes_now = science(known).read_bytes()
    again = refreshed(known.folder)
    assert again.changed == ()
    assert science(known).read_bytes() == bytes_now


def test_values_that_change_or_go_are_followed(known: Small) -> None:
    refreshed(known.folder, unit=str(UNIT), release="DR1")
    with registry_of(known) as registry:
        registry.add_metrics([Metric(UNIT, "seeing", 1.5, "arcsec"), Metric(UNIT, "depth_mag", 1.0, "electron")])
    refreshed(known.folder, unit=str(UNIT))
    told = refresh.cards_of(science(known))
    assert told["SEEING"] == 1.5
    assert "DEPTH" not in told  # of another unit: not what the keyword means
    assert told["RELEASE"] == "DR1"
    refreshed(known.folder, unit=str(UNIT), release="")
    assert "RELEASE" not in refresh.cards_of(science(known))


def test_the_verdict_counts_where_nobody_graded(known: Small) -> None:
    other = Unit.parse(f"{SCIENCE[1]}/2")
    with registry_of(known) as registry:
        registry.add_metrics([Metric(other, "verdict", 3.0)])
        assert values_of(registry, other)["GRADE"] == "C"
        registry.add_metrics([Metric(UNIT, "verdict", 3.0)])
        assert values_of(registry, UNIT)["GRADE"] == "B"


@pytest.mark.parametrize("place", ["before the write", "before the record"])
def test_a_kill_loses_nothing(known: Small, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> Iterator[object]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if place == "before the write":
            patch.setattr(os, "pwrite", killed)
        else:
            patch.setattr(Registry, "rewritten_products", killed)
        with pytest.raises(KeyboardInterrupt):
            refreshed(known.folder, unit=str(UNIT))
    assert (known.folder / refresh.JOURNAL).exists()
    assert refreshed(known.folder, unit=str(UNIT)).problems == ()
    assert not (known.folder / refresh.JOURNAL).exists()
    assert refresh.cards_of(science(known))["SEEING"] == 0.8125
    assert check.check(known.folder, deep=True).differences == ()


def test_a_full_disk_is_named_and_the_order_goes_on(known: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(ResourceFault, match="no space"):
            refreshed(known.folder, unit=str(UNIT))
    refreshed(known.folder, unit=str(UNIT))
    assert check.check(known.folder, deep=True).differences == ()


def test_a_product_with_other_bytes_is_left_alone(known: Small) -> None:
    path = science(known)
    spoilt = bytearray(path.read_bytes())
    spoilt[-3000] ^= 1
    path.write_bytes(spoilt)
    done = refreshed(known.folder, unit=str(UNIT))
    assert [problem.code for problem in done.problems] == ["file.corrupt"]
    assert path.read_bytes() == bytes(spoilt)


def test_orders_that_mean_nothing(known: Small) -> None:
    with pytest.raises(SetupFault, match="no image product"):
        refreshed(known.folder, where="night = '1999-01-01'")
    with pytest.raises(SetupFault, match="no name of a release"):
        refreshed(known.folder, release="x" * 61)


def test_a_header_without_room_is_refused(tmp_path: Path) -> None:
    full: list[fits_file.Card] = [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, "")]
    full += [(f"K{number}", number, "") for number in range(30)]
    atomic.write_bytes(tmp_path / "x.fits", fits_file.header_bytes(full, 0))
    with pytest.raises(DataFault) as caught:
        refresh.change(tmp_path, "x.fits", "k", of_file(tmp_path / "x.fits"), {"SEEING": 1.0, "DEPTH": 2.0})
    assert caught.value.code == "header.no-room"


def test_there_is_room_for_all_at_their_longest(tmp_path: Path) -> None:
    write_image(tmp_path / "x.fits", Image(np.zeros((4, 9), np.float32)), {f"TASK{n:02d}": "x" for n in range(9)})
    values = {name: "x" * 60 if each.kind == "text" else -123.456789 for name, each in REFRESHED.items()}
    made = refresh.change(tmp_path, "x.fits", "k", of_file(tmp_path / "x.fits"), values)
    assert made is not None
    refresh.begin(tmp_path, [made])
    assert refresh.finish(tmp_path) == {"k": of_file(tmp_path / "x.fits")}
    assert refresh.cards_of(tmp_path / "x.fits") == values
