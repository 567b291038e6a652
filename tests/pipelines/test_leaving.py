"""Steps that a release leaves out: what nobody needs goes with its rungs, what others need is refused by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.files.survey import Survey
from spica.pipelines.catalogue import load
from spica.pipelines.check import check
from spica.pipelines.leaving import leave_out
from spica.pipelines.model import Pipeline
from spica.services.pipelines import load_for


@pytest.fixture(scope="module")
def deep() -> Pipeline:
    return load("deep")


def test_what_nobody_needs_goes(deep: Pipeline) -> None:
    gone = ("completeness", "bright_stars", "colour", "thumbnail", "psf_map")
    less = leave_out(deep, gone, "wide")
    check(less)
    assert [step.label for step in deep.steps if step.label not in gone] == [step.label for step in less.steps]
    assert less.rescues == deep.rescues
    assert leave_out(deep, (), "wide") is deep
    catalogues = ("deep_psf", "psf_map", "deep_psf_measure", "deep_sources", "completeness", "detection", "forced")
    bare = leave_out(deep, (*catalogues, "objects", "bright_stars"), "pictures")
    check(bare)
    assert [rung for rung in bare.rescues if rung.step == "deep_psf"] == []
    assert len(bare.rescues) < len(deep.rescues)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (("forced",), "'forced' cannot be left out alone: objects needs its"),
        (("completeness", "stack"), "'stack' cannot be left out alone: deep_background needs its 'stack', deep_noise"),
        (("completness",), "no step 'completness' that works on tiles; did you mean 'completeness'"),
        (("detrend",), "no step 'detrend' that works on tiles"),
    ],
)
def test_what_others_need_is_refused_by_their_names(deep: Pipeline, labels: tuple[str, ...], told: str) -> None:
    with pytest.raises(SetupFault, match=told) as caught:
        leave_out(deep, labels, "wide")
    assert caught.value.code == "release.invalid"
    assert "'wide'" in caught.value.message


def test_the_release_says_what_it_leaves_out(tmp_path: Path) -> None:
    survey = Survey.create(tmp_path / "survey")
    path = survey.folder("releases") / "lean.toml"
    path.write_text('name = "lean"\nwithout = ["completeness"]\n')
    labels = [step.label for step in load_for("lean", "deep", survey).steps]
    assert "completeness" not in labels
    assert "bright_stars" in labels
    assert load_for("", "reduce", survey) == load("reduce", [survey.folder("pipelines")])
    path.write_text('name = "lean"\nwithout = ["stack"]\n')
    with pytest.raises(SetupFault, match="needs its 'stack'"):
        load_for("", "deep", survey)
