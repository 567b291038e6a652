"""The task `solve`: from records and catalogues to solutions, with what goes wrong named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spica.core.columns import Catalogue, Flag
from spica.core.faults import DataFault
from spica.core.solution import Standing
from spica.core.task import Member, Products
from spica.files.catalogues import read_catalogue, write_catalogue
from spica.kernels.illumination import departure
from spica.kernels.wcs import pixel_to_sky
from spica.kernels.wcs_rows import from_columns, to_columns
from spica.tasks.solve.settings import SolveSettings
from tests.support.joint_field import Field, draw, together, true_positions
from tests.support.joint_lists import SMALL
from tests.support.joint_task import cards, inputs, solved


@pytest.fixture(scope="module")
def field() -> Field:
    return draw(SMALL)


@pytest.fixture(scope="module")
def given(field: Field) -> dict[str, Any]:
    return inputs(field)


@pytest.fixture(scope="module")
def made(given: dict[str, Any]) -> Products:
    return solved(SolveSettings(), **given)


def away(field: Field, solution: Catalogue) -> np.ndarray:
    """Solution minus truth [mas] of the rows (images, nodes)."""
    out = []
    for row in range(len(solution)):
        exposure = int(solution["exposure_id"][row]) - 100
        x, y, ra, dec = true_positions(field.truth[exposure][solution["detector"][row]], field.plan, 5)
        there = pixel_to_sky(from_columns(solution.columns, row), x, y)
        out.append(3.6e6 * ((there[0] - ra) * np.cos(np.radians(dec)) + 1j * (there[1] - dec)))
    return np.array(out)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(0.5 * np.mean(np.abs(values) ** 2)))


def test_solutions_agree_with_the_truth(field: Field, made: Products) -> None:
    solution = made["solution"]
    assert len(solution) == 10
    assert (solution["standing"] == Standing.SOLVED).all()
    assert rms(away(field, solution)) < 1.6 * np.sqrt(np.mean(solution["sky_err"] ** 2))
    assert (solution["expressed"] < 0.1).all()
    zero = solution["zero_point"].reshape(5, 2).mean(axis=1)
    assert np.std(zero - field.zero) < 0.004
    assert np.abs(zero - field.zero).max() < 5 * solution["zero_point_err"].max() + 0.01
    assert (solution["photometric"] == 1).all()
    assert made["refused"] == {}


def test_figures_are_what_the_rows_say(made: Products) -> None:
    figures, solution, matches = made["solving"], made["solution"], made["matches"]
    assert figures["astrometry_used"].value == solution["used"].sum()
    detections = matches["detector"] >= 0
    assert np.count_nonzero(matches["used"][detections]) == solution["used"].sum()
    assert np.count_nonzero(matches["used"][~detections]) == figures["astrometry_reference"].value
    pull = matches["pull"][(matches["used"] == 1) & (matches["pull"] > 0)]
    assert np.sqrt(0.5 * np.mean(pull**2)) == pytest.approx(1.0, abs=0.06)
    pull = matches["mag_pull"][(matches["mag_used"] == 1) & (matches["mag_pull"] > 0)]
    assert np.sqrt(np.mean(pull**2)) == pytest.approx(1.0, abs=0.1)


def test_matches_lie_where_the_solution_says(made: Products) -> None:
    solution, matches = made["solution"], made["matches"]
    row = 3
    mine = matches["exposure_id"] == solution["exposure_id"][row]
    mine &= matches["detector"] == solution["detector"][row]
    ra, dec = pixel_to_sky(from_columns(solution.columns, row), matches["x"][mine], matches["y"][mine])
    east = 3.6e6 * (ra - matches["ra"][mine]) * np.cos(np.radians(dec))
    assert np.abs(east - matches["off_east"][mine]).max() < 0.2
    assert np.abs(3.6e6 * (dec - matches["dec"][mine]) - matches["off_north"][mine]).max() < 0.2


def test_products_survive_the_disk(made: Products, tmp_path: Path) -> None:
    for name in ("solution", "matches"):
        write_catalogue(tmp_path / name, made[name], {})
        again = read_catalogue(tmp_path / name)
        for column in again.columns:
            assert np.array_equal(again[column], made[name][column], equal_nan=True)


def test_the_order_of_the_members_does_not_matter(given: dict[str, Any], made: Products) -> None:
    turned = {name: value[::-1] if isinstance(value, tuple) else value for name, value in given.items()}
    again = solved(SolveSettings(), **turned)
    for column in made["solution"].columns:
        assert np.array_equal(again["solution"][column], made["solution"][column], equal_nan=True)


def test_a_former_solution_is_a_pointing(field: Field, given: dict[str, Any], made: Products) -> None:
    member = Member("group:before", made["solution"])
    again = solved(SolveSettings(search=1.5), **given | {"pointing": (member,)})
    assert rms(away(field, again["solution"]) - away(field, made["solution"])) < 1.0


def test_what_the_task_pointing_found_is_taken(field: Field, given: dict[str, Any], made: Products) -> None:
    """Its cards stand for headers that are lost."""
    told = [
        {"detectors": {str(chip): {"cards": cards(wcs)} for chip, wcs in enumerate(solutions)}}
        for solutions in field.header
    ]
    pointing = tuple(Member(f"exposure:demo-{number}", value) for number, value in enumerate(told))
    lost = {unit: {"NAXIS1": SMALL.nx, "NAXIS2": SMALL.ny} for unit in given["wcs"]}
    again = solved(SolveSettings(), **given | {"pointing": pointing, "wcs": lost})
    assert rms(away(field, again["solution"]) - away(field, made["solution"])) < 0.01


def test_spoilt_sources_and_bad_errors_are_left_out(field: Field, given: dict[str, Any]) -> None:
    worse = []
    for member in given["sources"]:
        columns = dict(member.value.columns)
        rows = np.arange(columns["x"].size)
        columns["x"] = np.where(rows % 7 == 0, columns["x"] + 3.0, columns["x"])
        columns["flags"] = np.where(rows % 7 == 0, int(Flag.SATURATED), 0)
        columns["x_err"] = np.where(rows % 11 == 0, np.nan, columns["x_err"])
        worse.append(Member(member.unit, Catalogue(columns)))
    again = solved(SolveSettings(), **given | {"sources": tuple(worse)})
    assert rms(away(field, again["solution"])) < 1.6 * np.sqrt(np.mean(again["solution"]["sky_err"] ** 2))


def test_a_reference_without_errors_is_taken_with_the_setting_s(field: Field, given: dict[str, Any]) -> None:
    columns = dict(given["reference"].columns)
    columns["ra_err"] = np.full(len(columns["ra"]), np.nan, np.float32)
    columns["ra"] = np.where(np.arange(len(columns["ra"])) % 50 == 0, np.nan, columns["ra"])
    reference = Catalogue(columns, extra=given["reference"].extra)
    again = solved(SolveSettings(reference_error=30.0), **given | {"reference": reference})
    assert again["solving"]["reference_without_error"].value > 100
    assert rms(away(field, again["solution"])) < 2.0 * np.sqrt(np.mean(again["solution"]["sky_err"] ** 2))


def test_one_exposure_far_from_all_others_is_refused_by_name(field: Field, made: Products) -> None:
    lonely = draw(replace(SMALL, exposures=1, centre=(200.0, -50.0), seed=7))
    both = together(field, lonely)
    again = solved(SolveSettings(), **inputs(both))
    assert list(again["refused"]) == ["demo-5"]
    assert again["refused"]["demo-5"]["code"] == "solve.unmatched"
    assert (again["solution"]["standing"][-2:] == Standing.UNMATCHED).all()
    assert rms(away(both, again["solution"])[:10] - away(field, made["solution"])) < 0.05


def test_a_field_of_its_own_with_reference_stars_is_solved_along(field: Field) -> None:
    apart = replace(SMALL, exposures=2, centre=(150.6, 2.2), seed=7)
    other = draw(apart)
    both = replace(
        together(field, other),
        reference=np.r_[field.reference, other.reference],
        ref_ra=np.r_[field.ref_ra, other.ref_ra],
        ref_dec=np.r_[field.ref_dec, other.ref_dec],
        ref_mag=np.r_[field.ref_mag, other.ref_mag],
    )
    again = solved(SolveSettings(), **inputs(both))
    assert again["refused"] == {}
    assert rms(away(both, again["solution"])[10:]) < 2.0 * np.sqrt(np.mean(again["solution"]["sky_err"][10:] ** 2))


def islands(field: Field) -> tuple[Field, dict[str, Any]]:
    """Two fields that share nothing; magnitudes are known in the first one alone."""
    other = draw(replace(SMALL, exposures=2, centre=(150.6, 2.2), seed=7, clouds=0.0))
    both = replace(
        together(field, other),
        reference=np.r_[field.reference, other.reference],
        ref_ra=np.r_[field.ref_ra, other.ref_ra],
        ref_dec=np.r_[field.ref_dec, other.ref_dec],
        ref_mag=np.r_[field.ref_mag, other.ref_mag],
    )
    first = np.arange(both.ref_ra.size) < field.ref_ra.size
    given = inputs(both)
    return both, given | {"standards": given["reference"].select(first)}


def test_islands_that_nothing_ties_are_told(field: Field) -> None:
    both, given = islands(field)
    again = solved(SolveSettings(), **given)
    rows = again["solution"]
    assert set(rows["island"][:10]) != set(rows["island"][10:])
    assert len(set(rows["island"])) == 2
    assert np.all(rows["photometric"][:10] == 1)
    assert np.all(rows["photometric"][10:] == 0)
    assert np.all(rows["island_ties"][10:] == 0)
    told = again["brightness"]["r"]
    assert {name: each["code"] for name, each in told["loose"].items()} == dict.fromkeys(
        ("demo-5", "demo-6"), "solve.loose"
    )
    assert [each["standards"] > 0 for each in told["islands"]] == [True, False]
    assert again["solving"]["photometry_islands"].value == 2
    assert again["solving"]["photometry_loose"].value == 2
    assert again["solving"]["photometry_weakest"].value < 0.02
    assert told["scale"] == "AB"
    assert len(both.zero) == 7


def test_standards_of_one_field_fix_the_night_for_another(field: Field) -> None:
    """A night with standard stars in one field only: zero point and extinction hold for the field that has none."""
    plain = replace(SMALL, clouds=0.0)
    both, given = islands(draw(plain))
    airmass = [1.0, 1.2, 1.4, 1.6, 1.8, 1.3, 1.5]
    dimmed = []
    for member in given["sources"]:
        number = int(member.unit.partition("demo-")[2].partition("/")[0])
        columns = dict(member.value.columns)
        light = 10.0 ** (-0.4 * 0.15 * (airmass[number] - 1.0))
        columns |= {name: columns[name] * light for name in ("flux_auto", "flux_auto_err")}
        dimmed.append(Member(member.unit, Catalogue(columns)))
    records = tuple(
        replace(record, night="2026-01-01", airmass=airmass[number]) for number, record in enumerate(given["exposures"])
    )
    again = solved(SolveSettings(nightly=True), **given | {"sources": tuple(dimmed), "exposures": records})
    told = again["brightness"]["r"]
    assert told["loose"] == {}
    assert told["nights"][0]["extinction"] == pytest.approx(0.15, abs=0.01)
    true = both.zero - 0.15 * (np.array(airmass) - 1.0)
    zero = again["solution"]["zero_point"].reshape(-1, 2).mean(axis=1)
    assert np.all(again["solution"]["photometric"] == 1)
    assert np.abs(zero - true).max() < 0.01


def test_what_the_flat_field_got_wrong_comes_back_and_is_taken_off() -> None:
    """A bow along x of each detector of its own, a tilt along y: terms within their errors, magnitudes without it."""
    plan = replace(SMALL, exposures=8)
    field = draw(plan)
    given = inputs(field)
    true = np.array([[0.02, 0.0, 0.03], [-0.01, 0.0, -0.02]])
    at = [1, 3, 5]
    spoilt = []
    for member in given["sources"]:
        chip = int(member.unit.rpartition("/")[2])
        columns = dict(member.value.columns)
        terms = np.zeros(6)
        terms[at] = true[chip]
        light = 10.0 ** (0.4 * departure(columns["x"], columns["y"], (plan.nx, plan.ny), terms))
        columns |= {name: columns[name] * light for name in ("flux_auto", "flux_auto_err")}
        spoilt.append(Member(member.unit, Catalogue(columns)))
    given |= {"sources": tuple(spoilt)}
    made = solved(SolveSettings(flat_degree=2), **given)
    rows = made["solution"]
    assert np.all(rows["flat"][:, [0, *range(6, 15)]] == 0)
    for chip in (0, 1):
        mine = rows["detector"] == chip
        assert np.ptp(rows["flat"][mine], axis=0).max() == 0.0
        pulls = (rows["flat"][mine][0, at] - true[chip]) / rows["flat_err"][mine][0, at]
        assert np.abs(pulls).max() < 4.0
        assert rows["flat_err"][mine][0, at].max() < 0.006

    def left(made: Products) -> float:
        """How much of what was wrong is in the magnitudes: 1 all of it."""
        table = made["matches"]
        stars = table["detector"] < 0
        star = dict(zip(table["match_id"][stars].tolist(), table["source_id"][stars].tolist(), strict=True))
        rows = (table["mag_used"] == 1) & np.isin(table["match_id"], list(star))
        known = dict(zip(field.reference.tolist(), field.ref_mag.tolist(), strict=True))
        off = table["mag"][rows] - np.array([known[star[group]] for group in table["match_id"][rows].tolist()])
        terms = np.zeros((2, 6))
        terms[:, at] = true
        x, y, chip = (table[name][rows] for name in ("x", "y", "detector"))
        wrong = np.where(chip == 0, *(departure(x, y, (plan.nx, plan.ny), terms[number]) for number in (0, 1)))
        return float(-np.polyfit(wrong, off, 1)[0])

    assert abs(left(made)) < 0.15
    assert left(solved(SolveSettings(), **given)) > 0.7


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("solve.no-reference", {"reference": "empty"}),
        ("solve.no-sources", {"sources": "empty"}),
        ("solve.no-solution", {"reference": "elsewhere"}),
        ("solve.no-header", {"wcs": "none"}),
    ],
)
def test_what_cannot_be_solved_ends_with_its_name(given: dict[str, Any], code: str, changes: dict[str, str]) -> None:
    wrong = dict(given)
    if changes.get("reference") == "empty":
        wrong["reference"] = given["reference"].select(np.zeros(0, np.int64))
    if changes.get("reference") == "elsewhere":
        columns = dict(given["reference"].columns)
        wrong["reference"] = Catalogue(columns | {"dec": -columns["dec"] - 40.0})
    if changes.get("sources") == "empty":
        wrong["sources"] = tuple(Member(m.unit, m.value.select(np.zeros(0, np.int64))) for m in given["sources"])
    if changes.get("wcs") == "none":
        wrong["wcs"] = {unit: {"NAXIS1": SMALL.nx, "NAXIS2": SMALL.ny} for unit in given["wcs"]}
    with pytest.raises(DataFault) as raised:
        solved(SolveSettings(), **wrong)
    assert raised.value.code == code


def test_rows_hold_sky_solutions(field: Field) -> None:
    table = to_columns(list(field.truth[0]))
    back = from_columns(table, 1)
    x, y = np.array([3.0, 600.0]), np.array([1100.0, 5.0])
    assert np.allclose(pixel_to_sky(back, x, y), pixel_to_sky(field.truth[0][1], x, y), atol=1e-12)
