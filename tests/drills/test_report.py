"""Pages about a simulated night in three bands, against its truth and in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from spica.core.records import Grain, Unit
from spica.core.verdict import number_of
from spica.services.grades import verdict_of
from spica.services.plots.plot import Plot
from spica.services.report import report
from spica.services.report.gather import Material
from spica.services.report.plots import plots_of
from spica.services.report.scope import scope_of
from spica.services.surveys import opened
from tests.support.browser import look
from tests.support.calibrated import calibrated

NIGHT = "2026-11-20"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey with a calibrated night, beside its sky."""
    return calibrated(tmp_path_factory.mktemp("night"), bands="g,r,i", exposures="2", cloudiness="0.1")


@pytest.fixture(scope="module")
def plots(night: Path) -> Mapping[str, Plot]:
    """All plots of the night by name."""
    with opened(night / "survey") as house:
        chapters = plots_of(Material.of(house, scope_of(house, NIGHT)))
    return {plot.name: plot for each in chapters.values() for plot in each}


@pytest.fixture(scope="module")
def truth(night: Path) -> dict[str, dict[str, Any]]:
    """True facts of the object exposures by name."""
    rows = pq.read_table(night / "sky" / "truth" / "exposures.parquet").to_pylist()
    return {row["exposure"]: row for row in rows if row["frame_type"] == "object"}


def test_zero_points_are_the_true_ones(plots: Mapping[str, Plot], truth: Mapping[str, Any], night: Path) -> None:
    with opened(night / "survey") as house:
        camera = scope_of(house, NIGHT).camera
    for which, zenith in (("airmass", True), ("time", False)):
        drawn = plots[f"zero-points-{which}"].data
        assert sorted(drawn["exposure"]) == sorted(truth)
        off = []
        for name, away in zip(drawn["exposure"], drawn["away"], strict=True):
            true, usual = truth[str(name)], camera.band(truth[str(name)]["band"])
            expected = usual.zero_point - (0.0 if zenith else usual.extinction * (true["airmass"] - 1.0))
            off.append(away - (true["zero_point"] - expected))
        # Kron ellipses hold a little less than all of the light, alike in all exposures.
        assert -0.08 < np.median(off) < 0.01
        assert np.max(np.abs(off - np.median(off))) < 0.03
    hours = dict(zip(plots["zero-points-time"].data["exposure"], plots["zero-points-time"].data["hours"], strict=True))
    for name, true in truth.items():
        assert hours[name] == pytest.approx(24.0 * ((true["mjd"] - 0.5) % 1.0), abs=0.02)


def test_widths_are_the_seeing(plots: Mapping[str, Plot], truth: Mapping[str, Any]) -> None:
    drawn = plots["psf-size"].data["fwhm"]
    # Pixels of 0.5 arcsec widen a profile: in the square by 8 ln 2 / 12 pixels.
    seeing = float(np.median([np.hypot(row["seeing"], 0.5 * np.sqrt(8 * np.log(2) / 12)) for row in truth.values()]))
    assert np.median(drawn) == pytest.approx(seeing, rel=0.06)
    assert np.all(plots["psf-shape"].data["ellipticity"] < 0.12)


def test_residuals_stand_in_the_focal_plane(plots: Mapping[str, Plot]) -> None:
    drawn = plots["residual-arrows"].data
    assert np.all((np.abs(drawn["x"]) < 8.1) & (drawn["y"] > -8.1) & (drawn["y"] < 0.0))
    scaled = np.concatenate([drawn["dx"], drawn["dy"]]) / np.tile(drawn["error"], 2)
    assert 0.7 < float(np.median(np.abs(scaled)) * 1.4826) < 1.6
    width, error = plots["pulls-positions"].data["width"]
    assert abs(width - 1.0) < 0.1 + 3.0 * error


def test_stars_lie_on_the_reference_s_locus(plots: Mapping[str, Plot]) -> None:
    drawn = plots["stellar-locus"].data
    assert drawn["bands"] == ["g", "r", "i"]
    assert drawn["blue"].size >= 20
    # The same field's stars: they are compared as distributions.
    for colour in ("blue", "red"):
        assert abs(np.median(drawn[colour]) - np.median(drawn[f"reference_{colour}"])) < 0.25
    mine, known = (np.stack([drawn[f"{a}blue"], drawn[f"{a}red"]], axis=-1) for a in ("", "reference_"))
    nearest = np.array([np.min(np.hypot(*(known - star).T)) for star in mine])
    assert np.median(nearest) < 0.05


def test_each_exposure_ends_with_a_verdict_on_all_of_it(night: Path, truth: Mapping[str, Any]) -> None:
    with opened(night / "survey") as house:
        camera = scope_of(house, NIGHT).camera
        for name, true in truth.items():
            unit = Unit(Grain.EXPOSURE, (name,))
            metrics = {metric.name: metric.value for metric in house.registry.metrics_of(unit)}
            verdict = verdict_of(house.registry, unit)
            assert verdict is not None
            value = next(p.value for p in house.registry.products_of(unit) if p.name == "calibration_verdict")
            assert value["grade"] == verdict.grade
            assert metrics["verdict"] == number_of(verdict.grade)
            assert {"psf_stars", "astrometry_internal", "pointing_matches"} <= set(value["figures"])
            band = camera.band(true["band"])
            usual = band.zero_point - band.extinction * (true["airmass"] - 1.0)
            assert metrics["zero_point_offset"] == pytest.approx(true["zero_point"] - usual, abs=0.08)
            graded = {reason["metric"]: reason["grade"] for reason in value["reasons"]}
            assert ("zero_point_offset" in graded) == (abs(metrics["zero_point_offset"]) > 0.15)
            assert abs(metrics["depth_offset"]) < 1.0


def test_a_group_and_each_exposure_have_their_pages(night: Path, tmp_path: Path) -> None:
    with opened(night / "survey") as house:
        scope = scope_of(house, NIGHT)
    group = report(str(scope.groups[0]), night / "survey", output=tmp_path)
    assert len(group.facts.exposures) == 2
    assert {line.name for line in group.plots if line.missing} == {
        "illumination",
        "psf-models",
        "psf-stars",
        "stellar-locus",
    }
    name = scope.exposures[0].name
    one = report(name, night / "survey", output=tmp_path, plots=tmp_path / "plots")
    assert {line.name for line in one.plots if line.missing} == {"illumination", "stellar-locus"}
    for line in one.plots:
        assert len(line.files) == (0 if line.missing else 2)
        assert all(Path(path).stat().st_size > 5000 for path in line.files)


@pytest.mark.chromium
def test_a_browser_asks_for_nothing_and_complains_of_nothing(night: Path, tmp_path: Path) -> None:
    page = Path(report(NIGHT, night / "survey", output=tmp_path).page)
    seen = look(page, tmp_path)
    assert seen.asked == ()
    assert seen.console == ()
    assert "<h1>2026-11-20</h1>" in seen.built
    # The same eyes see what a bad page does.
    bad = tmp_path / "bad.html"
    bad.write_text('<!doctype html><img src="http://127.0.0.1:9/x.png"><script>console.error("oh")</script>')
    seen = look(bad, tmp_path)
    assert seen.asked == ("http://127.0.0.1:9/x.png",)
    assert any('"oh"' in line for line in seen.console)
