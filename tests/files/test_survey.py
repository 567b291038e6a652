"""The survey folder: made, found, refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spica.core.faults import SetupFault
from spica.core.records import FileRecord, Grain, Unit
from spica.files.survey import FILE_NAME, FOLDERS, Survey


def test_what_is_created_opens_from_any_folder_below(tmp_path: Path) -> None:
    made = Survey.create(tmp_path / "deep sky", name='a "name"')
    assert Survey.open(made.root / "raw") == made
    assert made.settings.name == 'a "name"'
    assert made.registry_url == f"sqlite:///{made.root}/registry.sqlite"
    assert all(made.folder(name).is_dir() for name in FOLDERS)


def test_a_team_names_its_database(tmp_path: Path) -> None:
    made = Survey.create(tmp_path, database="postgresql://host/survey")
    assert Survey.open(tmp_path).registry_url == made.registry_url == "postgresql://host/survey"


def test_a_survey_is_not_made_twice(tmp_path: Path) -> None:
    Survey.create(tmp_path)
    with pytest.raises(SetupFault) as caught:
        Survey.create(tmp_path)
    assert caught.value.code == "survey.exists"


def test_no_survey_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as caught:
        Survey.open(tmp_path)
    assert caught.value.code == "survey.missing"


@pytest.mark.parametrize(
    ("line", "setting", "nearest"),
    [
        ("registri = 'x'", "registri", "registry"),
        ("[engine]\nworker = 3", "engine.worker", "workers"),
        ("[engine.dask]\nadress = 'tcp://a:1'", "engine.dask.adress", "address"),
        ("[ingest]\nmode = 'move'", "ingest.mode", ""),
        ("[engine]\nworkers = -1", "engine.workers", ""),
        ("name = ", "", ""),
    ],
)
def test_wrong_settings_are_refused_with_the_nearest_name(
    tmp_path: Path, line: str, setting: str, nearest: str
) -> None:
    text = line if line.startswith("name") else f"name = 'x'\n{line}"
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(SetupFault) as caught:
        Survey.open(tmp_path)
    assert caught.value.code == "survey.invalid"
    assert caught.value.evidence.get("setting", "") == setting
    assert caught.value.evidence.get("nearest", "") == nearest
    assert nearest in str(caught.value)


def test_paths_of_products_tell_settings_apart(tmp_path: Path) -> None:
    survey = Survey.create(tmp_path)
    unit = Unit(Grain.DETECTOR, ("demo-20261120-00012", "3"))
    paths = {survey.product_path("science", "2026-11-20", unit, "science", key * 40, ".fits") for key in "ab"}
    assert len(paths) == 2
    assert f"products/science/2026-11-20/demo-20261120-00012_3_science.{'a' * 10}.fits" in paths
    assert survey.product_path("scratch", "", unit, "x", "c" * 40, ".fits").startswith("scratch/demo")


def test_files_are_found_on_their_areas(tmp_path: Path) -> None:
    Survey.create(tmp_path)
    with (tmp_path / FILE_NAME).open("a") as settings:
        settings.write('[areas]\narchive = "old"\ncloud = "s3://bucket"\n')
    survey = Survey.open(tmp_path)
    assert survey.path_of(FileRecord("c", 1, "raw/x.fits")) == tmp_path / "raw/x.fits"
    assert survey.path_of(FileRecord("c", 1, "x.fits", "archive")) == tmp_path / "old/x.fits"
    assert survey.path_of(FileRecord("c", 1, "/there/x.fits")) == Path("/there/x.fits")
    for area in ("cloud", "nowhere"):
        with pytest.raises(SetupFault) as caught:
            survey.path_of(FileRecord("c", 1, "x.fits", area))
        assert caught.value.code == "survey.invalid"


def test_opening_a_survey_loads_no_numerics() -> None:
    code = (
        "import sys, spica.files.survey; "
        "print([m for m in ('astropy', 'numba', 'numpy', 'pyarrow', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
