"""Reference catalogues fetched from an online service: a real client against a service on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from typer.testing import CliRunner

from spica.cli.main import app
from spica.core.faults import SetupFault
from spica.files.hats import healpix
from spica.files.hats.regions import Cone
from spica.files.reference.catalogue import open_reference
from spica.files.survey import Survey
from spica.intake import online
from spica.registry.store import Registry
from spica.services.fetching import fetch
from tests.support.references import gaia_like
from tests.support.tap import Tap, serving

pytest.importorskip("pyvo", reason="the extra 'online' is not installed: fetching is not tested")
RA, DEC, RADIUS = 359.9, 20.0, 0.8


def gaia() -> Table:
    """Stars about a place as the archive hands them out, some without motions."""
    made = gaia_like(3000, 5, (RA, DEC), 6.0)
    n = len(made["ra"])
    table = Table(made)
    table["pmra"] = MaskedColumn(made["pmra"], mask=np.arange(n) % 3 == 0)
    rng = np.random.default_rng(1)
    for name in online.service("gaia").columns:
        if name not in table.colnames:
            text = name == "phot_variable_flag"
            table[name] = np.array(["NOT_AVAILABLE"] * n) if text else rng.uniform(0.5, 1.3, n)
    return table[list(online.service("gaia").columns)]


@pytest.fixture
def tap() -> Iterator[Tap]:
    with serving(Tap(gaia())) as made:
        yield made


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    made = Survey.create(tmp_path / "survey")
    Registry.create(made.registry_url).close()
    return made


def truth(stars: Table) -> set[int]:
    inside = Cone(RA, DEC, RADIUS).contains(np.asarray(stars["ra"]), np.asarray(stars["dec"]))
    return set(np.asarray(stars["source_id"])[inside].tolist())


def test_every_star_around_a_place_once(tap: Tap, survey: Survey) -> None:
    found = fetch("gaia", "gaia", survey.root, place=(RA, DEC, RADIUS), url=tap.url)
    assert found.lost == ()
    assert (found.kept, found.cells) == (0, len(tap.queries))
    catalogue = open_reference(survey.references, "gaia")
    rows = catalogue.find(Cone(RA, DEC, RADIUS))
    assert set(rows["source_id"].tolist()) == truth(tap.stars)
    assert catalogue.info.rejected == {}, "cells do not overlap"
    assert np.isnan(rows["pmra"]).any()
    assert not np.isnan(rows["pmra"]).all()


def test_what_is_here_is_not_asked_for_again(tap: Tap, survey: Survey) -> None:
    first = fetch("gaia", "gaia", survey.root, place=(RA, DEC, 0.2), url=tap.url)
    asked = len(tap.queries)
    again = fetch("gaia", "gaia", survey.root, place=(RA, DEC, 0.2), url="http://127.0.0.1:1/tap")
    assert (again.kept, again.lost, len(tap.queries)) == (first.cells, (), asked)
    assert again.taken is not None
    assert not again.taken.changed
    wider = fetch("gaia", "gaia", survey.root, place=(RA, DEC, RADIUS), url=tap.url)
    assert len(tap.queries) == wider.cells
    assert set(open_reference(survey.references, "gaia").find(Cone(RA, DEC, RADIUS))["source_id"].tolist()) == truth(
        tap.stars
    )


def test_the_limit_is_part_of_the_question(tap: Tap, survey: Survey) -> None:
    fetch("bright", "gaia", survey.root, place=(RA, DEC, 0.2), faintest=12.0, url=tap.url)
    assert all("phot_g_mean_mag < 12" in query for query in tap.queries)
    assert np.all(open_reference(survey.references, "bright").find(Cone(RA, DEC, 5))["mag_G"] < 12)


@pytest.mark.parametrize(
    ("trouble", "code"),
    [("broken", "online.refused"), ("cut", "online.truncated"), ("gone", "online.unreachable")],
)
def test_trouble_is_named_and_what_came_is_kept(tap: Tap, survey: Survey, trouble: str, code: str) -> None:
    fetch("gaia", "gaia", survey.root, place=(RA, DEC, 0.1), url=tap.url)
    url = "http://127.0.0.1:1/tap" if trouble == "gone" else tap.url
    tap.broken, tap.most = ("table is on holiday" if trouble == "broken" else ""), (1 if trouble == "cut" else 10**9)
    found = fetch("gaia", "gaia", survey.root, place=(RA, DEC, RADIUS), url=url)
    assert {each.code for each in found.lost} == {code}
    assert len(found.lost) + found.kept == found.cells
    assert found.kept > 0
    assert found.rows > 0
    if trouble == "broken":
        assert "holiday" in found.lost[0].message


def test_an_unknown_service_is_named(survey: Survey) -> None:
    with pytest.raises(SetupFault) as fault:
        fetch("x", "nothing", survey.root, place=(0, 0, 1))
    assert fault.value.code == "online.unknown"
    with pytest.raises(SetupFault) as fault:
        fetch("x", "gaia", survey.root)
    assert fault.value.code == "order.nothing"


def test_a_bad_name_is_refused_before_anything_is_fetched(tap: Tap, survey: Survey) -> None:
    with pytest.raises(SetupFault) as fault:
        fetch("no/name", "gaia", survey.root, place=(RA, DEC, 0.1), url=tap.url)
    assert fault.value.code == "order.invalid"
    assert tap.queries == []


def test_the_command(tap: Tap, survey: Survey) -> None:
    place = ["--place", str(RA), str(DEC), "0.1", "--url", tap.url, "--survey", str(survey.root), "--json"]
    result = CliRunner().invoke(app, ["refcat", "fetch", "gaia", *place])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["lost"] == []
    listed = CliRunner().invoke(app, ["refcat", "fetch", "--services"])
    assert "2mass" in listed.output


@pytest.mark.parametrize("cell", [0, 4095, 12 * 4096 - 1, 20000, 30003])
def test_the_circle_of_a_query_holds_its_cell(cell: int) -> None:
    text = online.query(online.service("gaia"), cell, float("inf"))
    ra, dec, radius = map(float, text.partition("CIRCLE('ICRS', ")[2].partition(")")[0].split(", "))
    down = 2 * (10 - online.ORDER)
    inside = (np.int64(cell) << down) + np.arange(1 << down)
    assert np.all(Cone(ra, dec, radius).contains(*healpix.centres(inside, 10)))
